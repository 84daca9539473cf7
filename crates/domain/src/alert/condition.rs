//! What is to happen for an alert.

use serde::{Deserialize, Serialize};

use super::AlertKind;
use super::rule::{RuleError, refuse};
use crate::Quote;

/// Seconds over which jumps and volumes are measured. Few, for each is kept of every code.
pub const WINDOWS: [u64; 8] = [60, 120, 180, 300, 600, 900, 1_800, 3_600];

/// A day, seconds.
pub(super) const DAY: u64 = 86_400;

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Condition {
    /// The price rises above so many won.
    PriceAbove(i64),
    /// The price falls below so many won.
    PriceBelow(i64),
    /// The price is so many percent or more from the base price, up or down.
    ChangeBeyond(f64),
    /// The price moves so many percent or more, up or down.
    Jump {
        /// How far, percent.
        percent: f64,
        /// From any price within so many seconds; one of [`WINDOWS`].
        within_s: u64,
    },
    /// The price is higher than before on that day.
    NewHigh,
    /// The price is lower than before on that day.
    NewLow,
    /// So many times as much is traded as before.
    ///
    /// The broker tells the volume of the day alone, so the base is of the day too: what was
    /// traded from the first price that was seen until the window began, for the same length of
    /// time. It is there after four windows. The opening auction, which comes before the first
    /// price, is no part of it.
    VolumeTimes {
        /// How many times.
        times: f64,
        /// Over the last so many seconds; one of [`WINDOWS`].
        within_s: u64,
    },
    /// Less of the list has a live price, in an open session.
    CoverageBelow {
        /// Less than this, percent.
        percent: f64,
        /// For so many seconds.
        for_s: u64,
    },
    /// Nobody leads.
    LeaderLost {
        /// For so many seconds.
        for_s: u64,
    },
}

impl Condition {
    /// The kind of its alerts.
    #[must_use]
    pub fn kind(&self) -> AlertKind {
        match self {
            Self::PriceAbove(_) => AlertKind::PriceAbove,
            Self::PriceBelow(_) => AlertKind::PriceBelow,
            Self::ChangeBeyond(_) => AlertKind::ChangeBeyond,
            Self::Jump { .. } => AlertKind::Jump,
            Self::NewHigh => AlertKind::NewHigh,
            Self::NewLow => AlertKind::NewLow,
            Self::VolumeTimes { .. } => AlertKind::VolumeTimes,
            Self::CoverageBelow { .. } => AlertKind::CoverageBelow,
            Self::LeaderLost { .. } => AlertKind::LeaderLost,
        }
    }

    /// Whether it is about each stock by itself.
    #[must_use]
    pub fn is_of_stocks(&self) -> bool {
        !matches!(self, Self::CoverageBelow { .. } | Self::LeaderLost { .. })
    }

    /// Whether the limit is passed by this price; `None` where one price alone does not tell.
    #[must_use]
    pub fn holds_for(&self, quote: &Quote) -> Option<bool> {
        match *self {
            Self::PriceAbove(won) => Some(quote.price > won),
            Self::PriceBelow(won) => Some(quote.price < won),
            Self::ChangeBeyond(percent) => {
                Some(quote.change_rate.is_some_and(|rate| rate.abs() >= percent))
            }
            _ => None,
        }
    }

    /// Whether each price tells by itself whether it holds, so that it may hold already when a rule
    /// is made. What is of a moment, such as a new high, is told when it happens.
    #[must_use]
    pub fn lasts(&self) -> bool {
        matches!(
            self,
            Self::PriceAbove(_) | Self::PriceBelow(_) | Self::ChangeBeyond(_)
        )
    }

    /// Over how many seconds it measures each stock, where it does.
    #[must_use]
    pub fn window_s(&self) -> Option<u64> {
        match self {
            Self::Jump { within_s, .. } | Self::VolumeTimes { within_s, .. } => Some(*within_s),
            _ => None,
        }
    }

    /// Whether every day begins anew.
    pub(super) fn is_of_a_day(&self) -> bool {
        !matches!(
            self,
            Self::PriceAbove(_) | Self::PriceBelow(_) | Self::LeaderLost { .. }
        )
    }

    pub(super) fn usual_way_back(&self) -> f64 {
        match self {
            Self::PriceAbove(_) | Self::PriceBelow(_) | Self::NewHigh | Self::NewLow => 0.5,
            Self::ChangeBeyond(percent) => percent.min(1.0) / 2.0,
            Self::Jump { percent, .. } => percent / 2.0,
            Self::VolumeTimes { .. } => 20.0,
            Self::CoverageBelow { percent, .. } => ((100.0 - percent) / 2.0).min(2.0),
            Self::LeaderLost { .. } => 0.0,
        }
    }

    pub(super) fn widest_way_back(&self) -> Option<f64> {
        match self {
            Self::PriceAbove(_) | Self::PriceBelow(_) | Self::NewHigh | Self::NewLow => Some(50.0),
            Self::ChangeBeyond(percent) | Self::Jump { percent, .. } => Some(*percent),
            Self::VolumeTimes { .. } => Some(90.0),
            Self::CoverageBelow { percent, .. } => Some(100.0 - percent),
            Self::LeaderLost { .. } => None,
        }
    }

    pub(super) fn check(&self) -> Result<(), RuleError> {
        /// No price of a stock was ever near it.
        const MOST_WON: i64 = 1_000_000_000;
        /// First days reach +300 %, and the last ones of a stock know no limit.
        const MOST_PERCENT: f64 = 10_000.0;
        let kind = self.kind().slug();
        let number = |number: f64, least: f64, most: f64, what: &str| {
            if (least..=most).contains(&number) {
                return Ok(());
            }
            refuse(format!(
                "{kind} takes {what} from {least} to {most}, not {number}"
            ))
        };
        let lasting = |seconds: u64, least: u64| {
            if (least..=DAY / 4).contains(&seconds) {
                return Ok(());
            }
            refuse(format!(
                "{kind} takes a time from {least}s to {}h, not {seconds} s",
                DAY / 4 / 3_600
            ))
        };
        if let Some(window) = self.window_s()
            && !WINDOWS.contains(&window)
        {
            return refuse(format!(
                "{kind} measures within 1m, 2m, 3m, 5m, 10m, 15m, 30m or 1h, not within {window} s"
            ));
        }
        match *self {
            Self::PriceAbove(won) | Self::PriceBelow(won) => {
                // No price is below 1 won.
                let least = if kind == AlertKind::PriceBelow.slug() {
                    2
                } else {
                    1
                };
                if (least..=MOST_WON).contains(&won) {
                    return Ok(());
                }
                refuse(format!(
                    "{kind} takes whole won from {least} to {MOST_WON}, not {won}"
                ))
            }
            Self::ChangeBeyond(percent) | Self::Jump { percent, .. } => {
                number(percent, 0.1, MOST_PERCENT, "percent")
            }
            Self::VolumeTimes { times, .. } => number(times, 1.1, 1_000.0, "times"),
            Self::CoverageBelow { percent, for_s } => {
                number(percent, 1.0, 100.0, "percent")?;
                lasting(for_s, 0)
            }
            Self::LeaderLost { for_s } => lasting(for_s, 5),
            Self::NewHigh | Self::NewLow => Ok(()),
        }
    }
}
