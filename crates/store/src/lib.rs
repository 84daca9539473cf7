//! Stores of prices, leases and events: Redis, or the memory of this process.
//!
//! Both implement the same contract and run the same test suite. This crate also keeps copies of
//! the stock list on disk.

mod answers;
mod files;
mod keys;
mod ledger_text;
mod memory;
mod object;
mod redis;

use std::time::Duration;

use metrics::counter;

/// Maximum number of entries in the event log: about three weeks of one sweep a minute, or three
/// megabytes.
const JOURNAL_LENGTH: usize = 10_000;

/// How long coverage by minute is kept.
const COVERAGE_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// Counts quotes that were not written because the store already holds a newer one.
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

/// The rules that every parser of this crate must keep, for tests and the fuzzer.
#[cfg(any(test, feature = "testing"))]
pub mod oracle {
    pub use super::answers::oracle::check as answers;
    pub use super::object::oracle::check as object;
}
