//! Sorted sets of a cache in Redis.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Pipeline, Script};

use super::RedisStore;
use super::values::milliseconds;
use sise_port::{Order, Replacement, Scored, SortedSets, StoreError};

/// Maximum number of members in one `ZADD`: a longer one would block all other requests.
const PART: usize = 500;

/// Life of a replacement that is prepared but never put in place.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// Puts a replacement in place. KEYS: the replacement, the set. ARGV: number of members, life in
/// milliseconds or 0.
const SWAP: &str = "if redis.call('ZCARD', KEYS[1]) ~= tonumber(ARGV[1]) then
  redis.call('DEL', KEYS[1])
  return redis.error_reply('ERR the sorted set was not written whole')
end
if ARGV[1] == '0' then
  redis.call('DEL', KEYS[2])
  return 0
end
if ARGV[2] == '0' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
redis.call('RENAME', KEYS[1], KEYS[2])
return 1";

fn add(key: &str, members: &[Scored]) -> Cmd {
    let mut command = Cmd::new();
    command.arg("ZADD").arg(key);
    for (member, score) in members {
        command.arg(*score).arg(member);
    }
    command
}

fn replace(set: &Replacement, pipeline: &mut Pipeline) {
    pipeline.del(&set.beside).ignore();
    for (number, part) in set.members.chunks(PART).enumerate() {
        pipeline.add_command(add(&set.beside, part)).ignore();
        if number == 0 {
            let life = milliseconds(LEFT_BEHIND);
            pipeline.cmd("PEXPIRE").arg(&set.beside).arg(life).ignore();
        }
    }
    // In full, not by its digest: a server without the script would refuse the whole pipeline.
    let swap = pipeline.cmd("EVAL").arg(SWAP).arg(2);
    swap.arg(&set.beside).arg(&set.key).arg(set.members.len());
    swap.arg(set.life.map_or(0, milliseconds)).ignore();
}

/// Reads rank and score together. KEYS: the set. ARGV: command for the rank, member.
///
/// This is a script instead of a transaction: if the server refused the end of a transaction, the
/// shared connection would remain inside it.
static PLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "return {redis.call(ARGV[1], KEYS[1], ARGV[2]), redis.call('ZSCORE', KEYS[1], ARGV[2])}",
    )
});

#[async_trait]
impl SortedSets for RedisStore {
    async fn set_scores(&self, key: &str, members: &[Scored]) -> Result<(), StoreError> {
        if members.is_empty() {
            return Ok(());
        }
        self.link.ask(&add(key, members)).await
    }

    async fn replace_sets(&self, sets: &[Replacement]) -> Result<(), StoreError> {
        if sets.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::new();
        for set in sets {
            replace(set, &mut pipeline);
        }
        self.run_pipeline(&pipeline).await
    }

    async fn place(
        &self,
        key: &str,
        member: &str,
        order: Order,
    ) -> Result<Option<(u64, f64)>, StoreError> {
        let rank = match order {
            Order::Ascending => "ZRANK",
            Order::Descending => "ZREVRANK",
        };
        let (place, score): (Option<u64>, Option<f64>) =
            self.link.eval(&PLACE, &[key], (rank, member)).await?;
        Ok(place.zip(score))
    }

    async fn range(
        &self,
        key: &str,
        order: Order,
        skip: u64,
        count: u64,
    ) -> Result<Vec<Scored>, StoreError> {
        let Some(last) = count.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let range = match order {
            Order::Ascending => "ZRANGE",
            Order::Descending => "ZREVRANGE",
        };
        let mut command = Cmd::new();
        command.arg(range).arg(key).arg(whole(skip));
        command.arg(whole(skip.saturating_add(last)));
        command.arg("WITHSCORES");
        self.link.ask(&command).await
    }

    async fn size(&self, key: &str) -> Result<u64, StoreError> {
        self.link.ask(&Cmd::zcard(key)).await
    }

    async fn remove_members(&self, key: &str, members: &[String]) -> Result<u64, StoreError> {
        if members.is_empty() {
            return Ok(0);
        }
        let mut command = Cmd::new();
        command.arg("ZREM").arg(key).arg(members);
        self.link.ask(&command).await
    }
}
