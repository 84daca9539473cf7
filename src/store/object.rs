//! The price object as bytes: sise's own writing read by hand, everything else by serde.
//!
//! A reader takes the whole market at once, and serde spends a microsecond on an object, most of
//! it on names of fields and on the two times. sise writes the fields in one order and without
//! blanks; what differs in the least from that is left to serde, so the two never disagree.

use std::ops::Range;

use chrono::{NaiveDate, NaiveDateTime, TimeZone as _, Timelike as _};

use crate::domain::{KrxTime, Market, Phase, PriceLimit, Quote, Seoul, Status, Symbol};

/// `2025-10-27T14:30:00`
const SECONDS: usize = 19;

/// Reads price objects. Remembers the last time it read: the prices of one call share it.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    last: Option<Second>,
}

/// A second of the clock in Seoul, as text and as what it stands for.
#[derive(Debug, Clone, Copy)]
struct Second {
    text: [u8; SECONDS],
    local: NaiveDateTime,
    zoned: KrxTime,
}

impl Decoder {
    /// The price object of `symbol`, whoever wrote it; `None` where it is none.
    pub(super) fn read(&mut self, symbol: Symbol, bytes: Vec<u8>) -> Option<Box<Quote>> {
        match self.read_own(symbol, &bytes) {
            Some((mut quote, name)) => {
                quote.stock_name = cut(bytes, name)?;
                Some(quote)
            }
            None => serde_json::from_slice(&bytes).ok(),
        }
    }

    /// `None` where the object is not exactly as sise writes it, or not of `symbol`.
    fn read_own(&mut self, symbol: Symbol, bytes: &[u8]) -> Option<(Box<Quote>, Range<usize>)> {
        let rest = bytes.strip_prefix(b"{\"stock_code\":\"")?;
        let rest = rest.strip_prefix(symbol.as_str().as_bytes())?;
        let rest = rest.strip_prefix(b"\",\"stock_name\":\"")?;
        let start = bytes.len() - rest.len();
        let (name, rest) = text(rest)?;
        let name = start..start + name.len();
        let (price, rest) = whole(rest.strip_prefix(b",\"price\":")?)?;
        let (change, rest) = optional_whole(rest, b",\"change\":")?;
        let (change_rate, rest) = optional(rest, b",\"change_rate\":", |rest| decimal(rest))?;
        let (volume, rest) = optional_whole(rest, b",\"volume\":")?;
        let rest = rest.strip_prefix(b",\"timestamp\":\"")?;
        let (timestamp, rest) = self.second(rest)?;
        let rest = rest.strip_prefix(b"\"")?;
        let (market, rest) = optional(rest, b",\"market\":", |rest| {
            let kospi = is(rest, b"\"KOSPI\"", Market::Kospi);
            kospi.or_else(|| is(rest, b"\"KOSDAQ\"", Market::Kosdaq))
        })?;
        let (open, rest) = optional_whole(rest, b",\"open\":")?;
        let (high, rest) = optional_whole(rest, b",\"high\":")?;
        let (low, rest) = optional_whole(rest, b",\"low\":")?;
        let (base_price, rest) = optional_whole(rest, b",\"base_price\":")?;
        let (value, rest) = optional_whole(rest, b",\"value\":")?;
        let rest = rest.strip_prefix(b",\"venue\":\"KRX\",\"session\":")?;
        let (session, rest) = is(rest, b"\"regular\"", Phase::Regular)
            .or_else(|| is(rest, b"\"closed\"", Phase::Closed))
            .or_else(|| is(rest, b"\"opening-auction\"", Phase::OpeningAuction))
            .or_else(|| is(rest, b"\"closing-auction\"", Phase::ClosingAuction))?;
        let rest = rest.strip_prefix(b",\"status\":")?;
        let (status, rest) = is(rest, b"\"trading\"", Status::Trading)
            .or_else(|| is(rest, b"\"halted\"", Status::Halted))
            .or_else(|| is(rest, b"\"untraded\"", Status::Untraded))?;
        let (limit, rest) = optional(rest, b",\"limit\":", |rest| {
            let upper = is(rest, b"\"upper\"", PriceLimit::Upper);
            upper.or_else(|| is(rest, b"\"lower\"", PriceLimit::Lower))
        })?;
        let rest = rest.strip_prefix(b",\"source\":")?;
        let (source, rest) = is(rest, b"\"kis.multi\"", "kis.multi")
            .or_else(|| is(rest, b"\"kis.single\"", "kis.single"))?;
        let (simulated, rest) = match rest.strip_prefix(b",\"simulated\":true") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (fetched, rest) = self.second(rest.strip_prefix(b",\"fetched_at\":\"")?)?;
        let ([b'.', m1, m2, m3], rest) = rest.split_first_chunk()? else {
            return None;
        };
        if !is_end(rest.strip_prefix(b"+09:00\"")?) {
            return None;
        }
        let nanos = digits([*m1, *m2, *m3])? * 1_000_000;
        // No offset changes within a second, so that of the whole second holds.
        let fetched_at = KrxTime::from_naive_utc_and_offset(
            fetched.zoned.naive_utc().with_nanosecond(nanos)?,
            *fetched.zoned.offset(),
        );
        let quote = Quote {
            stock_code: symbol,
            stock_name: String::new(),
            price,
            change,
            change_rate,
            volume,
            timestamp: timestamp.local,
            market,
            open,
            high,
            low,
            base_price,
            value,
            venue: "KRX".into(),
            session,
            status,
            limit,
            source: source.into(),
            simulated,
            fetched_at,
        };
        Some((Box::new(quote), name))
    }

