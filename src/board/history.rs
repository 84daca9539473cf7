//! Today's price lines in the store, so that a process that starts during a session knows what was
//! before.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, Timelike as _};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::QuoteBoard;
use sise_cache::{Cache, CacheError, Profiles};
use sise_domain::{KrxTime, Symbol};
use sise_net::supervisor::Tasks;
use sise_port::clock::Clock;

/// How long the lines of a day are kept after their last minute.
const LIFE: Duration = Duration::from_secs(20 * 3_600);

/// Delay after the end of a minute until it is written; by then its prices have arrived.
const AFTER: Duration = Duration::from_secs(5);

/// Number of minutes per read. For the whole market this is about 200 kB, which fits well within
/// the time-out of the store.
const AT_ONCE: usize = 5;

/// Prices of one minute, by code.
type Prices = BTreeMap<String, i64>;

/// Stores the lines of a board. A day is a user, a minute (`HHMM`) a field.
pub struct History {
    board: Arc<QuoteBoard>,
    days: Profiles,
    clock: Clock,
}

impl History {
    /// Creates a history that stores the lines of `board` in `cache`.
    #[must_use]
    pub fn new(board: Arc<QuoteBoard>, cache: &Cache, clock: Clock) -> Self {
        Self {
            board,
            days: cache.profiles("lines"),
            clock,
        }
    }

    /// Reads the stored lines of today, and then writes every minute under `tasks` while `writes`
    /// returns true.
    pub fn start(self, writes: impl Fn() -> bool + Send + Sync + 'static, tasks: &Tasks) {
        let this = Arc::new((self, writes));
        tasks.lasting("lines", move |stop| {
            let this = Arc::clone(&this);
            async move { this.0.run(&this.1, &stop).await }
        });
    }

    async fn run(&self, writes: impl Fn() -> bool, stop: &CancellationToken) {
        let mut is_read = self.read((self.clock)()).await.is_ok();
        loop {
            let now = (self.clock)();
            let left = Duration::from_secs(u64::from(60 - now.second() % 60));
            let pause = sleep(left + AFTER);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if !is_read {
                is_read = self.read((self.clock)()).await.is_ok();
            }
            if !writes() {
                continue;
            }
            // The minute that has ended.
            let minute = now.hour() * 60 + now.minute();
            if let Err(error) = self.write(now.date_naive(), minute).await {
                tracing::debug!(%error, "could not store a minute of the day's lines");
            }
        }
    }

    async fn write(&self, date: NaiveDate, minute: u32) -> Result<(), CacheError> {
        let Ok(number) = u16::try_from(minute) else {
            return Ok(());
        };
        let prices: Prices = self
            .board
            .minute(date, number)
            .into_iter()
            .map(|(symbol, price)| (symbol.to_string(), price))
            .collect();
        if prices.is_empty() {
            return Ok(());
        }
        let day = date.to_string();
        self.days.set(&day, &field(minute), &prices).await?;
        self.days.expire(&day, LIFE).await?;
        Ok(())
    }

    /// Reads the stored lines of the day so far, a few minutes at a time.
    async fn read(&self, now: KrxTime) -> Result<(), CacheError> {
        let date = now.date_naive();
        let day = date.to_string();
        let minutes: Vec<u32> = (0..=now.hour() * 60 + now.minute()).collect();
        for minutes in minutes.chunks(AT_ONCE) {
            let fields: Vec<String> = minutes.iter().copied().map(field).collect();
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let found = match self.days.try_get_bulk::<Prices>(&day, &fields).await {
                // If a minute is damaged, only that minute is lost.
                Err(CacheError::Decode { .. }) => self.days.get_bulk(&day, &fields).await,
                found => found?,
            };
            for (minute, prices) in minutes.iter().zip(found) {
                let (Ok(minute), Some(prices)) = (u16::try_from(*minute), prices) else {
                    continue;
                };
                let prices = prices.into_iter();
                let of_codes = prices.filter_map(|(code, price)| Some((code.parse().ok()?, price)));
                let of_codes: Vec<(Symbol, i64)> = of_codes.collect();
                self.board.restore(date, minute, of_codes);
            }
        }
        Ok(())
    }
}

/// Returns the field of a minute of the day.
fn field(minute: u32) -> String {
    format!("{:02}{:02}", minute / 60, minute % 60)
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History")
            .field("board", &self.board)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_cache as cache;
    use sise_domain::{Quote, Seoul};
    use sise_store::MemoryStore;

    fn at(minute: u32) -> KrxTime {
        Seoul.with_ymd_and_hms(2026, 11, 20, 9, minute, 30).unwrap()
    }

    #[tokio::test]
    async fn who_starts_later_knows_the_line_from_before() {
        let store = Arc::new(MemoryStore::default());
        let clock: Clock = Arc::new(|| at(2));
        let cache = Cache::new(cache::Parts {
            store,
            process: "here".to_owned(),
            clock: Arc::clone(&clock),
            timeout: Duration::from_secs(1),
            namespace: "sise:".to_owned(),
        });
        let code: Symbol = "005930".parse().unwrap();
        let board = || Arc::new(QuoteBoard::new(Duration::from_secs(120)));
        let early = board();
        for (minute, price) in [(0, 72_000), (1, 72_100)] {
            early.post(vec![Quote::sample(code, price, at(minute))], at(minute));
            let history = History::new(Arc::clone(&early), &cache, Arc::clone(&clock));
            history
                .write(at(minute).date_naive(), 9 * 60 + minute)
                .await
                .unwrap();
        }
        let late = board();
        late.post(vec![Quote::sample(code, 72_300, at(2))], at(2));
        let history = History::new(Arc::clone(&late), &cache, clock);
        history.read(at(2)).await.unwrap();
        // A second read changes nothing.
        history.read(at(2)).await.unwrap();
        let points = late.line(code).unwrap().points;
        let points: Vec<(u16, i64)> = points.iter().map(|at| (at.minute, at.price)).collect();
        assert_eq!(points, [(540, 72_000), (541, 72_100), (542, 72_300)]);
    }
}
