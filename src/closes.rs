//! The close of a day: the codes that have one, and whether they suffice for the day to count as
//! taken.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, SecondsFormat};
use serde::Serialize;

use crate::sweep::{Reason, Report};
use sise_domain::{KrxTime, Quote, Seoul, Symbol};
use sise_port::{PriceStore, Records, StoreError};

/// Copy that remembers, beyond the process, the last day with a taken close.
const CLOSED_ON: &str = "closed_on";

/// Copy that remembers when the last known prices were taken.
const LAST_KNOWN: &str = "last_known";

/// Suffix of a mark made with prices of a simulated broker.
const SIMULATED: &str = " simulated";

/// Prices that stand in for a close that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LastKnown {
    /// The day whose close they replace.
    pub of: NaiveDate,
    /// When the prices were taken.
    pub at: KrxTime,
}

/// The time in which a price counts as a close: from (inclusive) and until (exclusive).
pub type Window = (KrxTime, KrxTime);

/// The closes that are kept.
///
/// They do not expire, so those of a simulated broker may still be there when the real one is
/// asked. Simulated closes and the marks made with them then do not count. The other way round,
/// real closes count and are kept.
#[derive(Clone)]
pub struct Closes {
    store: Arc<dyn PriceStore>,
    records: Arc<dyn Records>,
    enough: f64,
    is_simulated: Option<bool>,
}

impl Closes {
    /// Creates the closes in `store`; a day is taken once the share `enough` of the list has a
    /// close.
    #[must_use]
    pub fn new(store: Arc<dyn PriceStore>, records: Arc<dyn Records>, enough: f64) -> Self {
        Self {
            store,
            records,
            enough,
            is_simulated: None,
        }
    }

    /// Returns the same for a process that asks a simulated broker, or the real one.
    ///
    /// If this is `None`, closes of both count.
    #[must_use]
    pub fn of_broker(self, is_simulated: Option<bool>) -> Self {
        Self {
            is_simulated,
            ..self
        }
    }

    /// Whether the close of `day` is marked as taken.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    pub async fn is_taken(&self, day: NaiveDate) -> Result<bool, StoreError> {
        let taken = self.load(CLOSED_ON).await?;
        Ok(taken.is_some_and(|taken| taken == day.to_string()))
    }

    /// Marks the close of `day` as taken; `None` removes the mark.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    pub async fn mark(&self, day: Option<NaiveDate>) -> Result<(), StoreError> {
        // A mark made with the real broker must not be replaced.
        if let (Some(day), Some(true)) = (day, self.is_simulated)
            && self.is_taken(day).await?
        {
            return Ok(());
        }
        let day = day.map_or_else(String::new, |day| day.to_string());
        self.save(CLOSED_ON, day).await
    }

    /// Marks prices taken at `at` as the last known ones, in place of the close of a day.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    pub async fn mark_last_known(&self, LastKnown { of, at }: LastKnown) -> Result<(), StoreError> {
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, false);
        self.save(LAST_KNOWN, format!("{of} {at}")).await
    }

    /// Returns the prices that stand in for the last close, or `None` if that close was taken.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    pub async fn last_known(&self) -> Result<Option<LastKnown>, StoreError> {
        let known = self.load(LAST_KNOWN).await?;
        let taken = self.load(CLOSED_ON).await?;
        let taken: Option<NaiveDate> = taken.and_then(|taken| taken.parse().ok());
        let read = |text: String| {
            let (of, at) = text.split_once(' ')?;
            let at = DateTime::parse_from_rfc3339(at).ok()?;
            Some(LastKnown {
                of: of.parse().ok()?,
                at: at.with_timezone(&Seoul),
            })
        };
        let known = known.and_then(read);
        Ok(known.filter(|known| taken.is_none_or(|taken| taken < known.of)))
    }

    /// Loads a mark, if it counts for this broker.
    async fn load(&self, name: &str) -> Result<Option<String>, StoreError> {
        let text = self.records.load_copy(name).await?;
        Ok(text.and_then(|text| match text.strip_suffix(SIMULATED) {
            Some(mark) => self.counts(true).then(|| mark.to_owned()),
            None => Some(text),
        }))
    }

    async fn save(&self, name: &str, mut mark: String) -> Result<(), StoreError> {
        if self.is_simulated == Some(true) {
            mark.push_str(SIMULATED);
        }
        self.records.save_copy(name, &mark).await
    }

    /// Whether data counts here, given whether it comes from a simulated broker.
    fn counts(&self, simulated: bool) -> bool {
        !simulated || self.is_simulated != Some(false)
    }

    /// Returns those of `symbols` for which no price of `window` is kept.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    pub async fn missing(
        &self,
        symbols: &[Symbol],
        (from, until): Window,
    ) -> Result<Vec<Symbol>, StoreError> {
        let kept = self.store.close(symbols).await?;
        let is_kept = |quote: &Quote| {
            let at = quote.fetched_at;
            from <= at && at < until && self.counts(quote.simulated)
        };
        let found = symbols.iter().zip(kept);
        let missing = found.filter(|(_, quote)| !quote.as_deref().is_some_and(is_kept));
        Ok(missing.map(|(symbol, _)| *symbol).collect())
    }

    /// Whether a list of `codes`, of which `missing` have no close, counts as taken.
    ///
    /// Codes that the broker does not know are not waited for.
    #[must_use]
    pub fn is_enough(&self, codes: usize, missing: usize, unknown: usize) -> bool {
        let had = codes.saturating_sub(missing);
        let waited_for = missing.saturating_sub(unknown);
        had > 0 && (waited_for == 0 || crate::sweep::share(had, codes) >= self.enough)
    }
}

