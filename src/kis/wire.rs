//! The broker's payloads and their conversion into quotes (contract 1.5, 4.0, 4.1, 4.3).
//!
//! Every field is optional and no field spoils another: what is missing, blank or of the wrong
//! type is absent.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::codes::error_of;
use crate::domain::{KrxTime, Listing, Phase, Quote, Status, Symbol};
use crate::port::SourceError;

/// A text of the wire, trimmed; numbers are taken as text, everything else is absent.
#[derive(Debug, Default, Clone)]
pub(super) struct Text<'a>(Option<Cow<'a, str>>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default().trim()
    }

    /// A whole number; `None` where the text is blank or no number.
    fn whole(&self) -> Option<i64> {
        parse_whole(self.as_str())
    }

    /// A whole number where zero stands for "none" (contract 4.0.8, 4.0.9).
    fn positive(&self) -> Option<i64> {
        self.whole().filter(|number| *number > 0)
    }

    /// A percentage with two decimals.
    fn percent(&self) -> Option<f64> {
        let number: f64 = self.as_str().parse().ok()?;
        number.is_finite().then(|| two_decimals(number))
    }
}

/// The broker writes won without a fraction; a fraction of zeros is tolerated.
fn parse_whole(text: &str) -> Option<i64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    whole.parse().ok()
}

fn two_decimals(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Text(None))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Text(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// An object, or an array of them: the documentation gets it wrong for some calls.
#[derive(Debug)]
struct Rows<T>(Vec<T>);

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowsVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for RowsVisitor<T> {
            type Value = Rows<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or an array of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut rows = Vec::with_capacity(30);
                while let Some(row) = seq.next_element()? {
                    rows.push(row);
                }
                Ok(Rows(rows))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let row = T::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Rows(vec![row]))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Rows(Vec::new()))
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Rows(Vec::new()))
            }
        }

        deserializer.deserialize_any(RowsVisitor(PhantomData))
    }
}

/// The envelope of every answer, and the other one of the token endpoint.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Envelope<'a, T> {
    #[serde(borrow, default)]
    rt_cd: Text<'a>,
    #[serde(borrow, default)]
    msg_cd: Text<'a>,
    #[serde(borrow, default)]
    msg1: Text<'a>,
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    error_description: Text<'a>,
    #[serde(default = "Rows::default")]
    output: Rows<T>,
}

/// The rows of a successful answer.
///
/// The body is judged first: `rt_cd`, then `error_code`, and only then the HTTP status
/// (contract 1.6).
pub(super) fn rows<'a, T: Deserialize<'a>>(
    status: u16,
    body: &'a [u8],
) -> Result<Vec<T>, SourceError> {
    let envelope: Envelope<'a, T> = serde_json::from_slice(body).map_err(|error| match status {
        200 => SourceError::Malformed(format!("HTTP 200, no JSON that fits: {error}")),
        _ => SourceError::Unavailable(format!("HTTP {status} without JSON")),
    })?;
    match (envelope.rt_cd.as_str(), envelope.error_code.as_str()) {
        ("0", _) => Ok(envelope.output.0),
        ("", "") if status == 200 => Err(SourceError::Malformed(
            "HTTP 200, JSON without rt_cd".to_owned(),
        )),
        ("", "") => Err(SourceError::Unavailable(format!(
            "HTTP {status}, JSON without rt_cd"
        ))),
        ("", code) => Err(error_of(code, envelope.error_description.as_str())),
        _ => Err(error_of(envelope.msg_cd.as_str(), envelope.msg1.as_str())),
    }
}

/// One row of `intstock-multprice` (contract 4.3).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MultiRow<'a> {
    #[serde(borrow)]
    pub(super) inter_shrn_iscd: Text<'a>,
    #[serde(borrow)]
    inter_kor_isnm: Text<'a>,
    #[serde(borrow)]
    inter2_prpr: Text<'a>,
    #[serde(borrow)]
    inter2_prdy_vrss: Text<'a>,
    #[serde(borrow)]
    prdy_ctrt: Text<'a>,
    #[serde(borrow)]
    acml_vol: Text<'a>,
    #[serde(borrow)]
    inter2_oprc: Text<'a>,
    #[serde(borrow)]
    inter2_hgpr: Text<'a>,
    #[serde(borrow)]
    inter2_lwpr: Text<'a>,
    #[serde(borrow)]
    acml_tr_pbmn: Text<'a>,
    #[serde(borrow)]
    inter2_prdy_clpr: Text<'a>,
    #[serde(borrow)]
    inter2_sdpr: Text<'a>,
}

/// The body of `inquire-price` (contract 4.1).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SingleRow<'a> {
    #[serde(borrow)]
    iscd_stat_cls_code: Text<'a>,
    #[serde(borrow)]
    temp_stop_yn: Text<'a>,
    #[serde(borrow)]
    stck_prpr: Text<'a>,
    #[serde(borrow)]
    prdy_vrss: Text<'a>,
    #[serde(borrow)]
    prdy_ctrt: Text<'a>,
    #[serde(borrow)]
    acml_vol: Text<'a>,
    #[serde(borrow)]
    acml_tr_pbmn: Text<'a>,
    #[serde(borrow)]
    stck_oprc: Text<'a>,
    #[serde(borrow)]
    stck_hgpr: Text<'a>,
    #[serde(borrow)]
    stck_lwpr: Text<'a>,
    #[serde(borrow)]
    stck_sdpr: Text<'a>,
}

