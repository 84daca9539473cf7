//! What happened, and where it is written down.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{NaiveDate, NaiveTime};

use super::{CopyStore, Lead, StoreError};
use sise_domain::{Coverage, Entry, Event, Presence, Row, Symbol};

/// Is told what happens. Never blocks and never fails: whoever tells has other work.
pub trait Recorder: Send + Sync {
    /// Something happened just now.
    fn note(&self, event: Event);
}

/// Forgets what it is told: for programs that only read prices.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unrecorded;

impl Recorder for Unrecorded {
    fn note(&self, _event: Event) {}
}

/// Where an entry stands in a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub String);

/// Entries in the order in which they were written. The oldest go when there are too many.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Writes an entry, in one round trip. An earlier writing of the same entry at `earlier` goes.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused; the entry may stand there all the same, and writing
    /// it again does no harm.
    async fn append(&self, entry: &Entry, earlier: Option<&Place>) -> Result<Place, StoreError>;

    /// The newest `most` entries, newest first, each once. What is no entry is left out.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn entries(&self, most: usize) -> Result<Vec<Entry>, StoreError>;
}

/// What the sweeps know of each code.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Replaces rows, all in one round trip. With `lead` only where no later lead has written.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused, or a later leader has written; then nothing was.
    async fn keep_rows(&self, rows: &[(Symbol, Row)], lead: Option<Lead>)
    -> Result<(), StoreError>;

    /// The row of one code.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn row(&self, symbol: Symbol) -> Result<Option<Row>, StoreError>;

    /// All rows. What is no row is left out.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn rows(&self) -> Result<Vec<(Symbol, Row)>, StoreError>;
}

/// Coverage by minute of a day, kept for some days.
#[async_trait]
pub trait CoverageLog: Send + Sync {
    /// Adds minutes of `day` or replaces them, in one round trip.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn keep_minutes(
        &self,
        day: NaiveDate,
        minutes: &[(NaiveTime, Coverage)],
    ) -> Result<(), StoreError>;

    /// The minutes of `day` that are known, in order.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn minutes(&self, day: NaiveDate) -> Result<Vec<(NaiveTime, Coverage)>, StoreError>;
}

/// Which processes are there.
#[async_trait]
pub trait Roster: Send + Sync {
    /// This process is there for the next `life`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn sign_in(&self, presence: &Presence, life: Duration) -> Result<(), StoreError>;

    /// This process ends.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn sign_out(&self, process: &str) -> Result<(), StoreError>;

    /// Who is there, by name.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn present(&self) -> Result<Vec<Presence>, StoreError>;
}

/// All that is written down about the work.
pub trait Chronicle: Journal + Ledger + CoverageLog + Roster + CopyStore {}
impl<T: Journal + Ledger + CoverageLog + Roster + CopyStore> Chronicle for T {}
