//! The settings: one table of keys, read from file, `.env`, environment and flags.
//!
//! Until it is checked, every value is kept as text together with its origin. Stock codes and
//! secrets made of digits thus stay text, and every error can name key, origin and allowed range.

mod alerts;
mod api;
mod dot_env;
mod feed;
mod keys;
mod kis;
mod profile;
mod raw;
mod strangers;
mod universe;
mod value;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveTime;
use secrecy::{ExposeSecret as _, SecretString};

use sise_domain::{Calling, Plan};
use sise_store::RedisAddress;

pub use alerts::AlertSettings;
pub use api::ApiSettings;
pub use feed::FeedSettings;
pub use keys::{KEYS, Key, SECTIONS, Section};
pub use kis::{KisEnvironment, KisSettings};
pub use raw::{Environment, Origin, RawSettings};
pub use universe::{UniverseSettings, UniverseSource};
pub use watch::WatchSettings;

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that its key does not allow.
    #[error("{key} = {shown} (from {origin}) is refused: {allowed}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Its value, redacted if it is secret.
        shown: String,
        /// Where it came from.
        origin: String,
        /// What is allowed.
        allowed: String,
    },
    /// A key that does not exist.
    #[error("unknown setting {key} (from {origin}){hint}")]
    Unknown {
        /// The key as written.
        key: String,
        /// Where it was found.
        origin: String,
        /// The key that was likely meant.
        hint: String,
    },
    /// A settings file that cannot be read.
    #[error("settings file {path}: {trouble}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong.
        trouble: String,
    },
    /// Settings that contradict each other.
    #[error("{0}")]
    Combination(String),
}

/// Settings of the passes over the list.
#[derive(Debug, Clone, Copy)]
pub struct SweepSettings {
    /// Codes in a batch.
    pub batch_size: usize,
    /// Shortest time between the starts of two batches.
    pub batch_pause: Duration,
    /// Maximum number of batches that one key has in flight.
    pub in_flight: usize,
    /// Whether this process shares sweeps with processes that have other app keys.
    pub shared: bool,
}

/// Settings of the daemon's schedule.
#[derive(Debug, Clone, Copy)]
pub struct ScheduleSettings {
    /// Time between the starts of two sweeps.
    pub interval: Duration,
    /// Time of day at which the stock list is reloaded, in Seoul.
    pub reload_at: NaiveTime,
    /// Time after the death of the leader within which another daemon takes over.
    pub lease: Duration,
}

/// Settings of the store for prices.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Address: `redis://`, `redis-sentinel://` or `redis-cluster://`, each with `rediss` for TLS,
    /// or `memory`.
    pub url: SecretString,
    /// Life of a price.
    pub ttl: Duration,
    /// Prefix of every key.
    pub namespace: String,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer.
    pub response_timeout: Duration,
}

/// Settings of readers.
#[derive(Debug, Clone, Copy)]
pub struct ReaderSettings {
    /// Whether the first level cache is on: prices in the process until Redis reports a change.
    pub first_level: bool,
}

/// Settings of the event log and of the ping after good sweeps.
#[derive(Debug, Clone)]
pub struct JournalSettings {
    /// Share of the list that must have a live price. Below it, a minute of a session is a gap; a
    /// sweep that reaches it is good.
    pub gap_below: f64,
    /// Address to call after every good sweep. Its path may be the secret of the receiver.
    pub ping_url: Option<SecretString>,
}

/// Format of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// All settings, after the checks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `kis.*`
    pub kis: KisSettings,
    /// `sweep.*`
    pub sweep: SweepSettings,
    /// `schedule.*`
    pub schedule: ScheduleSettings,
    /// `watch.*`
    pub watch: WatchSettings,
    /// `feed.*`
    pub feed: FeedSettings,
    /// `store.*`
    pub store: StoreSettings,
    /// `reader.*`
    pub reader: ReaderSettings,
    /// `journal.*`
    pub journal: JournalSettings,
    /// `alerts.*`
    pub alerts: AlertSettings,
    /// `universe.*`
    pub universe: UniverseSettings,
    /// `calendar.file`, as set or at its default path.
    pub calendar_file: Option<PathBuf>,
    /// `api.*`
    pub api: ApiSettings,
    /// `log.level`, a filter such as `info` or `sise=debug`.
    pub log_level: String,
    /// `log.format`
    pub log_format: LogFormat,
    /// `telemetry.otlp_endpoint`, which may hold a password; `None` for no traces.
    pub otlp_endpoint: Option<SecretString>,
    /// `state.directory`
    pub state_directory: PathBuf,
}

