//! The last price of every code that this process saw, for callers who would rather have an old
//! price than none.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{Quote, Symbol};

/// Codes remembered at most; the exchange lists less than half of it.
const MOST_CODES: usize = 8_192;

/// Prices by code, each the newest that was seen.
#[derive(Debug, Default)]
pub(super) struct LastSeen {
    quotes: Mutex<HashMap<Symbol, Box<Quote>>>,
}

impl LastSeen {
    /// Remembers prices; of two of one code the newer.
    pub(super) fn note<'a>(&self, quotes: impl Iterator<Item = &'a Quote>) {
        let mut seen = self.quotes();
        for quote in quotes {
            let is_full = seen.len() >= MOST_CODES;
            match seen.get_mut(&quote.stock_code) {
                Some(last) if last.fetched_at >= quote.fetched_at => {}
                Some(last) => last.as_mut().clone_from(quote),
                None if is_full => {}
                None => {
                    seen.insert(quote.stock_code, Box::new(quote.clone()));
                }
            }
        }
    }

    /// The last price of a code.
    pub(super) fn of(&self, symbol: Symbol) -> Option<Box<Quote>> {
        self.quotes().get(&symbol).cloned()
    }

    fn quotes(&self) -> MutexGuard<'_, HashMap<Symbol, Box<Quote>>> {
        // Every change is one step.
        self.quotes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
