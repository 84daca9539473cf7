//! Alerts: user-defined rules that every process checks on its board and that one process fires.
//!
//! ```text
//!  board --prices--> inbox --> engine --> log, journal, stream, webhook
//!                       rules, marks ^
//! ```
//!
//! Every process with a board watches, so that it knows the history when it takes over. The process
//! with the lease fires the alerts. Their marks are stored for the next process.

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
pub use outlook::{Outlook, OutlookError, Outlooks};
pub use rules::{AlertRules, AlertRulesError, KeptRules};
pub use webhook::{Delivery, Try, Webhook};

/// Name of the profiles that hold rules and marks.
const PROFILES: &str = "alerts";

/// The dependencies of [`Alerts`].
pub struct Parts {
    /// The board with the prices.
    pub board: Arc<QuoteBoard>,
    /// The universe, of which coverage is a share.
    pub universe: Arc<ArcSwap<Universe>>,
    /// The calendar, which says when the session is open.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// Whether to ignore the calendar, for trials.
    pub always_open: bool,
    /// The clock.
    pub clock: Clock,
    /// Life of a price.
    pub life: Duration,
    /// The cache with the rules and watch lists.
    pub cache: Cache,
    /// The same for the marks, which can be many, on a connection where they delay no call.
    pub bulk_cache: Cache,
    /// Publishes alerts to all processes.
    pub changes: Arc<dyn Changes>,
    /// Records alerts in the event log.
    pub recorder: Arc<dyn Recorder>,
    /// The lease of the sweeping process; `None` if no other process can exist.
    pub sweeps: Option<Arc<dyn Leadership>>,
    /// This process as a candidate for firing alerts; `None` if it runs alone.
    pub candidate: Option<Arc<Candidate>>,
    /// The webhook that alerts are posted to.
    pub webhook: Option<Arc<Webhook>>,
}

/// Checks the rules on the board, and fires alerts if this process has the lease.
pub struct Alerts {
    inbox: Arc<Inbox>,
    engine: Engine,
    teller: Teller,
    candidate: Option<Arc<Candidate>>,
    webhook: Option<Arc<Webhook>>,
}

impl Alerts {
    /// Creates alerts on these parts.
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

    /// Returns the onlooker that must be told of changes on the board.
    #[must_use]
    pub fn onlooker(&self) -> Arc<dyn Onlooker> {
        self.inbox.clone()
    }

    /// Watches and fires alerts under `tasks`.
    pub fn start(self, tasks: &Tasks) {
        // The publishing task stops only after the watching one, so that the last alerts go out:
        // the guard ends with the task that watches.
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
