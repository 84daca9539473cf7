//! The access token of an app key in Redis, encrypted.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Script};

use super::{DELETE_OWN, RedisStore};
use sise_port::{Issue, SharedToken, StoreError, TokenStore};

/// Saves a token and returns its generation. KEYS: the token. ARGV: sealed token, life in
/// milliseconds.
static SAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
        local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
        local found = redis.pcall('HGET', KEYS[1], 'generation')
        local last = tonumber(type(found) == 'string' and found or '') or 0
        if not (last < 2^53) then last = 0 end
        local generation = string.format('%.0f', math.max(last + 1, now))
        -- It may be a value of another program.
        redis.call('DEL', KEYS[1])
        redis.call('HSET', KEYS[1], 'generation', generation, 'sealed', ARGV[1])
        redis.call('PEXPIRE', KEYS[1], ARGV[2])
        return generation",
    )
});

/// Claims the right to ask for a token. KEYS: the right. ARGV: process, spacing in milliseconds.
/// Returns 0, or the wait.
///
/// A value that is not a claim of sise, or has no TTL, is replaced. Otherwise no process could ever
/// ask again.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local left = redis.call('PTTL', KEYS[1])
        if left >= 0 and type(redis.pcall('HGET', KEYS[1], 'process')) == 'string' then
          return math.max(left, 1)
        end
        redis.call('DEL', KEYS[1])
        redis.call('HSET', KEYS[1], 'process', ARGV[1])
        redis.call('PEXPIRE', KEYS[1], ARGV[2])
        return 0",
    )
});

/// The token of one app key.
pub struct RedisTokens {
    store: Arc<RedisStore>,
    token: String,
}

impl RedisTokens {
    /// Returns the token of the app key called `identity` in `store`.
    #[must_use]
    pub fn new(store: Arc<RedisStore>, identity: &str) -> Self {
        Self {
            token: store.keys.own(&format!("token:{identity}")),
            store,
        }
    }

    fn claim_key(&self, replacing: u64) -> String {
        format!("{}:claim:{replacing}", self.token)
    }
}

#[async_trait]
impl TokenStore for RedisTokens {
    async fn load(&self) -> Result<Option<SharedToken>, StoreError> {
        let mut command = Cmd::new();
        command
            .arg("HMGET")
            .arg(&self.token)
            .arg(&["generation", "sealed"]);
        let found: (Option<u64>, Option<String>) = self.store.link.ask_own(&command).await?;
        Ok(match found {
            (Some(generation), Some(sealed)) => Some(SharedToken { generation, sealed }),
            _ => None,
        })
    }

    async fn claim(
        &self,
        process: &str,
        replacing: u64,
        spacing: Duration,
    ) -> Result<Issue, StoreError> {
        let spacing = u64::try_from(spacing.as_millis()).unwrap_or(u64::MAX);
        let link = &self.store.link;
        let wait: u64 = link
            .eval(&CLAIM, &[&self.claim_key(replacing)], (process, spacing))
            .await?;
        Ok(match wait {
            0 => Issue::Ask,
            wait => Issue::Wait(Duration::from_millis(wait)),
        })
    }

    async fn unclaim(&self, process: &str, replacing: u64) -> Result<(), StoreError> {
        let link = &self.store.link;
        link.eval(
            &DELETE_OWN,
            &[&self.claim_key(replacing)],
            ("process", process),
        )
        .await
    }

    async fn save(&self, sealed: &str, life: Duration) -> Result<u64, StoreError> {
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let link = &self.store.link;
        link.eval(&SAVE, &[&self.token], (sealed, life)).await
    }
}

impl fmt::Debug for RedisTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTokens")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
