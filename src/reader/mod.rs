//! Cached price look-up: first the store, then one call for all callers, then the last close.
//!
//! ```text
//!  ask (what a caller wants: how fresh, by when) -> look (store) -> in_flight (one flight per code)
//!                                                      |                 |
//!                                  early (refresh) ----'-> batcher (full calls) -> fetch (claims,
//!                                                                                   broker)
//! ```

mod ask;
mod batcher;
mod early;
mod error;
mod fetch;
mod fetched;
mod in_flight;
mod last_seen;
mod look;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;

use sise_domain::{Calendar, Reading, Symbol, Universe};
use sise_net::supervisor::Supervisor;
use sise_pace::FetchTime;
use sise_port::clock::Clock;
use sise_port::{Flights, PriceStore, QuoteSource, ReadCounter};

pub use ask::Ask;
pub use error::ReadError;

use batcher::Batcher;
use in_flight::InFlight;
use last_seen::LastSeen;

/// Share of the rate for codes outside the universe. The sweep keeps most of the rate, and a code
/// that is new or from another list is still answered soon.
pub const UNLISTED_SHARE: f64 = 0.2;

/// Parts that a reader is built from.
pub struct Parts {
    /// Store where prices are looked up and written back.
    pub store: Arc<dyn PriceStore>,
    /// Source to ask on a miss; `None` to use the store alone.
    pub source: Option<Arc<dyn QuoteSource>>,
    /// Codes that the processes on the store are asking for; `None` if this process is alone.
    pub flights: Option<Arc<dyn Flights>>,
    /// Counts the codes that are read; `None` if reads are not counted.
    pub reads: Option<Arc<dyn ReadCounter>>,
    /// Name of this process in the store. No other process has the same name.
    pub process: String,
    /// Calendar that says whether the session is open.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// Source of the current time.
    pub clock: Clock,
    /// Life of a price that is written back.
    pub ttl: Duration,
    /// The universe. A code outside it may be anything.
    pub universe: Arc<ArcSwap<Universe>>,
    /// Time between two calls for codes outside the universe. Their number has no bound, and they
    /// must not use up the rate that the codes of the universe need.
    pub unlisted_interval: Duration,
}

/// Looks up prices. A cheap handle: clones share everything.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
    /// Background tasks, which end with the last handle.
    _beside: Option<Arc<Supervisor>>,
}

struct Shared {
    parts: Parts,
    in_flight: InFlight,
    batcher: Batcher,
    fetch_time: FetchTime,
    last_seen: LastSeen,
    is_probing: AtomicBool,
    said_clocks_differ: AtomicBool,
    /// Whether it was already logged that prices cannot be written back.
    said_unkept: AtomicBool,
}

impl Reader {
    /// Creates a reader from `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            shared: Arc::new(Shared {
                parts,
                in_flight: InFlight::default(),
                batcher: Batcher::default(),
                fetch_time: FetchTime::default(),
                last_seen: LastSeen::default(),
                is_probing: AtomicBool::new(false),
                said_clocks_differ: AtomicBool::new(false),
                said_unkept: AtomicBool::new(false),
            }),
            _beside: None,
        }
    }

    /// Returns the same reader, which ends `beside` with its last handle.
    pub(crate) fn ending(mut self, beside: Supervisor) -> Self {
        self._beside = Some(Arc::new(beside));
        self
    }

    /// Returns the price of one code: from the store, else from the broker, else, outside the
    /// session, the last close. `None` if no price is known.
    ///
    /// # Errors
    ///
    /// Returns an error if `code` is not a stock code, or if the broker could not be asked or did
    /// not answer within 10 s. A failure of the store counts as a miss.
    pub async fn price(&self, code: &str) -> Result<Option<Reading>, ReadError> {
        Ok(self.prices(&[code]).await?.pop())
    }

    /// Returns the prices of many codes, in their order, without those that have no price. This
    /// takes one look into the store, and calls of 30 codes for the misses.
    ///
    /// # Errors
    ///
    /// Returns an error if a text is not a stock code. Also returns an error if the broker could
    /// not be asked for some codes; it then carries the prices found for the others.
    pub async fn prices(&self, codes: &[&str]) -> Result<Vec<Reading>, ReadError> {
        self.ask(codes).read().await
    }

    /// Starts a read like [`Reader::prices`], with options: the greatest age, what may stand in,
    /// and a time limit.
    pub fn ask<'a>(&'a self, codes: &'a [&'a str]) -> Ask<'a> {
        Ask::new(self, codes)
    }
}

impl Shared {
    /// Returns whether a code is in the universe.
    fn is_listed(&self, symbol: Symbol) -> bool {
        self.parts.universe.load().get(symbol).is_some()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("flights", &self.shared.in_flight.len())
            .field("asks_the_broker", &self.shared.parts.source.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
