//! What is remembered of a rule and a code, or of a rule about the market.

use serde::{Deserialize, Serialize};

/// What is remembered of a rule and what it is about. Kept in the store too, so that another process
/// can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// On which side of its limit the value was last clearly: 0 where an alert may follow, 1 or -1
    /// where it was told of that side and has not gone back since.
    pub side: i8,
    /// When that changed last, milliseconds since 1970.
    pub at_ms: i64,
    /// When an alert was told last, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_ms: Option<i64>,
}

/// What a measure says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// The limit is passed, to this side; the value.
    Beyond(i8, f64),
    /// Neither passed nor clearly back.
    Between,
    /// Clearly back: the next time it is passed is news.
    Back,
}

/// How an alert may be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Which side it is on is no news: it was there when the rule was made.
    pub(super) is_no_news: bool,
    /// Neither quiet hours nor an alert of shortly before forbid it.
    pub(super) may_be_told: bool,
    /// The time, milliseconds since 1970.
    pub(super) now_ms: i64,
}

/// What became of a mark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    /// Nothing that another process must know.
    Same,
    /// Where it stands was not known before.
    Known,
    /// An alert may follow again.
    Rearmed,
    /// An alert is due, with this value.
    Due(f64),
}

impl Mark {
    /// Takes in what was measured.
    pub(super) fn judge(&mut self, verdict: Verdict, manner: Manner) -> Outcome {
        match verdict {
            Verdict::Back if self.side != 0 => {
                self.turn(0, manner.now_ms);
                if self.told_ms.is_some() {
                    return Outcome::Rearmed;
                }
            }
            Verdict::Beyond(side, _) if side == self.side => {}
            Verdict::Beyond(side, _) if manner.is_no_news => {
                self.turn(side, manner.now_ms);
                return Outcome::Known;
            }
            Verdict::Back | Verdict::Between if manner.is_no_news => {
                self.turn(0, manner.now_ms);
                return Outcome::Known;
            }
            Verdict::Beyond(side, value) if manner.may_be_told => {
                self.turn(side, manner.now_ms);
                self.told_ms = Some(manner.now_ms);
                return Outcome::Due(value);
            }
            // What may not be told now is told when it may be, if it holds still.
            Verdict::Beyond(..) | Verdict::Between | Verdict::Back => {}
        }
        Outcome::Same
    }

    /// Whether an alert was told less than `every` before.
    pub(super) fn is_too_soon(&self, every_ms: i64, now_ms: i64) -> bool {
        // A clock that was set back must not silence a rule for longer.
        let since = |told: i64| now_ms.saturating_sub(told).saturating_abs();
        self.told_ms.is_some_and(|told| since(told) < every_ms)
    }

    fn turn(&mut self, side: i8, now_ms: i64) {
        self.side = side;
        self.at_ms = now_ms;
    }
}
