//! Sources of the stock list.

use async_trait::async_trait;

use sise_domain::Universe;

/// A source of the stock list.
#[async_trait]
pub trait ListSource: Send + Sync {
    /// Returns its name in settings and messages.
    fn name(&self) -> &'static str;

    /// Returns the whole list, with all groups.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no list or it is broken. The text names file, record and byte.
    async fn list(&self) -> Result<Universe, ListError>;
}

/// A stock list that is not available, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ListError(pub String);
