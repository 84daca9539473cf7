//! The leader's side: a source that shares its batches among all processes with spare calls.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use metrics::counter;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::open_batches::OpenBatches;
use crate::leadership::{Candidate, LeadState};
use sise_domain::{Calling, KrxTime, Symbol};
use sise_port::clock::Clock;
use sise_port::{Answer, Answers, Batch, Lead, Postings, QuoteSource, SourceError, Urgency};

/// Interval at which a batch is checked while its answers are awaited.
const LOOK: Duration = Duration::from_secs(2);

/// Number of consecutive checks after which a missing batch counts as lost: Redis lost its data or
/// is unreachable.
const LOOKS: u32 = 2;

/// Pause before the store is tried again while it is unreachable.
const STORE_AGAIN: Duration = Duration::from_millis(500);

/// Shortest time between two warnings that work cannot be shared.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Shares batches among all processes that take part.
pub struct Dispatcher {
    postings: Arc<dyn Postings>,
    /// The source of this process, for batches that cannot be shared.
    own: Arc<dyn QuoteSource>,
    candidate: Arc<Candidate>,
    clock: Clock,
    /// Longest wait for the answers to a batch.
    life: Duration,
    open_batches: OpenBatches,
    /// When the last warning that work could not be shared was logged.
    said_at: Mutex<Option<Instant>>,
}

/// The outcome of a batch that was to be shared.
enum Shared {
    Answered(Answers),
    /// The batch cannot be answered by sharing, for this reason.
    Lost(String),
    Stopped,
}

impl Dispatcher {
    /// Creates a dispatcher that posts the batches of `candidate` to `postings`. It asks `own` for
    /// batches that are lost or not answered within `life`.
    #[must_use]
    pub fn new(
        postings: Arc<dyn Postings>,
        own: Arc<dyn QuoteSource>,
        candidate: Arc<Candidate>,
        clock: Clock,
        life: Duration,
    ) -> Self {
        Self {
            postings,
            own,
            candidate,
            clock,
            life,
            open_batches: OpenBatches::default(),
            said_at: Mutex::default(),
        }
    }

    /// Collects finished batches until `stop`.
    pub async fn run(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(self.fetch()).await.is_some() {}
        self.open_batches.close();
        self.withdraw().await;
    }

    /// Settles one finished batch, if there is one.
    async fn fetch(&self) {
        self.open_batches.until_open().await;
        self.withdraw().await;
        match self.postings.next_finished(self.candidate.process()).await {
            Ok(Some(finished)) => {
                let is_first = self.open_batches.settle(finished.number, finished.answers);
                count(if is_first { "answered" } else { "late" });
            }
            Ok(None) => {}
            // The caller that waits for the batch checks on it and sees the same error.
            Err(_) => sleep(STORE_AGAIN).await,
        }
    }

    /// Withdraws abandoned batches, so that no call is spent on them.
    async fn withdraw(&self) {
        let abandoned = self.open_batches.take_abandoned();
        if !abandoned.is_empty()
            && let Err(error) = self.postings.withdraw(&abandoned).await
        {
            tracing::debug!(%error, "batches could not be withdrawn; they expire by themselves");
        }
    }

