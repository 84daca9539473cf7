//! Values that follow from a price and its base price: change, change rate and price limit.
//!
//! `price - base price = change` holds for every quote, whatever the broker says.

use crate::bases::Basis;
use sise_domain::{
    Figures, Implausible, KrxTime, Listing, Phase, PriceLimit, PriceRange, Rules, price_limits,
};

use super::percentage;

/// Tolerance for the broker's rate, which may be truncated or rounded.
const RATE_SLACK: f64 = 0.011;

/// Largest ratio between price and base price, in either direction.
///
/// No merger or split of shares is larger.
const FARTHEST: i64 = 1_000;

/// Figures reported for a stock, under the same names for every source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) price: i64,
    /// Base price; the live feed has none.
    pub(crate) base: Option<i64>,
    pub(crate) change: Option<i64>,
    /// The direction code (contract 4.0.6).
    pub(crate) sign: &'a str,
    pub(crate) rate: Option<f64>,
    pub(crate) open: Option<i64>,
    pub(crate) high: Option<i64>,
    pub(crate) low: Option<i64>,
    pub(crate) volume: Option<i64>,
    pub(crate) value: Option<i64>,
    /// Lower and upper price limit of the day.
    pub(crate) limits: Option<(i64, i64)>,
    /// Whether it trades without limits, before it is delisted.
    pub(crate) in_liquidation: bool,
}

/// Other knowledge about the stock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) listing: Option<&'a Listing>,
    /// Base price and limits from earlier answers of the day.
    pub(crate) basis: Option<Basis>,
    pub(crate) at: KrxTime,
    pub(crate) session: Phase,
}

/// Values that follow from the figures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settled {
    pub(crate) base: Option<i64>,
    pub(crate) change: Option<i64>,
    pub(crate) rate: Option<f64>,
    pub(crate) limit: Option<PriceLimit>,
    pub(crate) limits: Option<(i64, i64)>,
    /// Values that the broker reports differently.
    pub(crate) contradicted: Vec<Contradicted>,
}

/// A value that contradicts price and base price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Contradicted {
    Change,
    Sign,
    Rate,
    Limits,
}

impl Contradicted {
    /// Returns the label used in metrics.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Sign => "sign",
            Self::Rate => "change_rate",
            Self::Limits => "limits",
        }
    }
}

