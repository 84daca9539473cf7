//! State that is kept for a rule and a code, or for a rule about the market.

use serde::{Deserialize, Serialize};

/// State of a rule for one code, or for the market.
///
/// It is also kept in the store so that another process can continue from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// The side of the limit that the value was last clearly on.
    ///
    /// 0 if an alert may follow; 1 or -1 if that side was already reported and the value has not
    /// gone back since.
    pub side: i8,
    /// When `side` last changed, milliseconds since 1970.
    pub at_ms: i64,
    /// When the last alert was sent, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_ms: Option<i64>,
    /// Whether it is about simulated prices. A real price knows nothing of what those did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
}

/// Result of one measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// The limit is passed on this side, with this value.
    Beyond(i8, f64),
    /// Neither passed nor clearly back.
    Between,
    /// Clearly back: passing the limit again is news.
    Back,
}

/// Circumstances that decide whether an alert may be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// The current side is not news, because it only sets the starting point of a new rule.
    pub(super) is_no_news: bool,
    /// Neither quiet hours nor a recent alert prevents an alert.
    pub(super) may_be_told: bool,
    /// The current time, milliseconds since 1970.
    pub(super) now_ms: i64,
}

/// Effect of a measurement on a mark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    /// Nothing that another process must know.
    Same,
    /// The side became known for the first time.
    Known,
    /// The value went back, so an alert may follow again.
    Rearmed,
    /// An alert is due, with this value.
    Due(f64),
}

impl Mark {
    /// Applies a measurement.
    pub(super) fn judge(&mut self, verdict: Verdict, circumstances: Circumstances) -> Outcome {
        match verdict {
            Verdict::Back if self.side != 0 => {
                self.turn(0, circumstances.now_ms);
                if self.told_ms.is_some() {
                    return Outcome::Rearmed;
                }
            }
            Verdict::Beyond(side, _) if side == self.side => {}
            Verdict::Beyond(side, _) if circumstances.is_no_news => {
                self.turn(side, circumstances.now_ms);
                return Outcome::Known;
            }
            Verdict::Back | Verdict::Between if circumstances.is_no_news => {
                self.turn(0, circumstances.now_ms);
                return Outcome::Known;
            }
            Verdict::Beyond(side, value) if circumstances.may_be_told => {
                self.turn(side, circumstances.now_ms);
                self.told_ms = Some(circumstances.now_ms);
                return Outcome::Due(value);
            }
            // An alert that is held back is sent as soon as it is allowed, if the condition still
            // holds.
            Verdict::Beyond(..) | Verdict::Between | Verdict::Back => {}
        }
        Outcome::Same
    }

    /// Returns whether the last alert is less than `every_ms` old.
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
