//! Errors of the cache.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sise_port::StoreError;

/// Error of a loader or of a durable side.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a cache operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CacheError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not answer within the time-out. The operation may have been carried out.
    #[error("the cache did not answer within {within:?}")]
    Late {
        /// The time-out.
        within: Duration,
    },
    /// The store has been failing for a while and is not asked at present. It is checked in the
    /// background.
    #[error("the cache is unreachable and is not asked until it answers again: {trouble}")]
    Down {
        /// The last failure.
        trouble: String,
    },
    /// The value cannot be encoded as JSON.
    #[error("{key} cannot be encoded: {source}; write a value that JSON can hold")]
    Encode {
        /// Key of the value.
        key: String,
        /// The encoding error.
        source: Arc<serde_json::Error>,
    },
    /// The stored data is not a value of this type: another program wrote it, or an older version.
    #[error("{key} does not hold a value of its type: {source}; delete it or let it expire")]
    Decode {
        /// Key of the value.
        key: String,
        /// The decoding error.
        source: Arc<serde_json::Error>,
    },
    /// An argument is not allowed; nothing was done.
    #[error("{0}")]
    Invalid(String),
}

/// Why a value could not be loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// The loader failed. All callers that wait for the same load get the same error.
    #[error("the loader failed: {0}")]
    Loader(Arc<dyn Error + Send + Sync>),
    /// The value was not available within the caller's time.
    #[error("no value within {within:?}")]
    Late {
        /// The caller's time.
        within: Duration,
    },
    /// The value cannot be encoded as JSON.
    #[error(transparent)]
    Cache(#[from] CacheError),
}
