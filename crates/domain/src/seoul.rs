//! The time zone of the exchange.

use std::fmt;

use chrono::{
    DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc,
};

/// An instant in Seoul, where the exchange is.
pub type KrxTime = DateTime<Seoul>;

/// Korea Standard Time: nine hours ahead of UTC all year.
///
/// Summer time was last used in 1988; for earlier years the hours may be one off. As a type without
/// data it keeps an instant at 12 bytes, which a price object has one of, and needs no zone database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seoul;

/// Seconds ahead of UTC.
const AHEAD: i32 = 9 * 3_600;

impl Offset for Seoul {
    fn fix(&self) -> FixedOffset {
        // Nine hours are within a day; the other arm is for the compiler alone.
        FixedOffset::east_opt(AHEAD).unwrap_or_else(|| Utc.fix())
    }
}

impl TimeZone for Seoul {
    type Offset = Self;

    fn from_offset(_: &Self) -> Self {
        Self
    }

    fn offset_from_local_date(&self, _: &NaiveDate) -> MappedLocalTime<Self> {
        MappedLocalTime::Single(Self)
    }

    fn offset_from_local_datetime(&self, _: &NaiveDateTime) -> MappedLocalTime<Self> {
        MappedLocalTime::Single(Self)
    }

    fn offset_from_utc_date(&self, _: &NaiveDate) -> Self {
        Self
    }

    fn offset_from_utc_datetime(&self, _: &NaiveDateTime) -> Self {
        Self
    }
}

impl fmt::Display for Seoul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KST")
    }
}

impl fmt::Debug for Seoul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KST")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_in_seoul_are_nine_hours_ahead_of_utc_in_winter_and_summer() {
        for (utc, seoul) in [
            ("2026-01-15T00:30:00Z", "2026-01-15 09:30:00 KST"),
            ("2026-07-15T15:00:00Z", "2026-07-16 00:00:00 KST"),
        ] {
            let instant: DateTime<Utc> = utc.parse().unwrap();
            let here = instant.with_timezone(&Seoul);
            assert_eq!(here.to_string(), seoul);
            assert_eq!(here, instant);
            let local = Seoul.from_local_datetime(&here.naive_local());
            assert_eq!(local.single(), Some(here));
        }
        let noon = Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        assert_eq!(noon.to_rfc3339(), "2026-11-20T12:00:00+09:00");
        assert_eq!(size_of::<KrxTime>(), 12);
    }
}
