//! The ledger: what is known of each code from sweep to sweep, stored beside the prices.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex as PlainMutex, MutexGuard, PoisonError};

use tokio::sync::Mutex;

use crate::sweep::Report;
use sise_domain::{KrxTime, Quote, Row, Status, Symbol};
use sise_port::{Lead, Ledger, StoreError};

/// Keeps the ledger of a store, with one write per pass.
pub struct LedgerKeeper {
    ledger: Arc<dyn Ledger>,
    /// What the passes under way have written so far.
    written: PlainMutex<HashMap<Symbol, Written>>,
    known: Mutex<Known>,
}

/// The parts of a quote that matter here.
#[derive(Debug, Clone, Copy)]
struct Written {
    at: KrxTime,
    price: i64,
    status: Status,
}

#[derive(Default)]
struct Known {
    rows: HashMap<Symbol, Row>,
    /// The lead that the rows belong to: outside of it other processes may write.
    lead: Option<Lead>,
    /// Whether the rows that were in the store when the lead began are included.
    is_read: bool,
}

impl LedgerKeeper {
    /// Creates a keeper of `ledger`.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger,
            written: PlainMutex::default(),
            known: Mutex::default(),
        }
    }

    /// Notes quotes that were written.
    pub fn note(&self, quotes: &[Quote]) {
        self.written().extend(quotes.iter().map(|quote| {
            let held = Written {
                at: quote.fetched_at,
                price: quote.price,
                status: quote.status,
            };
            (quote.stock_code, held)
        }));
    }

    /// Drops the notes of passes under way, which then get no rows.
    pub fn forget(&self) {
        self.written().clear();
    }

    /// Takes the notes of `codes`. Those of other passes under way stay until their end.
    fn take(&self, codes: &[Symbol]) -> Vec<(Symbol, Written)> {
        let mut written = self.written();
        let taken = codes
            .iter()
            .filter_map(|code| Some((*code, written.remove(code)?)));
        taken.collect()
    }

    fn written(&self) -> MutexGuard<'_, HashMap<Symbol, Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the pass over `codes` that began at `sweep`: every code gets its row. With `lead` the
    /// rows are only written while no later lead has written.
    ///
    /// # Errors
    ///
    /// Returns an error if the store did not take the rows; the next pass writes them.
    pub async fn settle(
        &self,
        codes: &[Symbol],
        report: &Report,
        sweep: KrxTime,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        let written = self.take(codes);
        let mut known = self.known.lock().await;
        if known.lead != lead {
            *known = Known {
                lead,
                ..Known::default()
            };
        }
        let mut changed: Vec<Symbol> = Vec::with_capacity(report.universe);
        for (symbol, Written { at, price, status }) in written {
            let row = known.rows.entry(symbol).or_default();
            row.poll(sweep, at, price, status);
            changed.push(symbol);
        }
        for missing in &report.missing {
            let row = known.rows.entry(missing.code).or_default();
            row.miss(sweep, missing.reason, &missing.detail);
            changed.push(missing.code);
        }
        if !known.is_read {
            for (symbol, earlier) in self.ledger.rows().await? {
                known.rows.entry(symbol).or_default().follow(&earlier);
            }
            known.is_read = true;
        }
        let row = |symbol: Symbol| Some((symbol, known.rows.get(&symbol)?.clone()));
        let rows: Vec<(Symbol, Row)> = changed.into_iter().filter_map(row).collect();
        self.ledger.keep_rows(&rows, lead).await
    }
}

