//! Last prices that this process saw, for callers that prefer an old price to none.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sise_domain::{Quote, Symbol};

/// Most codes that are remembered; the exchange lists less than half as many.
const MOST_CODES: usize = 8_192;

/// The newest price seen of each code.
#[derive(Debug, Default)]
pub(super) struct LastSeen {
    quotes: Mutex<HashMap<Symbol, Box<Quote>>>,
}

impl LastSeen {
    /// Remembers prices; a newer one replaces an older one of the same code.
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

    /// Returns the last price of a code.
    pub(super) fn of(&self, symbol: Symbol) -> Option<Box<Quote>> {
        self.quotes().get(&symbol).cloned()
    }

    fn quotes(&self) -> MutexGuard<'_, HashMap<Symbol, Box<Quote>>> {
        // Every change is a single step, so a poisoned lock is usable.
        self.quotes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone as _};
    use sise_domain::Seoul;

    fn quote(number: usize, seconds: i64) -> Quote {
        let noon = Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        let code = format!("{number:06}").parse().unwrap();
        Quote::sample(code, 1_000 + seconds, noon + TimeDelta::seconds(seconds))
    }

    #[test]
    fn the_newest_of_a_code_is_remembered_whatever_comes_in_which_order() {
        let seen = LastSeen::default();
        let price = || seen.of(quote(1, 0).stock_code).map(|quote| quote.price);
        for (seconds, expected) in [(5, 1_005), (3, 1_005), (9, 1_009)] {
            seen.note(std::iter::once(&quote(1, seconds)));
            assert_eq!(price(), Some(expected));
        }
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_what_is_there_stays_new() {
        let seen = LastSeen::default();
        let quotes: Vec<Quote> = (0..=MOST_CODES).map(|number| quote(number, 0)).collect();
        seen.note(quotes.iter());
        assert_eq!(seen.quotes().len(), MOST_CODES);
        seen.note(std::iter::once(&quote(1, 7)));
        let first = seen.of(quote(1, 0).stock_code).unwrap();
        assert_eq!(first.price, 1_007);
    }
}