impl Settings {
    /// Checks the raw settings and resolves every value.
    ///
    /// # Errors
    ///
    /// Returns an error for the first value that is refused, with its key, its origin and what is
    /// allowed.
    pub fn new(raw: &RawSettings) -> Result<Self, ConfigError> {
        whole_secrets(raw)?;
        let schedule = schedule(raw)?;
        let settings = Self {
            kis: kis::kis(raw)?,
            sweep: SweepSettings {
                batch_size: raw.count("sweep.batch_size", 1..=30)?,
                batch_pause: raw.duration("sweep.batch_pause", "0s", "10s")?,
                in_flight: raw.count("sweep.in_flight", 1..=256)?,
                shared: shared(raw)?,
            },
            watch: watch::watch(raw, &schedule)?,
            feed: feed::feed(raw)?,
            schedule,
            store: StoreSettings {
                url: raw.secret("store.url").unwrap_or_default(),
                ttl: raw.duration("store.ttl", "1s", "1day")?,
                namespace: namespace(raw)?,
                connect_timeout: raw.duration("store.connect_timeout", "1ms", "10s")?,
                response_timeout: raw.duration("store.response_timeout", "1ms", "10s")?,
            },
            reader: ReaderSettings {
                first_level: first_level(raw)?,
            },
            journal: JournalSettings {
                gap_below: raw.number("journal.gap_below", 0.0..=1.0)?.unwrap_or(0.9),
                ping_url: raw
                    .address("journal.ping_url")?
                    .and_then(|_| raw.secret("journal.ping_url")),
            },
            alerts: alerts::alerts(raw)?,
            universe: universe::universe(raw)?,
            calendar_file: calendar_file(raw)?,
            api: api::api(raw)?,
            log_level: log_level(raw)?,
            log_format: raw.one_of(
                "log.format",
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            )?,
            otlp_endpoint: raw
                .address("telemetry.otlp_endpoint")?
                .and_then(|_| raw.secret("telemetry.otlp_endpoint")),
            state_directory: state_directory(raw),
        };
        store_url(raw)?;
        Ok(settings)
    }

    /// Returns the plan for a list of `codes`, `watched` of which are refreshed more often.
    #[must_use]
    pub fn plan(&self, codes: usize, watched: usize, calling: Calling) -> Plan {
        Plan {
            codes,
            calling,
            batch_size: self.sweep.batch_size,
            rate: self.kis.rate.per_second,
            per_minute: self.kis.calls_per_minute,
            per_day: self.kis.calls_per_day,
            batch_pause: self.sweep.batch_pause,
            interval: self.schedule.interval,
            ttl: self.store.ttl,
            watched,
            watched_interval: self.watch.interval,
        }
    }

    /// Returns the way of calling that the account allows, until the broker shows otherwise.
    #[must_use]
    pub fn calling(&self) -> Calling {
        match self.kis.environment {
            KisEnvironment::Real => Calling::Multi,
            KisEnvironment::Paper => Calling::Single,
        }
    }
}

/// Refuses secrets with blanks around them. Other values are trimmed, but secrets never are.
fn whole_secrets(raw: &RawSettings) -> Result<(), ConfigError> {
    let is_cut = |key: &&Key| key.is_secret && raw.has_blanks_around(key.name);
    match KEYS.iter().find(is_cut) {
        Some(key) => Err(raw.refuse(key.name, "a value without a blank or a line end around it")),
        None => Ok(()),
    }
}

