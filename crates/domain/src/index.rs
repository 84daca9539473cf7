//! Stock indices that are kept beside the prices.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDateTime, SubsecRound};
use serde::{Deserialize, Serialize};

use super::quote::{naive_seconds, readable, zoned_millis};
use super::{KrxTime, Phase};

/// An index of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Index {
    /// All stocks on KOSPI.
    Kospi,
    /// All stocks on KOSDAQ.
    Kosdaq,
    /// Two hundred stocks that represent KOSPI.
    Kospi200,
}

/// The name of an index that is not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a supported index: use KOSPI, KOSDAQ or KOSPI200")]
pub struct IndexError {
    text: String,
}

impl Index {
    /// All indices, in display order.
    pub const ALL: [Self; 3] = [Self::Kospi, Self::Kosdaq, Self::Kospi200];

    /// Returns its name in keys and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kospi => "KOSPI",
            Self::Kosdaq => "KOSDAQ",
            Self::Kospi200 => "KOSPI200",
        }
    }

    /// Returns the broker's code for it (contract 4.6).
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Kospi => "0001",
            Self::Kosdaq => "1001",
            Self::Kospi200 => "2001",
        }
    }

    /// Returns its Korean name.
    #[must_use]
    pub fn korean_name(self) -> &'static str {
        match self {
            Self::Kospi => "코스피",
            Self::Kosdaq => "코스닥",
            Self::Kospi200 => "코스피200",
        }
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Index {
    type Err = IndexError;

    /// Parses the name; case does not matter.
    fn from_str(text: &str) -> Result<Self, IndexError> {
        let named = |index: &Self| index.as_str().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(named).ok_or_else(|| IndexError {
            // A name is short; a long text would only flood the message.
            text: text.chars().take(40).collect(),
        })
    }
}

/// The level of an index as stored.
///
/// Levels are points with two decimals. Unknown values are absent, never zero; `level` is always
/// above zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexQuote {
    /// The index.
    pub index: Index,
    /// Its Korean name.
    #[serde(default, deserialize_with = "readable")]
    pub name: Cow<'static, str>,
    /// Current level, points.
    pub level: f64,
    /// Change from the previous close, points, signed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub change: Option<f64>,
    /// Change from the previous close in percent, two decimals, signed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub change_rate: Option<f64>,
    /// Shares traded today. The broker reports thousands.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub volume: Option<i64>,
    /// Won traded today. The broker reports millions.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub value: Option<i64>,
    /// First level of the day, points.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub open: Option<f64>,
    /// Highest level of the day, points.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub high: Option<f64>,
    /// Lowest level of the day, points.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub low: Option<f64>,
    /// Previous close, points.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub prev_close: Option<f64>,
    /// When the broker was asked, Seoul time without zone: the call gives no other time.
    #[serde(with = "naive_seconds")]
    pub timestamp: NaiveDateTime,
    /// Phase of the trading day at that time.
    #[serde(default, deserialize_with = "readable")]
    pub session: Phase,
    /// Source of the level: `kis.multi`.
    #[serde(default, deserialize_with = "readable")]
    pub source: Cow<'static, str>,
    /// Whether a simulated broker made it up. Written only if true.
    #[serde(
        default,
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "readable"
    )]
    pub simulated: bool,
    /// When the broker was asked, with zone and milliseconds.
    #[serde(with = "zoned_millis")]
    pub fetched_at: KrxTime,
}

impl IndexQuote {
    /// Cuts the two times to stored precision, so that the value equals what is read back.
    #[must_use]
    pub fn as_stored(mut self) -> Self {
        self.timestamp = self.timestamp.trunc_subsecs(0);
        self.fetched_at = self.fetched_at.trunc_subsecs(3);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seoul;
    use chrono::TimeZone as _;

    #[test]
    fn an_index_is_named_alike_everywhere() {
        for index in Index::ALL {
            assert_eq!(index.as_str().parse(), Ok(index));
            assert_eq!(index.as_str().to_lowercase().parse(), Ok(index));
            let json = serde_json::to_string(&index).unwrap();
            assert_eq!(json, format!("\"{index}\""));
        }
        let error = "NIKKEI".parse::<Index>().unwrap_err().to_string();
        assert!(error.contains("NIKKEI"), "{error}");
    }

    #[test]
    fn what_is_not_known_is_absent_and_what_is_unreadable_spoils_nothing() {
        let at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 1).unwrap();
        let quote = IndexQuote {
            index: Index::Kospi,
            name: Index::Kospi.korean_name().into(),
            level: 2_724.62,
            change: Some(-28.38),
            change_rate: None,
            volume: Some(561_107_000),
            value: None,
            open: None,
            high: None,
            low: None,
            prev_close: None,
            timestamp: at.naive_local(),
            session: Phase::Regular,
            source: "kis.multi".into(),
            simulated: false,
            fetched_at: at,
        };
        let json = serde_json::to_string(&quote).unwrap();
        assert_eq!(
            json,
            r#"{"index":"KOSPI","name":"코스피","level":2724.62,"change":-28.38,"volume":561107000,"timestamp":"2026-11-20T10:00:01","session":"regular","source":"kis.multi","fetched_at":"2026-11-20T10:00:01.000+09:00"}"#
        );
        assert_eq!(serde_json::from_str::<IndexQuote>(&json).unwrap(), quote);
        let spoilt = json
            .replace("-28.38", "[]")
            .replace("561107000", "\"many\"");
        let read: IndexQuote = serde_json::from_str(&spoilt).unwrap();
        assert_eq!(
            (read.change, read.volume, read.level),
            (None, None, 2_724.62)
        );
        let simulated = IndexQuote {
            simulated: true,
            ..quote
        };
        let json = serde_json::to_string(&simulated).unwrap();
        assert!(
            json.contains(r#""source":"kis.multi","simulated":true,"#),
            "{json}"
        );
        assert_eq!(
            serde_json::from_str::<IndexQuote>(&json).unwrap(),
            simulated
        );
    }
}
