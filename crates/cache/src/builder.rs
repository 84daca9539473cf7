//! A builder for programs that use the cache alone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use sise_net::unique;
use sise_port::clock;
use sise_port::{CacheStore, StoreError};
use sise_store::{MemoryStore, RedisSettings, RedisStore};

use super::{Cache, Parts, TIMEOUT};

impl Cache {
    /// Returns a builder for a cache in the Redis server of this machine.
    pub fn builder() -> CacheBuilder {
        CacheBuilder {
            url: "redis://127.0.0.1:6379".into(),
            namespace: String::new(),
            timeout: TIMEOUT,
        }
    }
}

/// Builder of a cache, with a default for everything that is not set.
#[derive(Clone)]
#[must_use]
pub struct CacheBuilder {
    url: SecretString,
    namespace: String,
    timeout: Duration,
}

impl CacheBuilder {
    /// Sets where values are stored: `redis://`, `redis-sentinel://`, `redis-cluster://`, each with
    /// `rediss` for TLS, or `memory`, which other processes cannot see.
    pub fn redis_url(mut self, url: &str) -> Self {
        self.url = url.into();
        self
    }

    /// Puts `<app>:<environment>:` in front of every key, so that programs and environments do not
    /// share keys.
    pub fn namespace(mut self, app: &str, environment: &str) -> Self {
        self.namespace = format!("{app}:{environment}:");
        self
    }

    /// Sets the longest time of an operation, 100 ms by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Builds the cache, which connects at the first use. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is unusable. An unreachable store is not an error.
    pub fn build(self) -> Result<Cache, StoreError> {
        let store: Arc<dyn CacheStore> = match self.url.expose_secret() {
            "memory" => Arc::new(MemoryStore::default()),
            url => Arc::new(RedisStore::new(&RedisSettings {
                url,
                namespace: "",
                connect_timeout: self.timeout,
                response_timeout: self.timeout,
            })?),
        };
        Ok(Cache::new(Parts {
            store,
            process: unique::process_name(),
            clock: clock::system(),
            timeout: self.timeout,
            namespace: self.namespace,
        }))
    }

    /// Builds the cache and waits for the store: three attempts, with a growing pause between them.
    ///
    /// If the store does not answer, attempts go on in the background. Until one succeeds, reads
    /// are misses and writes are refused.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is unusable. An unreachable store is not an error.
    pub async fn connect(self) -> Result<Cache, StoreError> {
        let cache = self.build()?;
        // The change of state has logged the error.
        let _ = cache.connect().await;
        Ok(cache)
    }
}

/// Leaves the address out, which may hold a password.
impl fmt::Debug for CacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("namespace", &self.namespace)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
