//! Spacing of sessions: the broker blocks clients that reconnect in a fast loop (contract chapter 3
//! and 5.8).

use std::time::Duration;

/// First and longest pause after a session.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The same if another session has the app key, or nothing can be registered.
const IN_USE: Duration = Duration::from_secs(60);
const LONGEST_IN_USE: Duration = Duration::from_secs(600);

/// Pause if a person must act first.
const REFUSED: Duration = Duration::from_secs(600);

/// Length of a session that counts as good and resets the pauses.
const STEADY: Duration = Duration::from_secs(60);

/// How a session ended, by its meaning for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Trouble, or an intended end.
    End,
    /// The app key is in use, or all its registrations are.
    InUse,
    /// The app key is not accepted.
    Refused,
}

/// Computes the pauses between sessions.
#[derive(Debug, Default)]
pub(super) struct Pace {
    ends: u32,
    in_use: u32,
}

impl Pace {
    /// Returns the pause after a session that lasted `lived`; `jitter` is between 0 and 1.
    pub(super) fn pause(&mut self, after: After, lived: Duration, jitter: f64) -> Duration {
        if lived >= STEADY {
            *self = Self::default();
        }
        let doubled = |first: Duration, times: u32, longest: Duration| {
            let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
            first.saturating_mul(factor).min(longest)
        };
        let pause = match after {
            After::End => {
                let pause = doubled(FIRST, self.ends, LONGEST);
                self.ends = (self.ends + 1).min(16);
                pause
            }
            After::InUse => {
                let pause = doubled(IN_USE, self.in_use, LONGEST_IN_USE);
                self.in_use = (self.in_use + 1).min(16);
                pause
            }
            After::Refused => REFUSED,
        };
        pause.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn pauses_grow_and_a_good_session_begins_anew() {
        let mut pace = Pace::default();
        let mut pause = |after, lived| pace.pause(after, lived, 0.0).as_secs();
        let grown: Vec<u64> = (0..9).map(|_| pause(After::End, SHORT)).collect();
        assert_eq!(grown, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(After::End, STEADY), 1);
        let grown: Vec<u64> = (0..6).map(|_| pause(After::InUse, SHORT)).collect();
        assert_eq!(grown, [60, 120, 240, 480, 600, 600]);
        assert_eq!(pause(After::InUse, STEADY), 60);
        assert_eq!(pause(After::Refused, SHORT), 600);
    }

    proptest! {
        /// No minute has more than seven short sessions, however they end.
        #[test]
        fn there_is_no_fast_loop(ends in proptest::collection::vec((0_u8..3, 0.0..=1.0), 1..60)) {
            let mut pace = Pace::default();
            let mut now = Duration::ZERO;
            let mut starts = vec![now];
            for (end, jitter) in ends {
                let after = [After::End, After::InUse, After::Refused][usize::from(end)];
                let pause = pace.pause(after, SHORT, jitter);
                prop_assert!(pause >= FIRST && pause <= LONGEST_IN_USE.mul_f64(1.5));
                now += SHORT + pause;
                starts.push(now);
            }
            for start in &starts {
                let minute = *start..*start + Duration::from_secs(60);
                let within = starts.iter().filter(|at| minute.contains(at)).count();
                prop_assert!(within <= 7, "{starts:?}");
            }
        }
    }
}