    #[inline]
    fn second<'a>(&mut self, rest: &'a [u8]) -> Option<(Second, &'a [u8])> {
        let (text, rest) = rest.split_first_chunk()?;
        if let Some(last) = self.last.as_ref().filter(|last| last.text == *text) {
            return Some((*last, rest));
        }
        let second = Second::read(*text)?;
        self.last = Some(second);
        Some((second, rest))
    }
}

impl Second {
    #[cold]
    fn read(text: [u8; SECONDS]) -> Option<Self> {
        let [
            y1,
            y2,
            y3,
            y4,
            b'-',
            m1,
            m2,
            b'-',
            d1,
            d2,
            b'T',
            h1,
            h2,
            b':',
            n1,
            n2,
            b':',
            s1,
            s2,
        ] = text
        else {
            return None;
        };
        let year = i32::try_from(digits([y1, y2, y3, y4])?).ok()?;
        let local = NaiveDate::from_ymd_opt(year, digits([m1, m2])?, digits([d1, d2])?)?
            .and_hms_opt(digits([h1, h2])?, digits([n1, n2])?, digits([s1, s2])?)?;
        if !(1900..=9998).contains(&year) {
            return None;
        }
        // The only one that is written as +09:00; before 1988 there were others.
        let zoned = Seoul.from_local_datetime(&local).single()?;
        if local - zoned.naive_utc() != chrono::TimeDelta::hours(9) {
            return None;
        }
        Some(Self { text, local, zoned })
    }
}

/// A part of `bytes` as a text of its own, in the room that they have.
fn cut(mut bytes: Vec<u8>, part: Range<usize>) -> Option<String> {
    bytes.truncate(part.end);
    bytes.drain(..part.start);
    String::from_utf8(bytes).ok()
}

/// The end of the object, with the lead of its writer before it where the store is a cluster.
#[inline(always)]
fn is_end(rest: &[u8]) -> bool {
    let lead = || rest.strip_prefix(b",\"lead\":")?.strip_suffix(b"}");
    rest == b"}"
        || matches!(lead(), Some([b'1'..=b'9', rest @ ..]) if rest.iter().all(u8::is_ascii_digit))
}

type Read<'a, T> = Option<(T, &'a [u8])>;

#[inline(always)]
fn optional<'a, T>(
    rest: &'a [u8],
    name: &[u8],
    read: impl FnOnce(&'a [u8]) -> Read<'a, T>,
) -> Read<'a, Option<T>> {
    match rest.strip_prefix(name) {
        Some(rest) => read(rest).map(|(value, rest)| (Some(value), rest)),
        None => Some((None, rest)),
    }
}

#[inline(always)]
fn optional_whole<'a>(rest: &'a [u8], name: &[u8]) -> Read<'a, Option<i64>> {
    match rest.strip_prefix(name) {
        Some(rest) => {
            let (number, rest) = whole(rest)?;
            Some((Some(number), rest))
        }
        None => Some((None, rest)),
    }
}

#[inline(always)]
fn is<'a, T>(rest: &'a [u8], text: &[u8], value: T) -> Read<'a, T> {
    Some((value, rest.strip_prefix(text)?))
}

/// The rest of a text with its closing quote; `None` where something in it is escaped.
#[inline(always)]
fn text(rest: &[u8]) -> Read<'_, &[u8]> {
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    let (text, rest) = rest.split_at_checked(end)?;
    Some((text, rest.strip_prefix(b"\"")?))
}

