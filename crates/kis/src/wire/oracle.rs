//! Invariants that hold for every answer to a price call, whatever it contains.

use chrono::TimeZone as _;
use serde_json::Value;

use super::{Body, Context, MultiRow, NoQuote, SingleRow};
use crate::refusal::Refusal;
use sise_domain::{Group, Listing, Market, Phase, Quote, Seoul, Symbol};

/// A number of a quote: its name in the answer, and the value that was read.
type Read = (&'static str, Option<i64>);

/// Reads `bytes` as the answer of both price calls and returns the quotes, all of 005930.
///
/// Panics if a number differs from the one in the answer.
pub fn quotes(bytes: &[u8]) -> Vec<Quote> {
    let (Ok(symbol), Some(now)) = (
        "005930".parse::<Symbol>(),
        Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).single(),
    ) else {
        return Vec::new();
    };
    // As the transport passes it on.
    let text = String::from_utf8_lossy(bytes);
    let bytes = text.as_bytes();
    // The listed halt flag is independent of the answer's content.
    let halted = bytes.first().map(|byte| byte % 2 == 0);
    let listing = Listing {
        code: symbol,
        name: "삼성전자".to_owned(),
        market: Market::Kospi,
        group: Group::Stock,
        halted,
        shares: None,
        sector: None,
        listed: None,
        in_liquidation: None,
    };
    let context = Context {
        symbol,
        listing: halted.map(|_| &listing),
        asked_at: now,
        session: Phase::Regular,
        basis: None,
    };
    let Some(plain) = plain_rows(bytes) else {
        // Checks only that nothing panics: an unused number of excessive length fails in serde's
        // own values, but not in the wire types.
        for status in [200, 500] {
            let _ = Body::new(bytes).rows::<MultiRow<'_>>(status);
            let _ = Body::new(bytes).rows::<SingleRow<'_>>(status);
        }
        return Vec::new();
    };
    // If a name occurs twice in a row, serde keeps the last value, and the wire types none if they
    // differ.
    let is_once = |name: &str| text.matches(name).count() <= plain.len();
    let mut quotes = Vec::new();
    for status in [200, 500] {
        match Body::new(bytes).rows::<MultiRow<'_>>(status) {
            Ok(rows) => {
                assert_eq!(rows.len(), plain.len());
                for (row, plain) in rows.iter().zip(&plain) {
                    let quote = row.read(context).map(|read| read.quote);
                    quotes.extend(judged(quote, plain, &is_once, "inter2_prpr", |quote| {
                        [
                            ("acml_vol", quote.volume),
                            ("acml_tr_pbmn", quote.value),
                            ("inter2_oprc", quote.open),
                            ("inter2_hgpr", quote.high),
                            ("inter2_lwpr", quote.low),
                        ]
                    }));
                }
            }
            Err(error) => assert!(error.to_string().len() > 10, "{error}"),
        }
        match Body::new(bytes).rows::<SingleRow<'_>>(status) {
            Ok(rows) => {
                for (row, plain) in rows.iter().zip(&plain) {
                    let quote = row.read(context).map(|read| read.quote);
                    quotes.extend(judged(quote, plain, &is_once, "stck_prpr", |quote| {
                        [
                            ("acml_vol", quote.volume),
                            ("acml_tr_pbmn", quote.value),
                            ("stck_oprc", quote.open),
                            ("stck_hgpr", quote.high),
                            ("stck_lwpr", quote.low),
                        ]
                    }));
                }
            }
            Err(error) => assert!(error.to_string().len() > 10, "{error}"),
        }
    }
    quotes
}

/// Checks the outcome of a row against serde's reading of it.
///
/// If a field occurs twice, serde keeps the last value.
fn judged<const N: usize>(
    outcome: Result<Quote, NoQuote>,
    plain: &Value,
    is_once: &dyn Fn(&str) -> bool,
    price: &'static str,
    numbers: impl Fn(&Quote) -> [Read; N],
) -> Option<Quote> {
    let quote = match outcome {
        Ok(quote) => quote,
        Err(why) => {
            let is_implausible = matches!(&why, NoQuote::Refused(Refusal::Implausible(_)));
            assert!(
                is_implausible || !is_once(price) || !is_there(plain, price, 1),
                "{why:?} of {plain}"
            );
            if let NoQuote::Refused(why) = why {
                let why = why.to_string();
                assert!(
                    (5..160).contains(&why.len()) && !why.contains(char::is_control),
                    "{why}"
                );
            }
            return None;
        }
    };
    assert!(quote.price > 0, "{quote:?}");
    assert!(
        !is_once(price) || of(plain, price).contains(&i128::from(quote.price)),
        "{quote:?} of {plain}"
    );
    for (name, number) in numbers(&quote) {
        // Only volume and traded value may be zero.
        let least = i64::from(!name.starts_with("acml"));
        let found = of(plain, name);
        match number {
            Some(number) => assert!(
                number >= least && (!is_once(name) || found.contains(&i128::from(number))),
                "{name} is {number} in {quote:?} of {plain}"
            ),
            None => assert!(
                !is_once(name) || !is_there(plain, name, least),
                "{name} is lost in {quote:?} of {plain}"
            ),
        }
    }
    assert!(quote.change_rate.is_none_or(f64::is_finite), "{quote:?}");
    let base = |change| quote.price - change;
    assert_eq!(quote.change.map(base), quote.base_price, "{quote:?}");
    Some(quote)
}

/// Returns the rows of an answer: objects of `output` and nothing else; `None` if serde cannot
/// parse it.
fn plain_rows(bytes: &[u8]) -> Option<Vec<Value>> {
    let plain: Value = serde_json::from_slice(bytes).ok()?;
    Some(match plain.get("output") {
        Some(Value::Array(rows)) => rows.iter().filter(|row| row.is_object()).cloned().collect(),
        Some(row @ Value::Object(_)) => vec![row.clone()],
        _ => Vec::new(),
    })
}

/// Returns whether exactly one field of this name has a number in range.
fn is_there(row: &Value, name: &str, least: i64) -> bool {
    let fields = row.as_object().into_iter().flatten();
    let named = fields.filter(|(field, _)| field.trim() == name);
    let fits = i128::from(least)..=i128::from(i64::MAX);
    named.count() == 1 && of(row, name).iter().any(|number| fits.contains(number))
}

/// Returns the whole numbers in fields of this name.
///
/// There may be several, because blanks around a name are ignored.
fn of(row: &Value, name: &str) -> Vec<i128> {
    let fields = row.as_object().into_iter().flatten();
    let named = fields.filter(|(field, _)| field.trim() == name);
    named.filter_map(|(_, value)| whole(value)).collect()
}

/// Parses a whole number independently of the wire types.
fn whole(value: &Value) -> Option<i128> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        // Floating-point numbers count only as far as they are exact.
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => {
                let is_exact = float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0;
                is_exact.then(|| format!("{float:.0}"))?
            }
            _ => number.to_string(),
        },
        _ => return None,
    };
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let (digits, zeros) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && zeros.bytes().all(|byte| byte == b'0');
    let number: i128 = is_number.then(|| digits.parse().ok())??;
    Some(if text.starts_with('-') {
        -number
    } else {
        number
    })
}
