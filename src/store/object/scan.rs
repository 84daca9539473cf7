//! A JSON object read from the front. Whatever is wrong with one of its values, the members after it
//! are read.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// What is still to be read of an object.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    rest: &'a [u8],
    /// The names by which the way is found again after a damaged value.
    names: &'static [&'static str],
}

impl<'a> Scan<'a> {
    /// The members of the object in `text`; `None` if it holds none.
    pub(super) fn object(text: &'a [u8], names: &'static [&'static str]) -> Option<Self> {
        let rest = after_blanks(text.trim_ascii_end()).strip_prefix(b"{")?;
        Some(Self { rest, names })
    }

    /// Whether the next member is the one that begins with `start`, its name with quotes and colon,
    /// and not a blank in between.
    #[inline(always)]
    pub(super) fn is_next(&mut self, start: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(b",").unwrap_or(self.rest);
        match rest.strip_prefix(start) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The name of the next member; `None` if there is no other.
    pub(super) fn name(&mut self) -> Option<Cow<'a, [u8]>> {
        let rest = after_blanks(self.rest);
        let rest = after_blanks(rest.strip_prefix(b",").unwrap_or(rest));
        let (name, rest) = match quoted(rest) {
            Some((name, rest)) => (Cow::Borrowed(name), rest),
            None => {
                let (name, rest) = value(rest)?;
                let name: String = serde_json::from_slice(name).ok()?;
                (Cow::Owned(name.into_bytes()), rest)
            }
        };
        let rest = after_blanks(rest).strip_prefix(b":")?;
        self.rest = after_blanks(rest);
        Some(name)
    }

    /// The value as a whole number; anything else is passed over.
    #[inline(always)]
    pub(super) fn whole(&mut self) -> Option<i64> {
        let (is_negative, rest) = sign(self.rest);
        let (number, count, after) = digits(rest);
        let is_plain = match rest.first() {
            // JSON has no leading zeros, and a minus zero is not whole to it.
            Some(b'0') => count == 1 && !is_negative,
            _ => (1..=18).contains(&count),
        };
        if is_plain && ends_value(after) {
            self.rest = after;
            return Some(if is_negative { -number } else { number });
        }
        self.odd()
    }

    /// The value as a number with or without decimals; anything else is passed over.
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

    /// The bytes of the value as a text; anything else is passed over.
    #[inline(always)]
    pub(super) fn text(&mut self) -> Option<Cow<'a, [u8]>> {
        if let Some((text, rest)) = quoted(self.rest)
            && ends_value(rest)
        {
            self.rest = rest;
            return Some(Cow::Borrowed(text));
        }
        let text: String = self.odd()?;
        Some(Cow::Owned(text.into_bytes()))
    }

    /// The value as true or false; anything else is passed over.
    pub(super) fn flag(&mut self) -> Option<bool> {
        self.odd()
    }

    /// Passes over the value of a member that is not known. `None` if it is damaged: what follows it
    /// may stand within it.
    pub(super) fn pass(&mut self) -> Option<()> {
        self.value().map(drop)
    }

    /// A value that is not as it is usually written, read by serde.
    #[cold]
    fn odd<T: serde::de::DeserializeOwned>(&mut self) -> Option<T> {
        match self.value() {
            Some(value) => serde_json::from_slice(value).ok(),
            None => {
                self.find_member();
                None
            }
        }
    }

    /// A value, passed over, if it is whole.
    fn value(&mut self) -> Option<&'a [u8]> {
        let (value, rest) = value(self.rest)?;
        if !ends_value(rest) {
            return None;
        }
        self.rest = rest;
        Some(value)
    }

    /// Whether what is left is the end of the object, and nothing is cut off.
    pub(super) fn is_at_end(&self) -> bool {
        after_blanks(self.rest) == b"}"
    }

    /// Goes on to the next member with a known name, or to the end of the object.
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

/// A value by serde, and what follows it.
fn value(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    rest.split_at_checked(values.byte_offset())
}

/// A text up to its closing quote; `None` if something in it is escaped or cannot stand there.
#[inline(always)]
fn quoted(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = ONES * 0x80;
    let text = rest.strip_prefix(b"\"")?;
    let mut rest = text;
    let mut length = 0;
    // Eight bytes together: the highest bit of each that is a quote, a backslash or below a blank.
    while let Some((chunk, after)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*chunk);
        let is_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHEST;
        let quote = is_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = is_zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * u64::from(b' ')) & !word & HIGHEST;
        let found = quote | backslash | control;
        if found != 0 {
            break;
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

/// The digits at the front: their number, how many they are, and what follows. Of more than eighteen
/// the number is none.
#[inline(always)]
fn digits(rest: &[u8]) -> (i64, u32, &[u8]) {
    let (mut number, mut count, mut rest) = (0_i64, 0_u32, rest);
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        number = number
            .wrapping_mul(10)
            .wrapping_add(i64::from(digit - b'0'));
        count = count.saturating_add(1);
        rest = after;
    }
    (number, count, rest)
}

/// Whether a value can end here. One that is cut off does not.
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
