//! Reads a JSON object from the front. A damaged value does not prevent the members after it from
//! being read.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny};

use super::order::Order;

/// 2^53: below it, every whole number has an exact `f64`.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// UTF-8 byte order mark, which some programs put in front of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The unread rest of an object.
#[derive(Debug, Clone)]
pub(super) struct Scan<'a> {
    rest: &'a [u8],
    /// Names at which reading continues after a damaged value.
    names: &'static [&'static str],
}

impl<'a> Scan<'a> {
    /// Returns the members of the object in `text`; `None` if there is no object.
    pub(super) fn object(text: &'a [u8], names: &'static [&'static str]) -> Option<Self> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let rest = after_blanks(text.trim_ascii_end()).strip_prefix(b"{")?;
        Some(Self { rest, names })
    }

    /// Whether the first member has the first name and a string as its value, without blanks.
    #[inline(always)]
    pub(super) fn is_usual(&self) -> bool {
        let name = self.names.first().copied().unwrap_or_default().as_bytes();
        let rest = self.rest.strip_prefix(b"\"");
        let rest = rest.and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(b"\":\""))
    }

    /// Moves past `start`, which is a comma, a quoted name and a colon without blanks. Returns
    /// false if the next member does not begin with it. The first member has no comma in front.
    #[inline(always)]
    pub(super) fn is_next(&mut self, start: &[u8]) -> bool {
        let rest = match self.rest.first() {
            Some(b'"') => start
                .strip_prefix(b",")
                .and_then(|start| self.rest.strip_prefix(start)),
            _ => self.rest.strip_prefix(start),
        };
        match rest {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Skips `text` if it is next.
    #[inline(always)]
    pub(super) fn skip(&mut self, text: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Returns the members passed since `start`, with the comma that follows them. `None` if no
    /// member was passed or no comma follows.
    pub(super) fn passed_since(&self, start: &Self) -> Option<&'a [u8]> {
        let length = start.rest.len().checked_sub(self.rest.len())?;
        let (text, rest) = start.rest.split_at_checked(length + 1)?;
        (length > 0 && text.ends_with(b",") && rest.len() + 1 == self.rest.len()).then_some(text)
    }

    /// Returns the position of the next member's name in the list of names, or the length of the
    /// list if the name is unknown.
    ///
    /// `None` if there is no other member. `number` counts the members read with `order`.
    #[inline(always)]
    pub(super) fn member(&mut self, order: &mut Order, number: usize) -> Option<usize> {
        if let Some((place, rest)) = order.expected(number, self.rest) {
            self.rest = rest;
            return Some(place);
        }
        self.unexpected_member(order, number)
    }

    #[inline(never)]
    fn unexpected_member(&mut self, order: &mut Order, number: usize) -> Option<usize> {
        let before = self.rest;
        let name = self.name()?;
        let is_it = |known: &&str| known.as_bytes() == &*name;
        let place = self
            .names
            .iter()
            .position(is_it)
            .unwrap_or(self.names.len());
        let length = before.len() - self.rest.len();
        order.remember(number, before.get(..length)?, place);
        Some(place)
    }

    /// The name of the next member; `None` if there is no other member.
    fn name(&mut self) -> Option<Cow<'a, [u8]>> {
        let rest = after_blanks(self.rest);
        let rest = after_blanks(rest.strip_prefix(b",").unwrap_or(rest));
        let (name, rest) = match quoted(rest) {
            Some((name, rest)) => (Cow::Borrowed(name), rest),
            // The name contains an escape, or this is the end of the object.
            None => {
                rest.strip_prefix(b"\"")?;
                let (name, rest) = value(rest)?;
                let name: String = serde_json::from_slice(name).ok()?;
                (Cow::Owned(name.into_bytes()), rest)
            }
        };
        let rest = after_blanks(rest).strip_prefix(b":")?;
        self.rest = after_blanks(rest);
        Some(name)
    }

    /// Reads the value as a whole number; skips anything else.
    #[inline(always)]
    pub(super) fn whole(&mut self) -> Option<i64> {
        let (is_negative, rest) = sign(self.rest);
        let (number, count, after) = digits(rest);
        let is_plain = match rest.first() {
            // JSON has no leading zeros, and serde does not read minus zero as a whole number.
            Some(b'0') => count == 1 && !is_negative,
            _ => (1..=18).contains(&count),
        };
        if is_plain && ends_value(after) {
            self.rest = after;
            return Some(if is_negative { -number } else { number });
        }
        self.odd()
    }

    /// Reads the value as a whole number in any notation of other programs: as a string, or with a
    /// fraction of zero.
    #[inline(always)]
    pub(super) fn any_whole(&mut self) -> Option<i64> {
        let start = self.clone();
        match self.whole() {
            Some(number) => Some(number),
            None => start.value_as_whole(),
        }
    }

    #[cold]
    fn value_as_whole(mut self) -> Option<i64> {
        let written: serde_json::Value = serde_json::from_slice(self.value()?).ok()?;
        let number = match written.as_str() {
            Some(text) => text.trim().parse().ok()?,
            None => written.as_f64()?,
        };
        let is_whole = number.fract() == 0.0 && number.abs() < MOST_EXACT;
        #[expect(clippy::cast_possible_truncation, reason = "whole and exact")]
        is_whole.then_some(number as i64)
    }

    /// Reads the value as a number with or without decimals; skips anything else.
    #[inline(always)]
    pub(super) fn decimal(&mut self) -> Option<f64> {
        let (is_negative, rest) = sign(self.rest);
        let (whole, count, after) = digits(rest);
        if let Some(after) = after.strip_prefix(b".") {
            let (fraction, decimals, after) = digits(after);
            let leads_well = rest.first() != Some(&b'0') || count == 1;
            let is_short = count > 0 && decimals > 0 && count + decimals < 16;
            if leads_well && is_short && ends_value(after) {
                self.rest = after;
                let scale = 10_i64.pow(decimals);
                // Both are whole and below 2^53, so the division rounds but once.
                #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
                let number = (whole * scale + fraction) as f64 / scale as f64;
                return Some(if is_negative { -number } else { number });
            }
        }
        self.odd()
    }

    /// Passes the bytes of a string value to `read`; skips anything else.
    #[inline(always)]
    pub(super) fn text<T>(&mut self, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        if let Some((text, rest)) = quoted(self.rest)
            && ends_value(rest)
        {
            self.rest = rest;
            return read(text);
        }
        let text: String = self.odd()?;
        read(text.as_bytes())
    }

    /// Reads the value as a boolean; skips anything else.
    #[inline(always)]
    pub(super) fn flag(&mut self) -> Option<bool> {
        for (text, flag) in [(b"true".as_slice(), true), (b"false", false)] {
            if let Some(rest) = self.rest.strip_prefix(text)
                && ends_value(rest)
            {
                self.rest = rest;
                return Some(flag);
            }
        }
        self.odd()
    }

    /// Skips the value of an unknown member.
    ///
    /// A word that JSON does not have, such as `NaN`, is skipped to its end; any other damage, to
    /// the next known member. Returns `None` if no known member follows, since the value may be cut
    /// off.
    pub(super) fn pass(&mut self) -> Option<()> {
        if self.value().is_some() {
            return Some(());
        }
        let ends = |byte: &u8| b",{}[]\"".contains(byte);
        let (word, rest) = self.rest.split_at(self.rest.iter().position(ends)?);
        if !word.is_empty() && ends_value(rest) {
            self.rest = rest;
            return Some(());
        }
        self.find_member();
        (self.rest.len() > 1).then_some(())
    }

    /// Reads a value in an unusual notation with serde.
    #[cold]
    fn odd<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_slice(self.rest).into_iter();
        let read = values.next();
        let rest = self.rest.get(values.byte_offset()..);
        if let Some(Ok(read)) = read
            && let Some(rest) = rest.filter(|rest| ends_value(rest))
        {
            self.rest = rest;
            return Some(read);
        }
        // The value has another type, or is damaged.
        if self.value().is_none() {
            self.find_member();
        }
        None
    }