impl fmt::Debug for LedgerKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerKeeper").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::{Missing, Reason};
    use chrono::{TimeDelta, TimeZone as _};
    use sise_domain::{Polled, Seoul};
    use sise_store::MemoryStore;

    fn at(minute: i64) -> KrxTime {
        let start = Seoul.with_ymd_and_hms(2026, 11, 20, 9, 0, 0).unwrap();
        start + TimeDelta::minutes(minute)
    }

    fn symbol() -> Symbol {
        "005930".parse().unwrap()
    }

    fn quote(minute: i64, price: i64) -> Quote {
        Quote::sample(symbol(), price, at(minute))
    }

    fn report(missing: Vec<Missing>) -> Report {
        Report {
            universe: 1,
            written: 1 - missing.len(),
            coverage: 1.0,
            calls: 1,
            refused_calls: 0,
            retries: 0,
            elapsed_ms: 1,
            missing,
            stopped: false,
        }
    }

    /// Makes a pass of one minute that brought a price.
    async fn pass(keeper: &LedgerKeeper, minute: i64, price: i64, lead: u64) {
        keeper.note(&[quote(minute, price)]);
        let lead = Some(Lead(lead));
        let report = report(Vec::new());
        keeper
            .settle(&[symbol()], &report, at(minute), lead)
            .await
            .unwrap();
    }

    async fn polled(store: &MemoryStore) -> Polled {
        store.row(symbol()).await.unwrap().unwrap().polled.unwrap()
    }

    #[tokio::test]
    async fn a_new_leader_knows_since_when_a_price_stands() {
        let store = Arc::new(MemoryStore::default());
        let [first, second] = [(); 2].map(|()| LedgerKeeper::new(store.clone()));
        pass(&first, 0, 100, 1).await;
        pass(&first, 1, 100, 1).await;
        pass(&second, 2, 100, 2).await;
        assert_eq!(polled(&store).await.unchanged_since, at(0));
        pass(&second, 3, 101, 2).await;
        pass(&second, 4, 100, 2).await;
        // What it knows from its first lead is outdated: the price changed meanwhile.
        pass(&first, 5, 100, 3).await;
        assert_eq!(polled(&store).await.unchanged_since, at(4));
        assert_eq!(polled(&store).await.sweep, at(5));
    }

    #[tokio::test]
    async fn a_short_pass_takes_no_code_of_the_long_one_around_it() {
        let store = Arc::new(MemoryStore::default());
        let keeper = LedgerKeeper::new(store.clone());
        let other: Symbol = "000660".parse().unwrap();
        let codes = [symbol(), other];
        // The long pass began at minute 0 and is half done.
        keeper.note(&[Quote::sample(other, 50, at(1)), quote(1, 100)]);
        keeper.note(&[quote(2, 101)]);
        let done = report(Vec::new());
        keeper
            .settle(&codes[..1], &done, at(2), None)
            .await
            .unwrap();
        assert_eq!(store.row(other).await.unwrap(), None);
        keeper.settle(&codes, &done, at(0), None).await.unwrap();
        assert_eq!(
            (polled(&store).await.price, polled(&store).await.sweep),
            (101, at(2))
        );
        let row = store.row(other).await.unwrap().unwrap();
        assert_eq!(row.polled.unwrap().sweep, at(0));
    }

    #[tokio::test]
    async fn who_was_paused_brings_nothing_and_keeps_nothing_for_later() {
        let store = Arc::new(MemoryStore::default());
        let [first, second] = [(); 2].map(|()| LedgerKeeper::new(store.clone()));
        pass(&first, 0, 100, 1).await;
        pass(&second, 1, 101, 2).await;
        first.note(&[quote(0, 100)]);
        let late = first
            .settle(&[symbol()], &report(Vec::new()), at(0), Some(Lead(1)))
            .await;
        assert_eq!(late, Err(StoreError::Superseded { lead: Lead(1) }));
        first.note(&[quote(0, 100)]);
        first.forget();
        let missing = Missing {
            code: symbol(),
            reason: Reason::NotReached,
            detail: "timeout".to_owned(),
        };
        let missing = report(vec![missing]);
        first
            .settle(&[symbol()], &missing, at(3), Some(Lead(3)))
            .await
            .unwrap();
        let row = store.row(symbol()).await.unwrap().unwrap();
        assert_eq!(row.polled.unwrap().price, 101);
        assert_eq!(row.missed.unwrap().since, at(3));
    }
}