    /// Posts a batch and waits for its answers.
    async fn share(&self, symbols: &[Symbol], lead: Lead) -> Shared {
        let mut entry = self.open_batches.open();
        let batch = Batch {
            lead,
            process: self.candidate.process().to_owned(),
            number: entry.number(),
            calling: self.own.calling(),
            symbols: symbols.to_vec(),
        };
        let posted_at = (self.clock)();
        let ticket = match self.postings.post(&batch, self.life).await {
            Ok(ticket) => ticket,
            Err(error) => return Shared::Lost(error.to_string()),
        };
        entry.posted(ticket.clone());
        let deadline = Instant::now() + self.life;
        let mut absences = 0;
        loop {
            tokio::select! {
                biased;
                answers = entry.answers() => {
                    return match answers {
                        Some(answers) => self.answered(symbols, answers, posted_at).await,
                        None => Shared::Stopped,
                    };
                }
                () = sleep(LOOK) => {}
            }
            let trouble = match self.postings.is_open(&ticket).await {
                Ok(true) => {
                    absences = 0;
                    None
                }
                Ok(false) => Some("the batch is gone".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            let is_late = Instant::now() >= deadline;
            absences += u32::from(trouble.is_some());
            if absences < LOOKS && !is_late {
                continue;
            }
            // The answers may have arrived at the last moment.
            return match entry.answers_now() {
                Some(answers) => self.answered(symbols, answers, posted_at).await,
                None => Shared::Lost(trouble.unwrap_or_else(|| "no process took it".to_owned())),
            };
        }
    }

    /// Completes the answers to a batch: this process asks for the codes that the other one left
    /// out.
    async fn answered(
        &self,
        symbols: &[Symbol],
        mut answers: Answers,
        posted_at: KrxTime,
    ) -> Shared {
        let between = (posted_at, (self.clock)());
        let left_out = account(symbols, &mut answers, between);
        if !left_out.is_empty() {
            tracing::debug!(codes = left_out.len(), "another process left out codes");
            let own = self.own.quotes(&left_out, Urgency::Sweep).await;
            answers.answers.extend(own.answers);
            answers.tally.add(own.tally);
        }
        Shared::Answered(answers)
    }

    fn lost(&self, why: &str) {
        count("lost");
        let mut said_at = self.said_at.lock().unwrap_or_else(PoisonError::into_inner);
        if said_at.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            *said_at = Some(Instant::now());
            tracing::warn!(
                why,
                "a batch could not be shared: this process asks for it itself"
            );
        }
    }
}

/// Reduces the answers to one for each of `symbols`, and returns the symbols without one.
///
/// Times of other machines are not trusted: they are clamped to `between`, the time of the posting
/// and now.
fn account(symbols: &[Symbol], answers: &mut Answers, between: (KrxTime, KrxTime)) -> Vec<Symbol> {
    let mut given: HashMap<Symbol, Answer> = answers.answers.drain(..).collect();
    let (posted_at, now) = between;
    let clamped = |at: KrxTime| at.clamp(posted_at.min(now), now);
    for index in &mut answers.indices {
        index.fetched_at = clamped(index.fetched_at);
    }
    let mut left_out = Vec::new();
    for symbol in symbols {
        let answer = match given.remove(symbol) {
            Some(Answer::Quote(mut quote)) => {
                let fetched_at = clamped(quote.fetched_at);
                if fetched_at != quote.fetched_at {
                    quote.timestamp = fetched_at.naive_local();
                    quote.fetched_at = fetched_at;
                }
                Answer::Quote(quote)
            }
            Some(other) => other,
            None => {
                left_out.push(*symbol);
                continue;
            }
        };
        answers.answers.push((*symbol, answer));
    }
    left_out
}

#[async_trait]
impl QuoteSource for Dispatcher {
    async fn quotes(&self, symbols: &[Symbol], urgency: Urgency) -> Answers {
        // A caller that needs an answer now must not depend on other processes.
        let (Urgency::Sweep, LeadState::Leads { leader, .. }) = (urgency, self.candidate.post())
        else {
            return self.own.quotes(symbols, urgency).await;
        };
        match self.share(symbols, leader.lead).await {
            Shared::Answered(answers) => answers,
            Shared::Lost(why) => {
                self.lost(&why);
                self.own.quotes(symbols, urgency).await
            }
            Shared::Stopped => {
                let stopped = |symbol: &Symbol| (*symbol, Answer::Failed(SourceError::Stopped));
                Answers {
                    answers: symbols.iter().map(stopped).collect(),
                    ..Answers::default()
                }
            }
        }
    }

    fn calling(&self) -> Calling {
        self.own.calling()
    }

    fn places_for_indices(&self) -> usize {
        self.own.places_for_indices()
    }
}

fn count(outcome: &'static str) {
    counter!("sise_posted_batches_total", "outcome" => outcome).increment(1);
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("candidate", &self.candidate)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}