fn schedule(raw: &RawSettings) -> Result<ScheduleSettings, ConfigError> {
    let interval = raw.duration("schedule.interval", "1s", "1h")?;
    let seconds = interval.as_secs();
    // A cron expression starts over every minute and every hour: the interval must divide one of
    // them.
    let divides = match seconds {
        1..=60 => 60 % seconds == 0,
        _ => seconds.is_multiple_of(60) && 3_600 % seconds == 0,
    };
    if !divides || interval.subsec_nanos() != 0 {
        return Err(raw.refuse(
            "schedule.interval",
            "a whole part of a minute (1s, 2s, 3s, 4s, 5s, 6s, 10s, 12s, 15s, 20s, 30s, 60s) or \
             of an hour (2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m, 1h)",
        ));
    }
    let reload_at = NaiveTime::parse_from_str(raw.text("schedule.reload_at"), "%H:%M")
        .ok()
        .filter(|time| *time <= NaiveTime::from_hms_opt(8, 59, 0).unwrap_or_default())
        .ok_or_else(|| {
            raw.refuse(
                "schedule.reload_at",
                "a time before the open, 00:00 to 08:59, Seoul",
            )
        })?;
    Ok(ScheduleSettings {
        interval,
        reload_at,
        lease: raw.duration("schedule.lease", "1s", "5m")?,
    })
}

fn namespace(raw: &RawSettings) -> Result<String, ConfigError> {
    let text = raw.text("store.namespace");
    let fits = text.len() <= 100 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        let allowed = "at most 100 visible ASCII characters without spaces, such as app:live:";
        Err(raw.refuse("store.namespace", allowed))
    }
}

fn store_url(raw: &RawSettings) -> Result<(), ConfigError> {
    let secret = raw.secret("store.url").unwrap_or_default();
    let url = secret.expose_secret();
    if url == "memory" {
        return Ok(());
    }
    match RedisAddress::parse(url) {
        Ok(_) => Ok(()),
        Err(trouble) => {
            let allowed = format!("{}, or memory; {trouble}", RedisAddress::FORMS);
            Err(raw.refuse("store.url", &allowed))
        }
    }
}

fn first_level(raw: &RawSettings) -> Result<bool, ConfigError> {
    let is_on = raw.one_of("reader.first_level", &[("off", false), ("on", true)])?;
    let store = raw.secret("store.url").unwrap_or_default();
    let address = RedisAddress::parse(store.expose_secret());
    if is_on && address.is_ok_and(|address| address.is_of_many()) {
        return Err(ConfigError::Combination(
            "reader.first_level = on works with one Redis only, not with a cluster or sentinels: \
             set it to off"
                .to_owned(),
        ));
    }
    Ok(is_on)
}

fn shared(raw: &RawSettings) -> Result<bool, ConfigError> {
    let is_shared = raw.yes_or_no("sweep.shared")?;
    let store = raw.secret("store.url").unwrap_or_default();
    if is_shared && store.expose_secret() == "memory" {
        return Err(ConfigError::Combination(
            "sweep.shared = true needs a Redis, through which the processes share the work: set \
             store.url to it"
                .to_owned(),
        ));
    }
    Ok(is_shared)
}

fn calendar_file(raw: &RawSettings) -> Result<Option<PathBuf>, ConfigError> {
    let path = raw.path("calendar.file");
    if raw.origin("calendar.file") == Some(&Origin::Default) {
        return Ok(path);
    }
    if path.as_ref().is_some_and(|path| !path.exists()) {
        return Err(raw.refuse("calendar.file", "a file that exists, or empty for none"));
    }
    Ok(path)
}

/// Returns the level or filter of the logs. A part without `=` must be a level.
fn log_level(raw: &RawSettings) -> Result<String, ConfigError> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let text = raw.text("log.level");
    let fits = |part: &str| part.contains('=') || levels.contains(&part.trim());
    if text.split(',').all(fits) {
        Ok(text.to_owned())
    } else {
        let allowed =
            "off, error, warn, info, debug, trace, or a filter such as info,sise::kis=debug";
        Err(raw.refuse("log.level", allowed))
    }
}

fn state_directory(raw: &RawSettings) -> PathBuf {
    if let Some(path) = raw.path("state.directory") {
        return path;
    }
    let base = raw
        .variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(raw.variable("HOME")?).join(".local/state")));
    base.map_or_else(|| PathBuf::from("state"), |base| base.join("sise"))
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
