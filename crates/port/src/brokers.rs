//! Claims of brokers on a store.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use sise_domain::BrokerIdentity;

/// The broker that holds the prices in a store, and the process that claimed them for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerHolder {
    /// The broker.
    pub broker: BrokerIdentity,
    /// The process that claimed them last.
    pub process: String,
    /// Time until the claim ends, unless it is renewed.
    pub left: Duration,
}

/// Claims that tie the prices in a store to one broker.
///
/// A claim lasts as long as prices of that broker live, or a process that uses it is running.
#[async_trait]
pub trait BrokerClaims: Send + Sync {
    /// Claims the prices for `broker`, for at least `life`.
    ///
    /// If another broker holds them, its claim stays and its holder is returned.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn claim_broker(
        &self,
        broker: &BrokerIdentity,
        process: &str,
        life: Duration,
    ) -> Result<Option<BrokerHolder>, StoreError>;

    /// Returns the current holder, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn broker_holder(&self) -> Result<Option<BrokerHolder>, StoreError>;
}
