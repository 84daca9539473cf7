//! Which codes some process is asking the broker for, so that the others do not.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use sise_domain::Symbol;

/// Whose it is to ask the broker for a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// This process's, for the life that it asked for.
    Own,
    /// Another process's, for this long at most.
    Other(Duration),
    /// Nobody's: the broker does not know the code, which is believed for this long.
    Unknown(Duration),
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landed {
    /// It is given back: the price is in the store, or could not be had.
    Done,
    /// The broker does not know the code, which all processes believe for this long.
    Unknown(Duration),
}

/// Claims on codes, shared between the processes on one store. A claim has a short life, so that
/// a process that dies holds nobody up for long.
#[async_trait]
pub trait Flights: Send + Sync {
    /// Claims `symbols`, each by itself, and says in their order whose they are. A claim of
    /// `process` that still lives is renewed.
    ///
    /// # Errors
    ///
    /// The claims cannot be reached.
    async fn claim(
        &self,
        process: &str,
        symbols: &[Symbol],
        life: Duration,
    ) -> Result<Vec<Claim>, StoreError>;

    /// Ends claims of `process`. What another process claims meanwhile stays claimed.
    ///
    /// # Errors
    ///
    /// The claims cannot be reached; they end with their life.
    async fn land(&self, process: &str, landed: &[(Symbol, Landed)]) -> Result<(), StoreError>;
}
