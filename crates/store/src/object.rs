//! The price object read from bytes, whoever wrote them.
//!
//! A reader takes the whole market at once, and serde spends a microsecond on an object, most of it on
//! the names of fields and on the two times. Here the members are looked for in the order in which sise
//! writes them, and then wherever else they stand; an object of other programs may have no more than
//! the seven fields of the contract. A damaged value costs that value alone.

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
use sise_domain::{Phase, PriceLimit, Quote, Status, Symbol};
use times::Times;

/// Reads price objects. The prices of one call are read by one, which remembers what they have in
/// common.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    times: Times,
    setting: Alike<Setting>,
    /// Of the members that are not in sise's own order.
    order: Order,
}

/// Venue, session, status, limit, source and mark of a price.
type Setting = (
    Option<Cow<'static, str>>,
    Option<Phase>,
    Option<Status>,
    Option<PriceLimit>,
    Option<Cow<'static, str>>,
    Option<bool>,
);

/// Takes what `$scan` finds under each name: first in the order of the names, then in any. The members
/// in the middle are read once for all objects in which they are the same.
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
            /// Where each name stands among the names.
            #[expect(non_camel_case_types, reason = "named as the values are")]
            enum Place { $($first_place,)* $($middle_place,)* $($last_place,)* }

            out_of_line(|| {
                let mut numbers = 0..;
                // A name may stand twice: of two values that differ it depends on the reader which one
                // counts.
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
    /// The price object of whichever code it names; `None` if it is none.
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

    /// The price object of `symbol`; `None` if it is none.
    pub(super) fn read(&mut self, symbol: Symbol, bytes: &[u8]) -> Option<Box<Quote>> {
        members! { scan of bytes, else by self.order;
            "stock_code" => is_its_code = scan.text(|text| Some(text == symbol.as_str().as_bytes())),
            "stock_name" => stock_name = scan.text(|text| Some(CompactString::new(readable(text)))),
            "price" => price = scan.any_whole(),
            "change" => change = scan.whole(),
            "change_rate" => change_rate = scan.decimal(),
            "volume" => volume = scan.whole(),
            "timestamp" => timestamp = scan.text(|text| self.times.local(text)),
            "market" => market = scan.text(named),
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
        // Other programs say one of the two times; each stands in for the other.
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

/// Does what is rarely to be done, so that it does not stand in the way of what usually is.
#[cold]
#[inline(never)]
fn out_of_line<T>(rare: impl FnOnce() -> T) -> T {
    rare()
}

/// The value that two places tell, if they do not contradict each other.
fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other),
    }
}

/// Where nearly every price is of.
const KRX: &str = "KRX";

fn venue_named(text: &[u8]) -> Cow<'static, str> {
    match text == KRX.as_bytes() {
        true => Cow::Borrowed(KRX),
        false => Cow::Owned(readable(text).into_owned()),
    }
}

/// The text, with marks for what is damaged.
fn readable(text: &[u8]) -> Cow<'_, str> {
    // Undamaged at once, which is the rule.
    match std::str::from_utf8(text) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(text),
    }
}

/// What is written as this text: a market, a phase, a status.
fn named<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(text).ok()?;
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    T::deserialize(text).ok()
}

/// What must hold of every value under a price's key, whoever wrote it.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle {
    use super::{Decoder, Quote, Symbol};

    /// Reads every line of `bytes` with one decoder and panics where serde reads something else.
    pub fn check(bytes: &[u8]) {
        let Ok(symbol) = "005930".parse::<Symbol>() else {
            return;
        };
        let mut decoder = Decoder::default();
        // One decoder, as in a read of many: it remembers the last day.
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
            // What is written again is the same.
            let again = serde_json::to_vec(&quote).unwrap_or_default();
            let again = decoder.read(symbol, &again);
            assert_eq!(again.map(|again| again.price), Some(quote.price));
        }
    }
}

#[cfg(test)]
mod tests;