impl Report {
    /// Returns the codes that the broker did not know in this pass.
    #[must_use]
    pub fn unknown(&self) -> Vec<Symbol> {
        let unknown = self.missing.iter().filter(|m| m.reason == Reason::Unknown);
        unknown.map(|missing| missing.code).collect()
    }
}

impl fmt::Debug for Closes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closes")
            .field("enough", &self.enough)
            .field("is_simulated", &self.is_simulated)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone as _};
    use sise_port::{CopyStore as _, Shelf};
    use sise_store::MemoryStore;

    fn closes(store: &Arc<MemoryStore>) -> Closes {
        Closes::new(store.clone(), store.clone(), 0.9)
    }

    #[tokio::test]
    async fn what_was_not_taken_in_the_window_is_missing() {
        let store = Arc::new(MemoryStore::default());
        let from = Seoul.with_ymd_and_hms(2026, 11, 20, 15, 31, 0).unwrap();
        let window = (from, from + TimeDelta::minutes(29));
        let times = [-1, 0, 1_739, 1_740, -86_400];
        let symbols: Vec<Symbol> = (1..=6)
            .map(|n| format!("00000{n}").parse().unwrap())
            .collect();
        let quote = |(symbol, seconds): (&Symbol, i64)| {
            Quote::sample(*symbol, 1_000, from + TimeDelta::seconds(seconds))
        };
        let quotes: Vec<Quote> = symbols.iter().zip(times).map(quote).collect();
        store.write(&quotes, Shelf::Close, None).await.unwrap();
        let missing = closes(&store).missing(&symbols, window).await.unwrap();
        let places = [0, 3, 4, 5].map(|place: usize| symbols[place]);
        assert_eq!(missing, places);
    }

    #[tokio::test]
    async fn what_a_simulated_broker_left_is_missing_where_the_real_one_is_asked() {
        let store = Arc::new(MemoryStore::default());
        let from = Seoul.with_ymd_and_hms(2026, 11, 20, 15, 31, 0).unwrap();
        let window = (from, from + TimeDelta::minutes(29));
        let [real, simulated] = ["005930", "000660"].map(|code| code.parse::<Symbol>().unwrap());
        let quotes = [(real, false), (simulated, true)].map(|(code, simulated)| Quote {
            simulated,
            ..Quote::sample(code, 1_000, from)
        });
        store.write(&quotes, Shelf::Close, None).await.unwrap();
        for (asked, expected) in [
            (Some(false), vec![simulated]),
            (Some(true), vec![]),
            (None, vec![]),
        ] {
            let closes = closes(&store).of_broker(asked);
            let missing = closes.missing(&[real, simulated], window).await;
            assert_eq!(missing, Ok(expected), "{asked:?}");
        }
    }

    #[tokio::test]
    async fn marks_of_a_simulated_broker_count_for_nothing_where_the_real_one_is_asked() {
        let store = Arc::new(MemoryStore::default());
        let [real, trial, either] =
            [Some(false), Some(true), None].map(|asked| closes(&store).of_broker(asked));
        let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let known = LastKnown {
            of: day,
            at: Seoul.with_ymd_and_hms(2026, 11, 20, 17, 38, 5).unwrap(),
        };
        trial.mark_last_known(known).await.unwrap();
        assert_eq!(trial.last_known().await, Ok(Some(known)));
        assert_eq!(either.last_known().await, Ok(Some(known)));
        assert_eq!(real.last_known().await, Ok(None));
        real.mark_last_known(known).await.unwrap();
        // A simulated close does not end the last known prices of the real broker.
        trial.mark(Some(day)).await.unwrap();
        assert_eq!(real.last_known().await, Ok(Some(known)));
        assert_eq!(real.is_taken(day).await, Ok(false));
        assert_eq!(trial.is_taken(day).await, Ok(true));
        assert_eq!(either.is_taken(day).await, Ok(true));
        real.mark(Some(day)).await.unwrap();
        trial.mark(Some(day)).await.unwrap();
        assert_eq!(real.is_taken(day).await, Ok(true));
        assert_eq!(trial.is_taken(day).await, Ok(true));
        // Marks without a suffix count for both brokers.
        let mark = store.load_copy(CLOSED_ON).await.unwrap();
        assert_eq!(mark.as_deref(), Some("2026-11-20"));
    }

    #[tokio::test]
    async fn a_day_is_taken_when_enough_is_there_and_until_it_is_forgotten() {
        let closes = closes(&Arc::default());
        for (codes, missing, unknown, expected) in [
            (100, 0, 0, true),
            (100, 10, 0, true),
            (100, 11, 0, false),
            // A code that the broker does not know is not waited for.
            (3, 2, 2, true),
            (3, 2, 1, false),
            (3, 3, 3, false),
            (0, 0, 0, false),
        ] {
            let is_enough = closes.is_enough(codes, missing, unknown);
            assert_eq!(is_enough, expected, "{codes} {missing} {unknown}");
        }
        let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        assert_eq!(closes.is_taken(day).await, Ok(false));
        closes.mark(Some(day)).await.unwrap();
        assert_eq!(closes.is_taken(day).await, Ok(true));
        assert_eq!(closes.is_taken(day.pred_opt().unwrap()).await, Ok(false));
        closes.mark(None).await.unwrap();
        assert_eq!(closes.is_taken(day).await, Ok(false));
        let known = LastKnown {
            of: day,
            at: Seoul.with_ymd_and_hms(2026, 11, 22, 12, 0, 5).unwrap(),
        };
        assert_eq!(closes.last_known().await, Ok(None));
        closes.mark_last_known(known).await.unwrap();
        closes.mark(day.pred_opt()).await.unwrap();
        assert_eq!(closes.last_known().await, Ok(Some(known)));
        closes.mark(Some(day)).await.unwrap();
        assert_eq!(closes.last_known().await, Ok(None));
    }
}
