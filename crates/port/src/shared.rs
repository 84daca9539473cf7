//! What the processes of one app key, or of one store, share: the broker's limit and token belong
//! to the key, the sweep to one leader (docs/decisions/0005-budget-per-app-key.md).

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use sise_domain::{Booking, Urgency};

/// The broker's limit, shared between all processes of an app key.
#[async_trait]
pub trait RateBudget: Send + Sync {
    /// Books one call.
    ///
    /// # Errors
    ///
    /// The budget cannot be reached.
    async fn book(&self, urgency: Urgency) -> Result<Booking, StoreError>;

    /// The broker refused a call as over its limit: lowers the rate of all at once, which then
    /// climbs back slowly, never above the setting. Returns the rate's share of the setting, 0 to 1.
    ///
    /// # Errors
    ///
    /// The budget cannot be reached.
    async fn refused(&self) -> Result<f64, StoreError>;
}

/// The number of a leadership: each is higher than all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lead(pub u64);

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// The process, as it calls itself.
    pub process: String,
    /// The number of its leadership.
    pub lead: Lead,
    /// Since when, milliseconds since 1970 by the store's clock.
    pub since_ms: i64,
}

/// How a process stands after it asked for the lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It leads, until the life it asked for is over.
    Leading(Leader),
    /// Another one leads.
    Following(Leader),
}

/// One lease: of all the daemons on one store one sweeps.
#[async_trait]
pub trait Leadership: Send + Sync {
    /// Takes the lead if nobody has it, renews it if `process` has it, and says who has it.
    ///
    /// # Errors
    ///
    /// The lease cannot be reached.
    async fn campaign(&self, process: &str, life: Duration) -> Result<Standing, StoreError>;

    /// Gives the lead back, if `process` has it.
    ///
    /// # Errors
    ///
    /// The lease cannot be reached.
    async fn resign(&self, process: &str) -> Result<(), StoreError>;

    /// Who leads, if anybody does.
    ///
    /// # Errors
    ///
    /// The lease cannot be reached.
    async fn leader(&self) -> Result<Option<Leader>, StoreError>;
}

/// An access token as it is shared: sealed, so that a dump of the store gives no token away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedToken {
    /// Each issue has another, so that a token that died is not taken for a new one.
    pub generation: u64,
    /// The token, encrypted under the app secret.
    pub sealed: String,
}

/// Whether a token may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issue {
    /// This process asks the broker, nobody else does.
    Ask,
    /// Another process asked; its time is over after this wait at the latest.
    Wait(Duration),
}

/// The token of an app key, shared between its processes.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// The token in use.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn load(&self) -> Result<Option<SharedToken>, StoreError>;

    /// Asks for the right to have the token of generation `replacing` (0 for none) replaced. It is
    /// given once in `spacing`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn claim(
        &self,
        process: &str,
        replacing: u64,
        spacing: Duration,
    ) -> Result<Issue, StoreError>;

    /// Gives the right back where no token was issued, so that another may try.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn unclaim(&self, process: &str, replacing: u64) -> Result<(), StoreError>;

    /// Keeps a new token for `life` and says its generation.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn save(&self, sealed: &str, life: Duration) -> Result<u64, StoreError>;
}
