//! Fallback of a process while the shared budget is unreachable.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{CallCount, LocalBudget};
use sise_domain::{Booking, CallsMade, Caps, Urgency};
use sise_port::clock::Clock;
use sise_port::{RateBudget as _, StoreError};

/// How long a process keeps to its own share after it returned to the shared budget. The others may
/// notice a moment later that the budget is back, and until then their shares come on top.
const RETURN: Duration = Duration::from_secs(2);

/// A share of the caps for this process alone.
#[derive(Debug)]
pub struct Fallback {
    budget: LocalBudget,
    share: f64,
    count: Arc<CallCount>,
    phase: Mutex<Phase>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Unused,
    Alone,
    Returning { since: Instant },
}

impl Fallback {
    /// Creates a share of `caps`, and of what the calls in `count` leave of them.
    #[must_use]
    pub fn new(caps: Caps, share: f64, count: Arc<CallCount>, clock: Clock) -> Self {
        let part = |cap: u32| part(cap, share).max(1);
        let caps = Caps {
            per_second: caps.per_second * share,
            per_minute: caps.per_minute.map(part),
            per_day: caps.per_day.map(part),
            late: Duration::ZERO,
        };
        Self {
            budget: LocalBudget::new(caps, clock),
            share,
            count,
            phase: Mutex::new(Phase::Unused),
        }
    }

    /// Returns whether this process keeps to its share.
    pub(super) fn is_in_use(&self) -> bool {
        let mut phase = self.phase();
        if let Phase::Returning { since } = *phase
            && since.elapsed() >= RETURN
        {
            *phase = Phase::Unused;
            tracing::info!("the shared rate budget answers again");
        }
        !matches!(*phase, Phase::Unused)
    }

    /// Returns whether the shared budget came back only a moment ago.
    pub(super) fn is_returning(&self) -> bool {
        matches!(*self.phase(), Phase::Returning { .. })
    }

    /// Switches to the share, after the shared budget did not answer.
    pub(super) fn begin(&self, error: &StoreError) {
        let mut phase = self.phase();
        if matches!(*phase, Phase::Unused) {
            let known = self.count.known();
            // The share applies to what minute and day have left.
            self.budget.begin_after(CallsMade {
                today: part(known.today, self.share),
                last_minute: part(known.last_minute, self.share),
                uncounted: 0,
                ..known
            });
            let caps = self.budget.caps();
            tracing::warn!(
                %error,
                calls_per_second = caps.per_second,
                calls_per_minute = caps.per_minute,
                calls_per_day = caps.per_day,
                "the shared rate budget is unreachable: this process keeps to its own share until it answers"
            );
        }
        *phase = Phase::Alone;
    }

    /// Records that the shared budget answered.
    pub(super) fn answered(&self) {
        let mut phase = self.phase();
        if matches!(*phase, Phase::Alone) {
            let since = Instant::now();
            *phase = Phase::Returning { since };
        }
    }

    /// Books the next cell of this share.
    pub(super) async fn book(&self, urgency: Urgency) -> Option<Booking> {
        self.budget.book(urgency).await.ok()
    }

    /// Records calls that the shared budget does not count.
    pub(super) fn made_alone(&self, calls: u32) {
        self.count.made_alone(calls);
    }

    /// Slows down, after the broker refused a call as over its limit.
    pub(super) async fn refused(&self) -> Option<f64> {
        self.budget.refused().await.ok()
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a cap is not above it"
)]
fn part(calls: u32, share: f64) -> u32 {
    (f64::from(calls) * share) as u32
}