/// A whole number of up to sixteen digits.
#[inline(always)]
fn whole(rest: &[u8]) -> Read<'_, i64> {
    let (is_negative, rest) = match rest.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (mut number, mut count, mut after) = eight(rest)?;
    if count == 8 {
        let (low, more, end) = eight(after)?;
        number = number * power(more) + low;
        count += more;
        after = end;
    }
    // JSON has neither empty numbers nor leading zeros; a minus zero is not whole to serde.
    let is_plain = match rest.first()? {
        b'0' => count == 1 && !is_negative,
        _ => (1..16).contains(&count),
    };
    let number = if is_negative { -number } else { number };
    is_plain.then_some((number, after))
}

/// A number with decimals, at most six.
#[inline(always)]
fn decimal(rest: &[u8]) -> Read<'_, f64> {
    let (is_negative, rest) = match rest.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (whole, count, after) = eight(rest)?;
    let (fraction, decimals, end) = eight(after.strip_prefix(b".")?)?;
    let is_plain = match rest.first()? {
        b'0' => count == 1,
        _ => (1..8).contains(&count),
    };
    if !is_plain || !(1..7).contains(&decimals) {
        return None;
    }
    let scale = power(decimals);
    // Both are whole and small, so the division rounds but once, as serde's does.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let number = (whole * scale + fraction) as f64 / scale as f64;
    Some((if is_negative { -number } else { number }, end))
}

/// The digits at the front, eight at most: their number, how many, and what follows. All eight
/// bytes are looked at together, as a loop is wrong about its end once a number.
#[inline(always)]
fn eight(rest: &[u8]) -> Option<(i64, u32, &[u8])> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let bytes = u64::from_le_bytes(*rest.first_chunk()?) ^ (ONES * 0x30);
    // The highest bit of every byte that is no digit.
    let others = (bytes | ((bytes & (ONES * 0x7f)) + ONES * 0x76)) & (ONES * 0x80);
    let count = others.trailing_zeros() / 8;
    // The digits go to the end of the word, zeros in front; none at all would shift too far.
    let digits = bytes.checked_shl(64 - 8 * count).unwrap_or(0);
    let pairs = (digits & (ONES * 0x0f)).wrapping_mul(2_561) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(6_553_601) >> 16;
    let number = (fours & 0x0000_ffff_0000_ffff).wrapping_mul(42_949_672_960_001) >> 32;
    let after = rest.get(usize::try_from(count).ok()?..)?;
    Some((i64::try_from(number).ok()?, count, after))
}

#[inline(always)]
fn power(exponent: u32) -> i64 {
    [
        1,
        10,
        100,
        1_000,
        10_000,
        100_000,
        1_000_000,
        10_000_000,
        100_000_000,
    ]
    .get(exponent as usize)
    .copied()
    .unwrap_or(0)
}

fn digits<const N: usize>(digits: [u8; N]) -> Option<u32> {
    digits.into_iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })
}

/// What must hold of every value under a price's key, whoever wrote it.
#[cfg(any(test, fuzzing))]
pub(crate) mod oracle {
    use super::{Decoder, Quote, Symbol};

