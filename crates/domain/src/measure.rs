//! Measures by which stocks are ranked.

use super::{Listing, Quote};

/// A measure by which the stocks of a day are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Change from the base price, percent.
    ChangeRate,
    /// Shares traded today.
    Volume,
    /// Won traded today.
    Value,
    /// Market capitalization, won: the price times the listed shares of the stock list.
    MarketCap,
}

impl Measure {
    /// All measures.
    pub const ALL: [Self; 4] = [Self::ChangeRate, Self::Volume, Self::Value, Self::MarketCap];

    /// Returns its name, as in the key of its ranking.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChangeRate => "change_rate",
            Self::Volume => "volume",
            Self::Value => "value",
            Self::MarketCap => "market_cap",
        }
    }

    /// Returns the value for a stock; `None` if unknown.
    ///
    /// Won and shares are exact up to 2^53.
    #[must_use]
    pub fn of(self, quote: &Quote, listing: Option<&Listing>) -> Option<f64> {
        match self {
            Self::ChangeRate => quote.change_rate,
            Self::Volume => quote.volume.map(real),
            Self::Value => quote.value.map(real),
            Self::MarketCap => {
                let shares = i64::try_from(listing?.shares?).ok()?;
                quote.price.checked_mul(shares).map(real)
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ranking needs no more than the first 15 digits"
)]
fn real(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Group, Market, Seoul};
    use chrono::TimeZone as _;

    #[test]
    fn what_is_not_known_is_not_ranked() {
        let noon = Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        let mut quote = Quote::sample("005930".parse().unwrap(), 72_000, noon);
        let mut listing = Listing {
            code: quote.stock_code,
            name: "삼성전자".to_owned(),
            market: Market::Kospi,
            group: Group::Stock,
            halted: None,
            shares: None,
            sector: None,
            listed: None,
            in_liquidation: None,
        };
        (quote.change_rate, quote.volume, quote.value) = (None, None, None);
        for measure in Measure::ALL {
            assert_eq!(measure.of(&quote, Some(&listing)), None, "{measure:?}");
        }
        listing.shares = Some(5_846_278_000);
        quote.change_rate = Some(-1.41);
        quote.volume = Some(0);
        quote.value = Some(1_093_000_000_000);
        let all = Measure::ALL.map(|measure| measure.of(&quote, Some(&listing)));
        let cap = 72_000.0 * 5_846_278_000.0;
        assert_eq!(all, [Some(-1.41), Some(0.0), Some(1.093e12), Some(cap)]);
        assert_eq!(Measure::MarketCap.of(&quote, None), None);
    }
}
