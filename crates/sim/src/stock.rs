//! A simulated stock: its master data, and its figures of the moment.

use chrono::NaiveDate;

use sise_domain::{Group, Market, PriceRange, Sector, ShippedListing, Symbol, price_limits};

/// Data of a stock that stays the same all day.
#[derive(Debug, Clone)]
pub(super) struct Stock {
    pub(super) code: Symbol,
    pub(super) name: String,
    pub(super) market: Market,
    pub(super) group: Group,
    /// Industry sector of the exchange.
    pub(super) sector: Option<&'static Sector>,
    pub(super) isin: String,
    pub(super) listed: NaiveDate,
    pub(super) shares: i64,
    /// Previous close in won: the base price.
    pub(super) base: i64,
    /// Shares traded on the previous day.
    pub(super) previous_volume: i64,
    pub(super) halted: bool,
    /// Whether the stock is among the 200 largest of KOSPI.
    pub(super) large: bool,
}

impl Stock {
    pub(super) fn shipped(row: &ShippedListing) -> Self {
        let sector = row.sector.as_deref();
        Self {
            code: row.code,
            name: row.name.clone(),
            market: row.market,
            group: row.group,
            sector: sector.and_then(|name| Sector::named(row.market, name)),
            isin: row.isin.clone(),
            listed: row.listed,
            shares: row.shares,
            base: row.close,
            previous_volume: row.volume,
            halted: row.volume == 0,
            large: false,
        }
    }

    /// Returns the market capitalisation at the base price, in won.
    pub(super) fn capital(&self) -> i64 {
        self.base.saturating_mul(self.shares)
    }

    /// Returns the class of preferred shares (contract 6.3, field 58), derived from code and name.
    ///
    /// The code of a common share ends in 0, that of an old preferred share in 5.
    pub(super) fn preferred_class(&self) -> &'static str {
        let code = self.code.as_str();
        match code.chars().last() {
            Some('0') | None => "0",
            _ if self.group != Group::Stock => "0",
            Some('5') if !self.name.ends_with('B') => "1",
            Some(_) => "2",
        }
    }

    /// Whether the stock is a SPAC, a company that exists only to merge with another.
    pub(super) fn is_spac(&self) -> bool {
        self.name.contains("스팩")
    }
}

/// Marks the 200 largest stocks of KOSPI.
pub(super) fn mark_large(stocks: &mut [Stock]) {
    let mut capitals: Vec<i64> = stocks
        .iter()
        .filter(|stock| stock.market == Market::Kospi)
        .map(Stock::capital)
        .collect();
    capitals.sort_unstable_by(|a, b| b.cmp(a));
    let least = capitals.get(199).or(capitals.last()).copied();
    for stock in stocks {
        stock.large =
            stock.market == Market::Kospi && least.is_some_and(|least| stock.capital() >= least);
    }
}

/// The figures of a stock at one moment, in won and shares.
///
/// Before the first trade of the day, and all day while halted, open, high, low and volume are 0
/// and the price is the base price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) price: i64,
    pub(super) base: i64,
    /// Change from the base price, in hundredths of a percent.
    pub(super) rate: i64,
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) volume: i64,
    pub(super) value: i64,
}

impl Figures {
    /// Returns the figures before the first trade.
    pub(super) fn untraded(base: i64) -> Self {
        Self {
            price: base,
            base,
            rate: 0,
            open: 0,
            high: 0,
            low: 0,
            volume: 0,
            value: 0,
        }
    }

    /// Returns the change from the base price, in won.
    pub(super) fn change(&self) -> i64 {
        self.price - self.base
    }

    /// Returns the permitted price range of today, derived from the prices so far.
    pub(super) fn range(&self) -> PriceRange {
        let traded = [self.price, self.open, self.high, self.low];
        let within = |(lower, upper): (i64, i64)| {
            let mut prices = traded.into_iter().filter(|price| *price > 0);
            prices.all(|price| (lower..=upper).contains(&price))
        };
        if within(price_limits(self.base)) {
            PriceRange::Usual
        } else if within(first_day_limits(self.base)) {
            PriceRange::FirstDay
        } else {
            PriceRange::Unlimited
        }
    }

    pub(super) fn is_in_liquidation(&self) -> bool {
        self.range() == PriceRange::Unlimited
    }

    /// Returns the lower and upper limit of the day in won, or 0 if there are none.
    pub(super) fn limits(&self) -> (i64, i64) {
        match self.range() {
            PriceRange::FirstDay => first_day_limits(self.base),
            PriceRange::Unlimited => (0, 0),
            PriceRange::Usual | PriceRange::Unknown => price_limits(self.base),
        }
    }

    /// Returns the direction code (contract 4.0.6).
    pub(super) fn sign(&self) -> &'static str {
        let (lower, upper) = self.limits();
        match self.change() {
            0 => "3",
            1.. if self.price == upper => "1",
            1.. => "2",
            _ if self.price == lower => "4",
            _ => "5",
        }
    }
}

/// Returns the limits on the first day of a stock.
fn first_day_limits(base: i64) -> (i64, i64) {
    (base * 6 / 10, base * 4)
}

/// Returns the direction code of a difference, without regard to limits.
pub(super) fn sign_of(difference: i64) -> &'static str {
    match difference {
        0 => "3",
        1.. => "2",
        _ => "5",
    }
}

/// Returns `part` over `whole` in hundredths of a percent, rounded; 0 if `whole` is 0.
pub(super) fn hundredths(part: i64, whole: i64) -> i64 {
    if whole == 0 {
        return 0;
    }
    let twice = i128::from(part) * 20_000 / i128::from(whole);
    i64::try_from((twice + twice.signum()) / 2).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_recorded_quotes() {
        for (change, base, rate) in [
            (-800, 78_200, -102),
            (-3_100, 193_000, -161),
            (1_000, 73_400, 136),
            (0, 75_700, 0),
            (5, 0, 0),
        ] {
            assert_eq!(hundredths(change, base), rate, "{change} of {base}");
        }
    }

    #[test]
    fn a_first_day_and_a_liquidation_have_limits_of_their_own() {
        let at = |price| Figures {
            price,
            ..Figures::untraded(10_000)
        };
        assert_eq!(at(13_000).limits(), (7_000, 13_000));
        assert_eq!(at(40_000).limits(), (6_000, 40_000));
        assert_eq!(at(40_000).sign(), "1");
        assert_eq!(at(100).limits(), (0, 0));
        assert!(at(100).is_in_liquidation() && !at(40_000).is_in_liquidation());
    }

    #[test]
    fn a_price_at_its_limit_has_a_sign_of_its_own() {
        let at = |price| Figures {
            price,
            ..Figures::untraded(10_000)
        };
        for (price, sign) in [
            (13_000, "1"),
            (12_990, "2"),
            (10_000, "3"),
            (7_000, "4"),
            (7_010, "5"),
        ] {
            assert_eq!(at(price).sign(), sign, "{price}");
        }
    }
}
