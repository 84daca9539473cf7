//! Errors of a daemon.

use std::io;
use std::net::SocketAddr;

use crate::api::ApiError;
use crate::setup::SetupError;
use sise_domain::{Plan, grouped};
use sise_net::supervisor::TaskEnded;
use sise_port::{ListError, SourceError, StoreError};

/// Why a daemon could not be built, did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It has no app key and secret, so that it cannot sweep.
    #[error("the broker's app key and secret are not set (KIS_APP_KEY, KIS_APP_SECRET)")]
    NoCredentials,
    /// It has nothing to serve, because the API is off.
    #[error("api.listen is off, so there is nothing to serve: set it to an address")]
    NothingToServe,
    /// No other process can see its store, so that it would serve nothing.
    #[error(
        "store.url is memory, which other processes cannot see: set REDIS_URL to the Redis that \
         the daemon writes to"
    )]
    UnsharedStore,
    /// A setting was refused.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The interval of the sweeps or the address of the ping is unusable.
    #[error("{0}")]
    Schedule(String),
    /// The API cannot listen.
    #[error(
        "cannot listen on {address} for the API, health and metrics: {error}; set api.listen \
         (SISE__API__LISTEN) to another address, or to off"
    )]
    Listen {
        /// The address in the settings.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The process has another metrics recorder.
    #[error("metrics cannot be started: {0}")]
    Metrics(String),
    /// The settings do not allow the API to be served.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Redis is of another kind than its address says, which waiting would not change.
    #[error("{0}")]
    StoreKind(StoreError),
    /// The store refused, or its prices are from another broker.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no stock list.
    #[error("no stock list: {0}")]
    List(#[from] ListError),
    /// The sweeps would let prices expire.
    #[error(
        "this set-up cannot keep its {} codes alive: {}. What works: {}; or go on with gaps: \
         --allow-gaps",
        grouped(.0.codes), .0.figures(), .0.remedies()
    )]
    Gaps(Box<Plan>),
    /// The broker denies the app key.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A vital task ended unexpectedly; the others were stopped.
    #[error(transparent)]
    Ended(#[from] TaskEnded),
}
