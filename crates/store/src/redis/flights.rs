//! Claims on codes in Redis: one key for each code, on any slot of a cluster.

use std::time::Duration;

use super::RedisStore;
use async_trait::async_trait;
use sise_domain::Symbol;
use sise_port::{Claim, Flights, Landed, StoreError};

/// Value under the key of a code that the broker does not know; no process has this name.
const UNKNOWN: &str = "-";

/// Claims a code. KEYS: the claim. ARGV: process, life in milliseconds. Returns the holder and its
/// remaining time. A key without a TTL is not from sise and is replaced.
const CLAIM: &str = "local holder = redis.pcall('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if type(holder) ~= 'string' or holder == ARGV[1] or left < 0 then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return { ARGV[1], tonumber(ARGV[2]) }
end
return { holder, left }";

/// Gives a claim back. KEYS: the claim. ARGV: process.
const GIVE_BACK: &str =
    "if redis.pcall('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";

#[async_trait]
impl Flights for RedisStore {
    async fn claim(
        &self,
        process: &str,
        symbols: &[Symbol],
        life: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        if symbols.is_empty() {
            return Ok(Vec::new());
        }
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let mut pipeline = redis::pipe();
        for symbol in symbols {
            // In full, not by its digest: a server without the script would refuse the whole
            // pipeline.
            let command = pipeline.cmd("EVAL").arg(CLAIM).arg(1);
            let command = command.arg(self.keys.flight(*symbol));
            command.arg(process).arg(life);
        }
        let held: Vec<(String, i64)> = self.run_pipeline(&pipeline).await?;
        let claim = |(holder, left): (String, i64)| {
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            match holder.as_str() {
                UNKNOWN => Claim::Unknown(left),
                holder if holder == process => Claim::Own,
                _ => Claim::Other(left),
            }
        };
        Ok(held.into_iter().map(claim).collect())
    }

    async fn land(&self, process: &str, landed: &[(Symbol, Landed)]) -> Result<(), StoreError> {
        if landed.is_empty() {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        for (symbol, landed) in landed {
            let key = self.keys.flight(*symbol);
            match landed {
                Landed::Done => {
                    let command = pipeline.cmd("EVAL").arg(GIVE_BACK).arg(1);
                    command.arg(key).arg(process).ignore();
                }
                // True for all processes, so it may replace another one's claim.
                Landed::Unknown(life) => {
                    let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
                    pipeline.pset_ex(key, UNKNOWN, life).ignore();
                }
            }
        }
        self.run_pipeline(&pipeline).await
    }
}
