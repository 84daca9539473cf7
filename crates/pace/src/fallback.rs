//! What a process keeps to while the shared budget is away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{CallCount, LocalBudget};
use sise_domain::{Booking, CallsMade, Caps, Urgency};
use sise_port::clock::Clock;
use sise_port::{RateBudget as _, StoreError};

/// A process that comes back to the shared budget keeps to its own share as well for so long: the
/// others may notice a moment later that it is there, and until then their shares come on top.
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
    /// A share of `caps`, and of what the calls in `count` leave of them.
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

    /// Whether this process keeps to its share.
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

    /// Whether the shared budget answers again, since a moment ago.
    pub(super) fn is_returning(&self) -> bool {
        matches!(*self.phase(), Phase::Returning { .. })
    }

    /// The shared budget did not answer.
    pub(super) fn begin(&self, error: &StoreError) {
        let mut phase = self.phase();
        if matches!(*phase, Phase::Unused) {
            let known = self.count.known();
            // Of what minute and day leave, each has its share.
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
                "the shared rate budget is away: this process keeps to its own share until it answers"
            );
        }
        *phase = Phase::Alone;
    }

    /// The shared budget answered.
    pub(super) fn answered(&self) {
        let mut phase = self.phase();
        if matches!(*phase, Phase::Alone) {
            let since = Instant::now();
            *phase = Phase::Returning { since };
        }
    }

    /// The next cell of this share.
    pub(super) async fn book(&self, urgency: Urgency) -> Option<Booking> {
        self.budget.book(urgency).await.ok()
    }

    /// Calls go out that the shared budget does not count.
    pub(super) fn made_alone(&self, calls: u32) {
        self.count.made_alone(calls);
    }

    /// The broker refused a call as over its limit.
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
