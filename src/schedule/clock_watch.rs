//! Detects jumps between the time of day and the monotonic clock, and pauses of this process.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use metrics::counter;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::freshness::Freshness;
use sise_domain::{ClockJump, Event, KrxTime};

/// How often the clocks are compared.
const LOOK: Duration = Duration::from_secs(1);

/// Smallest difference that counts as a jump. Clock synchronisation moves the clock by less, and
/// load delays the process by less.
const NOTABLE: Duration = Duration::from_secs(3);

/// The two clocks at the last check.
struct Clocks {
    told: KrxTime,
    at: Instant,
}

impl Clocks {
    /// Returns how the clocks came apart since the last check, and by how much.
    fn look(&mut self, told: KrxTime, at: Instant) -> Option<(ClockJump, Duration)> {
        let went = at.saturating_duration_since(self.at);
        let moved = told - self.told;
        *self = Self { told, at };
        let apart = moved.checked_sub(&TimeDelta::from_std(went).ok()?)?;
        let by = apart.abs().to_std().unwrap_or(Duration::MAX);
        if by >= NOTABLE {
            let is_ahead = apart > TimeDelta::zero();
            let jump = if is_ahead {
                ClockJump::Ahead
            } else {
                ClockJump::Back
            };
            return Some((jump, by));
        }
        let late = went.saturating_sub(LOOK);
        (late >= NOTABLE).then_some((ClockJump::Paused, late))
    }
}

/// Compares the clocks until `stop`, and logs and records every jump.
pub(super) async fn watch(parts: Arc<Parts>, freshness: Arc<Freshness>, stop: CancellationToken) {
    // The uncorrected clock: one corrected by Redis would hide that it was set.
    let clock = Arc::clone(&parts.own_clock);
    let mut clocks = Clocks {
        told: clock(),
        at: Instant::now(),
    };
    while stop.run_until_cancelled(sleep(LOOK)).await.is_some() {
        let Some((jump, by)) = clocks.look(clock(), Instant::now()) else {
            continue;
        };
        if let Some(redis) = &parts.redis {
            redis.learn_time_anew().await;
        }
        counter!("sise_clock_jumps_total", "kind" => jump.slug()).increment(1);
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        parts.recorder.note(Event::Clock { jump, by_ms });
        let rounded = Duration::from_secs(by.saturating_add(Duration::from_millis(500)).as_secs());
        let shown = humantime::format_duration(rounded);
        match jump {
            ClockJump::Ahead => {
                // The monotonic clock stops while the host sleeps, but prices expire all the same.
                freshness.age(by);
                tracing::warn!(
                    "the clock jumped ahead by {shown}: the host slept, or its clock was set; continuing from the new time"
                );
            }
            ClockJump::Back => {
                tracing::warn!("the clock was set back by {shown}; continuing from the new time");
            }
            ClockJump::Paused => {
                tracing::warn!(
                    "this process did not run for {shown}: it was stopped, or the machine is overloaded"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;

    /// Returns the jump seen if the time of day moves by `told` seconds and the monotonic clock by
    /// `went`.
    fn seen(told: i64, went: u64) -> Option<(ClockJump, u64)> {
        let start = Seoul.with_ymd_and_hms(2026, 11, 20, 14, 0, 0).unwrap();
        let at = Instant::now();
        let mut clocks = Clocks { told: start, at };
        let later = at + Duration::from_secs(went);
        let jump = clocks.look(start + TimeDelta::seconds(told), later);
        // Each jump is reported once.
        let on = clocks.look(
            start + TimeDelta::seconds(told + 1),
            later + Duration::from_secs(1),
        );
        assert_eq!(on, None);
        jump.map(|(jump, by)| (jump, by.as_secs()))
    }

    #[tokio::test]
    async fn jumps_are_told_from_time_that_passes() {
        let slept = 19 * 3_600;
        for (told, went, expected) in [
            (1, 1, None),
            (3, 1, None),
            (0, 2, None),
            (3, 3, None),
            (slept + 1, 1, Some((ClockJump::Ahead, 68_400))),
            (5, 1, Some((ClockJump::Ahead, 4))),
            (-3_599, 1, Some((ClockJump::Back, 3_600))),
            (-3, 1, Some((ClockJump::Back, 4))),
            (60, 60, Some((ClockJump::Paused, 59))),
        ] {
            assert_eq!(seen(told, went), expected, "{told} {went}");
        }
    }
}
