//! Invariants of every override file, whatever its content.

use super::{Calendar, Day};
use crate::Phase;
use chrono::TimeDelta;

/// Reads `bytes` as an override file and panics if the resulting calendar is inconsistent.
pub fn check(bytes: &[u8]) {
    // The file is read as text; other content is refused earlier.
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let shipped = Calendar::shipped();
    let mut calendar = shipped.clone();
    if let Err(error) = calendar.override_with(text) {
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        let line = lines
            .split('\n')
            .nth(usize::try_from(error.line - 1).unwrap_or(0));
        let is_record = line.is_some_and(|line| !line.is_empty() && !line.starts_with('#'));
        assert!(is_record, "{error} is of no line of {text:?}");
        assert!(!error.trouble.trim().is_empty());
        assert!(calendar.days == shipped.days, "refused, and yet changed");
        return;
    }
    let before = calendar.covered_through;
    assert!(before >= shipped.covered_through);
    for (date, day) in &calendar.days {
        if shipped.days.get(date) == Some(day) {
            continue;
        }
        let session = calendar.session(*date);
        let times = session.map(|(open, close)| (open.naive_local(), close.naive_local()));
        match day {
            Day::Closed { .. } => assert!(session.is_none(), "{date} is closed"),
            Day::Hours { open, close } if session.is_some() => {
                assert_eq!(times, Some((date.and_time(*open), date.and_time(*close))));
            }
            // Hours are unknown before the table of hours begins.
            Day::Hours { .. } | Day::Ordinary => {}
        }
        let Some((open, close)) = session else {
            continue;
        };
        let second = TimeDelta::seconds(1);
        for (at, is_open) in [
            (open - second, false),
            (open, true),
            (close - second, true),
            (close, false),
        ] {
            assert_eq!(calendar.moment(at).is_open(), is_open, "at {at}");
        }
        assert_eq!(calendar.moment(open).phase, Phase::Regular, "{date}");
        assert_eq!(calendar.next_open(open - second), Some(open));
        let window = calendar.close_window(*date);
        assert!(
            window.is_some_and(|(from, until)| close < from && from <= until),
            "{window:?}"
        );
    }
}
