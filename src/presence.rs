//! The presence of this process on the store: every few seconds it reports what it is and does.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::leadership::{Candidate, LeadState};
use crate::provenance::Provenance;
use sise_domain::{APART, Presence, RateMode, Role, Watching};
use sise_net::supervisor::Tasks;
use sise_pace::Pacer;
use sise_port::Roster;

/// Interval of the reports.
const EVERY: Duration = Duration::from_secs(3);

/// Longest pause between attempts while the store is unreachable.
const AGAIN: Duration = Duration::from_secs(12);

/// Interval at which it is checked that all sweeping processes sweep the same.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Life of a report: a process that reports nothing for this long is gone.
const LIFE: Duration = Duration::from_secs(8);

/// What a process is doing, in words. The parts of the process update it.
#[derive(Debug, Clone)]
pub struct Activity {
    words: Arc<Mutex<String>>,
    watching: Arc<Mutex<Option<Watching>>>,
    live: Arc<AtomicUsize>,
}

impl Activity {
    /// Creates the activity of a process.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self {
            words: Arc::new(Mutex::new(words.into())),
            watching: Arc::default(),
            live: Arc::default(),
        }
    }

    /// Sets what the process is doing.
    pub fn set(&self, words: impl Into<String>) {
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = words.into();
    }

    /// Returns what the process is doing.
    #[must_use]
    pub fn get(&self) -> String {
        let words = self.words.lock();
        words.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the watched codes that it refreshes, if any.
    pub fn set_watching(&self, watching: Option<Watching>) {
        let held = self.watching.lock();
        *held.unwrap_or_else(PoisonError::into_inner) = watching;
    }

    /// Sets how many codes the live feed streams to it.
    pub fn set_live(&self, codes: usize) {
        self.live.store(codes, Ordering::Relaxed);
    }

    /// Returns how many codes the live feed streams to it, if any.
    #[must_use]
    pub fn live(&self) -> Option<usize> {
        Some(self.live.load(Ordering::Relaxed)).filter(|codes| *codes > 0)
    }

    /// Returns the watched codes that it refreshes.
    #[must_use]
    pub fn watching(&self) -> Option<Watching> {
        let held = self.watching.lock();
        *held.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps this process on the roster.
pub struct Heartbeat {
    roster: Arc<dyn Roster>,
    presence: Presence,
    activity: Activity,
    pacer: Option<Arc<Pacer>>,
    candidate: Option<Arc<Candidate>>,
    provenance: Option<Arc<Provenance>>,
}

impl Heartbeat {
    /// Creates a heartbeat that puts `presence` on `roster`, with what `activity` says.
    #[must_use]
    pub fn new(roster: Arc<dyn Roster>, presence: Presence, activity: Activity) -> Self {
        Self {
            roster,
            presence,
            activity,
            pacer: None,
            candidate: None,
            provenance: None,
        }
    }

    /// Reports the rate mode of `pacer`.
    #[must_use]
    pub fn paced_by(mut self, pacer: Arc<Pacer>) -> Self {
        self.pacer = Some(pacer);
        self
    }

    /// Reports the role of `candidate`.
    #[must_use]
    pub fn of(mut self, candidate: Arc<Candidate>) -> Self {
        self.candidate = Some(candidate);
        self
    }

    /// Renews the claim of `provenance` on the prices while the process runs.
    #[must_use]
    pub fn holding(mut self, provenance: Arc<Provenance>) -> Self {
        self.provenance = Some(provenance);
        self
    }

    /// Reports under `tasks` until they stop, and then signs out.
    pub fn start(self, tasks: &Tasks) {
        let this = Arc::new(self);
        tasks.lasting("heartbeat", move |stop| Arc::clone(&this).run(stop));
    }

    /// Reports until `stop`. If the store is unreachable, the next report tries again.
    async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut posts = self.candidate.as_ref().map(|candidate| candidate.changes());
        let mut pause = EVERY;
        let mut looked_at = None;
        let mut trouble = None;
        loop {
            let now = self.now();
            let said = self.roster.sign_in(&now, LIFE);
            pause = match stop.run_until_cancelled(said).await {
                None => break,
                Some(Ok(())) => {
                    stop.run_until_cancelled(self.renew_claim()).await;
                    let is_due = looked_at.is_none_or(|at: Instant| at.elapsed() >= LOOK_EVERY);
                    if is_due && self.presence.scope.is_some() {
                        looked_at = Some(Instant::now());
                        let look = self.look_around(&mut trouble);
                        stop.run_until_cancelled(look).await;
                    }
                    EVERY
                }
                Some(Err(_)) => (pause * 2).min(AGAIN),
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep(pause) => {}
                // A change of the lead is reported at once.
                true = async {
                    match &mut posts {
                        Some(posts) => posts.changed().await.is_ok(),
                        None => false,
                    }
                } => {}
            }
        }
        if let Err(error) = self.roster.sign_out(&self.presence.process).await {
            tracing::debug!(%error, "could not sign out; the roster entry expires by itself");
        }
    }

    /// Warns once if the sweeping processes on this store do not sweep the same.
    async fn look_around(&self, trouble: &mut Option<String>) {
        let Ok(processes) = self.roster.present().await else {
            return;
        };
        let found = Presence::at_odds(&processes);
        if let Some(found) = found
            .as_ref()
            .filter(|found| Some(*found) != trouble.as_ref())
        {
            tracing::warn!("{found}; {APART}");
        }
        *trouble = found;
    }

    /// Renews the claim on the prices. If they are another broker's, writing them reports that.
    async fn renew_claim(&self) {
        if let Some(provenance) = &self.provenance
            && let Err(error) = provenance.renew().await
        {
            tracing::debug!(%error, "could not renew the claim on the prices");
        }
    }

    /// Returns the present report.
    fn now(&self) -> Presence {
        let role = self.candidate.as_ref().map(|candidate| candidate.post());
        let rate = self.pacer.as_ref().map(|pacer| pacer.is_alone());
        Presence {
            role: match role {
                Some(LeadState::Leads { .. }) => Role::Leading,
                Some(LeadState::Follows(_)) => Role::StandingBy,
                Some(LeadState::Unknown) => Role::Waiting,
                None => self.presence.role,
            },
            rate: match rate {
                Some(true) => RateMode::Alone,
                Some(false) => RateMode::Shared,
                None => RateMode::None,
            },
            doing: self.activity.get(),
            watched: self.activity.watching(),
            live: self.activity.live(),
            ..self.presence.clone()
        }
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat")
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}
