//! The bans of an app key, shared between its processes.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use sise_domain::BanRecord;

/// The ban of an app key, shared between its processes.
#[async_trait]
pub trait BanStore: Send + Sync {
    /// What was written last.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn load(&self) -> Result<Option<BanRecord>, StoreError>;

    /// Writes down for `life`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn save(&self, record: &BanRecord, life: Duration) -> Result<(), StoreError>;

    /// Asks for the right to be the one call that tries after a ban. It is given once in `life`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn claim_trial(&self, process: &str, life: Duration) -> Result<bool, StoreError>;

    /// Gives the right back where the trial told nothing.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn unclaim_trial(&self, process: &str) -> Result<(), StoreError>;
}
