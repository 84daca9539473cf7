//! What is known of each code from sweep to sweep, kept beside the prices.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex as PlainMutex, PoisonError};

use tokio::sync::Mutex;

use crate::domain::{KrxTime, Quote, Row, Status, Symbol};
use crate::port::{Lead, Ledger, StoreError};
use crate::sweep::Report;

/// Keeps the ledger of a store, one write a sweep.
pub struct LedgerKeeper {
    ledger: Arc<dyn Ledger>,
    /// What the pass that is under way has written so far.
    written: PlainMutex<HashMap<Symbol, Written>>,
    known: Mutex<Known>,
}

/// What counts of a quote.
#[derive(Debug, Clone, Copy)]
struct Written {
    at: KrxTime,
    price: i64,
    status: Status,
}

#[derive(Default)]
struct Known {
    rows: HashMap<Symbol, Row>,
    /// The lead that they belong to: before and after it others may write.
    lead: Option<Lead>,
    /// What stood in the store when the lead began is in them.
    is_read: bool,
}

impl LedgerKeeper {
    /// A keeper of `ledger`.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger,
            written: PlainMutex::default(),
            known: Mutex::default(),
        }
    }

    /// Quotes were written.
    pub fn note(&self, quotes: &[Quote]) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend(quotes.iter().map(|quote| {
            let held = Written {
                at: quote.fetched_at,
                price: quote.price,
                status: quote.status,
            };
            (quote.stock_code, held)
        }));
    }

    /// The pass that began at `sweep` is over: every code of it gets its row. With `lead` only
    /// while no later lead has written.
    ///
    /// # Errors
    ///
    /// The store did not take the rows; the next pass brings them.
    pub async fn settle(
        &self,
        report: &Report,
        sweep: KrxTime,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        let written = {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *written)
        };
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
