//! The sweeps of a daemon, and everything that runs beside them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{DaemonError, Options};
use crate::alerts::Alerts;
use crate::board::Keeper;
use crate::feed::Feed;
use crate::fleet::{self, Member};
use crate::freshness::Freshness;
use crate::leadership::Candidate;
use crate::schedule::{self, Schedule};
use crate::setup::Wiring;
use crate::sweep::Sweeper;
use sise_domain::Quote;
use sise_net::supervisor::Tasks;

/// What makes the sweeps.
pub(super) struct Sweeps {
    sweeper: Sweeper,
    own_sweeper: Sweeper,
    /// This process as a candidate for leadership; `None` if it runs alone.
    pub(super) candidate: Option<Arc<Candidate>>,
    /// This process as one of several that share the sweeps.
    member: Option<Member>,
    pub(super) freshness: Arc<Freshness>,
}

impl Sweeps {
    pub(super) fn new(wiring: &Wiring) -> Result<Self, DaemonError> {
        let candidate = wiring.candidate();
        let sweeper = wiring.sweeper(candidate.as_ref());
        let own_sweeper = sweeper.ok_or(DaemonError::NoCredentials)?;
        let mut sweeper = own_sweeper.clone();
        let member = candidate
            .as_ref()
            .and_then(|candidate| wiring.member(candidate));
        if let Some(member) = &member {
            sweeper = sweeper.on(member.dispatcher.clone(), usize::from(fleet::POSTED));
        }
        Ok(Self {
            sweeper,
            own_sweeper,
            candidate,
            member,
            freshness: Arc::default(),
        })
    }

    /// Starts the sweeps under `tasks`, with the alerts of a daemon without an API.
    pub(super) fn start(
        self,
        wiring: &Arc<Wiring>,
        options: Options,
        alerts: Option<(Keeper, Alerts)>,
        tasks: &Tasks,
    ) -> Result<(), DaemonError> {
        let Self {
            sweeper,
            own_sweeper,
            candidate,
            member,
            freshness,
        } = self;
        let always_open = options.always_open;
        let observe = {
            let freshness = Arc::clone(&freshness);
            Arc::new(move |quotes: &[Quote]| freshness.note(quotes))
        };
        let feed = wiring.feed(candidate.as_ref(), always_open, observe);
        let work = schedule::Work {
            loader: wiring.loader()?,
            parts: Arc::new(wiring.schedule()?),
            sweeper,
            own_sweeper,
            candidate,
            freshness,
            always_open,
            watcher: options.watcher,
            gaps: feed.as_ref().map(Feed::gaps),
            tasks: tasks.clone(),
        };
        let schedule = Schedule::new(work).map_err(DaemonError::Schedule)?;
        // Sharing ends with the schedule, which holds the guard.
        let sharing = CancellationToken::new();
        let shared = tasks.until(&sharing);
        let guard = sharing.drop_guard();
        let stop = tasks.stop().clone();
        tasks.vital("schedule", async move {
            let _guard = guard;
            schedule.run(stop).await
        });
        if let Some(member) = member {
            member.start(&shared);
        }
        if let Some((keeper, alerts)) = alerts {
            keeper.start(&shared);
            alerts.start(&shared);
        }
        if let Some(feed) = feed {
            feed.start(tasks);
        }
        Ok(())
    }
}
