//! The rate budget inside this process: where there is no Redis, and while Redis is away.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::domain::{Booking, Caps, Cells, DayCalls, KrxTime, Urgency};
use crate::port::{RateBudget, StoreError};

/// The budget of one app key, for all who share this value.
#[derive(Debug)]
pub struct LocalBudget {
    caps: Caps,
    cells: Mutex<Cells>,
    started: Instant,
    /// Microseconds since 1970 at `started`.
    epoch: i64,
}

impl LocalBudget {
    /// A budget of `caps`; `now` is the time of day, which then goes on by tokio's clock.
    #[must_use]
    pub fn new(caps: Caps, now: KrxTime) -> Self {
        Self {
            caps,
            cells: Mutex::default(),
            started: Instant::now(),
            epoch: now.timestamp_micros(),
        }
    }

    /// Begins where others called a moment ago: lets a cell go by without a call, takes the minute
    /// for full, and counts what is `known` of the day.
    pub(super) fn begin_after(&self, known: DayCalls) {
        let now = self.now();
        let mut cells = self.cells();
        cells.book(&self.caps, Urgency::Sweep, now);
        cells.fill_minute(&self.caps, now);
        cells.tell(&self.caps, known, now);
    }

    /// What it keeps to.
    pub(super) fn caps(&self) -> &Caps {
        &self.caps
    }

    fn now(&self) -> i64 {
        let elapsed = i64::try_from(self.started.elapsed().as_micros());
        self.epoch.saturating_add(elapsed.unwrap_or(i64::MAX))
    }

    fn cells(&self) -> MutexGuard<'_, Cells> {
        // Nothing that holds the lock leaves a booking half made.
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
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
