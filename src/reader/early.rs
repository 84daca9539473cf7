//! Early refresh of prices near the end of their life (`pace::early`), beside the answer.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;

use super::Shared;
use super::board::Wanted;
use sise_domain::{KrxTime, Reading};
use sise_pace::{HIGHEST_THROW, head_start};
use sise_port::Urgency;

impl Shared {
    /// Has prices fetched anew that are about to die, beside the answer: nobody waits for it. Only
    /// in the session, when the broker has new prices.
    pub(super) fn refresh_early(self: &Arc<Self>, readings: &[Option<Reading>], now: KrxTime) {
        let fetch = self.fetch_time.seconds();
        let ttl = self.parts.ttl.as_secs_f64();
        // The die is thrown for those alone whom it can concern.
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
                // It has a price, so it is known.
                is_listed: true,
                // Newer than this one, in the milliseconds that a store keeps.
                not_before: Some(reading.quote.fetched_at + chrono::TimeDelta::milliseconds(1)),
            })
            .collect();
        if wanted.is_empty() {
            return;
        }
        let (_, departures) = self.board.take_seats(&wanted);
        let count = u64::try_from(departures.len()).unwrap_or(0);
        counter!("sise_reader_early_refreshes_total").increment(count);
        // Nobody waits for it; a miss goes first.
        self.depart(departures, Urgency::Watched, true);
    }
}
