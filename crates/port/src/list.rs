//! Where the stock list comes from.

use async_trait::async_trait;

use sise_domain::Universe;

/// A place that has a stock list.
#[async_trait]
pub trait ListSource: Send + Sync {
    /// What it is called in settings and messages.
    fn name(&self) -> &'static str;

    /// The whole list, whatever the groups.
    ///
    /// # Errors
    ///
    /// There is no list, or it is broken; the text names file, record and byte.
    async fn list(&self) -> Result<Universe, ListError>;
}

/// A stock list that cannot be had: the words for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ListError(pub String);
