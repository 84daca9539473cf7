//! Cached price look-up: the store first, then one call for all who ask, then the last close.
//!
//! ```text
//!  ask (what a caller wants: how fresh, by when) -> look (store) -> board (one flight a code)
//!                                                      |                 |
//!                                  early (refresh) ----'-> boarding (full calls) -> crew (claims,
//!                                                                                   broker)
//! ```

mod ask;
mod board;
mod boarding;
mod crew;
mod early;
mod error;
mod landing;
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

use board::Board;
use boarding::Boarding;
use last_seen::LastSeen;

/// Share of the rate for codes that are not in the list: the sweep keeps most of it, and a code that is
/// new or of another list is still answered soon.
pub const UNLISTED_SHARE: f64 = 0.2;

/// What a reader is made of.
pub struct Parts {
    /// Where prices are looked up and written back.
    pub store: Arc<dyn PriceStore>,
    /// Whom to ask on a miss; `None` to live from the store alone.
    pub source: Option<Arc<dyn QuoteSource>>,
    /// What the processes on the store ask for; `None` where this one is alone.
    pub flights: Option<Arc<dyn Flights>>,
    /// Is told what is read; `None` where nobody counts.
    pub reads: Option<Arc<dyn ReadCounter>>,
    /// What this process calls itself there. No other one is called so.
    pub process: String,
    /// Tells whether the session is on.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// Tells the time.
    pub clock: Clock,
    /// Life of a price that is written back.
    pub ttl: Duration,
    /// The list: what is asked for and not in it may be anything.
    pub universe: Arc<ArcSwap<Universe>>,
    /// Time between two calls for codes that are not in the list, which nobody can count: they must not
    /// take the broker's limit from those that are.
    pub unlisted_interval: Duration,
}

/// Looks prices up. A cheap handle: clones share everything.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
    /// Ends, with the last handle, what goes on beside the reads.
    _beside: Option<Arc<Supervisor>>,
}

struct Shared {
    parts: Parts,
    board: Board,
    boarding: Boarding,
    fetch_time: FetchTime,
    last_seen: LastSeen,
    is_probing: AtomicBool,
    said_clocks_differ: AtomicBool,
    /// Whether it was said that prices are not written back.
    said_unkept: AtomicBool,
}

impl Reader {
    /// A reader of `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            shared: Arc::new(Shared {
                parts,
                board: Board::default(),
                boarding: Boarding::default(),
                fetch_time: FetchTime::default(),
                last_seen: LastSeen::default(),
                is_probing: AtomicBool::new(false),
                said_clocks_differ: AtomicBool::new(false),
                said_unkept: AtomicBool::new(false),
            }),
            _beside: None,
        }
    }

    /// The same reader, which ends `beside` when its last handle goes.
    pub(crate) fn ending(mut self, beside: Supervisor) -> Self {
        self._beside = Some(Arc::new(beside));
        self
    }

    /// The price of one code: from the store, else from the broker, else, outside the session,
    /// its last close. `None` where nobody knows a price.
    ///
    /// # Errors
    ///
    /// `code` is no stock code, or the broker could not be asked, or not within 10 s. A store that
    /// fails is a miss.
    pub async fn price(&self, code: &str) -> Result<Option<Reading>, ReadError> {
        Ok(self.prices(&[code]).await?.pop())
    }

    /// The prices of many codes, in their order, those without a price left out: one look into
    /// the store, and calls of 30 codes for the misses.
    ///
    /// # Errors
    ///
    /// A text is no stock code, or the broker could not be asked for some codes; the error then
    /// carries what was found for the others.
    pub async fn prices(&self, codes: &[&str]) -> Result<Vec<Reading>, ReadError> {
        self.ask(codes).read().await
    }

    /// As [`Reader::prices`], with what the caller asks of them: how old at most, what may stand in
    /// for them, and by when.
    pub fn ask<'a>(&'a self, codes: &'a [&'a str]) -> Ask<'a> {
        Ask::new(self, codes)
    }
}

impl Shared {
    /// Whether a code is in the list.
    fn is_listed(&self, symbol: Symbol) -> bool {
        self.parts.universe.load().get(symbol).is_some()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("flights", &self.shared.board.len())
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
