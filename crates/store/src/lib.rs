//! Where prices are kept: Redis, or the memory of this process. One contract, one test suite.
//! Copies of the stock list lie on disk too.

mod answers;
mod files;
mod keys;
mod ledger_text;
mod memory;
mod object;
mod redis;

use std::time::Duration;

use metrics::counter;

/// Entries that a journal keeps: about three weeks of a sweep a minute, in three megabytes.
const JOURNAL_LENGTH: usize = 10_000;

/// Coverage by minute is kept so long.
const COVERAGE_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// Counts quotes that were not written because a newer one stands in their place.
fn count_older(count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    counter!("sise_store_older_total").increment(count);
}

pub use files::FileCopies;
pub use keys::Keys;
pub use memory::{MemoryBans, MemoryLease, MemoryStore, MemoryTokens, MemoryWork};
pub use redis::RedisAddress;
pub use redis::{
    Greeting, Lacking, Need, RedisBans, RedisBudget, RedisFirstLevel, RedisLease, RedisSettings,
    RedisStore, RedisTokens, RedisWork, Trial,
};

/// The rules of what is parsed here, for tests and the fuzzer.
#[cfg(any(test, feature = "testing"))]
pub mod oracle {
    pub use super::answers::oracle::check as answers;
    pub use super::object::oracle::check as object;
}
