//! Single values of a cache in Redis.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Pipeline, Script};

use super::RedisStore;
use sise_port::{CacheEntry, Living, StoreError, ValueClaim, Values};

/// Maximum number of keys in one `MGET`: a longer one would block all other requests.
const PART: usize = 500;

/// Extends the life of a claim. KEYS: the claim. ARGV: owner, life in milliseconds.
static PROLONG: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// Writes values under a claim. KEYS: the claim, then the values. ARGV: owner, whether a value was
/// seen, that value, then each value with its life in milliseconds or 0.
static SET_CLAIMED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        redis.call('DEL', KEYS[1])
        if #KEYS == 1 then return 1 end
        local held = redis.call('GET', KEYS[2])
        if held and (ARGV[2] == '0' or held ~= ARGV[3]) then return 0 end
        for i = 2, #KEYS do
          local value, life = ARGV[2 * i], ARGV[2 * i + 1]
          if life == '0' then
            redis.call('SET', KEYS[i], value)
          else
            redis.call('SET', KEYS[i], value, 'PX', life)
          end
        end
        return 1",
    )
});

/// Converts a life to milliseconds, within the limits of Redis: it accepts no life of zero, and
/// none that ends after the last time it can represent.
pub(super) fn milliseconds(life: Duration) -> u64 {
    let millis = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    millis.clamp(1, 1 << 62)
}

fn set(entry: &CacheEntry) -> Cmd {
    // Allocates once: growing bit by bit costs as much as the rest.
    let mut command = Cmd::with_capacity(4, entry.key.len() + entry.value.len() + 32);
    match entry.life {
        Some(life) => command
            .arg("PSETEX")
            .arg(&entry.key)
            .arg(milliseconds(life)),
        None => command.arg("SET").arg(&entry.key),
    };
    command.arg(entry.value.as_slice());
    command
}

#[async_trait]
impl Values for RedisStore {
    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if let [key] = keys {
            return Ok(vec![self.link.ask(&Cmd::get(key)).await?]);
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        if self.link.is_cluster() {
            let mut pipeline = Pipeline::with_capacity(keys.len());
            // MGET instead of GET, which fails on a value of another kind.
            for key in keys {
                pipeline.mget(&[key]);
            }
            let values: Vec<Vec<Option<Vec<u8>>>> = self.run_pipeline(&pipeline).await?;
            return Ok(values.into_iter().flatten().collect());
        }
        let mut pipeline = Pipeline::with_capacity(keys.len().div_ceil(PART));
        for part in keys.chunks(PART) {
            pipeline.mget(part);
        }
        let parts: Vec<Vec<Option<Vec<u8>>>> = self.run_pipeline(&pipeline).await?;
        Ok(parts.into_iter().flatten().collect())
    }

    async fn get_living(&self, key: &str) -> Result<Option<Living>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.get(key).pttl(key);
        let (value, left): (Option<Vec<u8>>, i64) = self.run_pipeline(&pipeline).await?;
        let life = match left {
            // The key expired between the two commands.
            -2 => Some(Duration::ZERO),
            left => u64::try_from(left).ok().map(Duration::from_millis),
        };
        Ok(value.map(|value| (value, life)))
    }

    async fn set(&self, entries: &[CacheEntry]) -> Result<(), StoreError> {
        match entries {
            [] => Ok(()),
            [entry] => self.link.ask(&set(entry)).await,
            entries => {
                let mut pipeline = Pipeline::with_capacity(entries.len());
                for entry in entries {
                    pipeline.add_command(set(entry)).ignore();
                }
                self.run_pipeline(&pipeline).await
            }
        }
    }

    async fn lengths(&self, keys: &[String]) -> Result<Vec<u64>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(keys.len());
        for key in keys {
            pipeline.cmd("STRLEN").arg(key);
        }
        self.run_pipeline(&pipeline).await
    }

    async fn claim(&self, claim: &ValueClaim, life: Duration) -> Result<bool, StoreError> {
        let mut command = Cmd::new();
        command.arg("SET").arg(&claim.key).arg(&claim.owner);
        command.arg("NX").arg("PX").arg(milliseconds(life));
        // The answer is nil if there is another owner.
        let taken: Option<String> = self.link.ask(&command).await?;
        Ok(taken.is_some())
    }

    async fn prolong(&self, claim: &ValueClaim, life: Duration) -> Result<bool, StoreError> {
        let arguments = (&claim.owner, milliseconds(life));
        self.link.eval(&PROLONG, &[&claim.key], arguments).await
    }

    async fn set_claimed(
        &self,
        claim: &ValueClaim,
        seen: Option<&[u8]>,
        entries: &[CacheEntry],
    ) -> Result<bool, StoreError> {
        let mut keys = vec![claim.key.as_str()];
        keys.extend(entries.iter().map(|entry| entry.key.as_str()));
        let was_seen: &[u8] = if seen.is_some() { b"1" } else { b"0" };
        let owner = claim.owner.as_bytes();
        let mut arguments = vec![
            owner.to_vec(),
            was_seen.to_vec(),
            seen.unwrap_or_default().to_vec(),
        ];
        for entry in entries {
            arguments.push(entry.value.clone());
            let life = entry.life.map_or(0, milliseconds);
            arguments.push(life.to_string().into_bytes());
        }
        self.link.eval(&SET_CLAIMED, &keys, arguments).await
    }
}
