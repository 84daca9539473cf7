//! Call rates: how fast, and how many at once.

use std::num::NonZeroU32;
use std::time::Duration;

/// Time a call needs to go out, in seconds. A timer wakes up a millisecond late, on a busy machine
/// later.
const LEAST: f64 = 0.02;

/// Upper limit of how late in its cell a call may go out. A later call means that the process was
/// paused, or that calls from cells the budget forgot go first.
const LATE: Duration = Duration::from_millis(250);

/// Rate above which the millisecond resolution of timers decides which calls go out together. Only
/// one's own hosts are called that fast.
const MANY: f64 = 100.0;

/// Calls per second, and how many may go out at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Steady rate, calls per second.
    pub per_second: f64,
    /// Calls that may go out together, for example because one of them was late.
    pub burst: NonZeroU32,
}

impl Rate {
    /// Creates a rate of `per_second` calls with `burst` at once, at least one.
    #[must_use]
    pub fn new(per_second: f64, burst: u32) -> Self {
        Self {
            per_second,
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
        }
    }

    /// Returns the time between two calls at this share of the rate.
    #[must_use]
    pub fn part(self, share: f64) -> Duration {
        Duration::try_from_secs_f64(1.0 / (self.per_second * share)).unwrap_or(Duration::MAX)
    }

    /// Returns the most calls in any sliding second.
    #[must_use]
    pub fn most_in_a_second(self) -> u32 {
        // The burst starts the second. One more call is due each period, the last of them exactly
        // when the second is over.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, and a rate is above zero"
        )]
        let due = self.per_second.ceil() as u32;
        (self.burst.get() - 1).saturating_add(due.max(1))
    }

    /// Returns how late in its cell a call may go out, so that no second exceeds
    /// [`Rate::most_in_a_second`].
    ///
    /// Calls are booked a period apart. The worst case is one call that is this late, followed by
    /// calls that are not late at all. The first one too many for a second is then still a second
    /// after the late call.
    #[must_use]
    pub(super) fn latest_in_a_cell(self) -> Duration {
        // If many calls share a cell, only timers are late.
        if self.per_second > MANY {
            return LATE;
        }
        let room = f64::from(self.most_in_a_second()) / self.per_second - 1.0;
        Duration::from_secs_f64(room.max(LEAST)).min(LATE)
    }

    /// Returns how long after its start an unbooked cell may still be booked. Enough time is left
    /// for its call to go out. After a pause, the second call follows that much sooner.
    #[must_use]
    pub fn late_booking(self) -> Duration {
        if self.per_second > MANY {
            return Duration::ZERO;
        }
        let least = Duration::from_secs_f64(LEAST);
        self.latest_in_a_cell().saturating_sub(least)
    }

    /// Returns the rate at which calls are booked: the configured one, or less if that leaves a
    /// call no time to go out.
    #[must_use]
    pub fn booked_per_second(self) -> f64 {
        let most = f64::from(self.most_in_a_second());
        self.per_second.min(most / (1.0 + LEAST))
    }
}
