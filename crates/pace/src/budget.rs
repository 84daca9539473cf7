//! Rate budget inside this process, for use without Redis or while Redis is unreachable.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use sise_domain::{Booking, CallsMade, Caps, Cells, Urgency};
use sise_port::clock::Clock;
use sise_port::{RateBudget, StoreError};

/// The budget of one app key, for all users of this value.
pub struct LocalBudget {
    caps: Caps,
    cells: Mutex<Cells>,
    clock: Clock,
    started: Instant,
    /// Microseconds since 1970 at `started`.
    epoch: i64,
}

impl LocalBudget {
    /// Creates a budget of `caps`. Cells follow tokio's clock, which cannot be set. Days follow
    /// `clock`, because tokio's clock stops while the host is suspended.
    #[must_use]
    pub fn new(caps: Caps, clock: Clock) -> Self {
        Self {
            caps,
            cells: Mutex::default(),
            started: Instant::now(),
            epoch: clock().timestamp_micros(),
            clock,
        }
    }

    /// Starts after calls of others: counts the `known` ones, and skips one cell.
    pub(super) fn begin_after(&self, known: CallsMade) {
        let now = self.now();
        let mut cells = self.cells();
        cells.follow(&self.caps, known, now);
        cells.book(&self.caps, Urgency::Sweep, now);
    }

    /// Returns the caps.
    pub(super) fn caps(&self) -> &Caps {
        &self.caps
    }

    fn now(&self) -> i64 {
        let elapsed = i64::try_from(self.started.elapsed().as_micros());
        self.epoch.saturating_add(elapsed.unwrap_or(i64::MAX))
    }

    fn cells(&self) -> MutexGuard<'_, Cells> {
        // No code that holds the lock leaves a booking half made, so a poisoned lock is usable.
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.set_day_ahead((self.clock)().timestamp_micros() - self.now());
        cells
    }
}

#[async_trait]
impl RateBudget for LocalBudget {
    async fn book(&self, urgency: Urgency) -> Result<Booking, StoreError> {
        Ok(self.cells().book(&self.caps, urgency, self.now()))
    }

    async fn refused(&self) -> Result<f64, StoreError> {
        Ok(self.cells().refused(self.now()))
    }
}

impl fmt::Debug for LocalBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBudget")
            .field("caps", &self.caps)
            .field("cells", &self.cells)
            .finish_non_exhaustive()
    }
}
