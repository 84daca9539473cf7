//! Plausibility of a stock's figures: they must contradict neither each other nor the rules of the
//! exchange.

use std::fmt;

use super::{Group, price_limits, tick_size};

/// Upper bound for a price, won: no share ever cost that much.
const MOST_WON: i64 = 1_000_000_000;

/// Bounds for the shares and won traded in a day, if the listed shares are unknown.
///
/// They are a hundred times above the records.
const MOST_SHARES: i64 = 100_000_000_000;
const MOST_VALUE: i64 = 1_000_000_000_000_000;

/// Bound for the volume of a day, as a multiple of the listed shares.
///
/// The highest in four years was 33 times.
const MOST_TURNOVER: i64 = 200;

/// Factor by which the average price of a day may lie outside its high and low.
///
/// Block trades and trades outside the session count too, and may be as far away as the limits
/// allow.
const AVERAGE_SLACK: i64 = 2;
/// The same in liquidation: there are no limits, and a price may fall to a tenth at the open.
const AVERAGE_SLACK_UNLIMITED: i64 = 20;

/// Distance above a step of the grid within which the finer grid below may apply, percent.
///
/// A trade may be midway between a bid below the step and an ask above it.
const STEP_REACH: i64 = 5;

/// How far a price may move on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PriceRange {
    /// 30 percent up or down.
    Usual,
    /// From 60 to 400 percent of the offering price.
    FirstDay,
    /// No limits: in liquidation.
    Unlimited,
    /// Not known.
    #[default]
    Unknown,
}

/// The figures of a stock, in won and shares. Unknown figures are absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Last price.
    pub price: i64,
    /// Base price.
    pub base: Option<i64>,
    /// First price of the day.
    pub open: Option<i64>,
    /// Highest price of the day.
    pub high: Option<i64>,
    /// Lowest price of the day.
    pub low: Option<i64>,
    /// Shares traded today.
    pub volume: Option<i64>,
    /// Won traded today.
    pub value: Option<i64>,
}

/// What the figures are checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Lowest and highest price of the day, as reported by the broker.
    pub limits: Option<(i64, i64)>,
    /// How far a price may move if the broker reports no limits, or impossible ones.
    pub range: PriceRange,
    /// Security group; funds and notes have a different price grid.
    pub group: Option<Group>,
    /// Listed shares.
    pub shares: Option<u64>,
    /// Whether high and low may be those of the regular session, while the price is a later one.
    pub is_evening: bool,
}

/// Why figures are implausible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Implausible {
    /// No price is this high.
    #[error("{which} {number} is not a valid price")]
    TooHigh {
        /// The price in question.
        which: Figure,
        /// Its value.
        number: i64,
    },
    /// The highest price of the day is below the lowest.
    #[error("high {high} is below low {low}")]
    HighBelowLow {
        /// Highest price.
        high: i64,
        /// Lowest price.
        low: i64,
    },
    /// A price is above the high of the day or below its low.
    #[error("{which} {number} is not between low {low} and high {high}")]
    OutsideDay {
        /// The price in question.
        which: Figure,
        /// Its value.
        number: i64,
        /// Lowest price.
        low: i64,
        /// Highest price.
        high: i64,
    },
    /// A price is outside the limits of the day.
    #[error("{which} {number} is outside the limits {lower} to {upper}")]
    OutsideLimits {
        /// The price in question.
        which: Figure,
        /// Its value.
        number: i64,
        /// Lower limit.
        lower: i64,
        /// Upper limit.
        upper: i64,
    },
    /// No order can have this price.
    #[error("{which} {number} is off the grid of {tick} won")]
    OffGrid {
        /// The price in question.
        which: Figure,
        /// Its value.
        number: i64,
        /// Tick size at this price.
        tick: i64,
    },
    /// More shares than can be traded.
    #[error("volume {volume} is more than can be traded")]
    Volume {
        /// Shares.
        volume: i64,
    },
    /// More won than can be traded.
    #[error("value {value} is more than can be traded")]
    Value {
        /// Won.
        value: i64,
    },
    /// Volume and value do not fit each other, or the prices of the day.
    #[error("value {value} does not fit {volume} shares")]
    Average {
        /// Won.
        value: i64,
        /// Shares.
        volume: i64,
    },
    /// No possible base price explains this change.
    #[error("change {change} does not fit price {price}")]
    Change {
        /// Won.
        change: i64,
        /// Price.
        price: i64,
    },
    /// The base price differs from the one reported earlier on the same day.
    #[error("base price {base} was {before} before")]
    Base {
        /// The base price now.
        base: i64,
        /// The base price before.
        before: i64,
    },
    /// The highest price of the day fell, or the lowest rose.
    #[error("{which} {number} was {before} before")]
    Receded {
        /// High or low.
        which: Figure,
        /// Its value now.
        number: i64,
        /// Its value before.
        before: i64,
    },
}

