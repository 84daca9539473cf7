//! Work that the processes of several app keys share: the leader posts the batches of a sweep,
//! whoever has a call to spare takes one, asks for it and hands the answers in.

use std::time::Duration;

use async_trait::async_trait;

use super::{Answers, Lead, StoreError};
use sise_domain::{Calling, Symbol};

/// Codes that are to be asked for together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The leadership that posted it. One of an earlier leadership is of no use to anybody.
    pub lead: Lead,
    /// The process that waits for the answers, as it calls itself.
    pub process: String,
    /// Its number there; none is given twice.
    pub number: u64,
    /// How it is to be asked for: who cannot ask that way does not get it.
    pub calling: Calling,
    /// The codes.
    pub symbols: Vec<Symbol>,
}

/// Where a batch stands that was posted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// How the batch is to be asked for.
    pub calling: Calling,
    /// What the store calls it.
    pub entry: String,
}

/// A batch that was taken and is now this process's to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Where it stands.
    pub ticket: Ticket,
    /// What is to be asked for.
    pub batch: Batch,
    /// Another process took it before and died, or was away for too long.
    pub is_left_behind: bool,
    /// Its time is over: nobody waits for it any more.
    pub is_overdue: bool,
}

/// What came of a batch.
#[derive(Debug)]
pub struct Finished {
    /// The batch.
    pub number: u64,
    /// Its answers. They come from another process: whether they are those to the batch is for
    /// the reader to see.
    pub answers: Answers,
}

/// The leader's side of shared work.
#[async_trait]
pub trait Postings: Send + Sync {
    /// Posts a batch; its time is over after `life`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached; the batch may have been posted.
    async fn post(&self, batch: &Batch, life: Duration) -> Result<Ticket, StoreError>;

    /// Whether a batch is still to be done, or being done. What is neither was handed in,
    /// withdrawn, or lost with the store.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn is_open(&self, ticket: &Ticket) -> Result<bool, StoreError>;

    /// Takes batches back that nobody waits for any more.
    ///
    /// # Errors
    ///
    /// The store cannot be reached; their time ends by itself.
    async fn withdraw(&self, tickets: &[Ticket]) -> Result<(), StoreError>;

    /// The next batch of `process` that was handed in; waits for one for a second or two.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn next_finished(&self, process: &str) -> Result<Option<Finished>, StoreError>;
}

/// The workers' side of shared work: each batch is given out at least once, and again when its
/// worker has not held on to it for a while.
#[async_trait]
pub trait Assignments: Send + Sync {
    /// Takes one batch; waits for one for a second or two. One at a time: a second caller would
    /// wait behind the first.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn take(&self, calling: Calling) -> Result<Option<Taken>, StoreError>;

    /// Says that the batches are being worked on, so that nobody else gets them.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn hold(&self, tickets: &[Ticket]) -> Result<(), StoreError>;

    /// Hands the answers in, or drops the batch where there are none. Says whether the batch was
    /// still open: where another process was faster, nothing happens.
    ///
    /// # Errors
    ///
    /// The store cannot be reached; the batch is given out again later.
    async fn finish(&self, taken: &Taken, answers: Option<&Answers>) -> Result<bool, StoreError>;
}
