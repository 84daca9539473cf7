//! A pass over any set of codes: it is made, recorded, and ended if another process leads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Watcher;
use crate::freshness::Freshness;
use crate::leadership::{Candidate, LeadState};
use crate::ledger::LedgerKeeper;
use crate::sweep::{Report, Step, Sweeper, Task};
use sise_domain::KrxTime;

/// Extra time of a pass beyond twice the plan, as a token may take a minute.
pub(super) const SLACK: Duration = Duration::from_secs(75);

/// Makes passes and passes on what they write.
#[derive(Clone)]
pub(super) struct Passes {
    pub(super) sweeper: Sweeper,
    pub(super) candidate: Option<Arc<Candidate>>,
    pub(super) freshness: Arc<Freshness>,
    pub(super) ledger: Arc<LedgerKeeper>,
    pub(super) watcher: Option<Arc<dyn Watcher>>,
}

impl Passes {
    /// Makes the pass of `task`, which begins at `now`.
    ///
    /// It ends early at `stop`, or if another process leads.
    pub(super) async fn make(&self, task: &Task, now: KrxTime, stop: &CancellationToken) -> Report {
        let posts = self.candidate.as_ref().map(|candidate| candidate.changes());
        let stop = stop.child_token();
        let observe = |step: Step<'_>| {
            self.freshness.note(step.written);
            self.ledger.note(step.written);
            if let Some(watcher) = &self.watcher {
                watcher.step(&step);
            }
        };
        let pass = self.sweeper.sweep(task, &observe, &stop);
        tokio::pin!(pass);
        let report = tokio::select! {
            biased;
            report = &mut pass => report,
            // Another process sweeps now, and the rest of this pass would waste calls.
            () = superseded(posts) => {
                stop.cancel();
                pass.await
            }
        };
        let lead = self.candidate.as_ref().map(|candidate| candidate.lead());
        let settled = match lead {
            // A process that no longer leads leaves the ledger to the new leader.
            Some(None) => {
                self.ledger.forget();
                Ok(())
            }
            lead => {
                let (ledger, lead) = (&self.ledger, lead.flatten());
                ledger.settle(&task.symbols, &report, now, lead).await
            }
        };
        if let Err(error) = settled {
            tracing::debug!(%error, "the ledger was not written");
        }
        report
    }
}

/// Waits until this process is known to follow another one.
async fn superseded(posts: Option<watch::Receiver<LeadState>>) {
    if let Some(mut posts) = posts {
        let follows = |post: &LeadState| matches!(post, LeadState::Follows(_));
        if posts.wait_for(follows).await.is_ok() {
            return;
        }
    }
    std::future::pending().await
}
