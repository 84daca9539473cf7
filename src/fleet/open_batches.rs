//! The batches that this process posted and waits for. Each is settled once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use sise_port::{Answers, Ticket};

/// All open batches.
#[derive(Debug, Default)]
pub(super) struct OpenBatches {
    state: Mutex<State>,
    opened: Notify,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    waiting: HashMap<u64, Waiting>,
    /// Posted batches whose answers are no longer awaited.
    abandoned: Vec<Ticket>,
    is_closed: bool,
}

#[derive(Debug)]
struct Waiting {
    sender: oneshot::Sender<Answers>,
    /// The ticket of the batch, once posted.
    ticket: Option<Ticket>,
}

/// An open batch. If dropped before it is settled, it is abandoned.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    open_batches: &'a OpenBatches,
    number: u64,
    answers: oneshot::Receiver<Answers>,
}

impl OpenBatches {
    /// Opens an entry with a unique number.
    pub(super) fn open(&self) -> Entry<'_> {
        let (sender, answers) = oneshot::channel();
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        if !state.is_closed {
            let ticket = None;
            state.waiting.insert(number, Waiting { sender, ticket });
        }
        drop(state);
        self.opened.notify_one();
        Entry {
            open_batches: self,
            number,
            answers,
        }
    }

    /// Settles an entry. Returns false if its answers are not awaited: it was already settled or
    /// abandoned, or was never opened here.
    pub(super) fn settle(&self, number: u64, answers: Answers) -> bool {
        let waiting = self.state().waiting.remove(&number);
        waiting.is_some_and(|waiting| waiting.sender.send(answers).is_ok())
    }

    /// Abandons all entries, including any opened later.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        let tickets = waiting.into_values().filter_map(|waiting| waiting.ticket);
        state.abandoned.extend(tickets);
    }

    /// Waits until there is an open entry.
    pub(super) async fn until_open(&self) {
        while self.is_empty() {
            self.opened.notified().await;
        }
    }

    /// Takes the tickets abandoned since the last call.
    pub(super) fn take_abandoned(&self) -> Vec<Ticket> {
        std::mem::take(&mut self.state().abandoned)
    }

    fn is_empty(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty() && state.abandoned.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step, so a poisoned lock is safe to use.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry<'_> {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Records that the batch was posted.
    pub(super) fn posted(&self, ticket: Ticket) {
        let mut state = self.open_batches.state();
        match state.waiting.get_mut(&self.number) {
            Some(waiting) => waiting.ticket = Some(ticket),
            None => state.abandoned.push(ticket),
        }
    }

    /// Waits for the answers; `None` if all batches were closed.
    pub(super) async fn answers(&mut self) -> Option<Answers> {
        (&mut self.answers).await.ok()
    }

    /// Returns the answers if they have arrived.
    pub(super) fn answers_now(&mut self) -> Option<Answers> {
        self.answers.try_recv().ok()
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut state = self.open_batches.state();
        let waiting = state.waiting.remove(&self.number);
        let ticket = waiting.and_then(|waiting| waiting.ticket);
        state.abandoned.extend(ticket);
        drop(state);
        self.open_batches.opened.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sise_domain::Calling;

    fn ticket(entry: &str) -> Ticket {
        Ticket {
            calling: Calling::Multi,
            entry: entry.to_owned(),
        }
    }

    #[tokio::test]
    async fn an_entry_is_settled_once() {
        let open_batches = OpenBatches::default();
        let mut entry = open_batches.open();
        entry.posted(ticket("1"));
        let number = entry.number();
        assert!(open_batches.settle(number, Answers::default()));
        assert!(!open_batches.settle(number, Answers::default()), "twice");
        assert!(
            !open_batches.settle(number + 1, Answers::default()),
            "unknown"
        );
        assert!(entry.answers().await.is_some());
        drop(entry);
        assert_eq!(open_batches.take_abandoned(), []);
    }

    #[tokio::test]
    async fn what_is_dropped_early_is_abandoned_and_settled_no_more() {
        let open_batches = OpenBatches::default();
        let entry = open_batches.open();
        entry.posted(ticket("1"));
        let number = entry.number();
        drop(entry);
        open_batches.until_open().await;
        assert!(!open_batches.settle(number, Answers::default()), "late");
        assert_eq!(open_batches.take_abandoned(), [ticket("1")]);
        // An entry that was never posted leaves nothing to withdraw.
        drop(open_batches.open());
        assert_eq!(open_batches.take_abandoned(), []);
    }

    #[tokio::test]
    async fn a_closed_ledger_ends_every_wait() {
        let open_batches = OpenBatches::default();
        let mut before = open_batches.open();
        before.posted(ticket("1"));
        open_batches.close();
        let mut after = open_batches.open();
        after.posted(ticket("2"));
        assert!(before.answers().await.is_none());
        assert!(after.answers().await.is_none());
        assert_eq!(open_batches.take_abandoned(), [ticket("1"), ticket("2")]);
    }
}
