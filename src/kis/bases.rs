//! What the day's prices of each code are measured against: base price and limits do not change
//! within a day, so that a row with others is doubted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDate;

use crate::domain::{Implausible, Symbol};

/// What is known of a code's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Basis {
    /// Base price, won.
    pub(super) base: i64,
    /// Lowest and highest price of the day, won; `None` where the broker says none.
    pub(super) limits: Option<(i64, i64)>,
}

/// What was known last, and of which day.
#[derive(Debug)]
struct Held {
    day: NaiveDate,
    basis: Basis,
    /// Another base price that was told since.
    doubted: Option<i64>,
}

/// The base prices and limits of the day, as the broker's price calls told them. They are what the
/// trades of the live feed are held against, which tell neither.
#[derive(Debug, Default)]
pub struct Bases {
    held: Mutex<HashMap<Symbol, Held>>,
}

impl Bases {
    /// What is known of a code on `day`.
    pub(super) fn of(&self, code: Symbol, day: NaiveDate) -> Option<Basis> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.get(&code).filter(|held| held.day == day)?;
        Some(held.basis)
    }

    /// Takes what a price call told.
    ///
    /// # Errors
    ///
    /// The base price was another before on the same day. Told once more it is believed: after a
    /// halt the auction that reopens a stock makes a new one.
    pub(super) fn take(
        &self,
        code: Symbol,
        day: NaiveDate,
        told: Basis,
    ) -> Result<(), Implausible> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Held {
            day,
            basis: told,
            doubted: None,
        };
        match held.entry(code) {
            Entry::Vacant(place) => {
                place.insert(fresh);
            }
            Entry::Occupied(mut place) => {
                let known = place.get_mut();
                let before = known.basis.base;
                let is_believed = known.day != day || known.doubted == Some(told.base);
                if before == told.base && known.day == day {
                    known.doubted = None;
                    known.basis.limits = told.limits.or(known.basis.limits);
                } else if is_believed {
                    place.insert(fresh);
                } else {
                    known.doubted = Some(told.base);
                    let base = told.base;
                    return Err(Implausible::Base { base, before });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_base_price_of_the_same_day_is_believed_when_it_comes_again() {
        let bases = Bases::default();
        let code: Symbol = "005930".parse().unwrap();
        let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let basis = |base| Basis { base, limits: None };
        let take = |base| bases.take(code, day, basis(base));
        assert_eq!(bases.of(code, day), None);
        assert_eq!(take(211), Ok(()));
        let doubt = Err(Implausible::Base {
            base: 6_330,
            before: 211,
        });
        assert_eq!(take(6_330), doubt);
        assert_eq!(bases.of(code, day), Some(basis(211)));
        // What was right comes back, and the doubt is forgotten.
        assert_eq!(take(211), Ok(()));
        assert_eq!(take(6_330), doubt);
        assert_eq!(take(6_330), Ok(()));
        assert_eq!(bases.of(code, day), Some(basis(6_330)));
        // The next day has a base price of its own.
        let next = day.succ_opt().unwrap();
        assert_eq!(bases.of(code, next), None);
        assert_eq!(bases.take(code, next, basis(6_500)), Ok(()));
    }
}
