//! The price object read from bytes, whoever wrote them.
//!
//! A reader takes the whole market at once, and serde spends a microsecond on an object, most of it on
//! the names of fields and on the two times. Here the members are looked for in the order in which sise
//! writes them, and then wherever else they stand; an object of other programs may have no more than
//! the seven fields of the contract. A damaged value costs that value alone.

mod scan;
mod times;

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error, StrDeserializer};

use crate::domain::{Quote, Symbol};
use scan::Scan;
use times::{Times, in_seoul};

/// Reads price objects. The prices of one call are read by one.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    times: Times,
}

/// Takes what `$scan` finds under each name: first in the order of the names, then in any.
macro_rules! members {
    ($scan:ident of $bytes:ident: $($name:literal => $place:ident = $value:expr,)*) => {
        let mut $scan = Scan::object($bytes, &[$($name),*])?;
        $(let mut $place = None;)*
        $(if $scan.is_next(concat!("\"", $name, "\":").as_bytes()) {
            $place = $value;
        })*
        // A name may stand twice: of two values that differ it depends on the reader which one counts.
        while let Some(name) = $scan.name() {
            match &*name {
                $(name if name == $name.as_bytes() => $place = agreed($place, $value),)*
                _ => $scan.pass()?,
            }
        }
        if !$scan.is_at_end() {
            return None;
        }
    };
}

impl Decoder {
    /// The price object of `symbol`; `None` if it is none.
    pub(super) fn read(&mut self, symbol: Symbol, bytes: &[u8]) -> Option<Box<Quote>> {
        let times = &mut self.times;
        members! { scan of bytes:
            "stock_code" => stock_code = scan.text(),
            "stock_name" => stock_name = scan.text(),
            "price" => price = scan.whole(),
            "change" => change = scan.whole(),
            "change_rate" => change_rate = scan.decimal(),
            "volume" => volume = scan.whole(),
            "timestamp" => timestamp = scan.text().and_then(|text| times.local(&text)),
            "market" => market = scan.text().and_then(|text| named(&text)),
            "open" => open = scan.whole(),
            "high" => high = scan.whole(),
            "low" => low = scan.whole(),
            "base_price" => base_price = scan.whole(),
            "value" => value = scan.whole(),
            "venue" => venue = scan.text(),
            "session" => session = scan.text().and_then(|text| named(&text)),
            "status" => status = scan.text().and_then(|text| named(&text)),
            "limit" => limit = scan.text().and_then(|text| named(&text)),
            "source" => source = scan.text(),
            "simulated" => simulated = scan.flag(),
            "fetched_at" => fetched_at = scan.text().and_then(|text| times.zoned(&text)),
        }
        if stock_code?.as_ref() != symbol.as_str().as_bytes() {
            return None;
        }
        // Other programs say one of the two times; each stands in for the other.
        let fetched_at = fetched_at.or_else(|| in_seoul(timestamp?))?;
        let timestamp = timestamp.unwrap_or_else(|| fetched_at.naive_local());
        let lossy = String::from_utf8_lossy;
        Some(Box::new(Quote {
            stock_code: symbol,
            stock_name: stock_name.map_or_else(String::new, |name| lossy(&name).into_owned()),
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
            venue: match venue.as_deref() {
                None | Some(b"KRX") => "KRX".into(),
                Some(venue) => lossy(venue).into_owned().into(),
            },
            session: session.unwrap_or_default(),
            status: status.unwrap_or_default(),
            limit,
            source: source.map_or(Quote::OTHER_PROGRAM.into(), |source| {
                Quote::source_named(&lossy(&source))
            }),
            simulated: simulated.unwrap_or_default(),
            fetched_at,
        }))
    }
}

/// The value that two places tell, if they do not contradict each other.
fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other),
    }
}

/// What is written as this text: a market, a phase, a status.
fn named<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Option<T> {
    let text = std::str::from_utf8(text).ok()?;
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    T::deserialize(text).ok()
}

/// What must hold of every value under a price's key, whoever wrote it.
#[cfg(any(test, fuzzing))]
pub(crate) mod oracle {
    use super::{Decoder, Quote, Symbol};

    /// Reads every line of `bytes` with one decoder and panics where serde reads something else.
    pub(crate) fn check(bytes: &[u8]) {
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
