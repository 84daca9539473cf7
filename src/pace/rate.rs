//! How fast, and how many at once.

use std::num::NonZeroU32;

/// Calls per second, and how many may come at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Steady rate, calls per second.
    pub per_second: f64,
    /// Calls that may go out together after a rest.
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
}
