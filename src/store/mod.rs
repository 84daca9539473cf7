//! Where prices are kept: Redis, or the memory of this process. One contract, one test suite.

mod keys;
mod memory;
mod object;
mod redis;

pub use keys::Keys;
pub use memory::{MemoryStore, MemoryTokens};
pub use redis::{
    RedisBudget, RedisFirstLevel, RedisHealth, RedisSettings, RedisStore, RedisTokens,
};