    /// Reads every line of `bytes` with one decoder and panics where it differs from serde.
    pub(crate) fn check(bytes: &[u8]) {
        let Ok(symbol) = "005930".parse::<Symbol>() else {
            return;
        };
        let mut decoder = Decoder::default();
        // One decoder, as in a read of many: it remembers the last time of day.
        for value in bytes.split(|byte| *byte == b'\n') {
            let by_serde: Option<Quote> = serde_json::from_slice(value).ok();
            let by_hand = decoder.read(symbol, value.to_vec());
            assert!(
                by_hand.as_deref() == by_serde.as_ref(),
                "{by_hand:?} {by_serde:?}"
            );
            let Some(quote) = by_hand else {
                continue;
            };
            // What is no text may stand in a field that is passed over.
            if let Ok(plain) = serde_json::from_slice::<serde_json::Value>(value) {
                let field = |name: &str| plain.get(name)?.as_i64();
                assert_eq!(field("price"), Some(quote.price));
                assert_eq!(field("volume"), quote.volume);
                assert_eq!(field("open"), quote.open);
            }
            // What is written again is the same.
            let again = serde_json::to_vec(&quote).unwrap_or_default();
            let again = decoder.read(symbol, again);
            assert_eq!(again.map(|again| again.price), Some(quote.price));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn symbol() -> Symbol {
        "0126Z0".parse().unwrap()
    }

    fn optional_number() -> impl Strategy<Value = Option<i64>> {
        proptest::option::of(prop_oneof![
            Just(0_i64),
            -10_i64..10,
            -1_000_000_i64..1_000_000,
            any::<i64>(),
        ])
    }

    prop_compose! {
        fn quotes()(
            name in prop_oneof![Just("삼성전자".to_owned()), "[a-zA-Z가-힣 ]{0,12}", "\\PC{0,8}"],
            price in prop_oneof![1_i64..10_000_000, any::<i64>()],
            numbers in proptest::collection::vec(optional_number(), 7),
            rate in proptest::option::of(prop_oneof![
                (-30_000_i32..30_000).prop_map(|hundredths| f64::from(hundredths) / 100.0),
                proptest::num::f64::NORMAL,
            ]),
            seconds in 0_i64..4_000_000_000,
            fetched in 0_i64..4_000_000_000_000,
            choice in 0_usize..4,
        ) -> Quote {
            let at = |millis| {
                chrono::DateTime::from_timestamp_millis(millis).unwrap().with_timezone(&Seoul)
            };
            Quote {
                stock_code: symbol(),
                stock_name: name,
                price,
                change: numbers[0],
                change_rate: rate,
                volume: numbers[1],
                timestamp: at(seconds * 1_000).naive_local(),
                market: [None, Some(Market::Kospi), Some(Market::Kosdaq), None][choice],
                open: numbers[2],
                high: numbers[3],
                low: numbers[4],
                base_price: numbers[5],
                value: numbers[6],
                venue: ["KRX", "NXT", "KRX", "KRX"][choice].into(),
                session: [Phase::Regular, Phase::Closed, Phase::AfterMarket, Phase::OpeningAuction][choice],
                status: [Status::Trading, Status::Halted, Status::Untraded, Status::Trading][choice],
                limit: [None, Some(PriceLimit::Upper), Some(PriceLimit::Lower), None][choice],
                source: ["kis.multi", "kis.single", "kis.ws", "kis.multi"][choice].into(),
                simulated: choice == 3,
                fetched_at: at(fetched),
            }
        }
    }

    fn by_serde(bytes: &[u8]) -> Option<Box<Quote>> {
        serde_json::from_slice(bytes).ok()
    }

    #[test]
    fn what_sise_writes_is_read_by_hand() {
        let text = r#"{"stock_code":"0126Z0","stock_name":"삼성에피스홀딩스","price":559000,"change":-7000,"change_rate":-1.27,"volume":0,"timestamp":"2026-11-20T14:30:00","market":"KOSPI","open":551000,"high":560000,"low":550000,"base_price":552000,"value":6229000000,"venue":"KRX","session":"regular","status":"trading","source":"kis.multi","fetched_at":"2026-11-20T14:30:00.123+09:00"}"#;
        let mut decoder = Decoder::default();
        let (quote, name) = decoder.read_own(symbol(), text.as_bytes()).unwrap();
        assert_eq!(text.get(name), Some("삼성에피스홀딩스"));
        assert_eq!((quote.price, quote.change_rate), (559_000, Some(-1.27)));
        assert_eq!(
            decoder.read(symbol(), text.into()),
            by_serde(text.as_bytes())
        );
        let of_leader = text.replace('}', r#","lead":1795392000123}"#);
        assert!(decoder.read_own(symbol(), of_leader.as_bytes()).is_some());
        assert_eq!(
            decoder.read(symbol(), of_leader.clone().into()),
            by_serde(of_leader.as_bytes())
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn both_ways_of_reading_agree(quote in quotes()) {
            let bytes = serde_json::to_vec(&quote).unwrap();
            let serde = by_serde(&bytes);
            prop_assert_eq!(Decoder::default().read(symbol(), bytes), serde);
        }

        /// Bytes changed, cut out or put in: what serde refuses is refused, what it reads is read.
        #[test]
        fn they_agree_on_what_is_damaged(
            quote in quotes(),
            lead in proptest::option::of(any::<u64>()),
            place in any::<prop::sample::Index>(),
            length in 0_usize..4,
            new in "[-0-9.eE\"\\\\:,{}a-z +]{0,3}",
        ) {
            let mut bytes = serde_json::to_vec(&quote).unwrap();
            if let Some(lead) = lead {
                bytes.pop();
                bytes.extend(format!(",\"lead\":{lead}}}").bytes());
            }
            let start = place.index(bytes.len());
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, new.bytes());
            let serde = by_serde(&bytes);
            prop_assert_eq!(Decoder::default().read(symbol(), bytes), serde);
        }
    }
}
