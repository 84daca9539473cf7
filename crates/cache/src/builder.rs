//! A cache for a program of somebody else's.

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
    /// A builder for a cache in the Redis server of this machine.
    pub fn builder() -> CacheBuilder {
        CacheBuilder {
            url: "redis://127.0.0.1:6379".into(),
            namespace: String::new(),
            timeout: TIMEOUT,
        }
    }
}

/// Sets a cache up; what is not set has its default.
#[derive(Clone)]
#[must_use]
pub struct CacheBuilder {
    url: SecretString,
    namespace: String,
    timeout: Duration,
}

impl CacheBuilder {
    /// Where values are kept: `redis://`, `redis-sentinel://`, `redis-cluster://`, each with
    /// `rediss` for TLS, or `memory`, which other processes cannot see.
    pub fn redis_url(mut self, url: &str) -> Self {
        self.url = url.into();
        self
    }

    /// Puts `<app>:<environment>:` in front of every key, so that programs and their trials do not
    /// meet.
    pub fn namespace(mut self, app: &str, environment: &str) -> Self {
        self.namespace = format!("{app}:{environment}:");
        self
    }

    /// Longest time of an operation, 100 ms by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The cache. Connects at the first use. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// The address is unusable. The store being away is none.
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

    /// The cache, once the store answers, or after three tries with a growing pause; then it goes on
    /// in the background, and until it succeeds reads are misses and writes are refused.
    ///
    /// # Errors
    ///
    /// The address is unusable. The store being away is none.
    pub async fn connect(self) -> Result<Cache, StoreError> {
        let cache = self.build()?;
        // What failed is said where the state changes.
        let _ = cache.connect().await;
        Ok(cache)
    }
}

/// The address may hold a password.
impl fmt::Debug for CacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("namespace", &self.namespace)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
