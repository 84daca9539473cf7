//! Of which broker the prices in a store are.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use sise_domain::BrokerIdentity;

/// Who writes the prices of a broker into a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerHolder {
    /// The broker.
    pub broker: BrokerIdentity,
    /// The process that said so last.
    pub process: String,
    /// For how long that holds, if nobody says so again.
    pub left: Duration,
}

/// Of which broker the prices in a store are: of one at a time, for as long as its prices live or
/// somebody who asks it is there.
#[async_trait]
pub trait BrokerClaims: Send + Sync {
    /// Says that the prices here are of `broker`, for `life` at least. Where they are of another one
    /// that stays so, and its holder is returned.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn claim_broker(
        &self,
        broker: &BrokerIdentity,
        process: &str,
        life: Duration,
    ) -> Result<Option<BrokerHolder>, StoreError>;

    /// Who holds the prices, if anybody does.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn broker_holder(&self) -> Result<Option<BrokerHolder>, StoreError>;
}
