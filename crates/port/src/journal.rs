//! The event log and other records about the work.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{NaiveDate, NaiveTime};

use super::{CopyStore, Lead, StoreError};
use sise_domain::{Coverage, Entry, Event, Presence, Row, Symbol};

/// Receives events. It never blocks and never fails, so that callers are not held up.
pub trait Recorder: Send + Sync {
    /// Records an event that has just happened.
    fn note(&self, event: Event);
}

/// Drops all events: for programs that only read prices.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unrecorded;

impl Recorder for Unrecorded {
    fn note(&self, _event: Event) {}
}

/// Position of an entry in an event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub String);

/// An event log: entries in the order they were written. The oldest are dropped when it is full.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Writes an entry in one round trip. The previous version of the entry at `earlier` is
    /// removed.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses. The entry may have been written
    /// anyway; writing it again is safe.
    async fn append(&self, entry: &Entry, earlier: Option<&Place>) -> Result<Place, StoreError>;

    /// Returns the newest `most` entries, newest first, each once. Unreadable entries are skipped.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn entries(&self, most: usize) -> Result<Vec<Entry>, StoreError>;
}

/// Storage of the sweeps' state of each code.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Replaces rows in one round trip; with `lead` only if no later leader has written.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses, or if a later leader has written.
    /// In the last case nothing is changed.
    async fn keep_rows(&self, rows: &[(Symbol, Row)], lead: Option<Lead>)
    -> Result<(), StoreError>;

    /// Returns the row of one code.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn row(&self, symbol: Symbol) -> Result<Option<Row>, StoreError>;

    /// Returns all rows. Unreadable rows are skipped.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn rows(&self) -> Result<Vec<(Symbol, Row)>, StoreError>;
}

/// Storage of the coverage by minute, kept for some days.
#[async_trait]
pub trait CoverageLog: Send + Sync {
    /// Adds or replaces minutes of `day` in one round trip.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn keep_minutes(
        &self,
        day: NaiveDate,
        minutes: &[(NaiveTime, Coverage)],
    ) -> Result<(), StoreError>;

    /// Returns the known minutes of `day`, in order.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn minutes(&self, day: NaiveDate) -> Result<Vec<(NaiveTime, Coverage)>, StoreError>;
}

/// Storage of the running processes.
#[async_trait]
pub trait Roster: Send + Sync {
    /// Registers this process as present for the next `life`.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn sign_in(&self, presence: &Presence, life: Duration) -> Result<(), StoreError>;

    /// Removes a process that is shutting down.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn sign_out(&self, process: &str) -> Result<(), StoreError>;

    /// Returns the present processes, by name.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn present(&self) -> Result<Vec<Presence>, StoreError>;
}

/// All records about the work.
pub trait Records: Journal + Ledger + CoverageLog + Roster + CopyStore {}
impl<T: Journal + Ledger + CoverageLog + Roster + CopyStore> Records for T {}
