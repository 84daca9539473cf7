//! The store in Redis: one multiplexed connection that mends itself and never waits long.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use metrics::counter;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, FromRedisValue, IntoConnectionInfo as _, RedisError, RedisResult, Value};

use super::keys::Keys;
use super::object::Decoder;
use crate::domain::{Quote, Symbol};
use crate::port::{CopyStore, PriceStore, Shelf, StoreError};
use crate::tls;

/// After so many time-outs in a row the connection is replaced: the client keeps a socket that
/// swallows everything for as long as it stands.
const TIMEOUTS_BEFORE_NEW: u32 = 2;

/// Keys of one `MGET`. Measured with the whole market at once: shorter parts cost round trips,
/// longer ones leave the cache.
const PART: usize = 300;

/// Bytes of a usual key, to make room once.
const KEY: usize = 32;

/// How to reach Redis.
#[derive(Debug, Clone)]
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

/// Prices in Redis.
pub struct RedisStore {
    client: Client,
    manager: ArcSwap<ConnectionManager>,
    config: ConnectionManagerConfig,
    timeouts: AtomicU32,
    keys: Keys,
    address: String,
}

/// What Redis says of its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisHealth {
    /// Server version.
    pub version: String,
    /// Bytes in use.
    pub used_memory: u64,
    /// Bytes allowed; 0 is no limit.
    pub maxmemory: u64,
    /// What happens when the limit is reached.
    pub maxmemory_policy: String,
}

impl RedisStore {
    /// A store at the address in `settings`. Connects at the first use, so that it can be made
    /// while Redis is away. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// The address cannot be understood.
    pub fn new(settings: &RedisSettings<'_>) -> Result<Self, StoreError> {
        // An address may hold a password, so not a word of it goes into the error.
        let unusable = |error: RedisError| StoreError {
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
            timeouts: AtomicU32::new(0),
            keys: Keys::new(settings.namespace),
            address,
        })
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Version and memory of the server.
    ///
    /// # Errors
    ///
    /// Redis cannot be reached or refuses `INFO`.
    pub async fn health(&self) -> Result<RedisHealth, StoreError> {
        let mut info = Cmd::new();
        info.arg("INFO");
        let text: String = self.ask(&info).await?;
        let field = |name: &str| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_default().trim().to_owned()
        };
        Ok(RedisHealth {
            version: field("redis_version"),
            used_memory: field("used_memory").parse().unwrap_or(0),
            maxmemory: field("maxmemory").parse().unwrap_or(0),
            maxmemory_policy: field("maxmemory_policy"),
        })
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.run(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    /// Runs a request; once more where the connection was found dropped, on the one that took
    /// its place.
    async fn run<T, F, Fut>(&self, request: F) -> Result<T, StoreError>
    where
        F: Fn(ConnectionManager) -> Fut,
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

    fn connection(&self) -> ConnectionManager {
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

    fn error(&self, error: &RedisError) -> StoreError {
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
        StoreError {
            store: self.address.clone(),
            trouble,
        }
    }

    /// The price objects of `symbols`, under the keys that `name` writes.
    ///
    /// A long list is asked for in parts, all at once: while one is read here, the next is on its
    /// way, and what is read stays within the processor's cache.
    async fn read(
        &self,
        symbols: &[Symbol],
        name: impl Fn(&Keys, Symbol, &mut String),
    ) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        let mut key = String::new();
        let mut command = |part: &[Symbol]| {
            let mut command = Cmd::with_capacity(part.len() + 1, part.len() * KEY);
            // For one key too: GET fails on a key that holds something else, MGET finds nothing
            // there.
            command.arg("MGET");
            for symbol in part {
                key.clear();
                name(&self.keys, *symbol, &mut key);
                command.arg(key.as_str());
            }
            command
        };
        let commands: Vec<Cmd> = symbols.chunks(PART).map(&mut command).collect();
        let commands = &commands;
        self.run(|connection| async move {
            let mut quotes = Vec::with_capacity(symbols.len());
            let mut decoder = Decoder::default();
            if let [command] = commands.as_slice() {
                let values = query(command, connection).await?;
                decode(&mut decoder, symbols, values, &mut quotes);
                return Ok(quotes);
            }
            let mut answers: FuturesOrdered<_> = commands
                .iter()
                .map(|command| query(command, connection.clone()))
                .collect();
            for part in symbols.chunks(PART) {
                if let Some(values) = answers.next().await {
                    decode(&mut decoder, part, values?, &mut quotes);
                }
            }
            Ok(quotes)
        })
        .await
    }
}

async fn query(command: &Cmd, mut connection: ConnectionManager) -> RedisResult<Vec<Value>> {
    command.query_async(&mut connection).await
}

/// Appends the price object of every symbol, or nothing: what another program left under a key is
/// no price.
fn decode(
    decoder: &mut Decoder,
    symbols: &[Symbol],
    values: Vec<Value>,
    quotes: &mut Vec<Option<Box<Quote>>>,
) {
    let until = quotes.len() + symbols.len();
    for (symbol, value) in symbols.iter().zip(values) {
        let Value::BulkString(bytes) = value else {
            quotes.push(None);
            continue;
        };
        let quote = decoder.read(*symbol, bytes).filter(|quote| quote.price > 0);
        if quote.is_none() {
            counter!("sise_store_unreadable_total").increment(1);
        }
        quotes.push(quote);
    }
    quotes.resize(until, None);
}

#[async_trait]
impl PriceStore for RedisStore {
    async fn write(&self, quotes: &[Quote], shelf: Shelf) -> Result<(), StoreError> {
        if quotes.is_empty() {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        for quote in quotes {
            let json = serde_json::to_vec(quote).map_err(|error| StoreError {
                store: self.address.clone(),
                trouble: format!("{} cannot be encoded: {error}", quote.stock_code),
            })?;
            let command = match shelf {
                Shelf::Realtime(ttl) => {
                    let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                    Cmd::pset_ex(self.keys.realtime(quote.stock_code), json, millis)
                }
                Shelf::Close => Cmd::set(self.keys.close(quote.stock_code), json),
            };
            pipeline.add_command(command).ignore();
        }
        let pipeline = &pipeline;
        self.run(|mut connection| async move { pipeline.query_async(&mut connection).await })
            .await
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.read(symbols, Keys::write_realtime).await
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.read(symbols, Keys::write_close).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ask(&redis::cmd("PING")).await
    }
}

#[async_trait]
impl CopyStore for RedisStore {
    async fn load_copy(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.ask(&Cmd::get(self.keys.own(name))).await
    }

    async fn save_copy(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.ask(&Cmd::set(self.keys.own(name), text)).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("address", &self.address)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
