//! Leader election: of all processes on one store, one does the work that must be done once, such
//! as sweeping.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use sise_domain::{Event, IndexQuote, KrxTime, LeadChange, Leading, Quote, Symbol};
use sise_net::supervisor::Tasks;
use sise_port::clock::Clock;
use sise_port::{
    IndexStore, Lead, Leader, Leadership, PriceStore, Recorder, Shelf, Standing, StoreError,
    Unrecorded, Written,
};

/// Interval at which a follower checks whether the lead is free. If the leader stops gracefully, it
/// is replaced within a second.
const LOOK: Duration = Duration::from_millis(500);

/// Share of the configured life for which the lease is taken. The rest leaves others time to notice
/// its end and start within that life.
const MARGIN: f64 = 0.9;

/// The standing of this process, as far as it knows.
#[derive(Debug, Clone, PartialEq)]
pub enum LeadState {
    /// This process leads until the lease ends.
    Leads {
        /// The lease in the store.
        leader: Leader,
        /// When it ends, if it is not renewed.
        until: Instant,
        /// When this process took it, by its own clock.
        taken_at: KrxTime,
        /// The same by the monotonic clock, which cannot be set.
        taken: Instant,
    },
    /// Another process leads.
    Follows(Leader),
    /// The leader is not known: the store is unreachable or was not asked yet.
    Unknown,
}

/// A duty that one process does for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Sweeping.
    Sweeps,
    /// Firing alerts.
    Alerts,
}

/// This process as a candidate for the lead.
pub struct Candidate {
    lease: Arc<dyn Leadership>,
    duty: Duty,
    process: String,
    life: Duration,
    clock: Clock,
    recorder: Arc<dyn Recorder>,
    post: watch::Sender<LeadState>,
    /// Notified to step back.
    steps_back: Notify,
}

impl Candidate {
    /// Creates a candidate called `process` for a lease of `life`.
    #[must_use]
    pub fn new(lease: Arc<dyn Leadership>, process: String, life: Duration, clock: Clock) -> Self {
        Self {
            lease,
            duty: Duty::Sweeps,
            process,
            life: life.mul_f64(MARGIN),
            clock,
            recorder: Arc::new(Unrecorded),
            post: watch::Sender::new(LeadState::Unknown),
            steps_back: Notify::new(),
        }
    }

    /// Sets a duty other than sweeping.
    #[must_use]
    pub fn for_duty(mut self, duty: Duty) -> Self {
        self.duty = duty;
        self
    }

    /// Reports every change of the lead that involves this process to `recorder`.
    #[must_use]
    pub fn recorded_by(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = recorder;
        self
    }

    /// Returns the name of this process.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Returns the standing of this process. A lease that has ended is no lead, even if the end was
    /// not noticed.
    #[must_use]
    pub fn post(&self) -> LeadState {
        let post = self.post.borrow().clone();
        match post {
            LeadState::Leads { until, .. } if Instant::now() >= until => LeadState::Unknown,
            post => post,
        }
    }

    /// Returns the fencing token of this process's lead, if it leads.
    #[must_use]
    pub fn lead(&self) -> Option<Lead> {
        match self.post() {
            LeadState::Leads { leader, .. } => Some(leader.lead),
            LeadState::Follows(_) | LeadState::Unknown => None,
        }
    }

    /// Returns a receiver of every change of [`Candidate::post`].
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<LeadState> {
        self.post.subscribe()
    }

    /// Lets another process lead. This process gives the lead back and only asks for it again after
    /// the life of a lease, if it is still free.
    pub fn step_back(&self) {
        self.steps_back.notify_one();
    }

    /// Takes part under `tasks` in the task of this name, and then gives the lead back.
    pub fn start(self: Arc<Self>, task: &'static str, tasks: &Tasks) {
        tasks.lasting(task, move |stop| {
            let this = Arc::clone(&self);
            async move { this.run(stop).await }
        });
    }

    /// Takes part until `stop`, then gives the lead back.
    pub async fn run(&self, stop: CancellationToken) {
        while let Some(pause) = stop.run_until_cancelled(self.campaign()).await {
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(pause) => {}
                () = self.steps_back.notified() => {
                    self.resign().await;
                    self.post.send_replace(LeadState::Unknown);
                    if stop.run_until_cancelled(sleep(self.life)).await.is_none() {
                        break;
                    }
                }
            }
        }
        self.resign().await;
    }

    async fn resign(&self) {
        // Writes in flight may still succeed: the store accepts them until another process leads.
        let LeadState::Leads { leader, .. } = self.post() else {
            return;
        };
        match self.lease.resign(&self.process).await {
            Ok(()) => self.tell(Leading::GivenBack, leader.lead, None),
            Err(error) => {
                tracing::warn!(%error, "could not give the lead back; it ends by itself");
                self.tell(Leading::Lost, leader.lead, None);
            }
        }
    }

    /// Asks for the lead once; returns when to ask again.
    pub async fn campaign(&self) -> Duration {
        let asked = Instant::now();
        let standing = self.lease.campaign(&self.process, self.life).await;
        let (post, pause) = match standing {
            Ok(Standing::Leading(leader)) => {
                let (taken_at, taken) = match &*self.post.borrow() {
                    LeadState::Leads {
                        leader: held,
                        taken_at,
                        taken,
                        ..
                    } if held.lead == leader.lead => (*taken_at, *taken),
                    _ => ((self.clock)(), Instant::now()),
                };
                let until = asked + self.life;
                let post = LeadState::Leads {
                    leader,
                    until,
                    taken_at,
                    taken,
                };
                (post, self.life / 3)
            }
            Ok(Standing::Following(leader)) => {
                (LeadState::Follows(leader), LOOK.min(self.life / 3))
            }
            // The lead is kept until it ends; the store may come back before that.
            Err(_) => (self.post(), LOOK.min(self.life / 3)),
        };
        self.take(post);
        pause
    }

    fn tell(&self, change: Leading, lead: Lead, after: Option<String>) {
        self.recorder.note(Event::Lead(LeadChange {
            change,
            lead: lead.0,
            after,
        }));
    }

    fn take(&self, post: LeadState) {
        self.post.send_if_modified(|held| {
            let lead = |post: &LeadState| match post {
                LeadState::Leads { leader, .. } => Some((true, leader.lead)),
                LeadState::Follows(leader) => Some((false, leader.lead)),
                LeadState::Unknown => None,
            };
            let changed = lead(held) != lead(&post);
            if changed {
                self.duty.say(&post);
                if let LeadState::Leads { leader, .. } = &*held {
                    self.tell(Leading::Lost, leader.lead, None);
                }
                if let LeadState::Leads { leader, .. } = &post {
                    let before = match &*held {
                        LeadState::Follows(before) => Some(before.process.clone()),
                        _ => None,
                    };
                    self.tell(Leading::Taken, leader.lead, before);
                }
            }
            *held = post;
            changed
        });
    }
}