/// A price among the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Last price.
    Price,
    /// Base price.
    Base,
    /// First price of the day.
    Open,
    /// Highest price of the day.
    High,
    /// Lowest price of the day.
    Low,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Price => "price",
            Self::Base => "base price",
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
        })
    }
}

impl Implausible {
    /// Returns the label for metrics, in one word.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        match self {
            Self::TooHigh { .. } => "too_high",
            Self::HighBelowLow { .. } => "high_below_low",
            Self::OutsideDay { .. } => "outside_day",
            Self::OutsideLimits { .. } => "outside_limits",
            Self::OffGrid { .. } => "off_grid",
            Self::Volume { .. } => "volume",
            Self::Value { .. } => "value",
            Self::Average { .. } => "average",
            Self::Change { .. } => "change",
            Self::Base { .. } => "base",
            Self::Receded { .. } => "receded",
        }
    }
}

impl Rules {
    /// Returns whether reported limits are wider than possible on a day with this base price.
    #[must_use]
    pub fn are_too_wide(&self, (lower, upper): (i64, i64), base: i64) -> bool {
        let widest = match self.range {
            // After a long halt the first price is between half and twice the assessed one.
            PriceRange::Usual => Some((base / 2, base * 2)),
            _ => self.widest(base),
        };
        // One tick more or less may be due to rounding.
        widest.is_some_and(|(least, most)| {
            lower < least - tick_size(least) || upper > most + tick_size(most)
        })
    }

    /// Returns the lowest and highest possible price of a day with this base price.
    ///
    /// `None` if there are no limits or they are not known.
    fn widest(&self, base: i64) -> Option<(i64, i64)> {
        match self.range {
            PriceRange::Unlimited => None,
            PriceRange::Usual => Some(price_limits(base)),
            // A share in liquidation is marked as such; otherwise a first day goes farthest.
            PriceRange::Unknown if !self.is_share() => None,
            PriceRange::FirstDay | PriceRange::Unknown => Some((base * 6 / 10, base * 4)),
        }
    }

    /// Returns whether it is known to be neither a fund nor a note.
    fn is_share(&self) -> bool {
        let is_share = |group| !matches!(group, Group::Etf | Group::ForeignEtf | Group::Etn);
        self.group.is_some_and(is_share)
    }
}

impl Figures {
    /// Checks that the figures are plausible.
    ///
    /// # Errors
    ///
    /// Returns the first contradiction.
    pub fn check(&self, rules: &Rules) -> Result<(), Implausible> {
        self.check_sizes()?;
        self.check_shares(rules)?;
        self.check_day(rules)?;
        self.check_limits(rules)?;
        self.check_grid(rules)?;
        self.check_average(rules)
    }

    /// Returns the known prices, with those of trades first.
    fn prices(&self) -> impl Iterator<Item = (Figure, i64)> {
        [
            (Figure::Price, Some(self.price)),
            (Figure::Open, self.open),
            (Figure::High, self.high),
            (Figure::Low, self.low),
            (Figure::Base, self.base),
        ]
        .into_iter()
        .filter_map(|(which, number)| Some((which, number?)))
    }

    /// Checks that the numbers are small enough to compute with.
    ///
    /// # Errors
    ///
    /// Returns [`Implausible::TooHigh`], [`Implausible::Volume`] or [`Implausible::Value`] for the
    /// first number that is too large.
    pub fn check_sizes(&self) -> Result<(), Implausible> {
        if let Some((which, number)) = self.prices().find(|(_, number)| *number > MOST_WON) {
            return Err(Implausible::TooHigh { which, number });
        }
        if let Some(volume) = self.volume.filter(|volume| *volume > MOST_SHARES) {
            return Err(Implausible::Volume { volume });
        }
        match self.value.filter(|value| *value > MOST_VALUE) {
            Some(value) => Err(Implausible::Value { value }),
            None => Ok(()),
        }
    }

