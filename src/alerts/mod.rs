//! Alerts: rules that people keep, watched on the board, and told by one process of all.
//!
//! ```text
//!  board --prices--> inbox --> engine --> log, journal, stream, webhook
//!                       rules, marks ^
//! ```
//!
//! Every process that has a board watches, so that it knows what came before when it takes over; the
//! one that has the lease tells. What was told is kept in the store for the next one.

mod delivery;
mod engine;
mod inbox;
mod marks;
mod outlook;
mod rules;
mod signature;
mod webhook;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::board::{Onlooker, QuoteBoard};
use crate::leadership::Candidate;
use sise_cache::Cache;
use sise_domain::{Calendar, Universe};
use sise_net::supervisor::Tasks;
use sise_port::clock::Clock;
use sise_port::{Changes, Leadership, Recorder};

use delivery::Teller;
use engine::Engine;
use inbox::Inbox;
pub use outlook::Outlook;
pub use rules::{AlertRules, AlertRulesError, KeptRules};
pub use webhook::{Delivery, Try, Webhook};

/// What the profiles are called under which rules and marks are kept.
const PROFILES: &str = "alerts";

/// What alerts work with.
pub struct Parts {
    /// What the prices stand on.
    pub board: Arc<QuoteBoard>,
    /// The stock list, which coverage is a share of.
    pub universe: Arc<ArcSwap<Universe>>,
    /// Says when the session is open.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// The calendar is not asked, for trials.
    pub always_open: bool,
    /// Tells the time.
    pub clock: Clock,
    /// Life of a price.
    pub life: Duration,
    /// Where rules and watch lists are kept.
    pub cache: Cache,
    /// The same for the marks, which can be many, where they delay no call.
    pub bulk_cache: Cache,
    /// Tells all processes.
    pub changes: Arc<dyn Changes>,
    /// Is told what happens.
    pub recorder: Arc<dyn Recorder>,
    /// The lease of who sweeps; `None` where nobody else can be there.
    pub sweeps: Option<Arc<dyn Leadership>>,
    /// This process among those that may tell; `None` where it is alone.
    pub candidate: Option<Arc<Candidate>>,
    /// Where alerts are posted.
    pub webhook: Option<Arc<Webhook>>,
}

/// Watches the board by the rules, and tells where this process has the lease.
pub struct Alerts {
    inbox: Arc<Inbox>,
    engine: Engine,
    teller: Teller,
    candidate: Option<Arc<Candidate>>,
    webhook: Option<Arc<Webhook>>,
}

impl Alerts {
    /// Alerts on these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let inbox = Arc::new(Inbox::default());
        let (recorder, changes) = (Arc::clone(&parts.recorder), Arc::clone(&parts.changes));
        let (ways, teller) = delivery::ways(recorder, changes, parts.webhook.clone());
        let (candidate, webhook) = (parts.candidate.clone(), parts.webhook.clone());
        Self {
            engine: Engine::new(parts, Arc::clone(&inbox), ways),
            inbox,
            teller,
            candidate,
            webhook,
        }
    }

    /// Who is to be told of what changes on the board.
    #[must_use]
    pub fn onlooker(&self) -> Arc<dyn Onlooker> {
        self.inbox.clone()
    }

    /// Watches and tells under `tasks`.
    pub fn start(self, tasks: &Tasks) {
        // What was told goes out after the last of it: the guard goes with the task that watches.
        let told = CancellationToken::new();
        let telling = tasks.until(&told);
        let told = told.drop_guard();
        let engine = Arc::new(Mutex::new(self.engine));
        tasks.lasting("alerts", move |stop| {
            let _ = &told;
            let engine = Arc::clone(&engine);
            async move { engine.lock().await.run(stop).await }
        });
        if let Some(candidate) = self.candidate {
            candidate.start("alert lease", tasks);
        }
        let teller = Arc::new(Mutex::new(self.teller));
        telling.lasting("alert stream", move |stop| {
            let teller = Arc::clone(&teller);
            async move { teller.lock().await.run(stop).await }
        });
        if let Some(webhook) = self.webhook {
            telling.lasting("alert webhook", move |stop| {
                let webhook = Arc::clone(&webhook);
                async move { webhook.run(stop).await }
            });
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("board", &self.board)
            .field("candidate", &self.candidate)
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts")
            .field("inbox", &self.inbox)
            .field("candidate", &self.candidate)
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
