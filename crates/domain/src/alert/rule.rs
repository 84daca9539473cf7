//! Alert rules and their terms.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

use super::Condition;
use super::condition::DAY;
use crate::quote::zoned_millis;
use crate::{KrxTime, NameError, Symbol, check_name};

/// Most codes in a rule.
const MOST_CODES: usize = 500;

/// Default minimum time between two alerts for one code, seconds.
const EVERY: u64 = 600;

/// Smallest allowed hysteresis.
const LEAST_WAY_BACK: f64 = 0.01;

/// A rule that is not valid, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(String);

impl From<NameError> for RuleError {
    fn from(error: NameError) -> Self {
        Self(error.to_string())
    }
}

/// A named alert rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// When it was last changed. Earlier alerts belong to the previous version of the rule.
    #[serde(with = "zoned_millis")]
    pub since: KrxTime,
    /// What it watches, and how alerts are sent.
    #[serde(flatten)]
    pub terms: Terms,
}

/// What a rule watches, and how its alerts are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The stocks it covers. A rule about the market as a whole must use the market.
    #[serde(default)]
    pub of: Scope,
    /// The condition that raises an alert.
    pub when: Condition,
    /// How far the value must go back before another alert may follow; a default applies if absent.
    ///
    /// Percent of a price, high, low or volume; percentage points for values measured in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hysteresis: Option<f64>,
    /// Hours in which no alert is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Quiet>,
    /// Minimum time between two alerts for one code, seconds.
    #[serde(default = "usually_every")]
    pub every_s: u64,
    /// Whether to skip a condition that already holds when the rule is made.
    ///
    /// If set, the first alert follows the next crossing of the limit. Otherwise it is sent at
    /// once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub next_crossing: bool,
}

/// The stocks that a rule covers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The current codes of a watch list.
    List(String),
    /// A fixed set of codes.
    Codes(Vec<Symbol>),
    /// All stocks.
    #[default]
    Market,
}

/// Daily quiet hours in Seoul time. They may span midnight.
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
    /// Creates terms for the whole market with default values.
    #[must_use]
    pub fn new(when: Condition) -> Self {
        Self {
            of: Scope::Market,
            when,
            hysteresis: None,
            quiet: None,
            every_s: EVERY,
            next_crossing: false,
        }
    }

    /// Checks that a rule may have these terms.
    ///
    /// # Errors
    ///
    /// Returns an error for the first value that is not allowed. It names the allowed values.
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
                    "a rule takes 1 to {MOST_CODES} codes, not {}; for more, use a watch list",
                    codes.len()
                ));
            }
            Scope::Codes(_) | Scope::Market => {}
        }
        if self.every_s > DAY {
            return refuse(format!(
                "the minimum time between two alerts is a day at most, not {} s",
                self.every_s
            ));
        }
        if self.next_crossing && !self.when.lasts() {
            return refuse(format!(
                "{} is momentary and cannot hold beforehand: next_crossing is for price_above, \
                 price_below and change_beyond",
                self.when.kind().slug()
            ));
        }
        match (self.hysteresis, self.when.widest_way_back()) {
            (None, _) => Ok(()),
            (Some(_), None) => {
                refuse("leader_lost takes no hysteresis: it holds or it does not".to_owned())
            }
            (Some(way), Some(widest)) if (LEAST_WAY_BACK..=widest).contains(&way) => Ok(()),
            (Some(way), Some(widest)) => refuse(format!(
                "hysteresis {way} is not allowed for {} here: use {LEAST_WAY_BACK} to {widest}",
                self.when.kind().slug()
            )),
        }
    }

    /// Returns how far the value must go back, in the unit of [`Terms::hysteresis`].
    pub(super) fn way_back(&self) -> f64 {
        self.hysteresis
            .unwrap_or_else(|| self.when.usual_way_back())
    }
}

impl Scope {
    /// Returns the watch list, if it is one.
    #[must_use]
    pub fn list(&self) -> Option<&str> {
        match self {
            Self::List(list) => Some(list),
            Self::Codes(_) | Self::Market => None,
        }
    }
}

impl Quiet {
    /// Returns whether this time of day is within the quiet hours.
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
                "'{}' are not valid quiet hours: use two different times, such as 15:40-08:50",
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

pub(super) fn refuse<T>(trouble: String) -> Result<T, RuleError> {
    Err(RuleError(trouble))
}
