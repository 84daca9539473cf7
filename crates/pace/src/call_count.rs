//! The calls of all processes, as this one remembers them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sise_domain::CallsMade;

/// What this process knows of the calls that all made: the shared budget lives in Redis, and may come
/// back empty, or be away while calls are made.
#[derive(Debug, Default)]
pub struct CallCount(Mutex<CallsMade>);

/// What the shared budget is told. Where it does not answer, it is told again.
#[derive(Debug)]
#[must_use]
pub struct Telling<'a> {
    count: &'a CallCount,
    /// What it is told.
    pub known: CallsMade,
}

impl CallCount {
    /// What the shared budget is to be told with the next booking.
    pub fn tell(&self) -> Telling<'_> {
        let mut calls = self.calls();
        let known = *calls;
        calls.uncounted = 0;
        Telling { count: self, known }
    }

    /// Calls went out that the shared budget did not count.
    pub(super) fn made_alone(&self, calls: u32) {
        let known = &mut self.calls();
        known.uncounted = known.uncounted.saturating_add(calls);
    }

    /// What is known.
    pub(super) fn known(&self) -> CallsMade {
        *self.calls()
    }

    fn calls(&self) -> MutexGuard<'_, CallsMade> {
        // Nothing that holds the lock leaves it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telling<'_> {
    /// The budget answered: that is what it `heard` of by now.
    pub fn answered(mut self, heard: CallsMade) {
        self.known.uncounted = 0;
        let mut calls = self.count.calls();
        // Answers may overtake each other.
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
        // Another booking meanwhile must not count them a second time.
        assert_eq!(count.tell().known.uncounted, 0);
        telling.answered(heard(20_000, 11, 101, 9));
        assert_eq!(count.known(), heard(20_000, 11, 101, 9));
        // An answer that was overtaken by a later one.
        count.tell().answered(heard(20_000, 10, 100, 8));
        assert_eq!(count.known(), heard(20_000, 11, 101, 9));
        count.tell().answered(heard(20_001, 1, 102, 2));
        assert_eq!(count.known(), heard(20_001, 1, 102, 2));
    }
}
