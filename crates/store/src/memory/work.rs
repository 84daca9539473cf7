//! Shared work in memory, for tests of what processes share.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use sise_domain::Calling;
use sise_port::{Answers, Assignments, Batch, Finished, Postings, StoreError, Taken, Ticket};

/// Maximum time that a call waits for something to arrive.
const WAIT: Duration = Duration::from_secs(1);

/// Shared work of all holders of a clone.
#[derive(Debug, Clone)]
pub struct MemoryWork {
    board: Arc<Board>,
    /// A batch that its worker has not renewed for this long is given out again.
    idle: Duration,
}

#[derive(Debug, Default)]
struct Board {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    open: BTreeMap<u64, Open>,
    finished: HashMap<String, VecDeque<Finished>>,
}

#[derive(Debug)]
struct Open {
    batch: Batch,
    dies_at: Instant,
    held_at: Option<Instant>,
}

impl MemoryWork {
    /// Creates shared work. A batch is given out again if its worker has not renewed it for `idle`.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self {
            board: Arc::default(),
            idle,
        }
    }

    /// Loses everything, like a Redis that lost its data.
    pub fn clear(&self) {
        let mut state = self.state();
        state.open.clear();
        state.finished.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one step.
        self.board
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn take_now(&self, calling: Calling) -> Option<Taken> {
        let now = Instant::now();
        let mut state = self.state();
        let is_free = |open: &Open| {
            open.batch.calling == calling
                && open
                    .held_at
                    .is_none_or(|held_at| now - held_at >= self.idle)
        };
        let (entry, open) = state.open.iter_mut().find(|(_, open)| is_free(open))?;
        let is_left_behind = open.held_at.replace(now).is_some();
        Some(Taken {
            ticket: Ticket {
                calling,
                entry: entry.to_string(),
            },
            batch: open.batch.clone(),
            is_left_behind,
            is_overdue: now >= open.dies_at,
        })
    }

    /// Returns what `look` finds within the maximum wait.
    async fn wait_for<T>(&self, look: impl Fn() -> Option<T>) -> Option<T> {
        let waiting = async {
            loop {
                let changed = self.board.changed.notified();
                if let Some(seen) = look() {
                    return seen;
                }
                // Batches become idle without a notification.
                let _ = timeout(self.idle.min(WAIT) / 4, changed).await;
            }
        };
        timeout(WAIT, waiting).await.ok()
    }
}

fn number(ticket: &Ticket) -> u64 {
    ticket.entry.parse().unwrap_or(0)
}

#[async_trait]
impl Postings for MemoryWork {
    async fn post(&self, batch: &Batch, life: Duration) -> Result<Ticket, StoreError> {
        let mut state = self.state();
        state.last += 1;
        let entry = state.last;
        let open = Open {
            batch: batch.clone(),
            dies_at: Instant::now() + life,
            held_at: None,
        };
        state.open.insert(entry, open);
        self.board.changed.notify_waiters();
        Ok(Ticket {
            calling: batch.calling,
            entry: entry.to_string(),
        })
    }

    async fn is_open(&self, ticket: &Ticket) -> Result<bool, StoreError> {
        Ok(self.state().open.contains_key(&number(ticket)))
    }

    async fn withdraw(&self, tickets: &[Ticket]) -> Result<(), StoreError> {
        let mut state = self.state();
        for ticket in tickets {
            state.open.remove(&number(ticket));
        }
        Ok(())
    }

    async fn next_finished(&self, process: &str) -> Result<Option<Finished>, StoreError> {
        let pop = || self.state().finished.get_mut(process)?.pop_front();
        Ok(self.wait_for(pop).await)
    }
}

#[async_trait]
impl Assignments for MemoryWork {
    async fn take(&self, calling: Calling) -> Result<Option<Taken>, StoreError> {
        Ok(self.wait_for(|| self.take_now(calling)).await)
    }

    async fn hold(&self, tickets: &[Ticket]) -> Result<(), StoreError> {
        let now = Instant::now();
        let mut state = self.state();
        for ticket in tickets {
            if let Some(open) = state.open.get_mut(&number(ticket)) {
                open.held_at = Some(now);
            }
        }
        Ok(())
    }

    async fn finish(&self, taken: &Taken, answers: Option<&Answers>) -> Result<bool, StoreError> {
        let mut state = self.state();
        let was_open = state.open.remove(&number(&taken.ticket)).is_some();
        if let Some(answers) = answers
            && was_open
        {
            let finished = Finished {
                number: taken.batch.number,
                answers: answers.clone(),
            };
            let process = taken.batch.process.clone();
            state
                .finished
                .entry(process)
                .or_default()
                .push_back(finished);
            self.board.changed.notify_waiters();
        }
        Ok(was_open)
    }
}