    fn check_shares(&self, rules: &Rules) -> Result<(), Implausible> {
        let shares = rules.shares.and_then(|shares| i64::try_from(shares).ok());
        let most = shares.map_or(MOST_SHARES, |shares| shares.saturating_mul(MOST_TURNOVER));
        match self.volume.filter(|volume| *volume > most) {
            Some(volume) => Err(Implausible::Volume { volume }),
            None => Ok(()),
        }
    }

    fn check_day(&self, rules: &Rules) -> Result<(), Implausible> {
        if let (Some(high), Some(low)) = (self.high, self.low)
            && high < low
        {
            return Err(Implausible::HighBelowLow { high, low });
        }
        let (low, high) = (self.low.unwrap_or(0), self.high.unwrap_or(MOST_WON));
        let price = Some(self.price).filter(|_| !rules.is_evening);
        for (which, number) in [(Figure::Price, price), (Figure::Open, self.open)] {
            if let Some(number) = number.filter(|number| !(low..=high).contains(number)) {
                return Err(Implausible::OutsideDay {
                    which,
                    number,
                    low,
                    high,
                });
            }
        }
        Ok(())
    }

    fn check_limits(&self, rules: &Rules) -> Result<(), Implausible> {
        let Some((lower, upper)) = self.limits(rules) else {
            return Ok(());
        };
        let outside = |(_, number): &(Figure, i64)| !(lower..=upper).contains(number);
        match self.prices().find(outside) {
            Some((which, number)) => Err(Implausible::OutsideLimits {
                which,
                number,
                lower,
                upper,
            }),
            None => Ok(()),
        }
    }

    /// Returns the lowest and highest price of the day; `None` if there are none or they are
    /// unknown.
    fn limits(&self, rules: &Rules) -> Option<(i64, i64)> {
        if rules.range == PriceRange::Unlimited {
            return None;
        }
        let is_too_wide = |limits| {
            let base = self.base;
            base.is_some_and(|base| rules.are_too_wide(limits, base))
        };
        match rules.limits {
            Some(limits) if !is_too_wide(limits) => Some(limits),
            // The list may not yet mark an unusual day. In liquidation a share may fall without
            // limit, and none rises farther than on a first day.
            Some(_) if rules.range == PriceRange::Usual => Some((1, self.base? * 4)),
            _ => rules.widest(self.base?),
        }
    }

    fn check_grid(&self, rules: &Rules) -> Result<(), Implausible> {
        if !rules.is_share() {
            return Ok(());
        }
        // The base price need not be one that was traded at.
        let mut traded = self.prices().filter(|(which, _)| *which != Figure::Base);
        match traded.find(|(_, number)| !is_on_grid(*number)) {
            Some((which, number)) => Err(Implausible::OffGrid {
                which,
                number,
                tick: tick_size(number),
            }),
            None => Ok(()),
        }
    }

    fn check_average(&self, rules: &Rules) -> Result<(), Implausible> {
        let (Some(volume), Some(value)) = (self.volume, self.value) else {
            return Ok(());
        };
        let slack = match rules.range {
            PriceRange::Unlimited => AVERAGE_SLACK_UNLIMITED,
            _ => AVERAGE_SLACK,
        };
        let low = self.low.unwrap_or(self.price).min(self.price);
        let high = self.high.unwrap_or(self.price).max(self.price);
        let [value_wide, volume_wide] = [value, volume].map(i128::from);
        let [least, most] = [low, high].map(|price| i128::from(price) * volume_wide);
        let slack = i128::from(slack);
        if value_wide * slack < least || value_wide > most * slack {
            return Err(Implausible::Average { value, volume });
        }
        Ok(())
    }
}

/// Returns whether a trade can be at `price`.
///
/// It is on the grid, or midway between two of its prices, cut or rounded to whole won.
fn is_on_grid(price: i64) -> bool {
    let fits = |tick: i64| {
        let doubled = price * 2;
        // Half of five won is not a whole number.
        [doubled, doubled + 1, doubled - 1]
            .into_iter()
            .any(|doubled| doubled % tick == 0)
    };
    let below = tick_size(price * 100 / (100 + STEP_REACH));
    fits(tick_size(price)) || fits(below)
}

#[cfg(test)]
mod tests;
