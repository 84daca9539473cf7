//! The stock list inside the program, used if no other list is available.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::NaiveDate;
use serde::Deserialize;

use super::{Group, Listing, Market, Symbol, Universe};

/// Made by `scripts/ship-listing` from the exchange's list of [`Shipped::date`].
const CSV: &str = include_str!("shipped.csv");

const DATE: NaiveDate = NaiveDate::from_ymd_opt(2026, 3, 20).expect("a day of the calendar");

static SHIPPED: LazyLock<Shipped> = LazyLock::new(|| {
    let rows: Result<_, csv::Error> = csv::Reader::from_reader(CSV.as_bytes())
        .deserialize()
        .collect();
    #[expect(
        clippy::expect_used,
        reason = "compiled in, and a test reads every row"
    )]
    let listings = rows.expect("the shipped list is well formed");
    let listings: Vec<ShippedListing> = listings;
    let places = (0..).zip(&listings);
    Shipped {
        date: DATE,
        places: places.map(|(place, row)| (row.code, place)).collect(),
        listings,
    }
});

/// The shipped list and its date.
#[derive(Debug)]
pub struct Shipped {
    /// Trading day of the closes in the list.
    pub date: NaiveDate,
    /// All stocks of that day.
    pub listings: Vec<ShippedListing>,
    places: HashMap<Symbol, usize>,
}

/// One stock of the shipped list, with the starting values of a simulated market.
#[derive(Debug, Clone, Deserialize)]
pub struct ShippedListing {
    /// Short code.
    pub code: Symbol,
    /// Korean short name.
    pub name: String,
    /// Market it is listed on.
    pub market: Market,
    /// Security group.
    pub group: Group,
    /// Industry sector of the exchange; `None` for a few stocks without one.
    pub sector: Option<String>,
    /// Standard code (ISIN).
    pub isin: String,
    /// First trading day.
    pub listed: NaiveDate,
    /// Listed shares.
    pub shares: i64,
    /// Close, won.
    pub close: i64,
    /// Shares traded that day; 0 if trading was halted.
    pub volume: i64,
}

impl Shipped {
    /// Returns the list. It is parsed once, then shared.
    #[must_use]
    pub fn get() -> &'static Self {
        &SHIPPED
    }

    /// Returns the stock with this code.
    #[must_use]
    pub fn listing(&self, code: Symbol) -> Option<&ShippedListing> {
        self.listings.get(*self.places.get(&code)?)
    }

    /// Returns the list as a universe. It is too old to tell which stocks are halted today.
    #[must_use]
    pub fn universe(&self) -> Universe {
        let listings = self.listings.iter().map(|row| Listing {
            code: row.code,
            name: row.name.clone(),
            market: row.market,
            group: row.group,
            halted: None,
            shares: row.shares.try_into().ok().filter(|shares| *shares > 0),
            sector: row.sector.clone(),
            listed: Some(row.listed),
            in_liquidation: None,
        });
        Universe::new(Some(self.date), listings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sector;

    #[test]
    fn every_row_is_well_formed() {
        let shipped = Shipped::get();
        assert_eq!(shipped.listings.len(), 2_769);
        assert_eq!(shipped.universe().len(), 2_769);
        let has_shares = |listing: &Listing| listing.shares.is_some();
        assert!(shipped.universe().listings().iter().all(has_shares));
        assert!(
            shipped
                .listings
                .iter()
                .all(|row| row.close > 0 && row.shares > 0)
        );
        let halted = shipped.listings.iter().filter(|row| row.volume == 0);
        assert_eq!(halted.count(), 86);
        let without = shipped.listings.iter().filter(|row| row.sector.is_none());
        assert_eq!(without.count(), 6);
        let known = |row: &ShippedListing| {
            let named = |name: &str| {
                let mut markets = Market::ALL.into_iter();
                markets.any(|market| Sector::named(market, name).is_some())
            };
            row.sector.as_deref().is_none_or(named)
        };
        let unknown: Vec<_> = shipped.listings.iter().filter(|row| !known(row)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
