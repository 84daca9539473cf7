//! The way to a cluster: one connection to each of its nodes.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::{ConnectionInfo, RedisResult};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::connection::Connection;
use super::server::{Limits, TIMEOUTS_BEFORE_NEW, tcp};

/// A request is sent so often at most: where its slot was, where it went, and once more.
const RETRIES: u32 = 3;

/// Between two of them, milliseconds.
const PAUSE_MS: (u64, u64) = (5, 30);

/// A new look at the whole cluster takes no longer than so many connections.
const LONGEST_LOOK: u32 = 8;

/// A cluster. Connects at the first use.
pub(super) struct Cluster {
    client: ClusterClient,
    connection: Arc<ArcSwap<ClusterConnection>>,
    limits: Limits,
    timeouts: AtomicU32,
    /// A new look that is under way.
    look: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Cluster {
    pub(super) fn new(nodes: Vec<ConnectionInfo>, limits: Limits) -> RedisResult<Self> {
        let client = ClusterClient::builder(nodes)
            .connection_timeout(limits.connect)
            .response_timeout(limits.response)
            .retries(RETRIES)
            .min_retry_wait(PAUSE_MS.0)
            .max_retry_wait(PAUSE_MS.1)
            .tcp_settings(tcp())
            .build()?;
        // The configuration of a connection takes the place of the client's, empty fields too.
        let config = ClusterConfig::new().set_response_timeout(limits.response);
        let connection = client.get_pending_async_connection_with_config(config);
        Ok(Self {
            client,
            connection: Arc::new(ArcSwap::from_pointee(connection)),
            limits,
            timeouts: AtomicU32::new(0),
            look: Mutex::new(None),
        })
    }

    /// Runs a request. The client itself repeats what met a dropped connection or a slot that
    /// has moved.
    pub(super) async fn run<T, F, Fut>(&self, request: &F) -> RedisResult<T>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        let connection = ClusterConnection::clone(&self.connection.load());
        let outcome = request(Connection::Cluster(connection)).await;
        if outcome.as_ref().is_err_and(redis::RedisError::is_timeout) {
            self.count_timeout();
        }
        outcome
    }

    /// A success says nothing of the node that is silent, so it does not start the count anew.
    fn count_timeout(&self) {
        if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 < TIMEOUTS_BEFORE_NEW {
            return;
        }
        self.timeouts.store(0, Ordering::Relaxed);
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        if look.as_ref().is_some_and(|look| !look.is_finished()) {
            return;
        }
        // Beside the connection in use, which serves the nodes that answer meanwhile.
        let client = self.client.clone();
        let connection = Arc::clone(&self.connection);
        let longest = (self.limits.connect + self.limits.response) * LONGEST_LOOK;
        *look = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Ok(Ok(new)) = timeout(longest, client.get_async_connection()).await {
                connection.store(Arc::new(new));
            }
        })));
    }
}
