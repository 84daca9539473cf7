//! Arithmetic of a set-up: whether its rate keeps its prices alive (docs/sweeps.md).

use std::time::Duration;

use serde::Serialize;

use super::Urgency;

mod words;

/// How prices are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Calling {
    /// Several codes per call; real accounts only (contract 4.3).
    Multi,
    /// One code per call.
    Single,
}

impl Calling {
    /// Maximum number of codes in one call.
    pub const MOST_CODES: usize = 30;

    /// Returns how many codes go into one call with this batch size.
    #[must_use]
    pub fn codes_a_call(self, batch_size: usize) -> usize {
        match self {
            Self::Multi => batch_size.max(1),
            Self::Single => 1,
        }
    }
}

/// Share of the TTL that sweeps may use.
///
/// The rest is a reserve for retries, slow answers and late cron ticks.
const USABLE_TTL: f64 = 0.95;

/// Length of a regular session, 09:00 to 15:30.
const SESSION: Duration = Duration::from_secs(23_400);

/// Upper bound for the calls of a sweep.
const MOST_CALLS: usize = 1 << 24;

/// A set-up whose results can be computed before any call is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Number of codes.
    pub codes: usize,
    /// How they are requested.
    pub calling: Calling,
    /// Codes per batch, which is one call; ignored with [`Calling::Single`].
    pub batch_size: usize,
    /// Calls per second.
    pub rate: f64,
    /// Maximum number of calls in any minute.
    pub per_minute: Option<u32>,
    /// Maximum number of calls in a day.
    pub per_day: Option<u32>,
    /// Minimum time between the starts of two batches.
    pub batch_pause: Duration,
    /// Time between the starts of two sweeps.
    pub interval: Duration,
    /// TTL of a price.
    pub ttl: Duration,
    /// Codes on the list that are refreshed more often than the rest, in addition to sweeps.
    pub watched: usize,
    /// Time between the starts of two passes over them, if there is enough time.
    pub watched_interval: Duration,
}

impl Plan {
    /// Returns the calls of one sweep, without retries; each is a batch.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.codes
            .div_ceil(self.calling.codes_a_call(self.batch_size))
    }

    /// Returns the calls of one pass over the watched codes, without retries.
    #[must_use]
    pub fn watched_calls(&self) -> usize {
        self.watched
            .div_ceil(self.calling.codes_a_call(self.batch_size))
    }

    /// Returns the length of one pass over the watched codes during a sweep.
    ///
    /// It is longer if readers call the broker too.
    #[must_use]
    pub fn watched_time(&self) -> Duration {
        let calls = real(self.watched_calls());
        // Their calls go before those of a sweep, except for its own lane.
        let share = 1.0 - Urgency::Sweep.lane_share();
        let paced = calls / (self.rate * share);
        let paused = calls * self.batch_pause.as_secs_f64();
        let capped = self
            .per_minute
            .map_or(0.0, |most| calls * 60.0 / (f64::from(most) * share));
        Duration::try_from_secs_f64(paced.max(paused).max(capped)).unwrap_or(Duration::MAX)
    }

    /// Returns the time between two writes of a watched code.
    ///
    /// Passes start at their interval, or run back to back if they take longer.
    #[must_use]
    pub fn watched_period(&self) -> Duration {
        self.watched_time().max(self.watched_interval)
    }

    /// Returns whether the watched codes are refreshed at their interval.
    #[must_use]
    pub fn keeps_watched(&self) -> bool {
        self.watched_period() <= self.watched_interval
    }

    /// Explains why the watched codes cannot keep their interval; `None` if they can.
    #[must_use]
    pub fn watched_strain(&self) -> Option<String> {
        (!self.keeps_watched()).then(|| {
            format!(
                "{} watched codes cannot be refreshed every {:.0} s: one pass over them takes \
                 {:.0} s, so passes run back to back",
                self.watched,
                self.watched_interval.as_secs_f64(),
                self.watched_time().as_secs_f64(),
            )
        })
    }

    /// Explains how the watched codes keep the list from staying alive.
    ///
    /// `None` if the list stays alive, or would not stay alive without them either.
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

    /// Returns the average number of calls per second for watched codes.
    fn watched_rate(&self) -> f64 {
        if self.watched == 0 {
            return 0.0;
        }
        real(self.watched_calls()) / self.watched_period().as_secs_f64()
    }

    /// Returns the length of one sweep.
    #[must_use]
    pub fn sweep_time(&self) -> Duration {
        let calls = self.calls();
        // A pass over the watched codes may begin just after the sweep.
        let between = real(calls + self.watched_calls()) / (self.rate - self.watched_rate());
        let on_its_lane = real(calls) / (self.rate * Urgency::Sweep.lane_share());
        let paced = between.min(on_its_lane);
        let paused = real(calls) * self.batch_pause.as_secs_f64();
        // Calls beyond the cap of a minute wait for the next minute.
        let capped = self.left_of_a_minute().map_or(0.0, |most| {
            let most = whole(most).max(1);
            let minutes = calls.saturating_sub(1) / most;
            let rest = real(calls - minutes * most);
            real(minutes) * 60.0 + rest / (self.rate - self.watched_rate())
        });
        Duration::try_from_secs_f64(paced.max(paused).max(capped)).unwrap_or(Duration::MAX)
    }

    /// Returns the calls per minute that remain beside watched codes, if minutes are capped.
    fn left_of_a_minute(&self) -> Option<f64> {
        let most = f64::from(self.per_minute?);
        Some(most - self.watched_rate() * 60.0)
    }

    /// Returns the time between two writes of a code.
    ///
    /// Sweeps start at the interval, or run back to back if they take longer, and no faster than
    /// the cap per minute allows.
    #[must_use]
    pub fn period(&self) -> Duration {
        let capped = self
            .left_of_a_minute()
            .map_or(0.0, |most| real(self.calls()) * 60.0 / most);
        let capped = Duration::try_from_secs_f64(capped).unwrap_or(Duration::MAX);
        self.sweep_time().max(self.interval).max(capped)
    }

    /// Returns the calls of a regular trading day, without retries and readers.
    #[must_use]
    pub fn calls_a_day(&self) -> usize {
        let passes =
            |period: Duration| whole((SESSION.as_secs_f64() / period.as_secs_f64()).ceil());
        // One more sweep takes the close.
        let sweeps = passes(self.period()) + 1;
        let watched = match self.watched {
            0 => 0,
            _ => passes(self.watched_period()),
        };
        let swept = self.calls().saturating_mul(sweeps);
        swept.saturating_add(self.watched_calls().saturating_mul(watched))
    }

    /// Returns whether the calls of a day last until the close.
    #[must_use]
    pub fn lasts_the_day(&self) -> bool {
        self.per_day
            .is_none_or(|most| self.calls_a_day() <= usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Returns the share of codes with a live price at any moment, 0 to 1.
    #[must_use]
    pub fn share_alive(&self) -> f64 {
        (self.ttl.as_secs_f64() / self.period().as_secs_f64()).min(1.0)
    }

    /// Returns the size of the largest list that this set-up keeps alive.
    #[must_use]
    pub fn largest_list(&self) -> usize {
        let codes_a_call = self.calling.codes_a_call(self.batch_size);
        let fits = |calls: usize| {
            let codes = calls.saturating_mul(codes_a_call);
            Self { codes, ..*self }.keeps_alive()
        };
        // Fewer calls are never worse, so a binary search finds the limit.
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

    /// Returns whether no price expires between two sweeps, until the end of the day.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.is_in_time() && self.lasts_the_day()
    }

    /// Returns whether every code is written again before its price expires.
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
mod tests;
