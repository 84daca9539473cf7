//! Reads of codes, and codes that are refreshed more often than the rest.

use async_trait::async_trait;

use super::StoreError;
use sise_domain::Symbol;

/// Counts reads of codes. It never blocks and never fails, so that readers are not held up.
pub trait ReadCounter: Send + Sync {
    /// Counts one read of each of `codes`.
    fn note(&self, codes: &[Symbol]);
}

/// Source of the codes that are refreshed more often than the rest.
#[async_trait]
pub trait WatchedCodes: Send + Sync {
    /// Returns the watched codes at present, in the order in which they are requested.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn watched(&self) -> Result<Vec<Symbol>, StoreError>;
}
