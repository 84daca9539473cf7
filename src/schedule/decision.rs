//! Decides whether a run is due, and if not, why it is skipped.

use std::fmt;

use chrono::NaiveDate;

use crate::leadership::{Candidate, LeadState};
use crate::sweep::Kept;
use sise_domain::{Ban, Calendar, Closed, KrxTime, Skipped};

/// A run that is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// The close that the run takes, if any.
    pub(super) close_of: Option<CloseOf>,
    /// If the prices are kept as the last known ones: the end of the session whose close they
    /// replace.
    pub(super) last_known_since: Option<KrxTime>,
}

impl Due {
    /// Returns how the prices of the run are kept beyond their lifetime, if at all.
    pub(super) fn kept(&self) -> Option<Kept> {
        let last_known = |since: KrxTime| Kept::LastKnown(since.date_naive());
        let close = self.close_of.map(|of| Kept::Close(of.window));
        close.or(self.last_known_since.map(last_known))
    }
}

/// The close of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CloseOf {
    pub(super) day: NaiveDate,
    /// The time in which a price counts as this close: from and until.
    pub(super) window: (KrxTime, KrxTime),
}

/// Why a run is skipped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Skip {
    Closed(Closed),
    PreviousRun,
    StoreAway(String),
    TooEarlyForClose,
    /// Another process leads and sweeps: this one.
    NotLeader(String),
    /// No leader is known.
    NoLeader,
    /// The broker has banned the app key.
    Banned(Box<Ban>),
}

impl Skip {
    pub(super) fn slug(&self) -> &'static str {
        match self {
            Self::Closed(closed) => closed.slug(),
            Self::PreviousRun => "previous_run",
            Self::StoreAway(_) => "store_away",
            Self::TooEarlyForClose => "before_close_is_final",
            Self::NotLeader(_) => Skipped::NOT_LEADER,
            Self::NoLeader => "no_leader",
            Self::Banned(_) => "banned",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(closed) => write!(f, "the market is closed: {closed}"),
            Self::PreviousRun => f.write_str("the previous run is still going"),
            Self::StoreAway(error) => f.write_str(error),
            Self::TooEarlyForClose => {
                f.write_str("the session is over and the close is not final yet")
            }
            Self::NotLeader(process) => write!(f, "{process} leads and sweeps; standing by"),
            Self::NoLeader => f.write_str(
                "no leader is known: Redis was not asked yet, does not answer, or denies its user a \
                 permission (`sise doctor` says which)",
            ),
            Self::Banned(ban) => write!(f, "{ban}"),
        }
    }
}

/// Decides by the calendar whether a run is due at `now`.
pub(super) fn by_calendar(calendar: &Calendar, now: KrxTime) -> Result<Due, Skip> {
    let Some(closed) = calendar.moment(now).closed else {
        return Ok(Due::default());
    };
    let today = now.date_naive();
    match calendar.close_window(today) {
        Some((from, until)) if closed == Closed::AfterClose => {
            if now < from {
                Err(Skip::TooEarlyForClose)
            } else if now < until {
                Ok(Due {
                    close_of: Some(CloseOf {
                        day: today,
                        window: (from, until),
                    }),
                    last_known_since: None,
                })
            } else {
                Err(Skip::Closed(closed))
            }
        }
        _ => Err(Skip::Closed(closed)),
    }
}

/// Decides by leadership whether a run may be made: only the leader makes any.
pub(super) fn by_post(candidate: Option<&Candidate>) -> Result<(), Skip> {
    match candidate.map(Candidate::post) {
        None | Some(LeadState::Leads { .. }) => Ok(()),
        Some(LeadState::Follows(leader)) => Err(Skip::NotLeader(leader.process)),
        Some(LeadState::Unknown) => Err(Skip::NoLeader),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{NaiveDateTime, TimeZone as _};
    use sise_domain::Seoul;

    fn at(text: &str) -> KrxTime {
        let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        Seoul.from_local_datetime(&naive).unwrap()
    }

    #[test]
    fn a_day_is_swept_from_open_to_close_and_its_close_is_taken() {
        let calendar = Calendar::shipped();
        let today = at("2026-11-20 00:00:00").date_naive();
        let closed = |closed| Err(Skip::Closed(closed));
        for (time, expected) in [
            ("08:59:59", closed(Closed::BeforeOpen)),
            ("09:00:00", Ok(Due::default())),
            ("15:25:00", Ok(Due::default())),
            ("15:30:00", Err(Skip::TooEarlyForClose)),
            ("15:30:59", Err(Skip::TooEarlyForClose)),
            (
                "15:31:00",
                Ok(Due {
                    close_of: Some(CloseOf {
                        day: today,
                        window: (at("2026-11-20 15:31:00"), at("2026-11-20 16:00:00")),
                    }),
                    last_known_since: None,
                }),
            ),
            ("16:00:00", closed(Closed::AfterClose)),
            ("22:00:00", closed(Closed::AfterClose)),
        ] {
            let now = at(&format!("2026-11-20 {time}"));
            assert_eq!(by_calendar(&calendar, now), expected, "{time}");
        }
    }

    #[test]
    fn closed_days_say_why() {
        let calendar = Calendar::shipped();
        let saturday = by_calendar(&calendar, at("2026-11-21 15:35:00"));
        assert_eq!(saturday, Err(Skip::Closed(Closed::Weekend)));
        let exam_day = by_calendar(&calendar, at("2026-11-19 15:35:00"));
        assert_eq!(exam_day, Ok(Due::default()));
    }
}
