//! The way to Redis: one multiplexed connection that mends itself and never waits long.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::counter;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, FromRedisValue, IntoConnectionInfo as _, RedisError, RedisResult, Script,
    ToRedisArgs, Value,
};

use crate::port::StoreError;
use crate::tls;

/// After so many time-outs in a row the connection is replaced: the client keeps a socket that
/// swallows everything for as long as it stands.
const TIMEOUTS_BEFORE_NEW: u32 = 2;

/// How to reach Redis.
#[derive(Clone)]
pub struct RedisSettings<'a> {
    /// `redis://` or `rediss://` with user, password and database where needed.
    pub url: &'a str,
    /// What is put in front of every key.
    pub namespace: &'a str,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer.
    pub response_timeout: Duration,
}

/// What a request is sent over.
pub(super) type Connection = ConnectionManager;

/// A connection that is made at its first use and replaced when it is of no use any more.
pub(super) struct Link {
    client: Client,
    manager: ArcSwap<ConnectionManager>,
    config: ConnectionManagerConfig,
    connect_timeout: Duration,
    response_timeout: Duration,
    timeouts: AtomicU32,
    address: String,
}

impl Link {
    /// A way to the address in `settings`. Connects at the first use, so that it can be made
    /// while Redis is away. Needs a tokio runtime.
    pub(super) fn new(settings: &RedisSettings<'_>) -> Result<Self, StoreError> {
        // An address may hold a password, so not a word of it goes into the error.
        let unusable = |error: RedisError| StoreError::Failed {
            store: "the address given".to_owned(),
            trouble: error.category().to_owned(),
        };
        tls::install_provider();
        let info = settings.url.into_connection_info().map_err(unusable)?;
        // The default waits with small packets and never notices a peer that went away.
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(socket2::TcpKeepalive::new().with_time(Duration::from_secs(15)));
        let address = info.addr().to_string();
        let client = Client::open(info.set_tcp_settings(tcp)).map_err(unusable)?;
        let config = ConnectionManagerConfig::new()
            // A command must fail at once while Redis is away; the default retries for seconds.
            .set_number_of_retries(0)
            .set_connection_timeout(Some(settings.connect_timeout))
            .set_response_timeout(Some(settings.response_timeout));
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config.clone())
            .map_err(unusable)?;
        Ok(Self {
            client,
            manager: ArcSwap::from_pointee(manager),
            config,
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.response_timeout,
            timeouts: AtomicU32::new(0),
            address,
        })
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// For connections of another kind to the same server.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Longest wait for a connection.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Longest wait for an answer.
    pub(super) fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    /// One command.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.run(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    /// One command that reads a key of sise's own. What another program left there, or damage, is
    /// nothing: who writes the key next writes over it.
    pub(super) async fn ask_own<T: FromRedisValue + Default>(
        &self,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let value: Result<Value, RedisError> = self
            .run(|mut connection| async move {
                match command.query_async(&mut connection).await {
                    Err(error) if error.code() == Some("WRONGTYPE") => Ok(Err(error)),
                    outcome => outcome.map(Ok),
                }
            })
            .await?;
        let read = value.and_then(|value| Ok(T::from_redis_value(value)?));
        Ok(read.unwrap_or_else(|error| {
            counter!("sise_store_unreadable_total").increment(1);
            let category = error.category();
            tracing::debug!(
                category,
                "a value under a key of sise's own is not what sise wrote"
            );
            T::default()
        }))
    }

    /// One script, whose keys must all lie on one slot. Sent by its digest, and whole where the
    /// server does not know it.
    pub(super) async fn eval<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: impl ToRedisArgs,
    ) -> Result<T, StoreError> {
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(*key);
        }
        call.arg(arguments);
        let call = &call;
        self.run(|mut connection| async move { call.invoke_async(&mut connection).await })
            .await
    }

    /// Runs a request; once more where the connection was found dropped, on the one that took
    /// its place.
    pub(super) async fn run<T, F, Fut>(&self, request: F) -> Result<T, StoreError>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        let mut outcome = request(self.connection()).await;
        let dropped = |error: &RedisError| !error.is_timeout() && error.is_io_error();
        if outcome.as_ref().is_err_and(dropped) {
            outcome = request(self.connection()).await;
        }
        match outcome {
            Ok(value) => {
                self.timeouts.store(0, Ordering::Relaxed);
                Ok(value)
            }
            Err(error) => {
                if error.is_timeout() {
                    self.count_timeout();
                }
                counter!("sise_store_errors_total").increment(1);
                Err(self.error(&error))
            }
        }
    }

    fn connection(&self) -> Connection {
        ConnectionManager::clone(&self.manager.load())
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

    pub(super) fn error(&self, error: &RedisError) -> StoreError {
        // A pipeline's error names every command that failed; its beginning says it all.
        let said: String = error.to_string().chars().take(200).collect();
        let trouble = match error.code() {
            _ if error.is_timeout() => "no answer in time".to_owned(),
            Some("NOAUTH" | "WRONGPASS" | "NOPERM") => {
                "the log-in is refused: set user and password in the address".to_owned()
            }
            _ if said.contains("\"OOM\"") => "its memory is full: raise maxmemory".to_owned(),
            _ => said,
        };
        StoreError::Failed {
            store: self.address.clone(),
            trouble,
        }
    }
}

impl fmt::Debug for RedisSettings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        f.debug_struct("RedisSettings")
            .field("namespace", &self.namespace)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
