//! What a rule asks for.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

use super::AlertKind;
use crate::domain::quote::zoned_millis;
use crate::domain::{KrxTime, Quote, Symbol};

/// Letters of a name.
const LONGEST_NAME: usize = 64;

/// Codes of a rule.
const MOST_CODES: usize = 500;

/// Seconds over which jumps and volumes are measured. Few, for each is kept of every code.
pub const WINDOWS: [u64; 8] = [60, 120, 180, 300, 600, 900, 1_800, 3_600];

/// Least time between two alerts of one code, seconds, where nobody says another.
const EVERY: u64 = 600;

/// A day, seconds.
const DAY: u64 = 86_400;

/// The smallest way back after which an alert may follow again.
const LEAST_WAY_BACK: f64 = 0.01;

/// Why a rule is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(String);

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Since when it is as it is. What was told before is of another rule.
    #[serde(with = "zoned_millis")]
    pub since: KrxTime,
    /// What it asks for.
    #[serde(flatten)]
    pub terms: Terms,
}

/// What a rule asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Of which stocks. A rule about the market as a whole is of the market.
    #[serde(default)]
    pub of: Scope,
    /// What is to happen.
    pub when: Condition,
    /// How far the value must go back before an alert may follow again: percent of a price, high,
    /// low or volume, percentage points of what is measured in percent. Absent for a usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hysteresis: Option<f64>,
    /// Hours in which nothing is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Quiet>,
    /// Least time between two alerts of one code, seconds.
    #[serde(default = "usually_every")]
    pub every_s: u64,
}

/// Of which stocks a rule is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those on a watch list, whatever is on it at present.
    List(String),
    /// These.
    Codes(Vec<Symbol>),
    /// All.
    #[default]
    Market,
}

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// The price rises above so many won.
    PriceAbove(i64),
    /// The price falls below so many won.
    PriceBelow(i64),
    /// The price is so many percent or more from the previous close, up or down.
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

/// Hours of every day, Seoul, which may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quiet {
    from: NaiveTime,
    until: NaiveTime,
}

fn usually_every() -> u64 {
    EVERY
}

impl Terms {
    /// The terms of a rule of the market, with what is usual.
    #[must_use]
    pub fn new(when: Condition) -> Self {
        Self {
            of: Scope::Market,
            when,
            hysteresis: None,
            quiet: None,
            every_s: EVERY,
        }
    }

    /// Whether a rule can have these terms.
    ///
    /// # Errors
    ///
    /// The first that is not allowed, with what is.
    pub fn check(&self) -> Result<(), RuleError> {
        self.when.check()?;
        match &self.of {
            _ if !self.when.is_of_stocks() && self.of != Scope::Market => {
                return refuse(format!(
                    "{} is about the market as a whole: it takes no list and no codes",
                    self.when.kind().slug()
                ));
            }
            Scope::List(list) => check_name(list)?,
            Scope::Codes(codes) if !(1..=MOST_CODES).contains(&codes.len()) => {
                return refuse(format!(
                    "a rule is of 1 to {MOST_CODES} codes, not of {}; `sise watch` keeps lists",
                    codes.len()
                ));
            }
            Scope::Codes(_) | Scope::Market => {}
        }
        if self.every_s > DAY {
            return refuse(format!(
                "the least time between two alerts is a day at most, not {} s",
                self.every_s
            ));
        }
        match (self.hysteresis, self.when.widest_way_back()) {
            (None, _) => Ok(()),
            (Some(_), None) => {
                refuse("leader_lost takes no hysteresis: a leader is there or is not".to_owned())
            }
            (Some(way), Some(widest)) if (LEAST_WAY_BACK..=widest).contains(&way) => Ok(()),
            (Some(way), Some(widest)) => refuse(format!(
                "hysteresis {way} is not allowed for {} here: it is from {LEAST_WAY_BACK} to {widest}",
                self.when.kind().slug()
            )),
        }
    }

    /// How far the value must go back, as [`Terms::hysteresis`] counts.
    pub(super) fn way_back(&self) -> f64 {
        self.hysteresis
            .unwrap_or_else(|| self.when.usual_way_back())
    }
}

