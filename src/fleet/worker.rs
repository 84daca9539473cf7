//! The worker's side: takes batches as the pace of its key allows, asks the broker, and hands in
//! the answers.

use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use metrics::counter;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::pause::Pause;
use crate::leadership::{Candidate, LeadState};
use sise_net::supervisor::seen;
use sise_port::{
    Answer, Answers, Assignments, Lead, QuoteSource, SourceError, Taken, Ticket, Urgency,
};

/// Average pause before the store is tried again while it is unreachable.
const STORE_AGAIN: Duration = Duration::from_millis(500);

/// A worker for shared work. A cheap handle.
#[derive(Clone)]
pub struct Worker {
    assignments: Arc<dyn Assignments>,
    source: Arc<dyn QuoteSource>,
    candidate: Arc<Candidate>,
    /// Maximum number of batches under way.
    at_once: usize,
    /// Interval at which held batches are confirmed.
    hold_every: Duration,
    held: Arc<Mutex<HashSet<Ticket>>>,
}

/// Marks a batch as being worked on until dropped.
struct InHand<'a> {
    worker: &'a Worker,
    ticket: &'a Ticket,
}

impl Worker {
    /// Creates a worker that takes batches from `assignments` and asks `source` for them.
    ///
    /// Up to `at_once` batches are under way, and each is confirmed every `hold_every`. `candidate`
    /// knows the lead, to tell outdated batches.
    #[must_use]
    pub fn new(
        assignments: Arc<dyn Assignments>,
        source: Arc<dyn QuoteSource>,
        candidate: Arc<Candidate>,
        at_once: usize,
        hold_every: Duration,
    ) -> Self {
        Self {
            assignments,
            source,
            candidate,
            at_once: at_once.max(1),
            hold_every,
            held: Arc::default(),
        }
    }

    /// Works until `stop`, and then completes the batches it took.
    pub async fn run(&self, stop: &CancellationToken) {
        tokio::select! {
            () = self.take_all(stop) => {}
            () = self.hold_all() => {}
        }
    }

    async fn take_all(&self, stop: &CancellationToken) {
        let mut in_flight = JoinSet::new();
        let mut pause = Pause::default();
        let mut is_store_away = false;
        while let Some(ready) = self.turn(&mut in_flight, &mut pause, stop).await {
            if let Err(error) = ready {
                pause.note(Err(error));
            }
            if pause.until().is_some() {
                continue;
            }
            // Not cancelled by the stop: a batch that was assigned but not received would block
            // until it expires.
            match self.assignments.take(self.source.calling()).await {
                Ok(taken) => {
                    if std::mem::take(&mut is_store_away) {
                        tracing::info!("shared work is available again");
                    }
                    if let Some(taken) = taken {
                        let worker = self.clone();
                        let (begin, begun) = oneshot::channel();
                        let serving = async move { worker.serve(&taken, begin).await };
                        in_flight.spawn(seen("batch", serving));
                        // Wait until the call is queued, so that the next batch queues after it.
                        let _ = begun.await;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_store_away, true) {
                        tracing::warn!(%error, "shared work is unavailable; trying again");
                    }
                    let pause = STORE_AGAIN.mul_f64(0.5 + fastrand::f64());
                    stop.run_until_cancelled(sleep(pause)).await;
                }
            }
        }
        while let Some(done) = in_flight.join_next().await {
            if let Err(error) = done {
                tracing::error!(%error, "a batch failed unexpectedly");
            }
        }
    }

