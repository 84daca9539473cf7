//! A cache for a program of somebody else's.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{SetupError, outside};
use crate::cache::{self, Cache};
use crate::clock;
use crate::config::{Layers, Settings};
use crate::port::CacheStore;
use crate::store::{MemoryStore, RedisSettings, RedisStore};

impl Cache {
    /// A builder that takes no setting from files or environment.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::on(Layers::unset())
    }

    /// A builder that takes the store from the settings of this process: `REDIS_URL` and the other
    /// `store.*` settings.
    ///
    /// # Errors
    ///
    /// A settings file or variable is refused.
    pub fn builder_from_env() -> Result<CacheBuilder, SetupError> {
        Ok(CacheBuilder::on(Layers::of_process()?))
    }
}

/// Sets a cache up; what is not set has its default.
#[derive(Debug, Clone)]
#[must_use]
pub struct CacheBuilder {
    layers: Layers,
    namespace: String,
    timeout: Duration,
}

impl CacheBuilder {
    fn on(layers: Layers) -> Self {
        Self {
            layers,
            namespace: String::new(),
            timeout: cache::TIMEOUT,
        }
    }

    /// Where values are kept: `redis://`, `redis-sentinel://`, `redis-cluster://`, each with
    /// `rediss` for TLS, or `memory`, which other processes cannot see.
    pub fn redis_url(mut self, url: &str) -> Self {
        self.layers.set("store.url", url);
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
        let text = format!("{}ms", timeout.as_millis());
        self.layers.set("store.connect_timeout", &text);
        self.layers.set("store.response_timeout", &text);
        self.timeout = timeout;
        self
    }

    /// The cache. Connects at the first use. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// A value is refused. The store being away is none.
    pub fn build(self) -> Result<Cache, SetupError> {
        let settings = Settings::new(&self.layers)?;
        let store = &settings.store;
        let cache_store: Arc<dyn CacheStore> = match store.url.expose_secret() {
            "memory" => Arc::new(MemoryStore::default()),
            url => Arc::new(RedisStore::new(&RedisSettings {
                url,
                namespace: "",
                connect_timeout: store.connect_timeout,
                response_timeout: store.response_timeout,
            })?),
        };
        Ok(Cache::new(cache::Parts {
            store: cache_store,
            process: outside::process_name(),
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
    /// A value is refused. The store being away is none.
    pub async fn connect(self) -> Result<Cache, SetupError> {
        let cache = self.build()?;
        // What failed is said where the state changes.
        let _ = cache.connect().await;
        Ok(cache)
    }
}
