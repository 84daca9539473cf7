//! Readers for other programs, which use sise as a library.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Adapters, SetupError, Wiring};
use crate::config::{RawSettings, Settings};
use crate::journal;
use crate::reader::Reader;
use sise_domain::Role;
use sise_net::supervisor::Supervisor;
use sise_port::clock;

impl Reader {
    /// Returns a reader by the settings of this process.
    ///
    /// They come from `config/sise.toml` or `SISE_CONFIG`, from `.env`, and from `REDIS_URL`,
    /// `KIS_APP_KEY`, `KIS_APP_SECRET` and the other variables. Without key and secret the reader
    /// uses the store alone.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is refused. An unreachable Redis is not an error: every read
    /// is then a miss.
    pub async fn from_env() -> Result<Self, SetupError> {
        Self::of(&RawSettings::of_process()?).await
    }

    /// Returns a builder that takes no setting from files or environment.
    pub fn builder() -> ReaderBuilder {
        ReaderBuilder {
            raw: RawSettings::unset(),
        }
    }

    async fn of(raw: &RawSettings) -> Result<Self, SetupError> {
        let settings = Settings::new(raw)?;
        let clock = clock::system();
        let (event_queue, notes) = journal::event_queue(Arc::clone(&clock));
        let mut adapters = Adapters::new(&settings, clock)?;
        if adapters.redis.is_some() {
            adapters.recorder = Arc::new(event_queue);
        }
        let parts = Wiring::on(settings, adapters)?;
        parts.know_names().await;
        if let Some(broker) = &parts.broker {
            broker.auth.take_kept().await;
        }
        let reader = parts.reader();
        if parts.redis.is_none() {
            return Ok(reader);
        }
        // `sise status` shows this process, too, for as long as the reader lives.
        parts.activity.set("reads prices");
        let telling = Supervisor::default();
        parts.writer(notes).start(telling.tasks());
        parts.heartbeat(Role::Reader, None).start(telling.tasks());
        parts.reads.start(telling.tasks());
        Ok(reader.ending(telling))
    }
}

/// Builds a reader without files or environment. Settings that are not given have their defaults.
#[derive(Debug, Clone)]
#[must_use]
pub struct ReaderBuilder {
    raw: RawSettings,
}

impl ReaderBuilder {
    /// Sets the address of the store.
    ///
    /// It is `redis://`, `redis-sentinel://` or `redis-cluster://`, each with `rediss` for TLS, or
    /// `memory`.
    pub fn redis_url(self, url: &str) -> Self {
        self.with("store.url", url)
    }

    /// Sets the prefix of every key.
    pub fn namespace(self, namespace: &str) -> Self {
        self.with("store.namespace", namespace)
    }

    /// Sets the life of prices that are written back after a miss.
    ///
    /// A price in Redis that is older than this by more than a minute is also a miss, unless a read
    /// gives its own [`Ask::max_age`].
    ///
    /// [`Ask::max_age`]: crate::reader::Ask::max_age
    pub fn ttl(self, ttl: Duration) -> Self {
        self.with("store.ttl", &format!("{}ms", ttl.as_millis()))
    }

    /// Sets app key and secret. Without them, misses stay misses.
    pub fn credentials(self, app_key: &str, app_secret: &str) -> Self {
        self.with("kis.app_key", app_key)
            .with("kis.app_secret", app_secret)
    }

    /// Declares that the key belongs to a paper account.
    pub fn paper(self) -> Self {
        self.with("kis.env", "paper")
    }

    /// Sets a REST host other than the broker's own, such as a simulated one.
    pub fn base_url(self, url: &str) -> Self {
        self.with("kis.base_url", url)
    }

    /// Sets the longest wait for an answer of Redis, 100 ms by default.
    pub fn response_timeout(self, timeout: Duration) -> Self {
        self.with(
            "store.response_timeout",
            &format!("{}ms", timeout.as_millis()),
        )
    }

    /// Turns the first level cache on or off; off by default.
    ///
    /// It keeps prices in this process until Redis reports a change. A hit then takes less than a
    /// microsecond. It costs Redis one message for every price that changes after it was read.
    pub fn first_level(self, is_on: bool) -> Self {
        self.with("reader.first_level", if is_on { "on" } else { "off" })
    }

    /// Sets the directory that keeps the access token between processes.
    ///
    /// The default is the user's directory for state.
    pub fn state_directory(self, path: &Path) -> Self {
        self.with("state.directory", &path.to_string_lossy())
    }

    /// Sets the calls per second that this process may make out of the budget of the key.
    pub fn rate_per_second(self, rate: f64) -> Self {
        self.with("kis.rate_per_second", &rate.to_string())
    }

    /// Builds the reader.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is refused. An unreachable Redis is not an error: every read is
    /// then a miss.
    pub async fn build(self) -> Result<Reader, SetupError> {
        Reader::of(&self.raw).await
    }

    fn with(mut self, key: &'static str, value: &str) -> Self {
        self.raw.set(key, value);
        self
    }
}
