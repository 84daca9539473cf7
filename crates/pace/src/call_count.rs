//! Calls of all processes, as far as this process knows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sise_domain::CallsMade;

/// What this process knows about the calls of all processes.
///
/// The shared budget is in Redis, which may come back empty, or be unreachable while calls are
/// made.
#[derive(Debug, Default)]
pub struct CallCount(Mutex<CallsMade>);

/// Report to the shared budget. Calls that the budget did not count are reported again.
#[derive(Debug)]
#[must_use]
pub struct Telling<'a> {
    count: &'a CallCount,
    /// What is reported.
    pub known: CallsMade,
}

impl CallCount {
    /// Returns the report for the next booking.
    pub fn tell(&self) -> Telling<'_> {
        let mut calls = self.calls();
        let known = *calls;
        calls.uncounted = 0;
        Telling { count: self, known }
    }

    /// Records calls that the shared budget did not count.
    pub(super) fn made_alone(&self, calls: u32) {
        let known = &mut self.calls();
        known.uncounted = known.uncounted.saturating_add(calls);
    }

    /// Returns what is known.
    pub(super) fn known(&self) -> CallsMade {
        *self.calls()
    }

    fn calls(&self) -> MutexGuard<'_, CallsMade> {
        // No code that holds the lock leaves it half changed, so a poisoned lock is usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telling<'_> {
    /// Takes over the answer of the budget: `heard` is what it knows by now.
    pub fn answered(mut self, heard: CallsMade) {
        self.known.uncounted = 0;
        let mut calls = self.count.calls();
        // A later answer may arrive first.
        if (heard.day, heard.today) > (calls.day, calls.today) {
            (calls.day, calls.today) = (heard.day, heard.today);
        }
        if heard.heard_at >= calls.heard_at {
            (calls.heard_at, calls.last_minute) = (heard.heard_at, heard.last_minute);
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if self.known.uncounted > 0 {
            self.count.made_alone(self.known.uncounted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_budget_did_not_hear_is_told_again() {
        let count = CallCount::default();
        let heard = |day, today, heard_at, last_minute| CallsMade {
            day,
            today,
            heard_at,
            last_minute,
            uncounted: 0,
        };
        count.tell().answered(heard(20_000, 7, 100, 5));
        count.made_alone(3);
        drop(count.tell());
        let telling = count.tell();
        let known = CallsMade {
            uncounted: 3,
            ..heard(20_000, 7, 100, 5)
        };
        assert_eq!(telling.known, known);
        // A booking made meanwhile must not report them a second time.
        assert_eq!(count.tell().known.uncounted, 0);
        telling.answered(heard(20_000, 11, 101, 9));
        assert_eq!(count.known(), heard(20_000, 11, 101, 9));
        // An answer that arrives after a later one.
        count.tell().answered(heard(20_000, 10, 100, 8));
        assert_eq!(count.known(), heard(20_000, 11, 101, 9));
        count.tell().answered(heard(20_001, 1, 102, 2));
        assert_eq!(count.known(), heard(20_001, 1, 102, 2));
    }
}
