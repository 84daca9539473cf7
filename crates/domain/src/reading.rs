//! Readings: a quote with its age and origin.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{KrxTime, Quote};

/// Origin of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The store: `realtime:price:<code>`.
    Redis,
    /// The broker's API, called because the store had no price.
    Api,
    /// The last close of a regular session: `close:price:<code>`.
    Close,
    /// The last price this process saw, from its memory; only if the caller allowed staleness.
    Memory,
}

impl Source {
    /// Returns its name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Api => "api",
            Self::Close => "close",
            Self::Memory => "memory",
        }
    }
}

/// One answer of the reader.
///
/// In JSON it is the quote's object with `age_ms` and `stale` added. `source` is the origin of the
/// reading, and `quote_source` the source of the quote.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The price object.
    pub quote: Box<Quote>,
    /// Age of the quote at the time of reading, counted from the request to the broker.
    pub age: Duration,
    /// Origin of the reading.
    pub source: Source,
    /// Whether this is an older price, because none as fresh as requested was available in time.
    ///
    /// Never set unless the caller allowed staleness.
    pub is_stale: bool,
}

impl Reading {
    /// Creates a reading of `quote` at `now`.
    ///
    /// A quote from the future (clocks differ) has age zero.
    #[must_use]
    pub fn new(quote: Box<Quote>, source: Source, now: KrxTime) -> Self {
        let age = quote.age_at(now);
        Self {
            quote,
            age,
            source,
            is_stale: false,
        }
    }

    /// Marks the reading as stale.
    #[must_use]
    pub fn as_stale(mut self) -> Self {
        self.is_stale = true;
        self
    }
}

/// A [`Reading`] as JSON, with the age last.
#[derive(Serialize)]
struct Object<'a> {
    #[serde(flatten)]
    quote: &'a Quote,
    quote_source: &'a str,
    stale: bool,
    age_ms: u64,
}

impl Serialize for Reading {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let quote = Quote {
            source: self.source.as_str().into(),
            ..Quote::clone(&self.quote)
        };
        let object = Object {
            quote: &quote,
            quote_source: &self.quote.source,
            stale: self.is_stale,
            age_ms: u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX),
        };
        object.serialize(serializer)
    }
}
