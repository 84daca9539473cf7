//! Of one code both trades and swept prices are written; the newer one stays.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use metrics::counter;
use tokio::time::Instant;

use crate::domain::{Quote, Symbol};
use crate::port::{Lead, PriceStore, Shelf, StoreError};

/// A price store in which what is streamed is not overwritten by what was asked for before, nor by
/// an older trade. Sweeps and feed of a process write through the same one.
pub struct Newest {
    store: Arc<dyn PriceStore>,
    /// The last price of each code that was streamed at some time.
    held: Mutex<HashMap<Symbol, Held>>,
}

struct Held {
    quote: Quote,
    /// When a trade was written last.
    traded: Instant,
}

impl Newest {
    /// The way into `store`.
    #[must_use]
    pub fn new(store: Arc<dyn PriceStore>) -> Self {
        Self {
            store,
            held: Mutex::default(),
        }
    }

    /// Whether a trade of the code was written within this time.
    #[must_use]
    pub fn is_live(&self, code: Symbol, within: Duration) -> bool {
        let held = self.held();
        held.get(&code)
            .is_some_and(|held| held.traded.elapsed() < within)
    }

    /// Whether the quote may be written; if so, it is the newest from now on.
    fn admits(held: &mut HashMap<Symbol, Held>, quote: &Quote) -> bool {
        let is_trade = quote.source == Quote::LIVE_FEED;
        let traded = Instant::now();
        let Some(held) = held.get_mut(&quote.stock_code) else {
            if is_trade {
                let quote = quote.clone();
                held.insert(quote.stock_code, Held { quote, traded });
            }
            return true;
        };
        // What was asked for after a trade came is as the broker says it, whatever the trade said.
        let may_be_older = is_trade || quote.fetched_at < held.quote.fetched_at;
        if may_be_older && quote.is_before(&held.quote) {
            let reason = if is_trade { "older" } else { "swept_older" };
            counter!("sise_feed_dropped_total", "reason" => reason).increment(1);
            return false;
        }
        held.quote = quote.clone();
        if is_trade {
            held.traded = traded;
        }
        true
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Symbol, Held>> {
        // Every change is one step.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PriceStore for Newest {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        if shelf == Shelf::Close {
            return self.store.write(quotes, shelf, lead).await;
        }
        let older: Vec<usize> = {
            let mut held = self.held();
            let places = quotes.iter().enumerate();
            let older = places.filter(|(_, quote)| !Self::admits(&mut held, quote));
            older.map(|(place, _)| place).collect()
        };
        if older.is_empty() {
            return self.store.write(quotes, shelf, lead).await;
        }
        let places = quotes.iter().enumerate();
        let newest = places.filter(|(place, _)| !older.contains(place));
        let newest: Vec<Quote> = newest.map(|(_, quote)| quote.clone()).collect();
        self.store.write(&newest, shelf, lead).await
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.store.realtime(symbols).await
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.store.close(symbols).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

impl fmt::Debug for Newest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Newest").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KrxTime, Seoul};
    use crate::store::MemoryStore;
    use chrono::{TimeDelta, TimeZone as _};

    const TTL: Shelf = Shelf::Realtime(Duration::from_secs(120));

    fn at(seconds: i64) -> KrxTime {
        let ten = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        ten + TimeDelta::seconds(seconds)
    }

    fn quote(source: &'static str, second: i64, volume: i64) -> Quote {
        Quote {
            volume: Some(volume),
            source: source.into(),
            ..Quote::sample("005930".parse().unwrap(), 1_000 + volume, at(second))
        }
    }

    #[tokio::test]
    async fn the_newer_of_trade_and_swept_price_stays() {
        let memory = Arc::new(MemoryStore::default());
        let newest = Newest::new(memory.clone());
        let code = "005930".parse().unwrap();
        let (sweep, feed) = ("kis.multi", "kis.ws");
        for (source, second, volume, stays) in [
            (sweep, 0, 50, 50),
            (sweep, 1, 40, 40),
            (feed, 2, 100, 100),
            // Asked for before the trade came, and answered after it.
            (sweep, 1, 90, 100),
            (sweep, 1, 110, 110),
            // A trade that was long on its way.
            (feed, 3, 105, 110),
            (feed, 4, 120, 120),
            // The broker takes a trade back.
            (sweep, 5, 119, 119),
            (feed, 6, 119, 119),
            // The next day begins at nothing.
            (feed, 86_400, 3, 3),
        ] {
            let quotes = [quote(source, second, volume)];
            newest.write(&quotes, TTL, None).await.unwrap();
            let kept = memory.realtime(&[code]).await.unwrap().remove(0).unwrap();
            assert_eq!(kept.volume, Some(stays), "{source} {second} {volume}");
        }
        assert!(newest.is_live(code, Duration::from_secs(60)));
        assert!(!newest.is_live("000660".parse().unwrap(), Duration::from_secs(60)));
    }

    #[tokio::test]
    async fn the_same_may_be_written_again_and_closes_are_not_judged() {
        let memory = Arc::new(MemoryStore::default());
        let newest = Newest::new(memory.clone());
        let code = "005930".parse().unwrap();
        for _ in 0..2 {
            newest
                .write(&[quote("kis.ws", 1, 9)], TTL, None)
                .await
                .unwrap();
        }
        let close = [quote("kis.multi", 0, 1)];
        newest.write(&close, Shelf::Close, None).await.unwrap();
        let kept = memory.close(&[code]).await.unwrap().remove(0).unwrap();
        assert_eq!(kept.volume, Some(1));
    }
}
