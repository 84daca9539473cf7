//! Alerts: rules, and the decision when they fire.

mod condition;
mod mark;
mod rule;
mod sentry;
mod series;
mod track;
mod watched_rule;
mod words;

use serde::{Deserialize, Serialize, Serializer};

use super::quote::zoned_millis;
use super::{KrxTime, Symbol};

pub use condition::{Condition, WINDOWS};
pub use mark::Mark;
pub use rule::{Quiet, Rule, RuleError, Scope, Terms};
pub use sentry::{Reach, Sentry, Surroundings};

/// An alert that a rule raised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Identifier, the same in every process and for every delivery.
    pub id: String,
    /// Name of the rule.
    pub rule: String,
    /// What happened.
    pub kind: AlertKind,
    /// The stock it is about; absent for alerts about the market.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Symbol>,
    /// Name of the stock, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happened, in English.
    pub text: String,
    /// When it happened: the time of the price, or of the check of the market.
    #[serde(with = "zoned_millis")]
    pub at: KrxTime,
    /// Measured value: won for a price, high or low; percent for a change, jump or coverage; a
    /// factor for a volume; seconds without a leader.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "plain"
    )]
    pub value: Option<f64>,
    /// The watch list of the rule, if it applies to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Whether the price came from a simulated broker, so that nothing happened in the market.
    ///
    /// Written only if true.
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
    /// No process leads.
    LeaderLost,
    /// A test of the delivery, sent on request.
    Test,
}

impl AlertKind {
    /// All kinds.
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

    /// Returns the name used in JSON and metrics, in one word.
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
    /// Creates a test alert of `rule`, which only checks that alerts are delivered.
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

/// Returns an identifier derived from what the alert is about.
///
/// Two processes that see the same event give it the same identifier.
fn id(rule: &str, code: Option<Symbol>, kind: AlertKind, at: KrxTime) -> String {
    let code = code.as_ref().map_or("", Symbol::as_str);
    let milliseconds = at.timestamp_millis();
    let about = format!("{rule}\n{code}\n{}\n{milliseconds}", kind.slug());
    // FNV-1a: unlike the hashes of the standard library, its values never change.
    let digest = about.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{milliseconds:x}-{digest:016x}")
}

/// Serializes a whole number without a fraction: 70000, not 70000.0.
fn plain<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    /// Whole numbers below this are exact.
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
