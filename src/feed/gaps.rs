//! Gaps in quick succession are reported together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use sise_domain::Symbol;
use sise_port::{Gap, GapReason};

/// Shortest time between two reports for one reason.
///
/// If every frame is unreadable, there are hundreds of gaps a second, and all that a receiver can
/// do is to ask for the prices again.
const APART: Duration = Duration::from_secs(1);

/// Gaps that wait to be reported.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    held: BTreeMap<GapReason, OpenGap>,
}

#[derive(Debug)]
struct OpenGap {
    codes: BTreeSet<Symbol>,
    due: Instant,
}

impl Gaps {
    /// Adds a gap.
    pub(super) fn note(&mut self, gap: &Gap, now: Instant) {
        let fresh = || OpenGap {
            codes: BTreeSet::new(),
            due: now,
        };
        let held = self.held.entry(gap.reason).or_insert_with(fresh);
        held.codes.extend(gap.codes.iter());
    }

    /// Returns when the next report is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.held.values().filter(|held| !held.codes.is_empty());
        waiting.map(|held| held.due).min()
    }

    /// Returns the gaps to report now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Gap> {
        let mut due = Vec::new();
        for (reason, held) in &mut self.held {
            if held.due <= now && !held.codes.is_empty() {
                held.due = now + APART;
                due.push(Gap {
                    codes: std::mem::take(&mut held.codes).into_iter().collect(),
                    reason: *reason,
                });
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(reason: GapReason, code: &str) -> Gap {
        Gap {
            codes: std::iter::once(code.parse().unwrap()).collect(),
            reason,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_is_told_at_once_and_those_after_it_together() {
        let mut gaps = Gaps::default();
        let start = Instant::now();
        assert_eq!(gaps.next_due(), None);
        gaps.note(&gap(GapReason::Unreadable, "000010"), start);
        assert_eq!(gaps.next_due(), Some(start));
        let told = gaps.take_due(start);
        assert_eq!(told, [gap(GapReason::Unreadable, "000010")]);
        for code in ["000020", "000010", "000020"] {
            gaps.note(&gap(GapReason::Unreadable, code), start);
        }
        assert_eq!(gaps.take_due(start), []);
        // Each reason has its own interval.
        gaps.note(&gap(GapReason::Lost, "000030"), start);
        assert_eq!(gaps.take_due(start), [gap(GapReason::Lost, "000030")]);
        assert_eq!(gaps.next_due(), Some(start + APART));
        let told = gaps.take_due(start + APART);
        let codes = ["000010", "000020"].map(|code| code.parse().unwrap());
        assert_eq!(told.len(), 1);
        assert_eq!(*told[0].codes, codes);
        assert_eq!(gaps.next_due(), None);
    }
}
