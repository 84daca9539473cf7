//! Claims on codes that a process is asking the broker for, so that others do not ask too.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use sise_domain::Symbol;

/// Result of a claim: which process asks the broker for a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// This process asks, for as long as it claimed.
    Own,
    /// Another process asks; its claim lasts this long at most.
    Other(Duration),
    /// No process asks: the broker does not know the code. That is assumed for this long.
    Unknown(Duration),
}

/// How a claim ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landed {
    /// The price is in the store, or was not available.
    Done,
    /// The broker does not know the code. All processes assume that for this long.
    Unknown(Duration),
}

/// Claims on codes, shared between the processes on one store.
///
/// Claims are short, so that a process that dies does not block the others for long.
#[async_trait]
pub trait Flights: Send + Sync {
    /// Claims `symbols` individually. Returns the results in order.
    ///
    /// A claim that `process` already has is renewed.
    ///
    /// # Errors
    ///
    /// Returns an error if the claims are unreachable.
    async fn claim(
        &self,
        process: &str,
        symbols: &[Symbol],
        life: Duration,
    ) -> Result<Vec<Claim>, StoreError>;

    /// Ends claims of `process`. Claims of other processes are kept.
    ///
    /// # Errors
    ///
    /// Returns an error if the claims are unreachable; the claims then expire by themselves.
    async fn land(&self, process: &str, landed: &[(Symbol, Landed)]) -> Result<(), StoreError>;
}
