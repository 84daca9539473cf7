//! State that processes share: limit and token of an app key, and the lease of a store.
//!
//! See docs/decisions/0005-budget-per-app-key.md.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use sise_domain::{Booking, Urgency};

/// The call budget that all processes of an app key share.
#[async_trait]
pub trait RateBudget: Send + Sync {
    /// Books one call.
    ///
    /// # Errors
    ///
    /// Returns an error if the budget is unreachable.
    async fn book(&self, urgency: Urgency) -> Result<Booking, StoreError>;

    /// Lowers the shared rate after the broker refused a call for exceeding its limit.
    ///
    /// The rate then climbs back slowly, but never above the setting. Returns its share of the
    /// setting, 0 to 1.
    ///
    /// # Errors
    ///
    /// Returns an error if the budget is unreachable.
    async fn refused(&self) -> Result<f64, StoreError>;
}

/// Fencing token of a lease: each is higher than all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lead(pub u64);

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The leading process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Name of the process.
    pub process: String,
    /// Fencing token of its lease.
    pub lead: Lead,
    /// When it took the lead, milliseconds since 1970 by the store's clock.
    pub since_ms: i64,
}

/// Result of a request for the lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The process leads for the requested time.
    Leading(Leader),
    /// Another process leads.
    Following(Leader),
}

/// A lease: of all daemons on one store, only the one with the lease sweeps.
#[async_trait]
pub trait Leadership: Send + Sync {
    /// Takes the lead if it is free, or renews it for `process`. Returns which process leads.
    ///
    /// # Errors
    ///
    /// Returns an error if the lease is unreachable.
    async fn campaign(&self, process: &str, life: Duration) -> Result<Standing, StoreError>;

    /// Gives the lead back if `process` has it.
    ///
    /// # Errors
    ///
    /// Returns an error if the lease is unreachable.
    async fn resign(&self, process: &str) -> Result<(), StoreError>;

    /// Returns the leader, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the lease is unreachable.
    async fn leader(&self) -> Result<Option<Leader>, StoreError>;
}

/// An access token in shared form: encrypted, so that a dump of the store reveals no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedToken {
    /// Number of the issue, so that an invalid token is not taken for a new one.
    pub generation: u64,
    /// The token, encrypted under the app secret.
    pub sealed: String,
}

/// Whether a process may request a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issue {
    /// This process requests the token from the broker, and no other does.
    Ask,
    /// Another process is requesting it; its time is over after this wait at the latest.
    Wait(Duration),
}

/// The token of an app key, shared between its processes.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Returns the token in use.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn load(&self) -> Result<Option<SharedToken>, StoreError>;

    /// Asks for permission to replace the token of generation `replacing` (0 for none).
    ///
    /// It is granted once in `spacing`.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn claim(
        &self,
        process: &str,
        replacing: u64,
        spacing: Duration,
    ) -> Result<Issue, StoreError>;

    /// Returns the permission if no token was issued, so that another process may try.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn unclaim(&self, process: &str, replacing: u64) -> Result<(), StoreError>;

    /// Stores a new token for `life`. Returns its generation.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    async fn save(&self, sealed: &str, life: Duration) -> Result<u64, StoreError>;
}
