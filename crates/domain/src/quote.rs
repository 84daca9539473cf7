//! The price object, which is the contract with readers in any language.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SubsecRound};
use compact_str::CompactString;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::{KrxTime, Market, Phase, Seoul, Symbol};

/// The price of one stock as stored in Redis (docs/prices.md).
///
/// The first seven fields are the contract that existing readers rely on. Unknown values are
/// absent, never zero. `price` is always above zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// Short code.
    pub stock_code: Symbol,
    /// Korean name; empty only if neither the broker nor the stock list has one.
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
    /// Time of the price, Seoul time without zone.
    ///
    /// The broker's price calls report no trade time, so this is the time of the request (contract
    /// 4.3).
    #[serde(with = "naive_seconds")]
    pub timestamp: NaiveDateTime,
    /// Market it is listed on.
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
    /// Base price (기준가), won: the reference for `change` and `change_rate`.
    ///
    /// On ex-days it differs from the previous close.
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
    /// Trading status.
    #[serde(default, deserialize_with = "readable")]
    pub status: Status,
    /// The limit of the day that the price is at; absent if it is at none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "readable"
    )]
    pub limit: Option<PriceLimit>,
    /// Source of the price: `kis.multi`, `kis.single` or `kis.ws`.
    ///
    /// `other` if another program wrote it without a source.
    #[serde(default = "other_program", deserialize_with = "readable_source")]
    pub source: Cow<'static, str>,
    /// Whether a simulated broker made it up. Written only if true.
    #[serde(
        default,
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "readable"
    )]
    pub simulated: bool,
    /// When the broker was asked, with zone and milliseconds. The price is not older than that.
    #[serde(with = "zoned_millis")]
    pub fetched_at: KrxTime,
}

/// Trading status of a stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has traded today.
    #[default]
    Trading,
    /// Trading is halted; the price is carried over.
    Halted,
    /// No trade yet today, and not halted according to the stock list; the price is carried over.
    Untraded,
}

/// A price limit of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PriceLimit {
    /// The highest price that the exchange allows today.
    Upper,
    /// The lowest price that the exchange allows today.
    Lower,
}

impl Quote {
    /// [`Quote::source`] of the multi-price call.
    pub const MULTI_PRICE: &str = "kis.multi";
    /// [`Quote::source`] of the single-price call.
    pub const SINGLE_PRICE: &str = "kis.single";
    /// [`Quote::source`] of the live feed.
    pub const LIVE_FEED: &str = "kis.ws";
    /// [`Quote::source`] of other programs that do not name one.
    pub const OTHER_PROGRAM: &str = "other";

    /// Returns the source with this name, without allocating for sise's own sources.
    #[must_use]
    pub fn source_named(name: &str) -> Cow<'static, str> {
        let own = [Self::MULTI_PRICE, Self::SINGLE_PRICE, Self::LIVE_FEED];
        match own.into_iter().find(|own| *own == name) {
            Some(own) => Cow::Borrowed(own),
            None => Cow::Owned(name.to_owned()),
        }
    }

    /// Returns its age at `now`: the time since the broker was asked. A quote from the future, by
    /// clocks that differ, has age zero.
    #[must_use]
    pub fn age_at(&self, now: KrxTime) -> Duration {
        (now - self.fetched_at).to_std().unwrap_or_default()
    }

    /// Cuts the two times to stored precision, whole seconds and milliseconds.
    ///
    /// A quote read back from a store then equals the one written.
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

/// Deserializes an optional detail of a price.
///
/// An unreadable value counts as absent, so that it does not invalidate the whole price.
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

/// Times without zone in whole seconds, `2025-10-27T14:30:00`.
pub(super) mod naive_seconds {
    use super::NaiveDateTime;
    use chrono::SecondsFormat;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &NaiveDateTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        // A format string would be parsed again for every price.
        let text = time.and_utc().to_rfc3339_opts(SecondsFormat::Secs, true);
        serializer.serialize_str(text.trim_end_matches('Z'))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<NaiveDateTime, D::Error> {
        NaiveDateTime::deserialize(deserializer)
    }
}

/// Instants with zone and milliseconds, `2025-10-27T14:30:00.123+09:00`.
pub(crate) mod zoned_millis {
    use super::{DateTime, KrxTime, Seoul};
    use chrono::{Datelike as _, FixedOffset, SecondsFormat};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::ops::RangeInclusive;

    /// Supported years.
    ///
    /// In earlier times, Seoul's offset had seconds, which the format cannot express. Later years
    /// are too far out to compute with.
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
        time.ok_or_else(|| E::custom("the year is out of range"))
    }
}

/// Same as [`zoned_millis`], for optional values.
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
    /// Creates a quote with only a price, for tests to change as they need.
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
