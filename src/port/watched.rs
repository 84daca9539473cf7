//! Which codes are refreshed more often than the rest.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::Symbol;

/// Knows which codes are refreshed more often than the rest.
#[async_trait]
pub trait WatchedCodes: Send + Sync {
    /// The codes that are, at present, in the order in which they are asked for.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn watched(&self) -> Result<Vec<Symbol>, StoreError>;
}