impl Told<'_> {
    /// Derives the values.
    ///
    /// # Errors
    ///
    /// Returns an error if the figures are implausible.
    pub(crate) fn settle(&self, known: &Known<'_>) -> Result<Settled, Implausible> {
        let mut contradicted = Vec::new();
        let price = self.price;
        // Must come before any arithmetic with the figures.
        self.figures(self.base).check_sizes()?;
        let range = match known.listing {
            _ if self.in_liquidation => PriceRange::Unlimited,
            Some(listing) => listing.price_range(known.at.date_naive()),
            None => PriceRange::Unknown,
        };
        let is_evening = known.session == Phase::AfterMarket;
        // The other figures of the day are checked even if the base price is wrong.
        let alone = Rules {
            range,
            is_evening,
            ..Rules::default()
        };
        self.figures(None).check(&alone)?;
        let base = match (self.base, self.change) {
            (Some(base), _) => Some(base),
            (None, Some(change)) => Some(self.base_of(change, known, &mut contradicted)?),
            // A record of the feed whose change is damaged: the base price of the day is known.
            (None, None) => known.basis.map(|basis| basis.base),
        };
        if let Some(base) = base.filter(|base| !self.is_near(*base)) {
            let change = price - base;
            return Err(Implausible::Change { change, price });
        }
        let basis = known.basis;
        // A row without a base price is checked against the known one.
        let held_against = base.or(basis.map(|basis| basis.base));
        let rules = Rules {
            limits: None,
            range,
            group: known.listing.map(|listing| listing.group),
            shares: known.listing.and_then(|listing| listing.shares),
            is_evening,
        };
        let limits = self.limits.filter(|(lower, upper)| {
            // Impossible limits are ignored as damaged. Limits that are only too wide for this day
            // at least show that the day is unusual.
            let can_be = *lower > 0 && lower < upper && *upper / 20 <= *lower;
            let is_too_wide =
                held_against.is_some_and(|base| rules.are_too_wide((*lower, *upper), base));
            if !can_be || is_too_wide {
                contradicted.push(Contradicted::Limits);
            }
            can_be
        });
        if let (None, Some(base), Some(basis)) = (self.base, base, basis)
            && base != basis.base
        {
            let before = basis.base;
            return Err(Implausible::Base { base, before });
        }
        let is_same_basis = |basis: &Basis| base.is_none_or(|base| base == basis.base);
        let limits = limits.or(basis.filter(is_same_basis).and_then(|basis| basis.limits));
        let rules = Rules { limits, ..rules };
        self.figures(held_against).check(&rules)?;
        let change = base.map(|base| price - base);
        if let (Some(change), Some(base)) = (change, base) {
            self.compare_change(change, base, &mut contradicted)?;
        }
        let rate = match (change, base) {
            (Some(change), Some(base)) => self.rate(change, base, &mut contradicted),
            _ => self.rate,
        };
        let limit = self.limit(limits, base, range, &mut contradicted);
        Ok(Settled {
            base,
            change,
            rate,
            limit,
            limits,
            contradicted,
        })
    }

    fn figures(&self, base: Option<i64>) -> Figures {
        Figures {
            price: self.price,
            base,
            open: self.open,
            high: self.high,
            low: self.low,
            volume: self.volume,
            value: self.value,
        }
    }

    /// Returns the direction of the sign: -1, 0 or 1.
    fn direction(&self) -> Option<i64> {
        match self.sign {
            "1" | "2" => Some(1),
            "3" => Some(0),
            "4" | "5" => Some(-1),
            _ => None,
        }
    }

    /// Returns the base price that the change was measured against.
    ///
    /// The amount is signed already (contract 4.0.6). If the sign contradicts it, the known base
    /// price decides, then the rate, then the sign.
    fn base_of(
        &self,
        change: i64,
        known: &Known<'_>,
        contradicted: &mut Vec<Contradicted>,
    ) -> Result<i64, Implausible> {
        let price = self.price;
        let of = |change: i64| price.checked_sub(change).filter(|base| self.is_near(*base));
        let as_written = of(change);
        let points_elsewhere = self
            .direction()
            .is_some_and(|direction| direction != 0 && change != 0 && direction != change.signum());
        let turned = change
            .checked_neg()
            .and_then(of)
            .filter(|_| points_elsewhere);
        let base = match (as_written, turned) {
            (Some(base), None) | (None, Some(base)) => base,
            (None, None) => return Err(Implausible::Change { change, price }),
            (Some(written), Some(turned)) => {
                let is_known = |base| known.basis.is_some_and(|basis| basis.base == base);
                let off = |base: i64, told: f64, of: fn(f64) -> f64| {
                    let rate = rate_of(price - base, base)?;
                    Some((of(rate) - told).abs())
                };
                let is_right = |base| {
                    let off = self.rate.and_then(|told| off(base, told, |rate| rate));
                    off.is_some_and(|off| off <= RATE_SLACK)
                };
                let is_so_far = |base| {
                    let off = self.rate.and_then(|told| off(base, told.abs(), f64::abs));
                    off.is_some_and(|off| off <= RATE_SLACK)
                };
                match (is_known(written), is_known(turned)) {
                    (true, _) => written,
                    (_, true) => turned,
                    // A negative amount is right, unless the rate contradicts it too.
                    _ if change < 0 && !is_right(turned) => written,
                    // A positive amount may have lost its sign, unless only its own rate fits.
                    _ if change > 0 && is_right(written) && !is_so_far(turned) => written,
                    _ => turned,
                }
            }
        };
        if Some(base) != as_written {
            contradicted.push(Contradicted::Change);
        }
        Ok(base)
    }

    /// Returns whether `base` may be the base price of the price.
    fn is_near(&self, base: i64) -> bool {
        base > 0 && base / FARTHEST <= self.price && self.price / FARTHEST <= base
    }

    fn compare_change(
        &self,
        change: i64,
        base: i64,
        contradicted: &mut Vec<Contradicted>,
    ) -> Result<(), Implausible> {
        let direction = self.direction();
        if direction.is_some_and(|direction| direction != change.signum()) {
            contradicted.push(Contradicted::Sign);
        }
        let Some(told) = self.change.filter(|told| *told != change) else {
            return Ok(());
        };
        let implied = self.price.checked_sub(told);
        let is_turned = Some(told) == change.checked_neg();
        if !is_turned && !implied.is_some_and(|implied| self.is_near(implied)) {
            let price = self.price;
            return Err(Implausible::Change {
                change: told,
                price,
            });
        }
        // If the base price was derived from the change, the contradiction was counted already.
        if self.base == Some(base) {
            contradicted.push(Contradicted::Change);
        }
        Ok(())
    }

    fn rate(&self, change: i64, base: i64, contradicted: &mut Vec<Contradicted>) -> Option<f64> {
        let right = rate_of(change, base);
        match (self.rate, right) {
            (Some(told), Some(right)) if (told - right).abs() <= RATE_SLACK => Some(told),
            (told, right) => {
                if told.is_some() {
                    contradicted.push(Contradicted::Rate);
                }
                right
            }
        }
    }

    /// Returns the limit that the price is at.
    ///
    /// Reported limits decide. Without them the sign decides, checked against the usual range of
    /// the base price.
    fn limit(
        &self,
        limits: Option<(i64, i64)>,
        base: Option<i64>,
        range: PriceRange,
        contradicted: &mut Vec<Contradicted>,
    ) -> Option<PriceLimit> {
        let said = match self.sign {
            "1" => Some(PriceLimit::Upper),
            "4" => Some(PriceLimit::Lower),
            _ => None,
        };
        let limit = match (limits, base) {
            _ if range == PriceRange::Unlimited => None,
            (Some((_, upper)), _) if self.price == upper => Some(PriceLimit::Upper),
            (Some((lower, _)), _) if self.price == lower => Some(PriceLimit::Lower),
            (Some(_), _) => None,
            (None, Some(base)) => {
                let (lower, upper) = price_limits(base);
                said.filter(|said| match said {
                    PriceLimit::Upper => self.price >= upper,
                    PriceLimit::Lower => self.price <= lower,
                })
            }
            (None, None) => None,
        };
        if said.is_some() && limit != said && !contradicted.contains(&Contradicted::Sign) {
            contradicted.push(Contradicted::Sign);
        }
        limit
    }
}

/// Returns a change in percent of the base price, with two decimals.
fn rate_of(change: i64, base: i64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "won prices are far below 2^52")]
    percentage(change as f64 / base as f64 * 100.0)
}
