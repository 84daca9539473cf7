//! The arithmetic that decides a set-up (design chapter 1).

use std::time::Duration;

use serde::Serialize;

/// How the broker is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Calling {
    /// Many codes in one call; real accounts only (contract 4.3).
    Multi,
    /// One code in one call.
    Single,
}

impl Calling {
    /// Codes that go into one call where batches of `batch_size` are wanted.
    #[must_use]
    pub fn codes_a_call(self, batch_size: usize) -> usize {
        match self {
            Self::Multi => batch_size.max(1),
            Self::Single => 1,
        }
    }
}

/// Share of the TTL that sweeps may need at most. The rest is for what a sweep meets on its
/// way: retries, slow answers, cron ticks that come late.
const USABLE_TTL: f64 = 0.95;

/// A usual session, 09:00 to 15:30.
const SESSION: Duration = Duration::from_secs(23_400);

/// No list needs so many calls.
const MOST_CALLS: usize = 1 << 24;

/// A set-up whose outcome can be computed before a call is spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Number of codes.
    pub codes: usize,
    /// How they are asked for.
    pub calling: Calling,
    /// Codes in a batch, which is one call; with [`Calling::Single`] one whatever stands here.
    pub batch_size: usize,
    /// Calls per second.
    pub rate: f64,
    /// Calls in any minute at most.
    pub per_minute: Option<u32>,
    /// Calls in a day at most.
    pub per_day: Option<u32>,
    /// Least time between the starts of two batches.
    pub batch_pause: Duration,
    /// Time between the starts of two sweeps.
    pub interval: Duration,
    /// Life of a price.
    pub ttl: Duration,
}