    /// Skips a complete value and returns it.
    fn value(&mut self) -> Option<&'a [u8]> {
        let (value, rest) = value(self.rest)?;
        if !ends_value(rest) {
            return None;
        }
        self.rest = rest;
        Some(value)
    }

    /// Whether only the end of the object is left. False if the object is cut off.
    pub(super) fn is_at_end(&self) -> bool {
        after_blanks(self.rest) == b"}"
    }

    /// Moves to the next member with a known name, or to the end of the object.
    fn find_member(&mut self) {
        let starts_member = |place: usize| {
            let rest = self.rest.get(place..)?.strip_prefix(b",")?;
            let (name, rest) = quoted(after_blanks(rest))?;
            let is_known = self.names.iter().any(|known| known.as_bytes() == name);
            (is_known && after_blanks(rest).starts_with(b":")).then_some(place)
        };
        let place = (0..self.rest.len()).find_map(starts_member);
        let place = place.unwrap_or(self.rest.len().saturating_sub(1));
        self.rest = self.rest.get(place..).unwrap_or_default();
    }
}

/// Splits off the value at the front, as serde sees it.
fn value(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    rest.split_at_checked(values.byte_offset())
}

/// Returns a string up to its closing quote. `None` if it contains an escape or a character that
/// JSON does not allow in a string.
#[inline(always)]
fn quoted(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = ONES * 0x80;
    let text = rest.strip_prefix(b"\"")?;
    let mut rest = text;
    let mut length = 0;
    // Eight bytes at a time: the highest bit marks each byte that is a quote, a backslash or below
    // a blank.
    while let Some((chunk, after)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*chunk);
        let is_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHEST;
        let quote = is_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = is_zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * u64::from(b' ')) & !word & HIGHEST;
        let found = quote | backslash | control;
        if found != 0 {
            // The lowest mark is right; above it, a borrow may set others.
            let place = usize::try_from(found.trailing_zeros() / 8).ok()?;
            let (text, rest) = text.split_at_checked(length + place)?;
            return Some((text, rest.strip_prefix(b"\"")?));
        }
        rest = after;
        length += chunk.len();
    }
    length += rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
    let (text, rest) = text.split_at_checked(length)?;
    Some((text, rest.strip_prefix(b"\"")?))
}

