//! A look into the store, given up at a deadline.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use metrics::counter;
use tokio::time::{Instant, timeout_at};

use super::Shared;
use sise_domain::{KrxTime, Quote, Reading, Source, Symbol};
use sise_net::supervisor::spawn_brief;
use sise_port::StoreError;

/// Tolerated difference between clocks. The age of a price from further in the future is unknown.
/// Without an expiry such a price would be shown as current until its time comes.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(60);

/// Result of a look.
#[derive(Debug)]
pub(super) struct Look {
    /// Prices in the order of the codes.
    pub(super) readings: Vec<Option<Reading>>,
    /// Time of the look.
    pub(super) now: KrxTime,
    /// Whether the store answered.
    pub(super) store_answers: bool,
}

impl Shared {
    /// Looks `symbols` up in the store; a failure counts as a miss. `None` if the store has not
    /// answered by `deadline`.
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
            tracing::debug!(%error, "treated as a miss");
            vec![None; symbols.len()]
        });
        let now = (self.parts.clock)();
        // The prices of one call have the same age.
        let mut last: Option<(KrxTime, Duration)> = None;
        let read = |quote: Option<Box<Quote>>| {
            let quote = quote.filter(|quote| quote.price > 0)?;
            let known = last.filter(|(fetched_at, _)| *fetched_at == quote.fetched_at);
            let age = known.map_or_else(|| quote.age_at(now), |(_, age)| age);
            last = Some((quote.fetched_at, age));
            Some(Reading {
                quote,
                age,
                source: Source::Redis,
                is_stale: false,
            })
        };
        let mut readings: Vec<_> = quotes.into_iter().map(read).collect();
        self.age_by_lives(&mut readings, now, deadline).await;
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

    /// Returns those last closes of `symbols` that the store has.
    pub(super) async fn look_up_closes(&self, symbols: &[Symbol]) -> Vec<Reading> {
        let quotes = self.parts.store.close(symbols).await.unwrap_or_default();
        let now = (self.parts.clock)();
        let reading = |quote| reading(quote, Source::Close, now);
        let is_of_now = |reading: &Reading| !is_from_the_future(&reading.quote, now);
        let readings = quotes.into_iter().flatten().filter_map(reading);
        readings.filter(is_of_now).collect()
    }

    /// Corrects prices with an impossible age: too old to be alive, or from the future by this
    /// machine's clock.
    ///
    /// The age then follows from the remaining life in the store, because a live key is no older
    /// than the life of a price. If the key does not expire, the price's own time counts, and a
    /// price from the future is dropped.
    pub(super) async fn age_by_lives(
        &self,
        readings: &mut [Option<Reading>],
        now: KrxTime,
        deadline: Instant,
    ) {
        let is_doubtful = |reading: &&mut Option<Reading>| {
            let reading = reading.as_ref();
            reading.is_some_and(|reading| !self.can_live(reading, now))
        };
        let mut doubtful: Vec<_> = readings.iter_mut().filter(is_doubtful).collect();
        if doubtful.is_empty() {
            return;
        }
        let symbols = doubtful.iter().filter_map(|reading| reading.as_ref());
        let symbols: Vec<Symbol> = symbols.map(|reading| reading.quote.stock_code).collect();
        let lives = timeout_at(deadline, self.parts.store.lives(&symbols)).await;
        let lives = lives.ok().and_then(Result::ok).unwrap_or_default();
        let lives = lives.into_iter().chain(std::iter::repeat(None));
        for (place, left) in doubtful.iter_mut().zip(lives) {
            let Some(reading) = place else { continue };
            match left.and_then(|left| self.parts.ttl.checked_sub(left)) {
                Some(age) => {
                    self.say_clocks_differ(&reading.quote, "its remaining life gives its age");
                    reading.age = age;
                }
                None if is_from_the_future(&reading.quote, now) => {
                    self.say_clocks_differ(&reading.quote, "it is ignored");
                    **place = None;
                }
                None => {}
            }
        }
    }

    fn say_clocks_differ(&self, quote: &Quote, so: &str) {
        if !self.said_clocks_differ.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                code = %quote.stock_code, fetched_at = %quote.fetched_at,
                "the time of a price in the store does not fit this machine's clock: \
                 a clock is wrong; {so}"
            );
        }
    }

    /// Returns whether a price in the store has an age at which it can be alive, by this machine's
    /// clock.
    pub(super) fn can_live(&self, reading: &Reading, now: KrxTime) -> bool {
        // A price from the future has an age of zero.
        let may_be_ahead = reading.age.is_zero();
        reading.age <= self.longest_life()
            && !(may_be_ahead && is_from_the_future(&reading.quote, now))
    }

    /// Returns the greatest age of a live price. An older price was written without an expiry, or
    /// too late, and must not be returned as fresh.
    pub(super) fn longest_life(&self) -> Duration {
        let apart = CLOCKS_DIFFER.to_std().unwrap_or_default();
        self.parts.ttl.saturating_add(apart)
    }

    /// Checks whether the store answers at all, one check at a time.
    ///
    /// The store replaces a connection that swallows everything after requests without an answer in
    /// time. Requests that a caller gave up earlier do not count, so these checks are needed.
    fn probe(self: &Arc<Self>) {
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        if self.is_probing.swap(true, Ordering::Relaxed) {
            return;
        }
        let probe = Probe(Arc::clone(self));
        spawn_brief("probe", async move {
            for _ in 0..PROBES {
                if probe.0.parts.store.ping().await.is_ok() {
                    break;
                }
            }
        });
    }
}

/// Makes a reading of a stored quote, if that has a price.
pub(super) fn reading(quote: Box<Quote>, source: Source, now: KrxTime) -> Option<Reading> {
    (quote.price > 0).then(|| Reading::new(quote, source, now))
}

fn is_from_the_future(quote: &Quote, now: KrxTime) -> bool {
    quote.fetched_at - now > CLOCKS_DIFFER
}

/// A check under way. When it is dropped, the next one may begin.
struct Probe(Arc<Shared>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.is_probing.store(false, Ordering::Relaxed);
    }
}

/// Unanswered requests after which a store replaces its connection.
const PROBES: usize = 2;

/// A look that a caller waits for. If the caller gives it up, by a deadline or by being dropped, it
/// is unknown whether the store answers, so the store is checked.
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
