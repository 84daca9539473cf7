//! Conditions that raise an alert.

use serde::{Deserialize, Serialize};

use super::AlertKind;
use super::rule::{RuleError, refuse};
use crate::Quote;

/// Windows over which jumps and volumes are measured, in seconds.
///
/// The choice is small because a series is kept for every code and every window in use.
pub const WINDOWS: [u64; 8] = [60, 120, 180, 300, 600, 900, 1_800, 3_600];

/// One day in seconds.
pub(super) const DAY: u64 = 86_400;

/// A condition that raises an alert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Condition {
    /// The price rises above this many won.
    PriceAbove(i64),
    /// The price falls below this many won.
    PriceBelow(i64),
    /// The price is at least this many percent above or below the base price.
    ChangeBeyond(f64),
    /// The price moves by at least this many percent, up or down.
    Jump {
        /// Size of the move, percent.
        percent: f64,
        /// Seconds within which it must happen, counted from any price; one of [`WINDOWS`].
        within_s: u64,
    },
    /// The price is higher than before on that day.
    NewHigh,
    /// The price is lower than before on that day.
    NewLow,
    /// The stock trades this many times as much as before.
    ///
    /// The broker reports only the volume of the day, so the comparison is within the day: the
    /// volume between the first price seen and the start of the window, scaled to the length of the
    /// window. It exists after four windows. The opening auction is not part of it because it ends
    /// before the first price.
    VolumeTimes {
        /// Factor to the usual volume.
        times: f64,
        /// Length of the window, seconds; one of [`WINDOWS`].
        within_s: u64,
    },
    /// Too few codes of the list have a live price in an open session.
    CoverageBelow {
        /// Threshold, percent.
        percent: f64,
        /// Seconds for which it must last.
        for_s: u64,
    },
    /// No process leads.
    LeaderLost {
        /// Seconds for which it must last.
        for_s: u64,
    },
}

impl Condition {
    /// Returns the kind of the alerts it raises.
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

    /// Returns whether it applies to each stock separately.
    #[must_use]
    pub fn is_of_stocks(&self) -> bool {
        !matches!(self, Self::CoverageBelow { .. } | Self::LeaderLost { .. })
    }

    /// Returns whether this price passes the limit; `None` if one price alone cannot tell.
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

    /// Returns whether a single price decides it, so that it may already hold when a rule is made.
    ///
    /// Momentary conditions, such as a new high, are reported when they happen.
    #[must_use]
    pub fn lasts(&self) -> bool {
        matches!(
            self,
            Self::PriceAbove(_) | Self::PriceBelow(_) | Self::ChangeBeyond(_)
        )
    }

    /// Returns the window in seconds over which it measures each stock, if it has one.
    #[must_use]
    pub fn window_s(&self) -> Option<u64> {
        match self {
            Self::Jump { within_s, .. } | Self::VolumeTimes { within_s, .. } => Some(*within_s),
            _ => None,
        }
    }

    /// Returns whether it starts afresh every day.
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
        /// No stock was ever priced near this.
        const MOST_WON: i64 = 1_000_000_000;
        /// First trading days reach +300 %, and the last days of a delisted stock have no limit.
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
                // The lowest possible price is 1 won.
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
