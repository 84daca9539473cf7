//! The two times of a price object.

use std::ops::RangeInclusive;

use chrono::{
    DateTime, Datelike as _, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _,
    Timelike as _,
};

use sise_domain::{KrxTime, Seoul};

/// Offset of Seoul from UTC, as objects state it.
const AHEAD: &[u8] = b"+09:00";

/// Years of valid prices. Times outside of them are refused, before arithmetic can overflow.
const YEARS: RangeInclusive<i32> = 1970..=9998;

/// Reads times. Remembers the last ones: the prices of one sweep share the day, and those of one call
/// share both times.
#[derive(Debug, Default)]
pub(super) struct Times {
    last: Option<Day>,
    last_local: Option<([u8; 19], NaiveDateTime)>,
    last_zoned: Option<([u8; 29], KrxTime)>,
}

/// A day: its text and what it means.
#[derive(Debug, Clone, Copy)]
struct Day {
    text: [u8; 10],
    date: NaiveDate,
    /// The day before. In the morning in Seoul, it is still this day in UTC.
    before: NaiveDate,
}

/// Seconds of a day, and the seconds by which Seoul is ahead of UTC.
const DAY: u32 = 86_400;
const AHEAD_SECONDS: u32 = 9 * 3_600;

impl Times {
    /// Parses a time in Seoul, `2025-10-27T14:30:00`, to the second.
    #[inline(always)]
    pub(super) fn local(&mut self, text: &[u8]) -> Option<NaiveDateTime> {
        if let Some((last, local)) = &self.last_local
            && last == text
        {
            return Some(*local);
        }
        match self.second(text) {
            Some((day, second, [])) => {
                let local = on(day.date, second, 0)?;
                self.last_local = text.try_into().ok().map(|text| (text, local));
                Some(local)
            }
            _ => odd_local(text),
        }
    }

    /// Parses an instant, `2025-10-27T14:30:00.123+09:00`.
    #[inline(always)]
    pub(super) fn zoned(&mut self, text: &[u8]) -> Option<KrxTime> {
        if let Some((last, zoned)) = &self.last_zoned
            && last == text
        {
            return Some(*zoned);
        }
        if let Some((day, second, rest)) = self.second(text)
            && let Some(([b'.', tenths, hundredths, thousandths], AHEAD)) = rest.split_first_chunk()
        {
            let millis = two(*tenths, *hundredths)? * 10 + two(b'0', *thousandths)?;
            let utc = in_utc(day, second, millis * 1_000_000)?;
            let zoned = KrxTime::from_naive_utc_and_offset(utc, Seoul);
            self.last_zoned = text.try_into().ok().map(|text| (text, zoned));
            return Some(zoned);
        }
        odd_zoned(text)
    }

    /// Returns the instant at which Seoul's clocks show `local`, the time that was parsed last.
    #[inline(always)]
    pub(super) fn instant(&self, local: NaiveDateTime) -> Option<KrxTime> {
        match self.last {
            Some(day) if day.date == local.date() => {
                let second = local.num_seconds_from_midnight();
                let utc = in_utc(day, second, local.nanosecond())?;
                Some(KrxTime::from_naive_utc_and_offset(utc, Seoul))
            }
            _ => in_seoul(local),
        }
    }

    /// Parses a day and a second of it in Seoul, and returns them with what follows.
    #[inline(always)]
    fn second<'a>(&mut self, text: &'a [u8]) -> Option<(Day, u32, &'a [u8])> {
        let (day, rest) = text.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let [b'T' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = time else {
            return None;
        };
        let day = match self.last {
            Some(last) if last.text == *day => last,
            _ => *self.last.insert(Day::read(*day)?),
        };
        let (hour, minute, second) = (two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?);
        let is_time = hour < 24 && minute < 60 && second < 60;
        is_time.then_some((day, hour * 3_600 + minute * 60 + second, rest))
    }
}

/// Converts a second of `day` in Seoul to UTC.
#[inline(always)]
fn in_utc(day: Day, second: u32, nanosecond: u32) -> Option<NaiveDateTime> {
    match second.checked_sub(AHEAD_SECONDS) {
        Some(second) => on(day.date, second, nanosecond),
        None => on(day.before, second + DAY - AHEAD_SECONDS, nanosecond),
    }
}

#[inline(always)]
fn on(date: NaiveDate, second: u32, nanosecond: u32) -> Option<NaiveDateTime> {
    let time = NaiveTime::from_num_seconds_from_midnight_opt(second, nanosecond)?;
    Some(date.and_time(time))
}

impl Day {
    #[cold]
    fn read(text: [u8; 10]) -> Option<Self> {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else {
            return None;
        };
        let year = two(y1, y2)? * 100 + two(y3, y4)?;
        let date = NaiveDate::from_ymd_opt(year.cast_signed(), two(m1, m2)?, two(d1, d2)?)?;
        if !YEARS.contains(&date.year()) {
            return None;
        }
        let before = date.pred_opt()?;
        Some(Self { text, date, before })
    }
}

/// Parses a time in another program's notation: with parts of a second, or with a zone.
#[cold]
fn odd_local(text: &[u8]) -> Option<NaiveDateTime> {
    let text = std::str::from_utf8(text).ok()?;
    let local = text
        .parse()
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"));
    match local {
        Ok(local) => Some(local),
        Err(_) => odd_zoned(text.as_bytes()).map(|time| time.naive_local()),
    }
}

#[cold]
fn odd_zoned(text: &[u8]) -> Option<KrxTime> {
    let text = std::str::from_utf8(text).ok()?;
    let time: DateTime<FixedOffset> = text.parse().ok()?;
    let is_of_this_age = YEARS.contains(&time.year());
    is_of_this_age.then(|| time.with_timezone(&Seoul))
}

/// Returns the instant at which Seoul's clocks show `local`, in any valid year.
fn in_seoul(local: NaiveDateTime) -> Option<KrxTime> {
    let is_of_this_age = YEARS.contains(&local.year());
    let time = is_of_this_age.then(|| Seoul.from_local_datetime(&local).earliest());
    time.flatten()
}

#[inline(always)]
fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}
