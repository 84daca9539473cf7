//! The hours in which the exchange trades at all.
//!
//! A trade reported for any other time is an expected match or damaged, whatever the record says.

use chrono::{NaiveDateTime, TimeDelta};

use super::AFTER_CLOSE;
use sise_domain::{Calendar, Phase, Venue};

/// The last trades before the closing auction may be stamped just after its start.
const STRAGGLING: TimeDelta = TimeDelta::seconds(5);

/// Whether the exchange can have a trade at `at`, in local time.
pub(super) fn has_trades(calendar: &Calendar, at: NaiveDateTime) -> bool {
    calendar.phases(Venue::Krx, at.date()).iter().any(|span| {
        let since_start = at - span.start.naive_local();
        let since_end = at - span.end.naive_local();
        let has_begun = since_start >= TimeDelta::zero();
        match span.phase {
            Phase::Regular => has_begun && since_end < STRAGGLING,
            // The only trades are those of the cross at the end of the phase.
            Phase::ClosingAuction => (TimeDelta::zero()..=AFTER_CLOSE).contains(&since_end),
            Phase::PostClosePrice | Phase::SinglePrice | Phase::AfterMarket => {
                has_begun && since_end <= AFTER_CLOSE
            }
            Phase::OpeningAuction | Phase::PreMarket | Phase::Main | Phase::Closed => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_trades_from_the_open_to_the_closing_cross_and_in_the_evening() {
        let mut calendar = Calendar::shipped();
        let late = "date,kind,open,close,note\n2026-11-23,hours,10:00,16:30,late\n";
        calendar.override_with(late).unwrap();
        for (at, expected) in [
            ("2026-11-20 08:35:00", false),
            ("2026-11-20 08:59:47", false),
            ("2026-11-20 08:59:59", false),
            ("2026-11-20 09:00:00", true),
            ("2026-11-20 12:00:00", true),
            ("2026-11-20 15:19:59", true),
            ("2026-11-20 15:20:00", true),
            // The closing auction has no trades before its cross.
            ("2026-11-20 15:20:10", false),
            ("2026-11-20 15:29:59", false),
            ("2026-11-20 15:30:00", true),
            ("2026-11-20 15:30:31", true),
            ("2026-11-20 15:31:00", true),
            ("2026-11-20 15:31:01", false),
            ("2026-11-20 15:45:00", true),
            ("2026-11-20 18:30:00", true),
            ("2026-11-20 20:30:00", false),
            // A Saturday, a holiday, and a day that begins late.
            ("2026-11-21 10:00:00", false),
            ("2026-12-25 10:00:00", false),
            ("2026-11-19 09:30:00", false),
            ("2026-11-19 10:00:00", true),
            ("2026-11-19 16:30:10", true),
            ("2026-11-23 09:59:59", false),
            ("2026-11-23 10:00:00", true),
            ("2026-11-23 15:25:00", true),
            ("2026-11-23 16:25:00", false),
            ("2026-11-23 16:30:20", true),
            // The evening session before September 2026.
            ("2026-09-11 16:10:00", true),
            ("2026-09-11 18:00:20", true),
            ("2026-09-11 19:00:00", false),
        ] {
            let at_time = NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M:%S").unwrap();
            assert_eq!(has_trades(&calendar, at_time), expected, "{at}");
        }
    }
}