#[inline(always)]
fn sign(rest: &[u8]) -> (bool, &[u8]) {
    match rest.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, rest),
    }
}

/// Splits off the digits at the front: their value, their count and what follows. With more than
/// eighteen digits the value is meaningless.
#[inline(always)]
fn digits(rest: &[u8]) -> (i64, u32, &[u8]) {
    let (mut number, mut count, mut rest) = (0_i64, 0_u32, rest);
    // Eight bytes at a time, since most numbers are no longer.
    if let Some((chunk, after)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*chunk);
        let found = leading_digits(word);
        number = eight_digits(word, found);
        count = found;
        if found < 8 {
            return (
                number,
                count,
                rest.get(found as usize..).unwrap_or_default(),
            );
        }
        rest = after;
    }
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        number = number
            .wrapping_mul(10)
            .wrapping_add(i64::from(digit - b'0'));
        count = count.saturating_add(1);
        rest = after;
    }
    (number, count, rest)
}

/// How many of the eight bytes are digits before the first that is not one.
#[inline(always)]
fn leading_digits(word: u64) -> u32 {
    const HIGH_NIBBLES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const SIXES: u64 = 0x0606_0606_0606_0606;
    // The upper half of a digit is a three, and still is after adding six.
    let upper = (word & HIGH_NIBBLES) ^ ZEROS;
    let upper_with_six = (word.wrapping_add(SIXES) & HIGH_NIBBLES) ^ ZEROS;
    ((upper | upper_with_six).trailing_zeros() / 8).min(8)
}

/// The value of the first `count` digits, up to eight: pairs first, then fours, then all.
#[inline(always)]
fn eight_digits(word: u64, count: u32) -> i64 {
    // Shifting puts zeros in front, which do not change the value.
    let Some(word) = word.checked_shl(64 - 8 * count) else {
        return 0;
    };
    let word = word & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (word.wrapping_mul(10 * 256 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 * 65_536 + 1) >> 16) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000 * 4_294_967_296 + 1) >> 32).cast_signed()
}

/// Whether a value can end here. A value that is cut off cannot.
#[inline(always)]
fn ends_value(rest: &[u8]) -> bool {
    matches!(
        rest.first(),
        Some(b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t')
    )
}

#[inline(always)]
fn after_blanks(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\r' | b'\t', after @ ..] = rest {
        rest = after;
    }
    rest
}
