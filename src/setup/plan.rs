//! The plan of a set-up, computed in the same way for all commands.

use super::Parts;
use crate::watch::{WatchLists, WatchListsError};
use sise_domain::{Calling, Plan};
use sise_port::QuoteSource as _;

impl Parts {
    /// Returns how the broker takes calls: as observed, or else as the kind of account allows.
    #[must_use]
    pub fn calling(&self) -> Calling {
        self.broker
            .as_ref()
            .map_or_else(|| self.settings.calling(), |broker| broker.source.calling())
    }

    /// Returns the plan for a list of `codes`, `watched` of which are refreshed more often.
    #[must_use]
    pub fn plan(&self, codes: usize, watched: usize) -> Plan {
        self.settings.plan(codes, watched, self.calling())
    }

    /// Returns the largest number of codes that may be watched at present.
    ///
    /// These are the codes on the watch lists, plus the most-read ones that the settings allow.
    ///
    /// # Errors
    ///
    /// Returns an error if the watch lists cannot be read.
    pub async fn watched_at_most(&self) -> Result<usize, WatchListsError> {
        let listed = WatchLists::new(&self.cache).all_codes().await?;
        Ok(listed.len() + self.settings.watch.hottest)
    }

    /// Returns the plan for a list of `codes`, [`Parts::watched_at_most`] of which are watched.
    ///
    /// Watch lists that cannot be read count as empty.
    pub async fn plan_ahead(&self, codes: usize) -> Plan {
        let watched = self.watched_at_most().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the watch lists cannot be read: planned without them");
            self.settings.watch.hottest
        });
        self.plan(codes, watched)
    }
}
