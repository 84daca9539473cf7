//! Early refresh of prices near the end of their life (`pace::early`), in the background.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;

use super::Shared;
use super::in_flight::Wanted;
use sise_domain::{KrxTime, Reading};
use sise_pace::{HIGHEST_THROW, head_start};
use sise_port::Urgency;

impl Shared {
    /// Refreshes prices that are about to expire, in the background. Only while the session is
    /// open, because only then does the broker have new prices.
    pub(super) fn refresh_early(self: &Arc<Self>, readings: &[Option<Reading>], now: KrxTime) {
        let fetch = self.fetch_time.seconds();
        let ttl = self.parts.ttl.as_secs_f64();
        // The die is thrown only for prices old enough to be refreshed.
        let safe_age = Duration::from_secs_f64((ttl - fetch * HIGHEST_THROW).max(0.0));
        let near_its_end = |reading: &&Reading| reading.age >= safe_age;
        let mut near = readings.iter().flatten().filter(near_its_end).peekable();
        if near.peek().is_none()
            || self.parts.source.is_none()
            || !self.parts.calendar.load().moment(now).is_open()
        {
            return;
        }
        let wanted: Vec<Wanted> = near
            .filter(|reading| reading.age.as_secs_f64() + head_start(fetch, fastrand::f64()) >= ttl)
            .map(|reading| Wanted {
                symbol: reading.quote.stock_code,
                // A code with a price is known, so it counts as one of the universe.
                is_listed: true,
                // Newer than this one, at the store's resolution of a millisecond.
                not_before: Some(reading.quote.fetched_at + chrono::TimeDelta::milliseconds(1)),
            })
            .collect();
        if wanted.is_empty() {
            return;
        }
        let (_, fetches) = self.in_flight.join(&wanted);
        let count = u64::try_from(fetches.len()).unwrap_or(0);
        counter!("sise_reader_early_refreshes_total").increment(count);
        // No caller waits for a refresh, so misses go first.
        self.submit(fetches, Urgency::Watched, true);
    }
}
