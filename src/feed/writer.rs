//! Which trades are written, and when: of one code no more often than the interval allows, and the
//! last one always.

use std::collections::HashMap;
use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;

use super::dropped::Dropped;
use sise_domain::{Quote, Symbol};

/// A store that failed is tried again after this time at the earliest.
const AGAIN: Duration = Duration::from_millis(500);

/// Trades kept at most while every one is written and the store is away.
const MOST: usize = 4_096;

/// Trades on their way to the store.
#[derive(Debug)]
pub(super) struct Writer {
    interval: Duration,
    /// In the order in which they came; of one code more than one only where every one is written.
    waiting: Vec<Quote>,
    /// When each code may be written again.
    due: HashMap<Symbol, Instant>,
    /// The store failed: nothing before that.
    not_before: Option<Instant>,
    /// What is not written.
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

    /// Takes a trade.
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
            // The store is away: the oldest is worth the least.
            counter!("sise_feed_dropped_total", "reason" => "unwritten").increment(1);
            self.waiting.remove(0);
        }
        self.waiting.push(quote);
    }

    /// When something is to be written next; `now` for what is due already.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let due = |quote| self.due_of(quote).unwrap_or(now);
        let due = self.waiting.iter().map(due).min()?;
        Some(
            self.not_before
                .map_or(due, |not_before| due.max(not_before)),
        )
    }

    /// What is to be written now.
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

    /// All that waits, due or not.
    pub(super) fn take_all(&mut self) -> Vec<Quote> {
        std::mem::take(&mut self.waiting)
    }

    /// Nothing waits any more.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The store did not take these.
    pub(super) fn give_back(&mut self, batch: Vec<Quote>, now: Instant) {
        self.not_before = Some(now + self.interval.max(AGAIN));
        let newer = std::mem::take(&mut self.waiting);
        for quote in batch.into_iter().chain(newer) {
            self.note(quote);
        }
    }

    /// When a code may be written; `None` where it never was.
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