impl Duty {
    /// Logs the standing of this process.
    fn say(self, post: &LeadState) {
        match (self, post) {
            (Self::Sweeps, LeadState::Leads { leader, .. }) => {
                tracing::info!(lead = %leader.lead, "this process leads: it sweeps");
            }
            (Self::Sweeps, LeadState::Follows(leader)) => tracing::info!(
                leader = leader.process, lead = %leader.lead,
                "another process leads: standing by"
            ),
            (Self::Sweeps, LeadState::Unknown) => {
                tracing::warn!("the lead is lost: no sweeps until it is taken");
            }
            (Self::Alerts, LeadState::Leads { .. }) => {
                tracing::info!("this process watches for alerts");
            }
            (Self::Alerts, LeadState::Follows(leader)) => {
                tracing::debug!(by = leader.process, "another process watches for alerts");
            }
            (Self::Alerts, LeadState::Unknown) => {
                tracing::warn!("this process does not watch for alerts any more");
            }
        }
    }
}

/// A store that only the leader can write to.
///
/// A leader that was paused for longer than its lease is refused here by its own clock, and in the
/// store by its fencing token.
pub struct LeaderStore<S: ?Sized> {
    store: Arc<S>,
    candidate: Arc<Candidate>,
}

impl<S: ?Sized> LeaderStore<S> {
    /// Wraps `store` for the writes of `candidate`.
    #[must_use]
    pub fn new(store: Arc<S>, candidate: Arc<Candidate>) -> Self {
        Self { store, candidate }
    }

    /// Returns the lead under which prices fetched at these times may be written. If this process
    /// does not lead, the error names `lead`.
    fn lead_over(
        &self,
        mut fetched_at: impl Iterator<Item = KrxTime>,
        lead: Option<Lead>,
    ) -> Result<Lead, StoreError> {
        let post = self.candidate.post.borrow().clone();
        let LeadState::Leads {
            leader,
            taken_at,
            taken,
            ..
        } = post
        else {
            let lead = lead.unwrap_or(Lead(0));
            return Err(StoreError::Superseded { lead });
        };
        // If the clock was set back since, `taken_at` is too late.
        let now = (self.candidate.clock)();
        let led = TimeDelta::from_std(taken.elapsed()).unwrap_or(TimeDelta::MAX);
        let began = now
            .checked_sub_signed(led)
            .map_or(taken_at, |began| began.min(taken_at));
        // Prices fetched before this lead began, or at times that the clock cannot place, are
        // refused: another leader may have written newer ones in between.
        if fetched_at.all(|at| began <= at && at <= now) {
            Ok(leader.lead)
        } else {
            Err(StoreError::Superseded { lead: leader.lead })
        }
    }
}

#[async_trait]
impl<S: PriceStore + ?Sized> PriceStore for LeaderStore<S> {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<Written, StoreError> {
        let lead = self.lead_over(quotes.iter().map(|quote| quote.fetched_at), lead)?;
        self.store.write(quotes, shelf, Some(lead)).await
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.store.realtime(symbols).await
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.store.close(symbols).await
    }

    async fn lives(&self, symbols: &[Symbol]) -> Result<Vec<Option<Duration>>, StoreError> {
        self.store.lives(symbols).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

#[async_trait]
impl<S: IndexStore + ?Sized> IndexStore for LeaderStore<S> {
    async fn write_indices(
        &self,
        indices: &[IndexQuote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        let lead = self.lead_over(indices.iter().map(|index| index.fetched_at), lead)?;
        self.store.write_indices(indices, shelf, Some(lead)).await
    }

    async fn indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        self.store.indices().await
    }

    async fn closing_indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        self.store.closing_indices().await
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("process", &self.process)
            .field("life", &self.life)
            .field("post", &self.post())
            .finish_non_exhaustive()
    }
}

impl<S: ?Sized> fmt::Debug for LeaderStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderStore")
            .field("candidate", &self.candidate)
            .finish_non_exhaustive()
    }
}

/// Waits for a change of leadership; never returns if no other process can lead.
pub(crate) async fn changed(states: &mut Option<watch::Receiver<LeadState>>) {
    if let Some(states) = states
        && states.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests;
