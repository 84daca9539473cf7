//! The price object: the contract with every reader, in any language.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime, SubsecRound};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{Market, Phase, Seoul, Symbol};

/// An instant in Seoul, where the exchange is.
pub type KrxTime = DateTime<Tz>;

/// One stock's price as it stands in Redis (design chapter 3).
///
/// The first seven fields are the contract that existing readers rely on. A value that is not
/// known is absent, never zero. `price` is always above zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// Short code.
    pub stock_code: Symbol,
    /// Korean name; empty only where neither the broker nor the stock list knows one.
    #[serde(default)]
    pub stock_name: String,
    /// Last price, won.
    pub price: i64,
    /// Change from the base price, won, signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<i64>,
    /// Change from the base price, percent with two decimals, signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_rate: Option<f64>,
    /// Shares traded today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<i64>,
    /// Time of the price, Seoul, without zone. The broker's price calls give no trade time, so
    /// this is the time of asking (contract 4.3).
    #[serde(with = "naive_seconds")]
    pub timestamp: NaiveDateTime,
    /// Where it is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub market: Option<Market>,
    /// First price of the day, won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<i64>,
    /// Highest price of the day, won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<i64>,
    /// Lowest price of the day, won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<i64>,
    /// Previous close, won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_close: Option<i64>,
    /// Won traded today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    /// Trading venue, `KRX`.
    #[serde(default = "krx")]
    pub venue: Cow<'static, str>,
    /// Phase of the trading day at the time of fetching.
    #[serde(default = "closed")]
    pub session: Phase,
    /// Whether it trades.
    #[serde(default = "trading")]
    pub status: Status,
    /// What gave the price: `kis.multi`, `kis.single`.
    #[serde(default)]
    pub source: Cow<'static, str>,
    /// When the broker was asked, with zone and milliseconds: the price is not older than that.
    #[serde(with = "zoned_millis")]
    pub fetched_at: KrxTime,
}

/// Whether a stock trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has traded today.
    Trading,
    /// Trading is halted; the price is carried from before.
    Halted,
    /// No trade yet today, and the stock list says that it is not halted; the price is carried.
    Untraded,
}

impl Quote {
    /// The same quote with its two times cut to what the contract carries: whole seconds and
    /// milliseconds. A quote read back from a store equals the one written.
    #[must_use]
    pub fn as_stored(mut self) -> Self {
        self.timestamp = self.timestamp.trunc_subsecs(0);
        self.fetched_at = self.fetched_at.trunc_subsecs(3);
        self
    }
}

fn krx() -> Cow<'static, str> {
    Cow::Borrowed("KRX")
}

fn closed() -> Phase {
    Phase::Closed
}

fn trading() -> Status {
    Status::Trading
}

mod naive_seconds {
    use super::NaiveDateTime;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &NaiveDateTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&time.format("%Y-%m-%dT%H:%M:%S"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<NaiveDateTime, D::Error> {
        NaiveDateTime::deserialize(deserializer)
    }
}

mod zoned_millis {
    use super::{DateTime, KrxTime, Seoul};
    use chrono::{FixedOffset, SecondsFormat};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &KrxTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, false))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<KrxTime, D::Error> {
        let time = DateTime::<FixedOffset>::deserialize(deserializer)?;
        Ok(time.with_timezone(&Seoul))
    }
}