impl Scope {
    /// The watch list, where it is of one.
    #[must_use]
    pub fn list(&self) -> Option<&str> {
        match self {
            Self::List(list) => Some(list),
            Self::Codes(_) | Self::Market => None,
        }
    }
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
            Self::NewHigh => Some(quote.high.is_some_and(|high| quote.price >= high)),
            Self::NewLow => Some(quote.low.is_some_and(|low| quote.price <= low)),
            _ => None,
        }
    }

    /// Over how many seconds it measures each stock, where it does.
    #[must_use]
    pub fn window_s(&self) -> Option<u64> {
        match self {
            Self::Jump { within_s, .. } | Self::VolumeTimes { within_s, .. } => Some(*within_s),
            _ => None,
        }
    }

    /// Whether it happens at a moment, or lasts and can be told later.
    pub(super) fn is_of_a_moment(&self) -> bool {
        !matches!(
            self,
            Self::ChangeBeyond(_) | Self::CoverageBelow { .. } | Self::LeaderLost { .. }
        )
    }

    /// Whether every day begins anew.
    pub(super) fn is_of_a_day(&self) -> bool {
        !matches!(
            self,
            Self::PriceAbove(_) | Self::PriceBelow(_) | Self::LeaderLost { .. }
        )
    }

    fn usual_way_back(&self) -> f64 {
        match self {
            Self::PriceAbove(_) | Self::PriceBelow(_) | Self::NewHigh | Self::NewLow => 0.5,
            Self::ChangeBeyond(percent) => percent.min(1.0) / 2.0,
            Self::Jump { percent, .. } => percent / 2.0,
            Self::VolumeTimes { .. } => 20.0,
            Self::CoverageBelow { percent, .. } => (100.0 - percent).min(2.0),
            Self::LeaderLost { .. } => 0.0,
        }
    }

    fn widest_way_back(&self) -> Option<f64> {
        match self {
            Self::PriceAbove(_) | Self::PriceBelow(_) | Self::NewHigh | Self::NewLow => Some(50.0),
            Self::ChangeBeyond(percent) | Self::Jump { percent, .. } => Some(*percent),
            Self::VolumeTimes { .. } => Some(90.0),
            Self::CoverageBelow { percent, .. } => Some(100.0 - percent),
            Self::LeaderLost { .. } => None,
        }
    }

    fn check(&self) -> Result<(), RuleError> {
        /// No price of a stock was ever near it.
        const MOST_WON: i64 = 1_000_000_000;
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
                if (1..=MOST_WON).contains(&won) {
                    return Ok(());
                }
                refuse(format!(
                    "{kind} takes whole won from 1 to {MOST_WON}, not {won}"
                ))
            }
            Self::ChangeBeyond(percent) => number(percent, 0.1, 100.0, "percent"),
            Self::Jump { percent, .. } => number(percent, 0.1, 100.0, "percent"),
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

impl Quiet {
    /// Whether it is quiet at this time of day.
    #[must_use]
    pub fn holds(&self, time: NaiveTime) -> bool {
        if self.from < self.until {
            (self.from..self.until).contains(&time)
        } else {
            time >= self.from || time < self.until
        }
    }
}

impl FromStr for Quiet {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let time = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").ok();
        let ends = text.split_once('-');
        let ends = ends.and_then(|(from, until)| Some((time(from)?, time(until)?)));
        match ends {
            Some((from, until)) if from != until => Ok(Self { from, until }),
            _ => refuse(format!(
                "'{}' are no quiet hours: they are two different times of day, such as 15:40-08:50",
                text.chars().take(40).collect::<String>().escape_debug()
            )),
        }
    }
}

impl TryFrom<String> for Quiet {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, until] = [self.from, self.until].map(|time| time.format("%H:%M"));
        write!(f, "{from}-{until}")
    }
}

impl From<Quiet> for String {
    fn from(quiet: Quiet) -> Self {
        quiet.to_string()
    }
}

/// Whether a rule, or a list of a rule, can be called so.
///
/// # Errors
///
/// It cannot.
pub fn check_name(name: &str) -> Result<(), RuleError> {
    let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if (1..=LONGEST_NAME).contains(&name.chars().count()) && name.chars().all(is_letter) {
        return Ok(());
    }
    refuse(format!(
        "'{}' is no name: allowed are {LONGEST_NAME} letters, digits, '-', '_' and '.'",
        name.chars().take(100).collect::<String>().escape_debug()
    ))
}

fn refuse<T>(trouble: String) -> Result<T, RuleError> {
    Err(RuleError(trouble))
}
