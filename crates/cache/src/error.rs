//! Why the cache did not do it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sise_port::StoreError;

/// What a loader or a durable side fails with.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why the cache did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CacheError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not answer within the time of an operation; what was asked for may have been
    /// done.
    #[error("the cache did not answer within {within:?}")]
    Late {
        /// The time of an operation.
        within: Duration,
    },
    /// The store has failed for a while and is not asked at present; it is looked for in the
    /// background.
    #[error("the cache is away and not asked until it answers again: {trouble}")]
    Down {
        /// What failed last.
        trouble: String,
    },
    /// A value has no JSON.
    #[error("{key} cannot be encoded: {source}; write a value that has a JSON")]
    Encode {
        /// Its key.
        key: String,
        /// Why.
        source: Arc<serde_json::Error>,
    },
    /// What stands there is no value of this type: another program wrote it, or an older version.
    #[error("{key} holds no value of its type: {source}; delete it, or let its life end")]
    Decode {
        /// Its key.
        key: String,
        /// Why.
        source: Arc<serde_json::Error>,
    },
    /// What was given is not allowed; nothing was done.
    #[error("{0}")]
    Invalid(String),
}

/// Why a value could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// The loader failed. All who wait for one load are given the same error.
    #[error("the loader failed: {0}")]
    Loader(Arc<dyn Error + Send + Sync>),
    /// The value was not there within the caller's time.
    #[error("no value within {within:?}")]
    Late {
        /// The caller's time.
        within: Duration,
    },
    /// The value has no JSON.
    #[error(transparent)]
    Cache(#[from] CacheError),
}
