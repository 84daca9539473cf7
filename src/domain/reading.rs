//! What a reader is given: a quote, how old it is, and where it came from.

use std::time::Duration;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::json;

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

impl Serialize for Reading {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serde_json::to_value(&self.quote).map_err(S::Error::custom)?;
        if let Some(fields) = object.as_object_mut() {
            fields.insert("quote_source".to_owned(), self.quote.source.as_ref().into());
            fields.insert("source".to_owned(), json!(self.source));
            let age = u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX);
            fields.insert("age_ms".to_owned(), age.into());
            fields.insert("stale".to_owned(), self.is_stale.into());
        }
        object.serialize(serializer)
    }
}
