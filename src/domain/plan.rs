//! The arithmetic that decides a set-up (design chapter 1).

use std::time::Duration;

use serde::Serialize;

use super::Urgency;

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
    /// Codes of the list that are refreshed more often than the rest, beside the sweeps.
    pub watched: usize,
    /// Time between the starts of two passes over them, where there is time enough.
    pub watched_interval: Duration,
}

impl Plan {
    /// Calls of one sweep, without retries; each is a batch.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.codes
            .div_ceil(self.calling.codes_a_call(self.batch_size))
    }

    /// Calls of one pass over the watched codes, without retries.
    #[must_use]
    pub fn watched_calls(&self) -> usize {
        self.watched
            .div_ceil(self.calling.codes_a_call(self.batch_size))
    }

    /// Length of one pass over the watched codes while a sweep goes on too. Where readers ask the
    /// broker as well, it is more.
    #[must_use]
    pub fn watched_time(&self) -> Duration {
        let calls = real(self.watched_calls());
        // Their calls go before those of a sweep, which keeps what its own lane holds.
        let share = 1.0 - Urgency::Sweep.lane_share();
        let paced = calls / (self.rate * share);
        let paused = calls * self.batch_pause.as_secs_f64();
        let capped = self
            .per_minute
            .map_or(0.0, |most| calls * 60.0 / (f64::from(most) * share));
        Duration::try_from_secs_f64(paced.max(paused).max(capped)).unwrap_or(Duration::MAX)
    }

    /// Time from one write of a watched code to its next: passes over them follow each other at
    /// their interval, or back to back where one takes longer.
    #[must_use]
    pub fn watched_period(&self) -> Duration {
        self.watched_time().max(self.watched_interval)
    }

    /// Whether the watched codes are refreshed at their interval.
    #[must_use]
    pub fn keeps_watched(&self) -> bool {
        self.watched_period() <= self.watched_interval
    }

    /// Why the watched codes cannot keep their interval, in words; `None` where they can.
    #[must_use]
    pub fn watched_strain(&self) -> Option<String> {
        (!self.keeps_watched()).then(|| {
            format!(
                "{} watched codes cannot be refreshed every {:.0} s: one pass over them takes \
                 {:.0} s, so that passes follow each other",
                self.watched,
                self.watched_interval.as_secs_f64(),
                self.watched_time().as_secs_f64(),
            )
        })
    }

    /// What the watched codes do to a list that would stay alive without them, in words; `None`
    /// where it still does.
    #[must_use]
    pub fn list_strain(&self) -> Option<String> {
        let unwatched = Self {
            watched: 0,
            ..*self
        };
        if self.keeps_alive() || !unwatched.keeps_alive() {
            return None;
        }
        let what = match self.lasts_the_day() {
            true => format!(
                "each code of the list is written every {:.0} s and lives {:.0} s",
                self.period().as_secs_f64(),
                self.ttl.as_secs_f64()
            ),
            false => "the calls of a day do not last until the close".to_owned(),
        };
        let watched = self.watched;
        Some(format!(
            "{watched} watched codes take so many calls that {what}"
        ))
    }

    /// Calls for watched codes in a second, on average.
    fn watched_rate(&self) -> f64 {
        if self.watched == 0 {
            return 0.0;
        }
        real(self.watched_calls()) / self.watched_period().as_secs_f64()
    }

    /// Length of one sweep.
    #[must_use]
    pub fn sweep_time(&self) -> Duration {
        let calls = self.calls();
        // A pass over the watched codes may begin just after it.
        let between = real(calls + self.watched_calls()) / (self.rate - self.watched_rate());
        let on_its_lane = real(calls) / (self.rate * Urgency::Sweep.lane_share());
        let paced = between.min(on_its_lane);
        let paused = real(calls) * self.batch_pause.as_secs_f64();
        // What goes beyond the calls of a minute waits for the next one.
        let capped = self.left_of_a_minute().map_or(0.0, |most| {
            let most = whole(most).max(1);
            let minutes = calls.saturating_sub(1) / most;
            let rest = real(calls - minutes * most);
            real(minutes) * 60.0 + rest / (self.rate - self.watched_rate())
        });
        Duration::try_from_secs_f64(paced.max(paused).max(capped)).unwrap_or(Duration::MAX)
    }

    /// Calls that watched codes leave of a capped minute.
    fn left_of_a_minute(&self) -> Option<f64> {
        let most = f64::from(self.per_minute?);
        Some(most - self.watched_rate() * 60.0)
    }

    /// Time from one write of a code to its next: sweeps follow each other at the interval, or
    /// back to back where one takes longer, and no faster than the calls of a minute allow.
    #[must_use]
    pub fn period(&self) -> Duration {
        let capped = self
            .left_of_a_minute()
            .map_or(0.0, |most| real(self.calls()) * 60.0 / most);
        let capped = Duration::try_from_secs_f64(capped).unwrap_or(Duration::MAX);
        self.sweep_time().max(self.interval).max(capped)
    }

    /// Calls of a usual trading day, without retries and without those of readers.
    #[must_use]
    pub fn calls_a_day(&self) -> usize {
        let passes =
            |period: Duration| whole((SESSION.as_secs_f64() / period.as_secs_f64()).ceil());
        // And the one that takes the close.
        let sweeps = passes(self.period()) + 1;
        let watched = match self.watched {
            0 => 0,
            _ => passes(self.watched_period()),
        };
        let swept = self.calls().saturating_mul(sweeps);
        swept.saturating_add(self.watched_calls().saturating_mul(watched))
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
            watched: 0,
            watched_interval: Duration::from_secs(10),
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

    /// As it was before there were watched codes.
    fn sweep_time_alone(plan: &Plan) -> f64 {
        let (calls, rate) = (real(plan.calls()), plan.rate);
        let paused = calls * plan.batch_pause.as_secs_f64();
        let capped = plan.per_minute.map_or(0.0, |most| {
            let minutes = ((calls - 1.0).max(0.0) / f64::from(most)).floor();
            minutes * 60.0 + (calls - minutes * f64::from(most)) / rate
        });
        (calls / rate).max(paused).max(capped)
    }

    fn watching(watched: usize, plan: Plan) -> Plan {
        Plan { watched, ..plan }
    }

    #[test]
    fn watched_codes_take_their_calls_from_the_sweeps() {
        let real = watching(100, plan(Calling::Multi, 15.0));
        // 4 calls every 10 s are 0.4 a second; the sweep has the other 14.6.
        assert_eq!((real.watched_calls(), real.calls()), (4, 93));
        assert!(real.keeps_watched() && real.keeps_alive());
        assert_eq!(real.sweep_time().as_millis(), 6_643);
        let alone = watching(0, real);
        // 2,340 passes of a session with 4 calls each.
        assert_eq!(real.calls_a_day(), alone.calls_a_day() + 2_340 * 4);
        assert!(real.largest_list() < alone.largest_list());
        assert_eq!((real.watched_strain(), real.list_strain()), (None, None));
        let capped = |per_minute, per_day| Plan {
            per_minute,
            per_day,
            ..real
        };
        // 24 of the minute go to the watched codes.
        for (per_minute, per_day, keeps_alive) in [
            (Some(49 + 24), None, true),
            (Some(48 + 24), None, false),
            (None, Some(36_363 + 9_360), true),
            (None, Some(36_362 + 9_360), false),
        ] {
            let plan = capped(per_minute, per_day);
            assert_eq!(plan.keeps_alive(), keeps_alive, "{plan:?}");
            assert_eq!(plan.list_strain().is_none(), keeps_alive, "{plan:?}");
        }
    }

    #[test]
    fn more_watched_codes_than_calls_follow_each_other() {
        let paper = Plan {
            codes: 20,
            ..plan(Calling::Single, 1.0 / 1.1)
        };
        assert!(paper.keeps_alive());
        let five = watching(5, paper);
        assert!(five.keeps_watched() && five.keeps_alive());
        // 50 calls of 1.1 s each, and the sweep keeps a fifth.
        let fifty = watching(50, paper);
        assert!(!fifty.keeps_watched());
        assert_eq!(fifty.watched_period().as_secs_f64().round(), 69.0);
        assert_eq!(fifty.period().as_secs_f64().round(), 110.0);
        assert_eq!(
            fifty.watched_strain().unwrap(),
            "50 watched codes cannot be refreshed every 10 s: one pass over them takes 69 s, so \
             that passes follow each other"
        );
        assert!(fifty.list_strain().is_none(), "{fifty:?}");
        let longer = Plan { codes: 40, ..fifty };
        assert_eq!(
            longer.list_strain().unwrap(),
            "50 watched codes take so many calls that each code of the list is written every \
             220 s and lives 120 s"
        );
    }

    proptest! {
        /// Where nothing is watched, nothing is another than before; who watches never does better,
        /// and never stops the sweeps.
        #[test]
        fn watched_codes_cost_what_they_take_and_nothing_else(
            codes in 1_usize..5_000,
            watched in 0_usize..600,
            batch_size in 1_usize..=30,
            rate in 0.5_f64..20.0,
            pause in 0_u64..3_000,
            single in any::<bool>(),
            per_minute in proptest::option::of(1_u32..2_000),
            per_day in proptest::option::of(1_u32..100_000),
        ) {
            let calling = if single { Calling::Single } else { Calling::Multi };
            let alone = Plan {
                codes,
                batch_size,
                batch_pause: Duration::from_millis(pause),
                per_minute,
                per_day,
                ..plan(calling, rate)
            };
            let time = Duration::from_secs_f64(sweep_time_alone(&alone));
            prop_assert_eq!(alone.sweep_time(), time);
            let capped = per_minute.map_or(0.0, |most| real(alone.calls()) * 60.0 / f64::from(most));
            let period = time.max(alone.interval).max(Duration::from_secs_f64(capped));
            prop_assert_eq!(alone.period(), period);
            let sweeps = (SESSION.as_secs_f64() / period.as_secs_f64()).ceil();
            prop_assert_eq!(alone.calls_a_day(), alone.calls() * (whole(sweeps) + 1));
            prop_assert!(alone.keeps_watched() && alone.list_strain().is_none());
            let watched = watching(watched, alone);
            prop_assert!(alone.sweep_time() <= watched.sweep_time());
            prop_assert!(alone.period() <= watched.period());
            prop_assert!(alone.watched_period() <= watched.watched_period());
            // Slower sweeps spend fewer calls of the day.
            prop_assert!(per_day.is_some() || alone.largest_list() >= watched.largest_list());
            // The lane of the sweep is its own; of a small cap whole calls are left.
            let most = alone.period().mul_f64(10.0) + Duration::from_secs(300);
            prop_assert!(watched.period() <= most, "{:?} {:?}", watched.period(), alone.period());
        }

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
