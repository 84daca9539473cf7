//! Reads the price object from bytes, whichever program wrote them.
//!
//! A reader takes the whole market at once, and serde needs a microsecond for one object. Most of
//! that goes into field names and the two times. This reader expects the members in the order in
//! which sise writes them, and only then searches for them elsewhere. An object of another program
//! may have no more than the seven fields of the contract. A damaged value costs only that value.

mod alike;
mod order;
mod scan;
mod times;

use std::borrow::Cow;

use compact_str::CompactString;
use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error, StrDeserializer};

use alike::Alike;
use order::Order;
use scan::Scan;
use sise_domain::{Market, Phase, PriceLimit, Quote, Status, Symbol};
use times::Times;

/// Reads price objects. One decoder reads all prices of a call and remembers what they have in
/// common.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    times: Times,
    setting: Alike<Setting>,
    /// Order of the members in objects that do not have sise's order.
    order: Order,
}

/// Venue, session, status, limit, source and simulation flag of a price.
type Setting = (
    Option<Cow<'static, str>>,
    Option<Phase>,
    Option<Status>,
    Option<PriceLimit>,
    Option<Cow<'static, str>>,
    Option<bool>,
);

/// Takes the value that `$scan` finds under each name: first in the order of the names, then in any
/// order.
///
/// The members in the middle are parsed once for all objects that have them in common.
macro_rules! members {
    (
        $scan:ident of $bytes:ident, else by $order:expr;
        $($first:literal => $first_place:ident = $first_value:expr,)*
        alike in $alike:expr => { $($middle:literal => $middle_place:ident = $middle_value:expr,)* }
        $($last:literal => $last_place:ident = $last_value:expr,)*
    ) => {
        let mut $scan = Scan::object($bytes, &[$($first,)* $($middle,)* $($last,)*])?;
        $(let mut $first_place = None;)*
        $(let mut $last_place = None;)*
        let is_usual = $scan.is_usual();
        if is_usual {
            $(take_next!($scan, $first => $first_place = $first_value);)*
        }
        let alike = $alike;
        let ($(mut $middle_place,)*) = match alike.skip(&mut $scan) {
            Some(values) => values,
            None if is_usual => {
                let start = $scan.clone();
                $(let mut $middle_place = None;)*
                $(take_next!($scan, $middle => $middle_place = $middle_value);)*
                let values = ($($middle_place,)*);
                alike.remember($scan.passed_since(&start), &values);
                values
            }
            None => Default::default(),
        };
        if is_usual {
            $(take_next!($scan, $last => $last_place = $last_value);)*
        }
        if !$scan.is_at_end() {
            /// Position of each name in the list of names.
            #[expect(non_camel_case_types, reason = "named as the values are")]
            enum Place { $($first_place,)* $($middle_place,)* $($last_place,)* }

            out_of_line(|| {
                let mut numbers = 0..;
                // A name may occur twice. If the two values differ, readers disagree on which one
                // counts, so neither does.
                while let Some(place) = $scan.member(&mut $order, numbers.next()?) {
                    match place {
                        $(_ if place == Place::$first_place as usize => {
                            $first_place = agreed($first_place.take(), $first_value);
                        })*
                        $(_ if place == Place::$middle_place as usize => {
                            $middle_place = agreed($middle_place.take(), $middle_value);
                        })*
                        $(_ if place == Place::$last_place as usize => {
                            $last_place = agreed($last_place.take(), $last_value);
                        })*
                        _ => $scan.pass()?,
                    }
                }
                $scan.is_at_end().then_some(())
            })?;
        }
    };
}

macro_rules! take_next {
    ($scan:ident, $name:literal => $place:ident = $value:expr) => {
        if $scan.is_next(concat!(",\"", $name, "\":").as_bytes()) {
            $place = $value;
        }
    };
}

impl Decoder {
    /// Parses the price object of any code; `None` if it is not one.
    pub(super) fn read_any(&mut self, bytes: &[u8]) -> Option<Box<Quote>> {
        #[derive(serde::Deserialize)]
        struct Named {
            stock_code: Symbol,
        }

        let usual = bytes.strip_prefix(b"{\"stock_code\":\"");
        let code = usual.and_then(|rest| rest.split(|byte| *byte == b'"').next());
        let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        let named = || Some(serde_json::from_slice::<Named>(bytes).ok()?.stock_code);
        self.read(code.or_else(named)?, bytes)
    }

