//! Alerts: what a rule asks for, and when it is told.

mod condition;
mod mark;
mod post;
mod rule;
mod sentry;
mod series;
mod track;
mod words;

use serde::{Deserialize, Serialize, Serializer};

use super::quote::zoned_millis;
use super::{KrxTime, Symbol};

pub use condition::{Condition, WINDOWS};
pub use mark::Mark;
pub use rule::{Quiet, Rule, RuleError, Scope, Terms, check_name};
pub use sentry::{Reach, Sentry, Surroundings};

/// Something that a rule asked to be told of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The same wherever and however often it is delivered.
    pub id: String,
    /// Name of the rule.
    pub rule: String,
    /// What happened.
    pub kind: AlertKind,
    /// The stock that it happened to; absent where it is about the market.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Symbol>,
    /// Its name, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happened, in English.
    pub text: String,
    /// When: the time of the price, or of the look around.
    #[serde(with = "zoned_millis")]
    pub at: KrxTime,
    /// What was measured: won of a price, high or low; percent of a change, jump or coverage; times
    /// of a volume; seconds without a leader.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "plain"
    )]
    pub value: Option<f64>,
    /// The watch list of the rule, where it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Whether a simulated broker gave the price, so that nothing happened in the market. Written only
    /// where it is true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// The price rose above a level.
    PriceAbove,
    /// The price fell below a level.
    PriceBelow,
    /// The price is far from the base price.
    ChangeBeyond,
    /// The price moved far within a short time.
    Jump,
    /// The price is higher than before on that day.
    NewHigh,
    /// The price is lower than before on that day.
    NewLow,
    /// More is traded than before on that day.
    VolumeTimes,
    /// Too few codes have a live price.
    CoverageBelow,
    /// Nobody leads.
    LeaderLost,
    /// A person tries whether alerts arrive.
    Test,
}

impl AlertKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::PriceAbove,
        Self::PriceBelow,
        Self::ChangeBeyond,
        Self::Jump,
        Self::NewHigh,
        Self::NewLow,
        Self::VolumeTimes,
        Self::CoverageBelow,
        Self::LeaderLost,
        Self::Test,
    ];

    /// One word, as in JSON and for metrics.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::PriceAbove => "price_above",
            Self::PriceBelow => "price_below",
            Self::ChangeBeyond => "change_beyond",
            Self::Jump => "jump",
            Self::NewHigh => "new_high",
            Self::NewLow => "new_low",
            Self::VolumeTimes => "volume_times",
            Self::CoverageBelow => "coverage_below",
            Self::LeaderLost => "leader_lost",
            Self::Test => "test",
        }
    }
}

impl Alert {
    /// An alert of `rule` that only tries whether alerts arrive.
    #[must_use]
    pub fn test(rule: &Rule, at: KrxTime) -> Self {
        Self {
            id: id(&rule.name, None, AlertKind::Test, at),
            rule: rule.name.clone(),
            kind: AlertKind::Test,
            code: None,
            name: None,
            text: format!("this is a test of the rule {}; nothing happened", rule.name),
            at,
            value: None,
            list: rule.terms.of.list().map(str::to_owned),
            simulated: false,
        }
    }
}

/// A name of an alert that follows from what it is about, so that two processes that see the same
/// call it the same.
fn id(rule: &str, code: Option<Symbol>, kind: AlertKind, at: KrxTime) -> String {
    let code = code.as_ref().map_or("", Symbol::as_str);
    let milliseconds = at.timestamp_millis();
    let about = format!("{rule}\n{code}\n{}\n{milliseconds}", kind.slug());
    // FNV-1a, whose values do not change with the compiler as those of the standard library may.
    let digest = about.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{milliseconds:x}-{digest:016x}")
}

/// A whole number without a fraction: 70000, not 70000.0.
fn plain<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    /// Whole numbers up to here are exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number below 2^53 is one of i64"
        )]
        Some(value) if value.fract() == 0.0 && value.abs() < EXACT => {
            serializer.serialize_i64(*value as i64)
        }
        Some(value) => serializer.serialize_f64(*value),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