    /// Waits until another batch may be taken; `None` after the stop. Batches are only taken
    /// shortly before they can go out, because other processes could handle them meanwhile.
    async fn turn(
        &self,
        in_flight: &mut JoinSet<Option<Result<(), SourceError>>>,
        pause: &mut Pause,
        stop: &CancellationToken,
    ) -> Option<Result<(), SourceError>> {
        // Not restarted with every finished batch: it may be fetching a token.
        let free = self.until_free(pause.until());
        tokio::pin!(free);
        loop {
            let may_take = in_flight.len() < pause.at_once(self.at_once);
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                Some(done) = in_flight.join_next(), if !in_flight.is_empty() => match done {
                    Ok(Some(outcome)) => pause.note(outcome),
                    Ok(None) => {}
                    Err(error) => tracing::error!(%error, "a batch failed unexpectedly"),
                },
                ready = &mut free, if may_take => return Some(ready),
            }
        }
    }

    /// Waits until this key can make a call.
    async fn until_free(&self, rests_until: Option<Instant>) -> Result<(), SourceError> {
        if let Some(until) = rests_until {
            sleep_until(until).await;
        }
        self.source.ready(Urgency::Sweep).await
    }

    /// Asks for a batch and hands in the answers. Returns whether the key works, if that was seen.
    /// `begin` is notified as soon as the call is queued.
    async fn serve(
        &self,
        taken: &Taken,
        begin: oneshot::Sender<()>,
    ) -> Option<Result<(), SourceError>> {
        let _held = InHand::new(self, &taken.ticket);
        let is_old = self.lead().is_some_and(|lead| taken.batch.lead < lead);
        if is_old || taken.is_overdue {
            count("dropped");
            self.hand_in(taken, None).await;
            return None;
        }
        if taken.is_left_behind {
            count("taken_over");
            tracing::info!(
                codes = taken.batch.symbols.len(),
                "taking over a batch that its worker left"
            );
        }
        let asking = self.source.quotes(&taken.batch.symbols, Urgency::Sweep);
        let mut answers = begun(asking, begin).await;
        let trouble = trouble(&answers);
        if taken.batch.process != self.candidate.process() {
            // The leader retries the codes that failed with its own key.
            let is_of_use = |(_, answer): &(_, Answer)| !matches!(answer, Answer::Failed(_));
            answers.answers.retain(is_of_use);
        }
        self.hand_in(taken, Some(&answers)).await;
        Some(trouble.map_or(Ok(()), Err))
    }

    async fn hand_in(&self, taken: &Taken, answers: Option<&Answers>) {
        match self.assignments.finish(taken, answers).await {
            Ok(true) if answers.is_some() => count("done"),
            Ok(false) if answers.is_some() => {
                count("late");
                tracing::debug!("another process was faster, or the batch is no longer awaited");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a batch could not be handed in; it will be assigned again");
            }
        }
    }

    /// Confirms all held batches at intervals, without end.
    async fn hold_all(&self) {
        loop {
            sleep(self.hold_every).await;
            let tickets: Vec<Ticket> = self.held().iter().cloned().collect();
            if !tickets.is_empty()
                && let Err(error) = self.assignments.hold(&tickets).await
            {
                tracing::debug!(%error, "batches could not be confirmed");
            }
        }
    }

    /// Returns the last lead that this process knows of.
    fn lead(&self) -> Option<Lead> {
        match self.candidate.post() {
            LeadState::Leads { leader, .. } | LeadState::Follows(leader) => Some(leader.lead),
            LeadState::Unknown => None,
        }
    }

    fn held(&self) -> MutexGuard<'_, HashSet<Ticket>> {
        // Every change is a single step, so a poisoned lock is safe to use.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> InHand<'a> {
    fn new(worker: &'a Worker, ticket: &'a Ticket) -> Self {
        worker.held().insert(ticket.clone());
        Self { worker, ticket }
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.worker.held().remove(self.ticket);
    }
}

/// Awaits `work`; `begin` is notified after its first poll.
async fn begun<T>(work: impl Future<Output = T>, begin: oneshot::Sender<()>) -> T {
    tokio::pin!(work);
    let first = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    // The worker waits for this, unless it was stopped.
    let _ = begin.send(());
    match first {
        Poll::Ready(done) => done,
        Poll::Pending => work.await,
    }
}

/// Returns the first error if no code of a batch was answered.
fn trouble(answers: &Answers) -> Option<SourceError> {
    let mut first = None;
    for (_, answer) in &answers.answers {
        match answer {
            Answer::Failed(error) => first = first.or(Some(error)),
            Answer::Quote(_) | Answer::Unknown | Answer::Refused(_) => return None,
        }
    }
    first.cloned()
}

fn count(outcome: &'static str) {
    counter!("sise_taken_batches_total", "outcome" => outcome).increment(1);
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("at_once", &self.at_once)
            .field("hold_every", &self.hold_every)
            .finish_non_exhaustive()
    }
}