impl Plan {
    /// Calls of one sweep, without retries; each is a batch.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.codes
            .div_ceil(self.calling.codes_a_call(self.batch_size))
    }

    /// Length of one sweep.
    #[must_use]
    pub fn sweep_time(&self) -> Duration {
        let calls = self.calls();
        let paced = real(calls) / self.rate;
        let paused = real(calls) * self.batch_pause.as_secs_f64();
        // What goes beyond the calls of a minute waits for the next one.
        let capped = self.per_minute.map_or(0.0, |most| {
            let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
            let minutes = calls.saturating_sub(1) / most;
            real(minutes) * 60.0 + real(calls - minutes * most) / self.rate
        });
        Duration::try_from_secs_f64(paced.max(paused).max(capped)).unwrap_or(Duration::MAX)
    }

    /// Time from one write of a code to its next: sweeps follow each other at the interval, or
    /// back to back where one takes longer, and no faster than the calls of a minute allow.
    #[must_use]
    pub fn period(&self) -> Duration {
        let capped = self
            .per_minute
            .map_or(0.0, |most| real(self.calls()) * 60.0 / f64::from(most));
        let capped = Duration::try_from_secs_f64(capped).unwrap_or(Duration::MAX);
        self.sweep_time().max(self.interval).max(capped)
    }

    /// Calls of a usual trading day, without retries and without those of readers.
    #[must_use]
    pub fn calls_a_day(&self) -> usize {
        let sweeps = (SESSION.as_secs_f64() / self.period().as_secs_f64()).ceil();
        // And the one that takes the close.
        self.calls().saturating_mul(whole(sweeps) + 1)
    }

    /// Whether the calls of a day last until the close.
    #[must_use]
    pub fn lasts_the_day(&self) -> bool {
        self.per_day
            .is_none_or(|most| self.calls_a_day() <= usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Share of the codes that have a live price at any moment, 0 to 1.
    #[must_use]
    pub fn share_alive(&self) -> f64 {
        (self.ttl.as_secs_f64() / self.period().as_secs_f64()).min(1.0)
    }

    /// The largest list that this set-up keeps alive.
    #[must_use]
    pub fn largest_list(&self) -> usize {
        let codes_a_call = self.calling.codes_a_call(self.batch_size);
        let fits = |calls: usize| {
            let codes = calls.saturating_mul(codes_a_call);
            Self { codes, ..*self }.keeps_alive()
        };
        // Fewer calls never do worse, so the border is found by halving.
        let (mut most, mut too_many) = (0, MOST_CALLS);
        while too_many - most > 1 {
            let middle = usize::midpoint(most, too_many);
            if fits(middle) {
                most = middle;
            } else {
                too_many = middle;
            }
        }
        most.saturating_mul(codes_a_call)
    }

    /// Whether no code ever dies between two sweeps, to the end of the day.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.is_in_time() && self.lasts_the_day()
    }

    /// Whether every code is written again before it dies.
    #[must_use]
    pub fn is_in_time(&self) -> bool {
        self.period() <= self.usable()
    }

    fn usable(&self) -> Duration {
        self.ttl.mul_f64(USABLE_TTL)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of codes are far below 2^52"
)]
fn real(count: usize) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and the quotients are never negative"
)]
fn whole(quotient: f64) -> usize {
    quotient as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(calling: Calling, rate: f64) -> Plan {
        Plan {
            codes: 2_769,
            calling,
            batch_size: 30,
            rate,
            per_minute: None,
            per_day: None,
            batch_pause: Duration::ZERO,
            interval: Duration::from_secs(60),
            ttl: Duration::from_secs(120),
        }
    }

    /// The table of design chapter 1.
    #[test]
    fn the_table_of_the_design_comes_out() {
        let rows = [
            (plan(Calling::Single, 20.0), 2_769, 138, 87),
            (plan(Calling::Multi, 1.0), 93, 93, 100),
            (plan(Calling::Multi, 15.0), 93, 6, 100),
        ];
        for (plan, calls, seconds, percent) in rows {
            assert_eq!(plan.calls(), calls);
            assert_eq!(plan.sweep_time().as_secs(), seconds);
            assert_eq!((plan.share_alive() * 100.0).round(), f64::from(percent));
            assert_eq!(plan.keeps_alive(), percent == 100);
        }
        let replaced = Plan {
            // 2 s after every 50 calls.
            batch_pause: Duration::from_millis(1_040),
            ..plan(Calling::Single, 1.0)
        };
        assert_eq!((replaced.share_alive() * 100.0).round(), 4.0);
    }

    #[test]
    fn a_key_must_outlive_the_interval() {
        let slow = Plan {
            interval: Duration::from_secs(120),
            ..plan(Calling::Multi, 15.0)
        };
        assert!(!slow.keeps_alive());
        assert_eq!(slow.largest_list(), 0);
    }

    #[test]
    fn caps_of_a_minute_and_a_day_count() {
        let whole = |per_minute, per_day| Plan {
            per_minute,
            per_day,
            ..plan(Calling::Multi, 15.0)
        };
        // 93 calls in any 114 s, and 93 a minute for 390 minutes with one more for the close.
        for (per_minute, per_day, keeps_alive) in [
            (Some(49), None, true),
            (Some(48), None, false),
            (None, Some(36_363), true),
            (None, Some(36_362), false),
            (Some(49), Some(36_363), true),
        ] {
            let plan = whole(per_minute, per_day);
            assert_eq!(plan.keeps_alive(), keeps_alive, "{plan:?}");
        }
        assert_eq!(whole(Some(10), None).sweep_time().as_secs(), 9 * 60);
        assert_eq!(whole(Some(10), None).largest_list(), 19 * 30);
    }

    proptest! {
        /// The largest list works and one more does not, or more would not matter.
        #[test]
        fn the_largest_list_is_the_largest(
            batch_size in 1_usize..=30,
            rate in 0.5_f64..20.0,
            pause in 0_u64..3_000,
            single in any::<bool>(),
            per_minute in proptest::option::of(1_u32..2_000),
            per_day in proptest::option::of(1_u32..100_000),
        ) {
            let calling = if single { Calling::Single } else { Calling::Multi };
            let base = Plan {
                batch_size,
                batch_pause: Duration::from_millis(pause),
                per_minute,
                per_day,
                ..plan(calling, rate)
            };
            let largest = base.largest_list();
            let fits = Plan { codes: largest, ..base };
            let over = Plan { codes: largest + 1, ..base };
            prop_assert!(fits.keeps_alive());
            prop_assert!(!over.keeps_alive());
        }
    }
}
