//! A reader for a program of somebody else's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Outside, Parts, SetupError};
use crate::config::{Layers, Settings};
use crate::journal;
use crate::reader::Reader;
use sise_domain::Role;
use sise_net::supervisor::Supervisor;
use sise_port::clock;

impl Reader {
    /// A reader by the settings of this process: `config/sise.toml` or `SISE_CONFIG`, `.env`,
    /// `REDIS_URL`, `KIS_APP_KEY`, `KIS_APP_SECRET` and the other variables. Without key and
    /// secret it lives from the store alone.
    ///
    /// # Errors
    ///
    /// A setting is refused. Redis being away is none: every read is then a miss.
    pub async fn from_env() -> Result<Self, SetupError> {
        Self::of(&Layers::of_process()?).await
    }

    /// A builder that takes no setting from files or environment.
    pub fn builder() -> ReaderBuilder {
        ReaderBuilder {
            layers: Layers::unset(),
        }
    }

    async fn of(layers: &Layers) -> Result<Self, SetupError> {
        let settings = Settings::new(layers)?;
        let clock = clock::system();
        let (notebook, notes) = journal::notebook(Arc::clone(&clock));
        let mut outside = Outside::new(&settings, clock)?;
        if outside.redis.is_some() {
            outside.recorder = Arc::new(notebook);
        }
        let parts = Parts::on(settings, outside)?;
        parts.know_names().await;
        if let Some(broker) = &parts.broker {
            broker.auth.take_kept().await;
        }
        let reader = parts.reader();
        if parts.redis.is_none() {
            return Ok(reader);
        }
        // Whoever watches the store sees this process too, for as long as the reader lives.
        parts.activity.set("reads prices");
        let telling = Supervisor::default();
        parts.scribe(notes).start(telling.tasks());
        parts.attendance(Role::Reader, None).start(telling.tasks());
        parts.reads.start(telling.tasks());
        Ok(reader.ending(telling))
    }
}

/// Sets a reader up without files or environment; what is not set has its default.
#[derive(Debug, Clone)]
#[must_use]
pub struct ReaderBuilder {
    layers: Layers,
}

impl ReaderBuilder {
    /// Where prices are kept: `redis://`, `redis-sentinel://`, `redis-cluster://`, each with
    /// `rediss` for TLS, or `memory`.
    pub fn redis_url(self, url: &str) -> Self {
        self.with("store.url", url)
    }

    /// What is put in front of every key.
    pub fn namespace(self, namespace: &str) -> Self {
        self.with("store.namespace", namespace)
    }

    /// Life of a price that is written back after a miss. One that stands in Redis and is older by
    /// more than a minute is a miss too, unless a read gives its own [`Ask::max_age`].
    ///
    /// [`Ask::max_age`]: crate::reader::Ask::max_age
    pub fn ttl(self, ttl: Duration) -> Self {
        self.with("store.ttl", &format!("{}ms", ttl.as_millis()))
    }

    /// App key and secret; without them misses stay misses.
    pub fn credentials(self, app_key: &str, app_secret: &str) -> Self {
        self.with("kis.app_key", app_key)
            .with("kis.app_secret", app_secret)
    }

    /// The key belongs to a paper account.
    pub fn paper(self) -> Self {
        self.with("kis.env", "paper")
    }

    /// Another REST host than the broker's own, such as a simulated one.
    pub fn base_url(self, url: &str) -> Self {
        self.with("kis.base_url", url)
    }

    /// Longest wait for Redis to answer, 100 ms by default.
    pub fn response_timeout(self, timeout: Duration) -> Self {
        self.with(
            "store.response_timeout",
            &format!("{}ms", timeout.as_millis()),
        )
    }

    /// Whether prices are kept in this process until Redis says that they changed; off by default.
    /// A hit then takes less than a microsecond, and costs Redis one message for every price that
    /// changes after it was read.
    pub fn first_level(self, is_on: bool) -> Self {
        self.with("reader.first_level", if is_on { "on" } else { "off" })
    }

    /// Where the access token is kept between processes; by default the usual place for state.
    pub fn state_directory(self, path: &Path) -> Self {
        self.with("state.directory", &path.to_string_lossy())
    }

    /// Calls per second that this process may make of the key's budget.
    pub fn rate_per_second(self, rate: f64) -> Self {
        self.with("kis.rate_per_second", &rate.to_string())
    }

    /// The reader.
    ///
    /// # Errors
    ///
    /// A value is refused. Redis being away is none: every read is then a miss.
    pub async fn build(self) -> Result<Reader, SetupError> {
        Reader::of(&self.layers).await
    }

    fn with(mut self, key: &'static str, value: &str) -> Self {
        self.layers.set(key, value);
        self
    }
}
