//! What a rule asks for.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

use super::Condition;
use super::condition::DAY;
use crate::quote::zoned_millis;
use crate::{KrxTime, Symbol};

/// Letters of a name.
const LONGEST_NAME: usize = 64;

/// Codes of a rule.
const MOST_CODES: usize = 500;

/// Least time between two alerts of one code, seconds, where nobody says another.
const EVERY: u64 = 600;

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
    /// What holds already when the rule is made is not told; only when the limit is crossed the next
    /// time. Otherwise it is told at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub next_crossing: bool,
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
            next_crossing: false,
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
        if self.next_crossing && !self.when.lasts() {
            return refuse(format!(
                "{} is of a moment, and never told of before it: next_crossing is for price_above, \
                 price_below and change_beyond",
                self.when.kind().slug()
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

pub(super) fn refuse<T>(trouble: String) -> Result<T, RuleError> {
    Err(RuleError(trouble))
}
