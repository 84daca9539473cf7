//! Storage of bans, shared between the processes of an app key.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use sise_domain::BanRecord;

/// Stores the ban of an app key for all its processes.
#[async_trait]
pub trait BanStore: Send + Sync {
    /// Returns the last record.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn load(&self) -> Result<Option<BanRecord>, StoreError>;

    /// Writes a record that is kept for `life`.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn save(&self, record: &BanRecord, life: Duration) -> Result<(), StoreError>;

    /// Asks for permission to make the one trial call after a ban.
    ///
    /// It is granted once in `life`.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn claim_trial(&self, process: &str, life: Duration) -> Result<bool, StoreError>;

    /// Returns the permission if the trial gave no result.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn unclaim_trial(&self, process: &str) -> Result<(), StoreError>;
}