    /// Parses the price object of `symbol`; `None` if it is not one.
    pub(super) fn read(&mut self, symbol: Symbol, bytes: &[u8]) -> Option<Box<Quote>> {
        members! { scan of bytes, else by self.order;
            "stock_code" => is_its_code = scan.text(|text| Some(text == symbol.as_bytes())),
            "stock_name" => stock_name = scan.text(|text| Some(CompactString::new(readable(text)))),
            "price" => price = scan.any_whole(),
            "change" => change = scan.whole(),
            "change_rate" => change_rate = scan.decimal(),
            "volume" => volume = scan.whole(),
            "timestamp" => timestamp = scan.text(|text| self.times.local(text)),
            "market" => market = scan.text(market_named),
            "open" => open = scan.whole(),
            "high" => high = scan.whole(),
            "low" => low = scan.whole(),
            "base_price" => base_price = scan.whole(),
            "value" => value = scan.whole(),
            alike in &mut self.setting => {
                "venue" => venue = scan.text(|text| Some(venue_named(text))),
                "session" => session = scan.text(named),
                "status" => status = scan.text(named),
                "limit" => limit = scan.text(named),
                "source" => source = scan.text(|text| Some(Quote::source_named(&readable(text)))),
                "simulated" => simulated = scan.flag(),
            }
            "fetched_at" => fetched_at = scan.text(|text| self.times.zoned(text)),
        }
        if is_its_code != Some(true) {
            return None;
        }
        // Other programs may write only one of the two times; it then serves as both.
        let fetched_at = fetched_at.or_else(|| self.times.instant(timestamp?))?;
        let timestamp = timestamp.unwrap_or_else(|| fetched_at.naive_local());
        Some(Box::new(Quote {
            stock_code: symbol,
            stock_name: stock_name.unwrap_or_default(),
            price: price?,
            change,
            change_rate,
            volume,
            timestamp,
            market,
            open,
            high,
            low,
            base_price,
            value,
            venue: venue.unwrap_or(Cow::Borrowed(KRX)),
            session: session.unwrap_or_default(),
            status: status.unwrap_or_default(),
            limit,
            source: source.unwrap_or(Cow::Borrowed(Quote::OTHER_PROGRAM)),
            simulated: simulated.unwrap_or_default(),
            fetched_at,
        }))
    }
}

/// Runs a rare case out of line, to keep it out of the hot path.
#[cold]
#[inline(never)]
fn out_of_line<T>(rare: impl FnOnce() -> T) -> T {
    rare()
}

/// Returns the value of two occurrences, unless they contradict each other.
fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other),
    }
}

/// The market of this name. Every price has one, so it is compared in place.
fn market_named(text: &[u8]) -> Option<Market> {
    let is_named = |market: &Market| market.as_str().as_bytes() == text;
    Market::ALL.into_iter().find(is_named)
}

/// Venue of nearly every price.
const KRX: &str = "KRX";

fn venue_named(text: &[u8]) -> Cow<'static, str> {
    match text == KRX.as_bytes() {
        true => Cow::Borrowed(KRX),
        false => Cow::Owned(readable(text).into_owned()),
    }
}

/// The text, with replacement characters for damaged bytes.
fn readable(text: &[u8]) -> Cow<'_, str> {
    // Nearly every text is valid UTF-8.
    match std::str::from_utf8(text) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(text),
    }
}

/// Parses a market, a phase or a status from its name.
fn named<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(text).ok()?;
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    T::deserialize(text).ok()
}

/// Rules for every value under a price's key, whichever program wrote it.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle {
    use super::{Decoder, Quote, Symbol};

    /// Reads every line of `bytes` with one decoder and panics if serde reads something else.
    pub fn check(bytes: &[u8]) {
        let Ok(symbol) = "005930".parse::<Symbol>() else {
            return;
        };
        let mut decoder = Decoder::default();
        // One decoder for all, as in a read of many prices: it remembers the last day.
        for value in bytes.split(|byte| *byte == b'\n') {
            let by_serde: Option<Quote> = serde_json::from_slice(value).ok();
            let by_serde = by_serde.filter(|quote| quote.stock_code == symbol);
            let read = decoder.read(symbol, value);
            if let Some(by_serde) = by_serde {
                assert_eq!(read.as_deref(), Some(&by_serde));
            }
            let Some(quote) = read else {
                continue;
            };
            // Writing the quote again must not change it.
            let again = serde_json::to_vec(&quote).unwrap_or_default();
            let again = decoder.read(symbol, &again);
            assert_eq!(again.map(|again| again.price), Some(quote.price));
        }
    }
}

#[cfg(test)]
mod tests;
