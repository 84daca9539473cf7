//! Sharing of work between processes with different app keys.
//!
//! The leader posts the batches of a sweep. Any process with calls to spare takes a batch, requests
//! the prices and hands the answers in.

use std::time::Duration;

use async_trait::async_trait;

use super::{Answers, Lead, StoreError};
use sise_domain::{Calling, Symbol};

/// Codes to request together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The lead under which it was posted. A batch of an earlier lead is useless.
    pub lead: Lead,
    /// Name of the process that waits for the answers.
    pub process: String,
    /// Number of the batch in that process; never reused.
    pub number: u64,
    /// How to request it. Only processes that can request this way get it.
    pub calling: Calling,
    /// The codes.
    pub symbols: Vec<Symbol>,
}

/// Position of a posted batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// How to request the batch.
    pub calling: Calling,
    /// The store's name for it.
    pub entry: String,
}

/// A batch that this process has taken and must now process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its position.
    pub ticket: Ticket,
    /// The batch.
    pub batch: Batch,
    /// Whether another process had taken it, and died or did not hold on to it.
    pub is_left_behind: bool,
    /// Whether its time is over, so that no process waits for it any more.
    pub is_overdue: bool,
}

/// Result of a batch.
#[derive(Debug)]
pub struct Finished {
    /// Number of the batch.
    pub number: u64,
    /// Its answers.
    ///
    /// They come from another process, so the reader must check that they fit the batch.
    pub answers: Answers,
}

/// The leader's side of shared work.
#[async_trait]
pub trait Postings: Send + Sync {
    /// Posts a batch that is valid for `life`.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable; the batch may have been posted.
    async fn post(&self, batch: &Batch, life: Duration) -> Result<Ticket, StoreError>;

    /// Returns whether a batch is still waiting or in progress.
    ///
    /// Otherwise it was handed in, withdrawn, or lost with the store.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn is_open(&self, ticket: &Ticket) -> Result<bool, StoreError>;

    /// Withdraws batches that no process waits for any more.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable; the batches then expire by themselves.
    async fn withdraw(&self, tickets: &[Ticket]) -> Result<(), StoreError>;

    /// Returns the next finished batch of `process`, waiting a second or two for one.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn next_finished(&self, process: &str) -> Result<Option<Finished>, StoreError>;
}

/// The workers' side of shared work.
///
/// Each batch is given out at least once, and again if its worker does not hold on to it.
#[async_trait]
pub trait Assignments: Send + Sync {
    /// Takes one batch, waiting a second or two for one.
    ///
    /// Only one caller at a time: a second one would wait behind the first.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn take(&self, calling: Calling) -> Result<Option<Taken>, StoreError>;

    /// Marks batches as in progress, so that no other process gets them.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn hold(&self, tickets: &[Ticket]) -> Result<(), StoreError>;

    /// Hands the answers in, or drops the batch if there are none.
    ///
    /// Returns whether the batch was still open. If another process was faster, nothing happens.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable; the batch is given out again later.
    async fn finish(&self, taken: &Taken, answers: Option<&Answers>) -> Result<bool, StoreError>;
}
