//! The calendar's answer for one instant, in the form shown to users and programs.

use chrono::NaiveDate;
use serde::{Serialize, Serializer};

use super::{Calendar, KrxTime, Moment, Phase, Venue};

/// The calendar's answer for one instant, in serializable form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outlook {
    /// The instant.
    #[serde(serialize_with = "seconds")]
    pub at: KrxTime,
    /// Whether the regular session is on.
    pub open: bool,
    /// Phase on the exchange.
    pub phase: Phase,
    /// Whether trading is continuous in this phase.
    pub continuous: bool,
    /// Phase on NXT.
    pub nxt_phase: Phase,
    /// Why there is no session.
    pub reason: Option<String>,
    /// Start of the next session.
    #[serde(serialize_with = "optional_seconds")]
    pub next_open: Option<KrxTime>,
    /// End of the current session.
    #[serde(serialize_with = "optional_seconds")]
    pub closes_at: Option<KrxTime>,
    /// Whether it is a trading day.
    pub trading_day: bool,
    /// Whether the calendar covers this day.
    pub covered: bool,
    /// The last day that the calendar covers.
    pub covered_through: NaiveDate,
    /// What to do if the calendar's cover ends soon.
    pub warning: Option<String>,
    /// The phases of the day on the exchange.
    pub phases: Vec<PhaseTimes>,
}

/// Start and end of a phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseTimes {
    /// The phase.
    pub phase: Phase,
    /// When it begins.
    #[serde(serialize_with = "seconds")]
    pub start: KrxTime,
    /// When it ends.
    #[serde(serialize_with = "seconds")]
    pub end: KrxTime,
}

impl Outlook {
    /// Creates the answer of `calendar` for the instant of `moment`.
    #[must_use]
    pub fn new(calendar: &Calendar, moment: &Moment) -> Self {
        let date = moment.at.date_naive();
        let phases = calendar.phases(Venue::Krx, date).into_iter();
        Self {
            at: moment.at,
            open: moment.is_open(),
            phase: moment.phase,
            continuous: moment.phase.is_continuous(),
            nxt_phase: moment.nxt_phase,
            reason: moment.closed.as_ref().map(ToString::to_string),
            next_open: moment.next_open,
            closes_at: moment.closes_at,
            trading_day: calendar.is_trading_day(date),
            covered: moment.covered,
            covered_through: calendar.covered_through(),
            warning: calendar.cover_warning(date),
            phases: phases
                .map(|span| PhaseTimes {
                    phase: span.phase,
                    start: span.start,
                    end: span.end,
                })
                .collect(),
        }
    }
}

fn seconds<S: Serializer>(time: &KrxTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(chrono::SecondsFormat::Secs, false))
}

fn optional_seconds<S: Serializer>(
    time: &Option<KrxTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
