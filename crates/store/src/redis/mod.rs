//! The store in Redis.

mod address;
mod bans;
mod brokers;
mod budget;
mod cache_keys;
mod changes;
mod cluster;
mod cluster_prices;
mod connection;
mod coverage;
mod first_level;
mod flights;
mod hashes;
mod indices;
mod journal;
mod lease;
mod ledger;
mod link;
mod newer;
mod node;
mod prices;
mod rights;
mod roster;
mod search;
mod sentinels;
mod server;
mod slot;
mod slot_map;
mod sorted_sets;
mod tokens;
mod trial;
mod values;
mod work;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, FromRedisValue, Pipeline, Script};
use tokio::time::Instant;

use super::keys::Keys;
pub use address::RedisAddress;
pub use bans::RedisBans;
pub use budget::RedisBudget;
pub use first_level::RedisFirstLevel;
pub use lease::RedisLease;
use link::Link;
pub use link::RedisSettings;
pub use rights::{Lacking, Need};
use sise_domain::Symbol;
use sise_net::unique;
use sise_port::clock::StoreClock;
use sise_port::{CopyStore, StoreError};
pub use tokens::RedisTokens;
pub use trial::{Greeting, Trial};
pub use work::RedisWork;

/// Returns a script that writes its only key, which holds a `kind`. A value of another kind, left
/// there by another program, is deleted first.
fn writing(kind: &str, script: &str) -> Script {
    Script::new(&format!(
        "if redis.call('TYPE', KEYS[1]).ok ~= '{kind}' then redis.call('DEL', KEYS[1]) end
        {script}"
    ))
}

/// Deletes a hash if a field of it names the caller. KEYS: the hash. ARGV: field, owner.
static DELETE_OWN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.pcall('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('DEL', KEYS[1]) end",
    )
});

/// Prices in Redis, and the other data that processes share there.
pub struct RedisStore {
    link: Arc<Link>,
    keys: Keys,
    /// The clock that is given the server's time.
    clock: Option<Arc<StoreClock>>,
    /// Unique for each store. It tells leases apart if two processes have the same name.
    lease_token: u64,
}

impl RedisStore {
    /// Creates a store at the address in `settings`.
    ///
    /// It connects at the first use, so it can be created while Redis is unreachable. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is invalid.
    pub fn new(settings: &RedisSettings<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            link: Arc::new(Link::new(settings)?),
            keys: Keys::new(settings.namespace),
            clock: None,
            lease_token: unique::number(),
        })
    }

    /// Makes this store give the server's time to `clock` from time to time, along with other
    /// requests.
    #[must_use]
    pub fn telling(mut self, clock: Arc<StoreClock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The clock that is given the server's time.
    #[must_use]
    pub fn clock(&self) -> Option<&Arc<StoreClock>> {
        self.clock.as_ref()
    }

    /// Asks for the server's time now, because the clock of this machine was set.
    pub async fn learn_time_anew(&self) {
        if let Some(clock) = &self.clock {
            clock.ask_again();
        }
        self.learn_time().await;
    }

    /// Asks for the server's time if that is due.
    pub async fn learn_time(&self) {
        let Some(clock) = self.clock.as_ref().filter(|clock| clock.is_due()) else {
            return;
        };
        let asked = Instant::now();
        let time: Result<(i64, i64), StoreError> = self.link.ask(&redis::cmd("TIME")).await;
        clock.note_asked();
        match time {
            Ok((seconds, micros)) => {
                clock.note(
                    asked,
                    seconds.saturating_mul(1_000_000).saturating_add(micros),
                );
            }
            Err(error) => tracing::debug!(%error, "Redis did not report its time"),
        }
    }

    /// Host and port; for sentinels and clusters, all hosts and ports of the address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.link.address()
    }

    async fn run_pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        self.link
            .run(|mut connection| async move { pipeline.query_async(&mut connection).await })
            .await
    }

    /// Returns the remaining life of the live price of `symbol`, or `None` if there is no such
    /// price.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis is unreachable or refuses.
    pub async fn life(&self, symbol: Symbol) -> Result<Option<Duration>, StoreError> {
        let mut command = Cmd::new();
        command.arg("PTTL").arg(self.keys.realtime(symbol));
        let left: i64 = self.link.ask(&command).await?;
        Ok(u64::try_from(left).ok().map(Duration::from_millis))
    }
}

#[async_trait]
impl CopyStore for RedisStore {
    async fn load_copy(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.link.ask_own(&Cmd::get(self.keys.own(name))).await
    }

    async fn save_copy(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.link.ask(&Cmd::set(self.keys.own(name), text)).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("link", &self.link)
            .field("keys", &self.keys)
            .finish()
    }
}
