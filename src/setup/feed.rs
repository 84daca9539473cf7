//! Wires the live feed together.

use std::sync::Arc;

use super::Wiring;
use crate::feed::{Feed, FeedOptions, Observe, Parts as FeedParts};
use crate::leadership::{Candidate, LeaderStore};

impl Wiring {
    /// Returns the live feed of the watched codes; `None` if it is off or the host has none.
    ///
    /// If `candidate` is given, it writes only as the leader. `observe` gets the written prices.
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
            options: FeedOptions {
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
