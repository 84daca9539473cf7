//! A pass as an entry of the journal.

use chrono::NaiveDate;

use super::Report;
use sise_domain::{Event, KrxTime, MissingCodes, Swept};

/// Codes that an entry names for each reason; the rest is counted.
const NAMED: usize = 10;

impl Report {
    /// What the journal says of this pass, which began at `started_at`, was `partial` if it was asked
    /// for some codes only, and took the close of a day, where it did.
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
