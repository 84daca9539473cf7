//! What a reader is given: a quote, how old it is, and where it came from.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{KrxTime, Quote};

/// Where a reading came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The store: `realtime:price:<code>`.
    Redis,
    /// The broker's API, asked because the store had no price.
    Api,
    /// The last close of a regular session: `close:price:<code>`.
    Close,
    /// What this process saw last, kept in its memory; only where the caller allowed staleness.
    Memory,
}

impl Source {
    /// Its name, as in JSON.
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
/// As JSON it is the quote's object with `age_ms` and `stale` added and `source` telling where the
/// reading came from; the quote's own source stands in `quote_source`.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The price object.
    pub quote: Box<Quote>,
    /// Age of the quote at the time of reading: time since the broker was asked for it.
    pub age: Duration,
    /// Where it came from.
    pub source: Source,
    /// Whether nothing as fresh as was asked for could be had in time, so that this older price
    /// stands in. Never set where the caller did not allow staleness.
    pub is_stale: bool,
}

impl Reading {
    /// A reading of `quote` at `now`. A quote from the future (clocks differ) is of age zero.
    #[must_use]
    pub fn new(quote: Box<Quote>, source: Source, now: KrxTime) -> Self {
        let age = (now - quote.fetched_at).to_std().unwrap_or_default();
        Self {
            quote,
            age,
            source,
            is_stale: false,
        }
    }

    /// The same reading, labelled as one that only stands in for a fresh one.
    #[must_use]
    pub fn as_stale(mut self) -> Self {
        self.is_stale = true;
        self
    }
}

/// A [`Reading`] as JSON: the age last.
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
