//! What the calendar says of one instant.

use std::fmt;

use super::{KrxTime, Phase};

/// Why the regular session is not on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// Saturday or Sunday.
    Weekend,
    /// The exchange is closed that day; the note says why, where it is known.
    Holiday(String),
    /// A trading day, before the session.
    BeforeOpen,
    /// A trading day, after the session.
    AfterClose,
}

impl Closed {
    /// One word, for metrics.
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
    /// Why the regular session is not on; `None` while it is (closing auction included).
    pub closed: Option<Closed>,
    /// Start of the next regular session after this instant; `None` only where the calendar
    /// knows none.
    pub next_open: Option<KrxTime>,
    /// End of the regular session that is on.
    pub closes_at: Option<KrxTime>,
    /// Whether the calendar's table speaks of this day. Where it does not, weekdays are taken
    /// for ordinary sessions.
    pub covered: bool,
}

impl Moment {
    /// Whether the regular session is on, its closing auction included.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }
}
