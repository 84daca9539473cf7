//! The plan of a set-up, counted in one way for whatever asks.

use super::Parts;
use crate::watch::{WatchLists, WatchListsError};
use sise_domain::{Calling, Plan};
use sise_port::QuoteSource as _;

impl Parts {
    /// How the broker is asked: as it showed, or as the account's kind promises.
    #[must_use]
    pub fn calling(&self) -> Calling {
        self.broker
            .as_ref()
            .map_or_else(|| self.settings.calling(), |broker| broker.source.calling())
    }

    /// The plan for a list of `codes`, `watched` of which are refreshed more often.
    #[must_use]
    pub fn plan(&self, codes: usize, watched: usize) -> Plan {
        self.settings.plan(codes, watched, self.calling())
    }

    /// The most codes that may be watched as things are: those on the watch lists, and as many of
    /// the most read as the settings allow.
    ///
    /// # Errors
    ///
    /// The watch lists cannot be read.
    pub async fn watched_at_most(&self) -> Result<usize, WatchListsError> {
        let listed = WatchLists::new(&self.cache).all_codes().await?;
        Ok(listed.len() + self.settings.watch.hottest)
    }

    /// The plan for a list of `codes` beside those that may be watched; where the watch lists cannot
    /// be read, they are taken for empty.
    pub async fn plan_ahead(&self, codes: usize) -> Plan {
        let watched = self.watched_at_most().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the watch lists cannot be read: planned without them");
            self.settings.watch.hottest
        });
        self.plan(codes, watched)
    }
}
