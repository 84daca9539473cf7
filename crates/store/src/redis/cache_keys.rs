//! Keys of a cache in Redis, whatever they hold, and the state that the server reports.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Pipeline, RedisResult, Script};

use super::RedisStore;
use super::connection::Connection;
use super::values::milliseconds;
use sise_port::{CacheKeys, StoreError, StoreHealth};

/// Number of keys that a server examines for one answer.
const LOOKED_AT: usize = 1_000;

/// An empty list of arguments.
const NOTHING: &[&str] = &[];

/// Renames a key if it exists. KEYS: from, to.
static RENAME: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
        redis.call('RENAME', KEYS[1], KEYS[2])
        return 1",
    )
});

/// Extends the life of a key if it is shorter. KEYS: the key. ARGV: life in milliseconds.
static LIVE_AT_LEAST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local left = redis.call('PTTL', KEYS[1])
        if left == -2 then return 0 end
        if left < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
        return 1",
    )
});

/// Returns the `SCAN` pattern for keys that begin with `prefix`.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for letter in prefix.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('*');
    pattern
}

/// Counts the keys of one server that match.
async fn count<Fut>(pattern: &str, ask: impl Fn(Cmd) -> Fut) -> RedisResult<u64>
where
    Fut: Future<Output = RedisResult<redis::Value>>,
{
    let mut count = 0;
    let mut cursor = 0_u64;
    loop {
        let mut command = Cmd::new();
        command.arg("SCAN").arg(cursor);
        command.arg("MATCH").arg(pattern);
        command.arg("COUNT").arg(LOOKED_AT);
        let (next, found): (u64, Vec<redis::Value>) =
            redis::FromRedisValue::from_redis_value(ask(command).await?)?;
        count += u64::try_from(found.len()).unwrap_or(0);
        if next == 0 {
            return Ok(count);
        }
        cursor = next;
    }
}

#[async_trait]
impl CacheKeys for RedisStore {
    async fn delete(&self, keys: &[String]) -> Result<u64, StoreError> {
        if keys.is_empty() {
            return Ok(0);
        }
        if !self.link.is_cluster() {
            let mut command = Cmd::new();
            command.arg("UNLINK").arg(keys);
            return self.link.ask(&command).await;
        }
        let mut pipeline = Pipeline::with_capacity(keys.len());
        for key in keys {
            pipeline.unlink(key);
        }
        let deleted: Vec<u64> = self.run_pipeline(&pipeline).await?;
        Ok(deleted.into_iter().sum())
    }

    async fn expire(&self, key: &str, life: Duration) -> Result<bool, StoreError> {
        let mut command = Cmd::new();
        command.arg("PEXPIRE").arg(key).arg(milliseconds(life));
        self.link.ask(&command).await
    }

    async fn live_at_least(&self, key: &str, life: Duration) -> Result<bool, StoreError> {
        self.link
            .eval(&LIVE_AT_LEAST, &[key], milliseconds(life))
            .await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<bool, StoreError> {
        self.link.eval(&RENAME, &[from, to], NOTHING).await
    }

    async fn count_keys(&self, prefix: &str) -> Result<u64, StoreError> {
        let pattern = &pattern(prefix);
        self.link
            .run(|connection| async move {
                match connection {
                    Connection::Cluster(cluster) => {
                        let mut all = 0;
                        for node in cluster.nodes() {
                            let node = &node;
                            let ask = |command: Cmd| async move { node.ask(&command).await };
                            all += count(pattern, ask).await?;
                        }
                        Ok(all)
                    }
                    server => {
                        let server = &server;
                        let ask = |command: Cmd| async move {
                            command.query_async(&mut server.clone()).await
                        };
                        count(pattern, ask).await
                    }
                }
            })
            .await
    }

    /// Returns the state of the server; in a cluster, that of the node with the fullest memory.
    async fn health(&self) -> Result<StoreHealth, StoreError> {
        let mut info = Cmd::new();
        info.arg("INFO");
        let texts: Vec<String> = self.link.ask_all(&info).await?;
        let all = texts.iter().map(|text| read(text));
        let fullest = all.max_by(|a, b| fullness(a).total_cmp(&fullness(b)));
        fullest.ok_or_else(|| StoreError::Failed {
            store: self.address().to_owned(),
            trouble: "it reports nothing about itself".to_owned(),
        })
    }

    async fn answers(&self) -> Result<(), StoreError> {
        sise_port::PriceStore::ping(self).await
    }
}

/// Parses the answer to `INFO`.
fn read(text: &str) -> StoreHealth {
    let field = |name: &str| {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_default().trim().to_owned()
    };
    StoreHealth {
        version: field("redis_version"),
        used_memory: field("used_memory").parse().unwrap_or(0),
        maxmemory: field("maxmemory").parse().unwrap_or(0),
        maxmemory_policy: field("maxmemory_policy"),
    }
}

/// Share of the allowed memory that is in use.
#[expect(clippy::cast_precision_loss, reason = "only compared")]
fn fullness(health: &StoreHealth) -> f64 {
    match health.maxmemory {
        0 => 0.0,
        limit => health.used_memory as f64 / limit as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_by_the_letter() {
        assert_eq!(pattern("app:[a]*?"), "app:\\[a\\]\\*\\?*");
    }
}
