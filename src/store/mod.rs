//! Where prices are kept: Redis, or the memory of this process. One contract, one test suite.
//! Copies of the stock list lie on disk too.

mod files;
mod keys;
mod memory;
mod object;
mod redis;

pub use files::FileCopies;
pub use keys::Keys;
pub use memory::{MemoryStore, MemoryTokens};
pub(crate) use redis::RedisAddress;
pub use redis::{RedisBudget, RedisHealth, RedisSettings, RedisStore, RedisTokens};
