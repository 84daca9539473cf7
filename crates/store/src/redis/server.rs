//! The link to one server: one multiplexed connection that recovers by itself, with short waits.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionInfo, ErrorKind, RedisError, RedisResult};

use super::connection::Connection;

/// Number of consecutive time-outs after which the connection is replaced. The client library keeps
/// a socket that swallows everything until it closes.
const TIMEOUTS_BEFORE_NEW: u32 = 2;

/// Time limits of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Maximum wait for a connection.
    pub(super) connect: Duration,
    /// Maximum wait for a response.
    pub(super) response: Duration,
}

impl Limits {
    /// Maximum wait for a connection and a response on it.
    pub(super) fn both(&self) -> Duration {
        self.connect + self.response
    }
}

/// One server. Connects at the first use.
pub(super) struct Server {
    client: Client,
    manager: ArcSwap<ConnectionManager>,
    config: ConnectionManagerConfig,
    timeouts: AtomicU32,
}

impl Server {
    pub(super) fn new(info: ConnectionInfo, limits: Limits) -> RedisResult<Self> {
        let client = Client::open(info.set_tcp_settings(tcp()))?;
        let config = ConnectionManagerConfig::new()
            // A command must fail at once while Redis is unreachable; the default retries for
            // seconds.
            .set_number_of_retries(0)
            .set_connection_timeout(Some(limits.connect))
            .set_response_timeout(Some(limits.response));
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config.clone())?;
        Ok(Self {
            client,
            manager: ArcSwap::from_pointee(manager),
            config,
            timeouts: AtomicU32::new(0),
        })
    }

    /// Client for connections of another kind.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Runs a request. If the connection turns out to be dropped, runs it once more on a new one.
    pub(super) async fn run<T, F, Fut>(&self, request: &F) -> RedisResult<T>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        let mut outcome = request(self.connection()).await;
        let dropped = |error: &RedisError| !error.is_timeout() && error.is_io_error();
        if outcome.as_ref().is_err_and(dropped) {
            outcome = request(self.connection()).await;
        }
        match &outcome {
            Ok(_) => self.timeouts.store(0, Ordering::Relaxed),
            Err(error) if error.is_timeout() => self.count_timeout(),
            Err(_) => {}
        }
        outcome
    }

    fn connection(&self) -> Connection {
        Connection::Server(ConnectionManager::clone(&self.manager.load()))
    }

    fn count_timeout(&self) {
        if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 < TIMEOUTS_BEFORE_NEW {
            return;
        }
        self.timeouts.store(0, Ordering::Relaxed);
        if let Ok(manager) =
            ConnectionManager::new_lazy_with_config(self.client.clone(), self.config.clone())
        {
            self.manager.store(Arc::new(manager));
        }
    }
}

/// Whether the server refused the user or the password.
pub(super) fn is_about_login(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

/// Settings of the socket. The defaults delay small packets and do not notice a peer that is gone.
fn tcp() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(socket2::TcpKeepalive::new().with_time(Duration::from_secs(15)))
}
