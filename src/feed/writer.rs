//! Which trades are written, and when.
//!
//! Each code is written no more often than the interval allows, and its last trade always is.

use std::collections::HashMap;
use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;

use super::dropped::Dropped;
use sise_domain::{Quote, Symbol};

/// Shortest pause before a store that failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Most trades kept if every trade is to be written and the store is unreachable.
const MOST: usize = 4_096;

/// Trades on their way to the store.
#[derive(Debug)]
pub(super) struct Writer {
    interval: Duration,
    /// In order of arrival. A code occurs more than once only if every trade is written.
    waiting: Vec<Quote>,
    /// The earliest next write of each code.
    due: HashMap<Symbol, Instant>,
    /// After a failure of the store, nothing is written before this.
    not_before: Option<Instant>,
    /// Counts and logs trades that are not written.
    pub(super) dropped: Dropped,
}

impl Writer {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            waiting: Vec::new(),
            due: HashMap::new(),
            not_before: None,
            dropped: Dropped::default(),
        }
    }

    /// Adds a trade.
    pub(super) fn note(&mut self, quote: Quote) {
        if !self.interval.is_zero() {
            let code = quote.stock_code;
            if let Some(held) = self.waiting.iter_mut().find(|held| held.stock_code == code) {
                if quote.is_outranked_by(held) {
                    self.dropped.older(1, code);
                } else {
                    *held = quote;
                }
                return;
            }
        }
        if self.waiting.len() >= MOST {
            // The store is unreachable, and the oldest trade is worth the least.
            counter!("sise_feed_dropped_total", "reason" => "unwritten").increment(1);
            self.waiting.remove(0);
        }
        self.waiting.push(quote);
    }

    /// Returns when the next write is due, or `now` if one is due already.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let due = |quote| self.due_of(quote).unwrap_or(now);
        let due = self.waiting.iter().map(due).min()?;
        Some(
            self.not_before
                .map_or(due, |not_before| due.max(not_before)),
        )
    }

    /// Returns the trades to write now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Quote> {
        if self.not_before.is_some_and(|not_before| now < not_before) {
            return Vec::new();
        }
        self.not_before = None;
        let (due, waiting): (Vec<Quote>, Vec<Quote>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|quote| self.due_of(quote).is_none_or(|due| due <= now));
        self.waiting = waiting;
        for quote in &due {
            self.due.insert(quote.stock_code, now + self.interval);
        }
        due
    }

    /// Returns all waiting trades, due or not.
    pub(super) fn take_all(&mut self) -> Vec<Quote> {
        std::mem::take(&mut self.waiting)
    }

    /// Drops all waiting trades.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Takes back trades that the store did not accept.
    pub(super) fn give_back(&mut self, batch: Vec<Quote>, now: Instant) {
        self.not_before = Some(now + self.interval.max(AGAIN));
        let newer = std::mem::take(&mut self.waiting);
        for quote in batch.into_iter().chain(newer) {
            self.note(quote);
        }
    }

    /// Returns when a code may be written again, or `None` if it never was.
    fn due_of(&self, quote: &Quote) -> Option<Instant> {
        self.due.get(&quote.stock_code).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;
    use tokio::time::advance;

    const INTERVAL: Duration = Duration::from_millis(500);

    fn trade(code: &str, volume: i64) -> Quote {
        let at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        Quote {
            volume: Some(volume),
            source: Quote::LIVE_FEED.into(),
            ..Quote::sample(code.parse().unwrap(), 1_000, at)
        }
    }

    fn volumes(quotes: &[Quote]) -> Vec<i64> {
        quotes.iter().filter_map(|quote| quote.volume).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_code_is_written_at_once_then_at_the_end_of_each_interval_with_the_last_trade() {
        let mut writer = Writer::new(INTERVAL);
        writer.note(trade("005930", 1));
        assert_eq!(volumes(&writer.take_due(Instant::now())), [1]);
        assert_eq!(writer.next_due(Instant::now()), None);
        for volume in [2, 3, 5, 4] {
            writer.note(trade("005930", volume));
        }
        writer.note(trade("000660", 9));
        assert_eq!(volumes(&writer.take_due(Instant::now())), [9]);
        assert_eq!(
            writer.next_due(Instant::now()),
            Some(Instant::now() + INTERVAL)
        );
        advance(INTERVAL).await;
        assert_eq!(volumes(&writer.take_due(Instant::now())), [5]);
        assert_eq!(writer.next_due(Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trade_that_loses_while_it_waits_is_said() {
        let mut writer = Writer::new(INTERVAL);
        writer.note(trade("005930", 2));
        writer.note(trade("005930", 3));
        assert!(!writer.dropped.has_said_older());
        let mut writer = Writer::new(INTERVAL);
        writer.note(trade("005930", 2));
        writer.note(trade("005930", 1));
        assert!(writer.dropped.has_said_older());
        assert_eq!(volumes(&writer.take_due(Instant::now())), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_interval_every_trade_is_written_in_order() {
        let mut writer = Writer::new(Duration::ZERO);
        for volume in [2, 3, 5] {
            writer.note(trade("005930", volume));
        }
        assert_eq!(volumes(&writer.take_due(Instant::now())), [2, 3, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_store_did_not_take_gives_way_to_what_is_newer_and_is_written_later() {
        let mut writer = Writer::new(INTERVAL);
        writer.note(trade("005930", 1));
        writer.note(trade("000660", 7));
        let batch = writer.take_due(Instant::now());
        writer.note(trade("005930", 2));
        writer.give_back(batch, Instant::now());
        assert_eq!(writer.take_due(Instant::now()), []);
        assert_eq!(
            writer.next_due(Instant::now()),
            Some(Instant::now() + INTERVAL)
        );
        advance(INTERVAL).await;
        let mut written = volumes(&writer.take_due(Instant::now()));
        written.sort_unstable();
        assert_eq!(written, [2, 7]);
    }
}
