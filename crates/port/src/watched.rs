//! Which codes are read, and which are refreshed more often than the rest.

use async_trait::async_trait;

use super::StoreError;
use sise_domain::Symbol;

/// Is told which codes are read. Never blocks and never fails: whoever reads waits for an answer.
pub trait ReadCounter: Send + Sync {
    /// Somebody reads `codes`, each of them once.
    fn note(&self, codes: &[Symbol]);
}

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
