//! This process among all that are on the store: it says every few seconds what it is and does.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::leadership::{Candidate, Post};
use crate::provenance::Provenance;
use sise_domain::{APART, Presence, RateMode, Role, Watching};
use sise_net::supervisor::Tasks;
use sise_pace::Pacer;
use sise_port::Roster;

/// How often it is said.
const EVERY: Duration = Duration::from_secs(3);

/// How often it is tried while the store is away, at the most.
const AGAIN: Duration = Duration::from_secs(12);

/// How often it is looked whether all who sweep sweep the same.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// For how long it holds: a process that says nothing for so long is gone.
const LIFE: Duration = Duration::from_secs(8);

/// What a process is doing, in words; whoever does it says so here.
#[derive(Debug, Clone)]
pub struct Activity {
    words: Arc<Mutex<String>>,
    watching: Arc<Mutex<Option<Watching>>>,
    live: Arc<AtomicUsize>,
}

impl Activity {
    /// A process that is doing this.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self {
            words: Arc::new(Mutex::new(words.into())),
            watching: Arc::default(),
            live: Arc::default(),
        }
    }

    /// From now on the process is doing this.
    pub fn set(&self, words: impl Into<String>) {
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = words.into();
    }

    /// What it is doing.
    #[must_use]
    pub fn get(&self) -> String {
        let words = self.words.lock();
        words.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on it refreshes these watched codes, or none.
    pub fn set_watching(&self, watching: Option<Watching>) {
        let held = self.watching.lock();
        *held.unwrap_or_else(PoisonError::into_inner) = watching;
    }

    /// From now on the live feed streams so many codes to it.
    pub fn set_live(&self, codes: usize) {
        self.live.store(codes, Ordering::Relaxed);
    }

    /// How many codes the live feed streams to it, where it streams any.
    #[must_use]
    pub fn live(&self) -> Option<usize> {
        Some(self.live.load(Ordering::Relaxed)).filter(|codes| *codes > 0)
    }

    /// The watched codes that it refreshes.
    #[must_use]
    pub fn watching(&self) -> Option<Watching> {
        let held = self.watching.lock();
        *held.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps this process on the roster.
pub struct Attendance {
    roster: Arc<dyn Roster>,
    presence: Presence,
    activity: Activity,
    pacer: Option<Arc<Pacer>>,
    candidate: Option<Arc<Candidate>>,
    provenance: Option<Arc<Provenance>>,
}

impl Attendance {
    /// Puts `presence` on `roster`, with what `activity` says.
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

    /// Its calls take their turns from `pacer`.
    #[must_use]
    pub fn paced_by(mut self, pacer: Arc<Pacer>) -> Self {
        self.pacer = Some(pacer);
        self
    }

    /// Its role is that of `candidate`.
    #[must_use]
    pub fn of(mut self, candidate: Arc<Candidate>) -> Self {
        self.candidate = Some(candidate);
        self
    }

    /// As long as it is there the prices of the store are of its broker.
    #[must_use]
    pub fn holding(mut self, provenance: Arc<Provenance>) -> Self {
        self.provenance = Some(provenance);
        self
    }

    /// Says so under `tasks` until they stop, then that it ends.
    pub fn start(self, tasks: &Tasks) {
        let this = Arc::new(self);
        tasks.lasting("attendance", move |stop| Arc::clone(&this).run(stop));
    }

    /// A store that is away is asked again next time.
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
                // Who leads now is told at once.
                true = async {
                    match &mut posts {
                        Some(posts) => posts.changed().await.is_ok(),
                        None => false,
                    }
                } => {}
            }
        }
        if let Err(error) = self.roster.sign_out(&self.presence.process).await {
            tracing::debug!(%error, "this process stays on the roster until its time is over");
        }
    }

    /// Says where those who sweep here do not sweep the same, once until that changes.
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

    /// Renews the claim on the prices. That they are another's is said where one is written.
    async fn renew_claim(&self) {
        if let Some(provenance) = &self.provenance
            && let Err(error) = provenance.renew().await
        {
            tracing::debug!(%error, "the prices are not claimed");
        }
    }

    /// What is said now.
    fn now(&self) -> Presence {
        let role = self.candidate.as_ref().map(|candidate| candidate.post());
        let rate = self.pacer.as_ref().map(|pacer| pacer.is_alone());
        Presence {
            role: match role {
                Some(Post::Leads { .. }) => Role::Leading,
                Some(Post::Follows(_)) => Role::StandingBy,
                Some(Post::Unknown) => Role::Waiting,
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

impl fmt::Debug for Attendance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attendance")
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}
