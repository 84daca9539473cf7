//! The calls of the day, as a process remembers them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::DayCalls;

/// What this process knows of the day's calls to the broker: the shared budget lives in Redis, and
/// may come back empty, or be away while calls are made.
#[derive(Debug, Default)]
pub struct DayCount(Mutex<DayCalls>);

/// What the shared budget is told. Where it does not answer, it is told again.
#[derive(Debug)]
#[must_use]
pub struct Telling<'a> {
    count: &'a DayCount,
    /// What it is told.
    pub known: DayCalls,
}

impl DayCount {
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
    pub(super) fn known(&self) -> DayCalls {
        *self.calls()
    }

    fn calls(&self) -> MutexGuard<'_, DayCalls> {
        // Nothing that holds the lock leaves it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telling<'_> {
    /// The budget answered: it counts `made` calls on `day`.
    pub fn answered(mut self, day: i64, made: u32) {
        self.known.uncounted = 0;
        let mut calls = self.count.calls();
        if (day, made) > (calls.day, calls.made) {
            (calls.day, calls.made) = (day, made);
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
        let count = DayCount::default();
        count.tell().answered(20_000, 7);
        count.made_alone(3);
        let known = DayCalls {
            day: 20_000,
            made: 7,
            uncounted: 3,
        };
        drop(count.tell());
        let telling = count.tell();
        assert_eq!(telling.known, known);
        // Another booking meanwhile must not count them a second time.
        assert_eq!(count.tell().known.uncounted, 0);
        telling.answered(20_000, 11);
        let known = DayCalls {
            made: 11,
            uncounted: 0,
            ..known
        };
        assert_eq!(count.known(), known);
        // An answer that was overtaken by a later one.
        count.tell().answered(20_000, 10);
        assert_eq!(count.known(), known);
        count.tell().answered(20_001, 1);
        assert_eq!(count.tell().known.day, 20_001);
    }
}
