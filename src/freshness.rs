//! Freshness of the universe: when each code was last written.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use sise_domain::{Quote, Symbol, Universe, percentile};

/// When each code's price was last written by this process.
#[derive(Debug, Default)]
pub struct Freshness {
    written: Mutex<HashMap<Symbol, Instant>>,
}

/// The freshness of the universe at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Freshly {
    /// Share of the universe with a price younger than its life, 0 to 1.
    pub share: f64,
    /// Ages of all prices that were ever written, youngest first.
    pub ages: Vec<Duration>,
}

impl Freshness {
    /// Notes quotes that were written just now.
    pub fn note(&self, quotes: &[Quote]) {
        let now = Instant::now();
        let mut written = self.written();
        for quote in quotes {
            written.insert(quote.stock_code, now);
        }
    }

    /// Makes all prices older by `by`, for the time that the host was suspended.
    pub fn age(&self, by: Duration) {
        self.written().retain(|_, at| match at.checked_sub(by) {
            Some(earlier) => {
                *at = earlier;
                true
            }
            // Before the start of the clock, so long expired.
            None => false,
        });
    }

    /// Returns the freshness of `universe`, with prices that live for `ttl`.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of codes are far below 2^52"
    )]
    pub fn of(&self, universe: &Universe, ttl: Duration) -> Freshly {
        let now = Instant::now();
        let written = self.written();
        let mut ages: Vec<Duration> = universe
            .symbols()
            .filter_map(|symbol| Some(now.saturating_duration_since(*written.get(&symbol)?)))
            .collect();
        drop(written);
        ages.sort_unstable();
        let fresh = ages.partition_point(|age| *age < ttl);
        Freshly {
            share: fresh as f64 / universe.len().max(1) as f64,
            ages,
        }
    }

    fn written(&self) -> MutexGuard<'_, HashMap<Symbol, Instant>> {
        // A panic during an insert leaves the map consistent.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Freshly {
    /// Returns the age that this percentage of the prices do not exceed.
    #[must_use]
    pub fn age(&self, percent: usize) -> Option<Duration> {
        percentile(&self.ages, percent)
    }
}
