//! The plan of this process, computed in the same way for all commands and for the daemon.

use std::sync::Arc;

use crate::watch::{WatchLists, WatchListsError};
use sise_domain::{Calling, Plan};
use sise_kis::KisQuotes;
use sise_port::QuoteSource as _;

/// Computes plans from the settings, the way the broker takes calls, and the watch lists.
#[derive(Debug, Clone)]
pub struct Planner {
    /// The plan for an empty list, as the settings have it.
    pub(crate) empty: Plan,
    /// The broker, if credentials are set.
    pub(crate) source: Option<Arc<KisQuotes>>,
    pub(crate) lists: WatchLists,
    /// Most-read codes that are watched besides those of the lists, at most.
    pub(crate) hottest: usize,
}

impl Planner {
    /// Returns how the broker takes calls: as observed, or else as the kind of account allows.
    #[must_use]
    pub fn calling(&self) -> Calling {
        let source = self.source.as_ref();
        source.map_or(self.empty.calling, |source| source.calling())
    }

    /// Returns the plan for a list of `codes`, `watched` of which are refreshed more often.
    #[must_use]
    pub fn plan(&self, codes: usize, watched: usize) -> Plan {
        Plan {
            codes,
            watched,
            calling: self.calling(),
            ..self.empty
        }
    }

    /// Returns the largest number of codes that may be watched at present.
    ///
    /// These are the codes on the watch lists, plus the most-read ones that the settings allow.
    ///
    /// # Errors
    ///
    /// Returns an error if the watch lists cannot be read.
    pub async fn watched_at_most(&self) -> Result<usize, WatchListsError> {
        let listed = self.lists.all_codes().await?;
        Ok(listed.len() + self.hottest)
    }

    /// Returns the plan for a list of `codes`, [`Planner::watched_at_most`] of which are watched.
    ///
    /// Watch lists that cannot be read count as empty.
    pub async fn plan_ahead(&self, codes: usize) -> Plan {
        let watched = self.watched_at_most().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the watch lists cannot be read: planned without them");
            self.hottest
        });
        self.plan(codes, watched)
    }
}
