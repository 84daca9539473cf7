//! One look into the store, given up at a deadline.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use metrics::counter;
use tokio::time::{Instant, timeout_at};

use super::Shared;
use crate::domain::{KrxTime, Quote, Reading, Source, Symbol};
use crate::port::StoreError;

/// Clocks may differ so much. A price from further ahead has no age: what stands in the store for
/// ever would be shown as of now for as long.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(60);

/// What a look found.
#[derive(Debug)]
pub(super) struct Look {
    /// In the order of the codes.
    pub(super) readings: Vec<Option<Reading>>,
    /// When it was looked.
    pub(super) now: KrxTime,
    /// Whether the store answered.
    pub(super) store_answers: bool,
}

impl Shared {
    /// Looks `symbols` up in the store, where a failure is a miss; `None` where it had not answered
    /// by `deadline`.
    pub(super) async fn look_up(
        self: &Arc<Self>,
        symbols: &[Symbol],
        deadline: Instant,
    ) -> Option<Look> {
        let mut wait = Wait {
            shared: self,
            is_over: false,
        };
        let quotes = timeout_at(deadline, self.parts.store.realtime(symbols)).await;
        wait.is_over = quotes.is_ok();
        let quotes = quotes.ok()?;
        let store_answers = quotes.is_ok();
        let quotes = quotes.unwrap_or_else(|error: StoreError| {
            tracing::debug!(%error, "taken as a miss");
            vec![None; symbols.len()]
        });
        let now = (self.parts.clock)();
        let readings: Vec<_> = quotes
            .into_iter()
            .map(|quote| self.reading(quote?, Source::Redis, now))
            .collect();
        let hits = readings.iter().flatten().count();
        counter!("sise_reader_hits_total").increment(u64::try_from(hits).unwrap_or(0));
        let misses = symbols.len().saturating_sub(hits);
        counter!("sise_reader_misses_total").increment(u64::try_from(misses).unwrap_or(0));
        Some(Look {
            readings,
            now,
            store_answers,
        })
    }

    /// The last closes of `symbols`, as many as the store gives.
    pub(super) async fn look_up_closes(&self, symbols: &[Symbol]) -> Vec<Reading> {
        let quotes = self.parts.store.close(symbols).await.unwrap_or_default();
        let now = (self.parts.clock)();
        let reading = |quote| self.reading(quote, Source::Close, now);
        quotes.into_iter().flatten().filter_map(reading).collect()
    }

    /// A reading of what stands in the store, unless it is none to believe.
    fn reading(&self, quote: Box<Quote>, source: Source, now: KrxTime) -> Option<Reading> {
        let reading = Reading::new(quote, source, now);
        // Only what has no age can be from the future.
        let is_good = match reading.age {
            Duration::ZERO => self.believes(&reading.quote, now),
            _ => reading.quote.price > 0,
        };
        is_good.then_some(reading)
    }

    /// Whether what stands in the store is a price that has an age.
    pub(super) fn believes(&self, quote: &Quote, now: KrxTime) -> bool {
        let is_from_the_future = quote.fetched_at - now > CLOCKS_DIFFER;
        if is_from_the_future && !self.said_clocks_differ.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                code = %quote.stock_code, fetched_at = %quote.fetched_at,
                "a price in the store is from the future and not believed: a clock is wrong"
            );
        }
        quote.price > 0 && !is_from_the_future
    }

    /// Whether a price that stands in the store is of an age at which it can live: one that is
    /// older was put there without an end, or too late, and is none to be given as fresh.
    pub(super) fn lives(&self, quote: &Quote, now: KrxTime) -> bool {
        let ttl = TimeDelta::from_std(self.parts.ttl).unwrap_or(TimeDelta::MAX);
        let longest = ttl.checked_add(&CLOCKS_DIFFER).unwrap_or(TimeDelta::MAX);
        now - quote.fetched_at <= longest
    }

    /// Looks whether the store answers at all, one look at a time. The store leaves a way that
    /// swallows everything after requests that had no answer in time, and a request that its caller
    /// gave up sooner is none of those.
    fn probe(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.is_probing.swap(true, Ordering::Relaxed) {
            return;
        }
        let shared = Arc::clone(self);
        runtime.spawn(async move {
            for _ in 0..PROBES {
                if shared.parts.store.ping().await.is_ok() {
                    break;
                }
            }
            shared.is_probing.store(false, Ordering::Relaxed);
        });
    }
}

/// Requests without an answer after which a store leaves its way for another one.
const PROBES: usize = 2;

/// A look that somebody waits for. Whoever gives it up, by a deadline or by walking away, leaves
/// the question open whether the store answers.
struct Wait<'a> {
    shared: &'a Arc<Shared>,
    is_over: bool,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.probe();
        }
    }
}