/// What a conversion needs beside the row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) symbol: Symbol,
    pub(super) listing: Option<&'a Listing>,
    /// When the broker was asked.
    pub(super) asked_at: KrxTime,
    pub(super) session: Phase,
}

/// Why a row gives no quote.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoQuote {
    /// Nothing in the row speaks of a stock (contract 4.0.7).
    Unknown,
    /// There is a stock, but no price.
    Refused(String),
}

/// The fields that both price calls share, under one name each.
struct Fields<'a> {
    name: &'a str,
    price: &'a Text<'a>,
    change: &'a Text<'a>,
    change_rate: &'a Text<'a>,
    volume: &'a Text<'a>,
    value: &'a Text<'a>,
    open: &'a Text<'a>,
    high: &'a Text<'a>,
    low: &'a Text<'a>,
    prev_close: Option<i64>,
    base: Option<i64>,
    /// What the row itself says of a halt.
    halted: Option<bool>,
    source: &'static str,
}

impl MultiRow<'_> {
    pub(super) fn quote(&self, context: Context<'_>) -> Result<Quote, NoQuote> {
        let base = self.inter2_sdpr.positive();
        let prev_close = self.inter2_prdy_clpr.positive();
        quote(
            &Fields {
                name: self.inter_kor_isnm.as_str(),
                price: &self.inter2_prpr,
                change: &self.inter2_prdy_vrss,
                change_rate: &self.prdy_ctrt,
                volume: &self.acml_vol,
                value: &self.acml_tr_pbmn,
                open: &self.inter2_oprc,
                high: &self.inter2_hgpr,
                low: &self.inter2_lwpr,
                prev_close,
                base: base.or(prev_close),
                halted: None,
                source: "kis.multi",
            },
            context,
        )
    }
}

impl SingleRow<'_> {
    pub(super) fn quote(&self, context: Context<'_>) -> Result<Quote, NoQuote> {
        let base = self.stck_sdpr.positive();
        let halted = self.iscd_stat_cls_code.as_str() == "58" || self.temp_stop_yn.as_str() == "Y";
        quote(
            &Fields {
                name: "",
                price: &self.stck_prpr,
                change: &self.prdy_vrss,
                change_rate: &self.prdy_ctrt,
                volume: &self.acml_vol,
                value: &self.acml_tr_pbmn,
                open: &self.stck_oprc,
                high: &self.stck_hgpr,
                low: &self.stck_lwpr,
                // The base price is the previous close unless a right went off (contract 4.1).
                prev_close: base,
                base,
                halted: halted.then_some(true),
                source: "kis.single",
            },
            context,
        )
    }
}

fn quote(fields: &Fields<'_>, context: Context<'_>) -> Result<Quote, NoQuote> {
    let Some(price) = fields.price.positive() else {
        return Err(no_quote(fields));
    };
    let volume = fields.volume.whole().filter(|volume| *volume >= 0);
    let open = fields.open.positive();
    let change = fields
        .change
        .whole()
        .or_else(|| fields.base.map(|base| price - base));
    let change_rate = fields.change_rate.percent().or_else(|| {
        let (base, change) = (fields.base?, change?);
        #[expect(clippy::cast_precision_loss, reason = "won prices are far below 2^52")]
        Some(two_decimals(change as f64 / base as f64 * 100.0))
    });
    // Neither volume nor open: not traded today (contract 4.0.8, 4.0.9). Where the answer lacks
    // both, that is not known.
    let has_traded = match (volume, open) {
        (Some(1..), _) | (_, Some(_)) => Some(true),
        (Some(_), None) => Some(false),
        (None, None) => None,
    };
    let listed_halted = context.listing.and_then(|listing| listing.halted);
    let status = match (fields.halted, listed_halted, has_traded) {
        (Some(true), _, _) => Status::Halted,
        (_, _, Some(true)) => Status::Trading,
        (_, Some(true), _) | (_, None, Some(false)) => Status::Halted,
        (_, Some(false), Some(false)) => Status::Untraded,
        (_, _, None) => Status::Trading,
    };
    let name = match (fields.name, context.listing) {
        ("", Some(listing)) => listing.name.clone(),
        (name, _) => name.to_owned(),
    };
    Ok(Quote {
        stock_code: context.symbol,
        stock_name: name,
        price,
        change,
        change_rate,
        volume,
        timestamp: context.asked_at.naive_local(),
        market: context.listing.map(|listing| listing.market),
        open,
        high: fields.high.positive(),
        low: fields.low.positive(),
        prev_close: fields.prev_close,
        value: fields.value.whole().filter(|value| *value >= 0),
        venue: "KRX".into(),
        session: context.session,
        status,
        source: fields.source.into(),
        fetched_at: context.asked_at,
    }
    .as_stored())
}

fn no_quote(fields: &Fields<'_>) -> NoQuote {
    let text = fields.price.as_str();
    let nothing = |text: &Text<'_>| text.positive().is_none();
    let of_no_stock = fields.base.is_none() && nothing(fields.volume) && nothing(fields.high);
    match text {
        "" | "0" if of_no_stock => NoQuote::Unknown,
        "" => NoQuote::Refused("blank price".to_owned()),
        _ if parse_whole(text) == Some(0) => NoQuote::Refused("zero price".to_owned()),
        _ => {
            let shown: String = text.chars().take(20).collect();
            NoQuote::Refused(format!("unparsable price '{shown}'"))
        }
    }
}

#[cfg(test)]
mod tests;
