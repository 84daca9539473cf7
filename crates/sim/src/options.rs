//! Options of a simulated broker.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveTime;

use super::feed::FeedOptions;
use sise_domain::{KrxTime, Symbol};

/// Returns the wall time for tokens and the `Date` header. Pacing follows the runtime's clock.
pub type Clock = Arc<dyn Fn() -> KrxTime + Send + Sync>;

/// The host and kind of customer to simulate (contract 1.2, chapter 3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// A real account: every call, 18 calls per second.
    #[default]
    Real,
    /// Paper trading: no multi-price call and no calendar, one call per second.
    Paper,
    /// A real account in its first three days: three calls per second.
    NewCustomer,
}

impl Mode {
    /// Returns the broker's limit in this mode, in calls per second for one app key.
    #[must_use]
    pub fn calls_per_second(self) -> u32 {
        match self {
            Self::Real => 18,
            Self::Paper => 1,
            Self::NewCustomer => 3,
        }
    }

    /// Returns the name, as used on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Paper => "paper",
            Self::NewCustomer => "new-customer",
        }
    }
}

/// The source of the prices.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum MarketSource {
    /// A random walk from the closes of the shipped list. It moves at any hour.
    #[default]
    Walk,
    /// A recorded day: a CSV file, plain or gzip, of whole-market snapshots.
    Replay {
        /// The file.
        path: PathBuf,
        /// Recorded seconds per second; 0 holds the first snapshot.
        speed: f64,
        /// Time of the recorded day to start at; `None` for the first snapshot with prices.
        from: Option<NaiveTime>,
    },
}

/// The faults to inject, each as a share of calls from 0 to 1, drawn by the seed.
///
/// They apply to quotation calls only, never to tokens or symbol files.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// The call is refused with `EGW00201` although it is below the limit (contract chapter 3).
    pub refuse: f64,
    /// HTTP 500 with a body that is not JSON.
    pub http_500: f64,
    /// HTTP 200 with a body that is cut off or garbled.
    pub garbage: f64,
    /// The connection is closed without an answer.
    pub reset: f64,
    /// The answer is late by [`Faults::slow_for`].
    pub slow: f64,
    /// How late a slow answer is, in addition to the latency.
    pub slow_for: Duration,
    /// The valid token of the call is ended: `EGW00123` for this call and all later ones with that
    /// token. The next token request gets a new token at once.
    pub dead_token: f64,
    /// One to three rows are missing from a multi-price answer.
    pub short: f64,
    /// Share of rows whose price is "0" while all other fields are right.
    pub zero: f64,
    /// Share of multi-price rows that report the match expected in a VI, with its price.
    pub expected: f64,
    /// Share of rows that lack about half of their optional fields.
    pub missing_fields: f64,
    /// Share of rows with an undocumented field.
    pub unknown_fields: f64,
    /// Share of rows in which about an eighth of the optional fields have another name.
    pub renamed_fields: f64,
    /// Share of rows for another stock than the one asked for, with the code of that other stock.
    pub misnamed: f64,
    /// Share of rows, and of live feed trades, with an impossible price: 1 won or 2^63-1.
    pub implausible: f64,
    /// Share of rows with fields that are not valid JSON.
    pub damaged: f64,
    /// Share of rows whose change lacks its sign.
    pub unsigned: f64,
    /// Whether multi-price calls are refused with `EGW02006`.
    pub no_multi: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            refuse: 0.0,
            http_500: 0.0,
            garbage: 0.0,
            reset: 0.0,
            slow: 0.0,
            slow_for: Duration::from_secs(5),
            dead_token: 0.0,
            short: 0.0,
            zero: 0.0,
            expected: 0.0,
            missing_fields: 0.0,
            unknown_fields: 0.0,
            renamed_fields: 0.0,
            misnamed: 0.0,
            implausible: 0.0,
            damaged: 0.0,
            unsigned: 0.0,
            no_multi: false,
        }
    }
}

