//! A pass as an entry of the event log.

use chrono::NaiveDate;

use super::Report;
use sise_domain::{Event, KrxTime, MissingCodes, Swept};

/// Most codes named for each reason; the rest are counted.
const NAMED: usize = 10;

impl Report {
    /// Returns the event log entry of this pass, which began at `started_at`.
    ///
    /// `partial` means that only some codes were asked for; `close_of` is the day whose close it
    /// took.
    #[must_use]
    pub fn event(&self, started_at: KrxTime, partial: bool, close_of: Option<NaiveDate>) -> Event {
        let missing = self.missing_by_reason().into_iter().map(|(reason, count)| {
            let of_reason = || self.missing.iter().filter(move |m| m.reason == reason);
            MissingCodes {
                reason,
                count,
                codes: of_reason().take(NAMED).map(|m| m.code).collect(),
                detail: of_reason().next().map_or("", |m| &m.detail).to_owned(),
            }
        });
        Event::Sweep(Swept {
            started_at,
            elapsed_ms: self.elapsed_ms,
            partial,
            universe: self.universe,
            written: self.written,
            coverage: self.coverage,
            calls: self.calls,
            refused_calls: self.refused_calls,
            retries: self.retries,
            stopped: self.stopped,
            close_of,
            missing: missing.collect(),
        })
    }
}
