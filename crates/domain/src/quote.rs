//! The price object: the contract with every reader, in any language.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime, SubsecRound};
use compact_str::CompactString;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::{KrxTime, Market, Phase, Seoul, Symbol};

/// One stock's price as it stands in Redis (docs/prices.md).
///
/// The first seven fields are the contract that existing readers rely on. A value that is not
/// known is absent, never zero. `price` is always above zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// Short code.
    pub stock_code: Symbol,
    /// Korean name; empty only where neither the broker nor the stock list knows one.
    #[serde(default, deserialize_with = "readable")]
    pub stock_name: CompactString,
    /// Last price, won.
    pub price: i64,
    /// Change from the base price, won, signed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub change: Option<i64>,
    /// Change from the base price, percent with two decimals, signed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub change_rate: Option<f64>,
    /// Shares traded today.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub volume: Option<i64>,
    /// Time of the price, Seoul, without zone. The broker's price calls give no trade time, so
    /// this is the time of asking (contract 4.3).
    #[serde(with = "naive_seconds")]
    pub timestamp: NaiveDateTime,
    /// Where it is listed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub market: Option<Market>,
    /// First price of the day, won.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub open: Option<i64>,
    /// Highest price of the day, won.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub high: Option<i64>,
    /// Lowest price of the day, won.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub low: Option<i64>,
    /// Base price (기준가), won: what `change` and `change_rate` are measured against. On ex-days it is
    /// not the previous close.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub base_price: Option<i64>,
    /// Won traded today.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub value: Option<i64>,
    /// Trading venue, `KRX`.
    #[serde(default = "krx", deserialize_with = "readable_venue")]
    pub venue: Cow<'static, str>,
    /// Phase of the trading day at the time of fetching.
    #[serde(default, deserialize_with = "readable")]
    pub session: Phase,
    /// Whether it trades.
    #[serde(default, deserialize_with = "readable")]
    pub status: Status,
    /// Which limit of the day the price stands at; absent where it stands at none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub limit: Option<PriceLimit>,
    /// What gave the price: `kis.multi`, `kis.single`, `kis.ws`, or `other` where another program wrote
    /// it and does not say.
    #[serde(default = "other_program", deserialize_with = "readable_source")]
    pub source: Cow<'static, str>,
    /// Whether a simulated broker gave it: a made-up price, for trials alone. Written only where it
    /// is true.
    #[serde(
        default,
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "readable"
    )]
    pub simulated: bool,
    /// When the broker was asked, with zone and milliseconds: the price is not older than that.
    #[serde(with = "zoned_millis")]
    pub fetched_at: KrxTime,
}

/// Whether a stock trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has traded today.
    #[default]
    Trading,
    /// Trading is halted; the price is carried from before.
    Halted,
    /// No trade yet today, and the stock list says that it is not halted; the price is carried.
    Untraded,
}

/// A limit of the day's price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PriceLimit {
    /// The highest price that the exchange allows today.
    Upper,
    /// The lowest price that the exchange allows today.
    Lower,
}

impl Quote {
    /// What the multi-price call is called in [`Quote::source`].
    pub const MULTI_PRICE: &str = "kis.multi";
    /// What the single-price call is called in [`Quote::source`].
    pub const SINGLE_PRICE: &str = "kis.single";
    /// What the live feed is called in [`Quote::source`].
    pub const LIVE_FEED: &str = "kis.ws";
    /// What another program that does not say is called in [`Quote::source`].
    pub const OTHER_PROGRAM: &str = "other";

    /// The source of this name, without a copy of the names that sise gives itself.
    #[must_use]
    pub fn source_named(name: &str) -> Cow<'static, str> {
        let own = [Self::MULTI_PRICE, Self::SINGLE_PRICE, Self::LIVE_FEED];
        match own.into_iter().find(|own| *own == name) {
            Some(own) => Cow::Borrowed(own),
            None => Cow::Owned(name.to_owned()),
        }
    }

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

fn other_program() -> Cow<'static, str> {
    Cow::Borrowed(Quote::OTHER_PROGRAM)
}

/// A field that is no part of a price: what cannot be read is taken for absent, so that it does not
/// spoil the rest.
pub(super) fn readable<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Lenient::deserialize(deserializer)?
        .value()
        .unwrap_or_default())
}

fn readable_venue<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Cow<'static, str>, D::Error> {
    Ok(Lenient::deserialize(deserializer)?
        .value()
        .unwrap_or_else(krx))
}

fn readable_source<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Cow<'static, str>, D::Error> {
    let source: Option<String> = Lenient::deserialize(deserializer)?.value();
    Ok(source.map_or_else(other_program, |source| Quote::source_named(&source)))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Readable(T),
    Unreadable(IgnoredAny),
}

impl<T> Lenient<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::Readable(value) => Some(value),
            Self::Unreadable(_) => None,
        }
    }
}

/// A time without zone in whole seconds, `2025-10-27T14:30:00`.
pub(super) mod naive_seconds {
    use super::NaiveDateTime;
    use chrono::SecondsFormat;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &NaiveDateTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        // A format in words is read anew for every price.
        let text = time.and_utc().to_rfc3339_opts(SecondsFormat::Secs, true);
        serializer.serialize_str(text.trim_end_matches('Z'))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<NaiveDateTime, D::Error> {
        NaiveDateTime::deserialize(deserializer)
    }
}

/// An instant with zone and milliseconds, `2025-10-27T14:30:00.123+09:00`.
pub(crate) mod zoned_millis {
    use super::{DateTime, KrxTime, Seoul};
    use chrono::{Datelike as _, FixedOffset, SecondsFormat};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::ops::RangeInclusive;

    /// A time of another year is none of sise's, and too far out to be reckoned with: Seoul's
    /// clocks of long ago were off by seconds, which the format cannot say.
    const YEARS: RangeInclusive<i32> = 1970..=9998;

    pub(crate) fn serialize<S: Serializer>(
        time: &KrxTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, false))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<KrxTime, D::Error> {
        let time = DateTime::<FixedOffset>::deserialize(deserializer)?;
        in_seoul(time)
    }

    pub(super) fn in_seoul<E: Error>(time: DateTime<FixedOffset>) -> Result<KrxTime, E> {
        let is_of_this_age = YEARS.contains(&time.year());
        let time = is_of_this_age.then(|| time.with_timezone(&Seoul));
        time.ok_or_else(|| E::custom("a time of another age"))
    }
}

/// As [`zoned_millis`], where there may be none.
pub(super) mod optional_zoned_millis {
    use super::{DateTime, KrxTime, zoned_millis};
    use chrono::FixedOffset;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<KrxTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => zoned_millis::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<KrxTime>, D::Error> {
        let time = Option::<DateTime<FixedOffset>>::deserialize(deserializer)?;
        time.map(zoned_millis::in_seoul).transpose()
    }
}

#[cfg(any(test, feature = "testing"))]
impl Quote {
    /// A quote of which no more than the price is known, for tests to change as they need it.
    pub fn sample(stock_code: Symbol, price: i64, fetched_at: KrxTime) -> Self {
        Self {
            stock_code,
            stock_name: "회사".into(),
            price,
            change: None,
            change_rate: None,
            volume: None,
            timestamp: fetched_at.naive_local(),
            market: None,
            open: None,
            high: None,
            low: None,
            base_price: None,
            value: None,
            venue: "KRX".into(),
            session: Phase::Regular,
            status: Status::Trading,
            limit: None,
            source: "test".into(),
            simulated: false,
            fetched_at,
        }
    }
}
