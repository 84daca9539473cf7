//! The calendar's answer for one instant.

use std::fmt;

use super::{KrxTime, Phase};

/// Reason why there is no regular session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// Saturday or Sunday.
    Weekend,
    /// The exchange is closed that day. The note says why, if known.
    Holiday(String),
    /// A trading day, before the session.
    BeforeOpen,
    /// A trading day, after the session.
    AfterClose,
}

impl Closed {
    /// Returns the label for metrics, in one word.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Weekend => "weekend",
            Self::Holiday(_) => "holiday",
            Self::BeforeOpen => "before_open",
            Self::AfterClose => "after_close",
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weekend => f.write_str("weekend"),
            Self::Holiday(note) if note.is_empty() => f.write_str("holiday"),
            Self::Holiday(note) => write!(f, "holiday: {note}"),
            Self::BeforeOpen => f.write_str("before the open"),
            Self::AfterClose => f.write_str("after the close"),
        }
    }
}

/// The calendar's answer for one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The instant asked for.
    pub at: KrxTime,
    /// Phase on the exchange.
    pub phase: Phase,
    /// Phase on NXT.
    pub nxt_phase: Phase,
    /// Why there is no regular session; `None` during it (closing auction included).
    pub closed: Option<Closed>,
    /// Start of the next regular session after this instant; `None` only if the calendar knows
    /// none.
    pub next_open: Option<KrxTime>,
    /// End of the current regular session.
    pub closes_at: Option<KrxTime>,
    /// Whether the calendar's table covers this day.
    ///
    /// On other days, weekdays count as ordinary sessions.
    pub covered: bool,
}

impl Moment {
    /// Returns whether the regular session is on, its closing auction included.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }
}
