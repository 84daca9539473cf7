//! The live feed, put together.

use std::sync::Arc;

use super::Parts;
use crate::feed::{Feed, Manner, Observe, Parts as FeedParts};
use crate::leadership::{Candidate, LeaderStore};

impl Parts {
    /// The live feed of the watched codes, which writes as the leader where `candidate` is given;
    /// `None` where the settings or the host have none. `observe` is told of what is written.
    #[must_use]
    pub fn feed(
        &self,
        candidate: Option<&Arc<Candidate>>,
        always_open: bool,
        observe: Observe,
    ) -> Option<Feed> {
        let source = self.broker.as_ref()?.ticks.clone()?;
        let settings = &self.settings;
        let mut store = Arc::clone(&self.sweep_store);
        if let Some(candidate) = candidate {
            store = Arc::new(LeaderStore::new(store, Arc::clone(candidate)));
        }
        let activity = self.activity.clone();
        let traded = Arc::clone(&self.traded);
        let observe: Observe = Arc::new(move |trades| {
            traded.note(trades);
            observe(trades);
        });
        Some(Feed::new(FeedParts {
            source,
            store,
            watched: Arc::clone(&self.watched),
            candidate: candidate.cloned(),
            calendar: Arc::clone(&self.calendar),
            clock: Arc::clone(&self.clock),
            always_open,
            manner: Manner {
                registrations: settings.feed.registrations,
                write_interval: settings.feed.write_interval,
                look: settings.watch.interval,
                ttl: settings.store.ttl,
            },
            changes: Arc::clone(&self.changes),
            observe,
            registered: Arc::new(move |codes| activity.set_live(codes.len())),
        }))
    }
}
