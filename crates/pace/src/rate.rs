//! How fast, and how many at once.

use std::num::NonZeroU32;
use std::time::Duration;

/// A call needs this long to go out, seconds: a timer wakes a millisecond late, a busy machine later.
const LEAST: f64 = 0.02;

/// A call is never later in its cell than this: then the process was paused, or the calls of cells that
/// the budget forgot go first.
const LATE: Duration = Duration::from_millis(250);

/// Above this, timers that wake once a millisecond decide what goes together. Only hosts of one's own are
/// asked so fast.
const MANY: f64 = 100.0;

/// Calls per second, and how many may come at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Steady rate, calls per second.
    pub per_second: f64,
    /// Calls that may go out together, as where one of them was late.
    pub burst: NonZeroU32,
}

impl Rate {
    /// A rate of `per_second` calls with `burst` at once, at least one.
    #[must_use]
    pub fn new(per_second: f64, burst: u32) -> Self {
        Self {
            per_second,
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
        }
    }

    /// Time between two calls at this share of the rate.
    #[must_use]
    pub fn part(self, share: f64) -> Duration {
        Duration::try_from_secs_f64(1.0 / (self.per_second * share)).unwrap_or(Duration::MAX)
    }

    /// The most calls that any sliding second can hold.
    #[must_use]
    pub fn most_in_a_second(self) -> u32 {
        // The burst opens the second; one more call falls due each period, the last of them
        // exactly when the second is over.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, and a rate is above zero"
        )]
        let due = self.per_second.ceil() as u32;
        (self.burst.get() - 1).saturating_add(due.max(1))
    }

    /// How late in its cell a call may go, so that no second holds more than
    /// [`Rate::most_in_a_second`].
    ///
    /// All calls are booked a period apart: the one that is that late, and the first one that is one too
    /// many for a second, which is not late at all, are then a second apart.
    #[must_use]
    pub(super) fn latest_in_a_cell(self) -> Duration {
        // Where many calls share a cell, timers are what is late.
        if self.per_second > MANY {
            return LATE;
        }
        let room = f64::from(self.most_in_a_second()) / self.per_second - 1.0;
        Duration::from_secs_f64(room.max(LEAST)).min(LATE)
    }

    /// For how long after its start a cell that nobody booked may still be booked: the call in it has
    /// the time left in which it goes out. After a rest the second call follows that much sooner.
    #[must_use]
    pub fn late_booking(self) -> Duration {
        if self.per_second > MANY {
            return Duration::ZERO;
        }
        let least = Duration::from_secs_f64(LEAST);
        self.latest_in_a_cell().saturating_sub(least)
    }

    /// The rate at which calls are booked: the set one, less where that leaves no call the time to go
    /// out in.
    #[must_use]
    pub fn booked_per_second(self) -> f64 {
        let most = f64::from(self.most_in_a_second());
        self.per_second.min(most / (1.0 + LEAST))
    }
}