impl Faults {
    fn shares(&self) -> [(&'static str, f64); 16] {
        [
            ("refuse", self.refuse),
            ("http_500", self.http_500),
            ("garbage", self.garbage),
            ("reset", self.reset),
            ("slow", self.slow),
            ("dead_token", self.dead_token),
            ("short", self.short),
            ("zero", self.zero),
            ("expected", self.expected),
            ("missing_fields", self.missing_fields),
            ("unknown_fields", self.unknown_fields),
            ("renamed_fields", self.renamed_fields),
            ("misnamed", self.misnamed),
            ("implausible", self.implausible),
            ("damaged", self.damaged),
            ("unsigned", self.unsigned),
        ]
    }

    pub(super) fn validate(&self) -> Result<(), SimError> {
        for (name, share) in self.shares() {
            if !(0.0..=1.0).contains(&share) {
                return Err(SimError::Share { name, share });
            }
        }
        Ok(())
    }
}

/// Options of a simulated broker.
#[derive(Clone, PartialEq)]
pub struct SimOptions {
    /// The host and kind of customer to simulate.
    pub mode: Mode,
    /// Calls per second for one app key, in place of the mode's limit; `Some(0)` means no limit.
    pub calls_per_second: Option<u32>,
    /// The only app key that is accepted; `None` accepts any that is not empty.
    pub app_key: Option<String>,
    /// The only secret that is accepted; `None` accepts the first one seen with each app key.
    pub app_secret: Option<String>,
    /// Lifetime of a token (contract 2.1: 24 hours).
    pub token_validity: Duration,
    /// Whether a new token ends the one before. By default both stay valid until they expire.
    pub single_token: bool,
    /// How long an app key is banned after wrong credentials, or after twenty calls over the limit
    /// within one second. A call during the ban restarts it. `None` for no bans.
    pub ban: Option<Duration>,
    /// Delay of every answer.
    pub latency: Duration,
    /// Seed of everything random.
    pub seed: u64,
    /// The source of the prices.
    pub market: MarketSource,
    /// The codes of the shipped list that are listed; `None` for all. A replay has its own codes.
    pub codes: Option<Vec<Symbol>>,
    /// The faults to inject.
    pub faults: Faults,
    /// Options of the live feed.
    pub feed: FeedOptions,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            calls_per_second: None,
            app_key: None,
            app_secret: None,
            token_validity: Duration::from_secs(24 * 60 * 60),
            single_token: false,
            ban: None,
            latency: Duration::ZERO,
            seed: 1,
            market: MarketSource::default(),
            codes: None,
            faults: Faults::default(),
            feed: FeedOptions::default(),
        }
    }
}

impl fmt::Debug for SimOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "***");
        f.debug_struct("SimOptions")
            .field("mode", &self.mode)
            .field("calls_per_second", &self.calls_per_second)
            .field("app_key", &hidden(&self.app_key))
            .field("app_secret", &hidden(&self.app_secret))
            .field("token_validity", &self.token_validity)
            .field("single_token", &self.single_token)
            .field("ban", &self.ban)
            .field("latency", &self.latency)
            .field("seed", &self.seed)
            .field("market", &self.market)
            .field("codes", &self.codes)
            .field("faults", &self.faults)
            .field("feed", &self.feed)
            .finish()
    }
}

impl SimOptions {
    /// Returns the most calls for one app key in any second; `None` means no limit.
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        let limit = self
            .calls_per_second
            .unwrap_or(self.mode.calls_per_second());
        (limit > 0).then_some(limit)
    }

    pub(super) fn validate(&self) -> Result<(), SimError> {
        self.faults.validate()?;
        self.feed.validate()?;
        if let MarketSource::Replay { speed, .. } = &self.market
            && !(speed.is_finite() && *speed >= 0.0)
        {
            return Err(SimError::Speed(*speed));
        }
        Ok(())
    }
}

/// Why a simulated broker cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A fault's share is outside 0 to 1.
    #[error("fault {name}: {share} is not a share between 0 and 1")]
    Share {
        /// The fault.
        name: &'static str,
        /// The share that was asked for.
        share: f64,
    },
    /// A number of the live feed is out of range.
    #[error("live feed, {0}")]
    Feed(&'static str),
    /// A replay cannot run backwards or endlessly fast.
    #[error("replay speed {0}: must be 0 (frozen) or more")]
    Speed(f64),
    /// The recorded day cannot be opened or unpacked.
    #[error("recorded day {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        #[source]
        source: io::Error,
    },
    /// A row of the recorded day cannot be read.
    #[error("recorded day {path}")]
    Row {
        /// The file.
        path: PathBuf,
        /// The underlying error, with the line.
        #[source]
        source: csv::Error,
    },
    /// The recorded day can be read but not replayed.
    #[error("recorded day {path}: {trouble}")]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        trouble: &'static str,
    },
    /// A symbol file cannot be packed.
    #[error("symbol files")]
    Masters(#[source] io::Error),
}
