//! The first level cache: prices that were read once are served from memory until Redis reports a
//! change, or until they expire.
//!
//! The client library's own cache (`cache-aio`) is not used, for three reasons. It caches an answer
//! only after the task of the connection has handed it over. A change reported in between is
//! missed, and the old price stays for the rest of its life. It counts that life from the answer,
//! and it does not notice a connection that fell silent. In this cache,
//!
//! - a place is reserved for a price before it is requested, and an answer is held only if no
//!   change has removed that place;
//! - a life is counted from before the question, so that it never outlasts the one in Redis;
//! - nothing is served unless the server has answered a moment ago, and all is forgotten when the
//!   link drops.

mod held;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;
use metrics::counter;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisError,
    RedisResult, Value,
};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use self::held::{Now, Prices, Question};
use super::RedisStore;
use super::prices::decode;
use crate::keys::Keys;
use crate::object::Decoder;
use sise_domain::{Quote, Symbol};
use sise_net::supervisor::Supervisor;
use sise_port::clock::Clock;
use sise_port::{Lead, PriceStore, Shelf, StoreError, Written};

/// Interval at which the server is asked whether the link works.
const PULSE: Duration = Duration::from_millis(500);

/// Pulses between two removals of expired prices.
const CLEAR_EVERY: u32 = 20;

/// How long a price of another program without a TTL is held.
const LIFE_WITHOUT_END: Duration = Duration::from_secs(60);

/// Pauses in milliseconds between attempts to connect, drawn anew each time.
const RETRY_MS: std::ops::RangeInclusive<u64> = 200..=1_000;

/// A store in Redis behind a first level cache in memory.
///
/// Only live prices are cached. Everything else goes straight to Redis, and so do live prices while
/// the link is down.
pub struct RedisFirstLevel {
    store: Arc<RedisStore>,
    level: Arc<Level>,
    /// The task that keeps the link.
    _keeper: Supervisor,
}

struct Level {
    held: RwLock<Prices>,
    keys: Keys,
    clock: Clock,
    /// Notified when a link drops.
    dropped: Notify,
}

impl RedisFirstLevel {
    /// Creates a first level cache in front of `store`. Needs a tokio runtime.
    #[must_use]
    pub fn new(store: Arc<RedisStore>, clock: Clock) -> Self {
        let level = Arc::new(Level {
            held: RwLock::default(),
            keys: store.keys.clone(),
            clock,
            dropped: Notify::new(),
        });
        let keeper = Supervisor::default();
        let (kept, way) = (Arc::clone(&level), Arc::clone(&store));
        let tasks = keeper.tasks().within(Duration::ZERO);
        tasks.lasting("first level", move |_| {
            keep_linked(Arc::clone(&kept), Arc::clone(&way))
        });
        Self {
            store,
            level,
            _keeper: keeper,
        }
    }

    /// Requests prices that are not held, over the link, and holds the answers.
    async fn ask(&self, question: Question) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        let Question {
            number,
            link,
            connection,
            symbols,
        } = question;
        let start = Instant::now();
        let (lives, values) = match fetch(&self.level.keys, &symbols, connection).await {
            Ok(answer) => answer,
            Err(error) => {
                self.level.held_mut().end(link);
                self.level.dropped.notify_one();
                // Waiting for an answer again would double the caller's wait.
                return match error.is_timeout() {
                    true => Err(self.store.link.error(&error)),
                    false => self.store.realtime(&symbols).await,
                };
            }
        };
        let mut quotes = Vec::with_capacity(symbols.len());
        decode(&mut Decoder::default(), &symbols, values, &mut quotes);
        let mut held = self.level.held_mut();
        for ((symbol, quote), life) in symbols.iter().zip(&quotes).zip(lives) {
            let life = match u64::try_from(life) {
                Ok(life) => Some(Duration::from_millis(life)),
                Err(_) => (life == -1).then_some(LIFE_WITHOUT_END),
            };
            match (quote, life) {
                (Some(quote), Some(life)) => held.hold(number, quote, start + life),
                _ => held.forget(*symbol),
            }
        }
        Ok(quotes)
    }
}

/// Reads the lives, in milliseconds, and the values under the live keys of `symbols`.
///
/// The lives come first: a price that is written in between counts as changed.
async fn fetch(
    keys: &Keys,
    symbols: &[Symbol],
    mut connection: MultiplexedConnection,
) -> RedisResult<(Vec<i64>, Vec<Value>)> {
    let mut pipeline = redis::pipe();
    let mut values = Cmd::new();
    values.arg("MGET");
    for symbol in symbols {
        let key = keys.realtime(*symbol);
        values.arg(&key);
        pipeline.pttl(key);
    }
    pipeline.add_command(values);
    let mut answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
    let values = answers.pop().unwrap_or(Value::Nil);
    let lives = answers.into_iter().map(redis::from_redis_value);
    Ok((
        lives.collect::<Result<_, _>>()?,
        redis::from_redis_value(values)?,
    ))
}

#[async_trait]
impl PriceStore for RedisFirstLevel {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<Written, StoreError> {
        let outcome = self.store.write(quotes, shelf, lead).await;
        // Redis reports the change too, but the caller may read before the report arrives.
        let mut held = self.level.held_mut();
        quotes
            .iter()
            .for_each(|quote| held.forget(quote.stock_code));
        drop(held);
        outcome
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        let Some(mut quotes) = self.level.given(symbols) else {
            return self.store.realtime(symbols).await;
        };
        let hits = quotes.iter().flatten().count();
        counter!("sise_first_level_hits_total").increment(u64::try_from(hits).unwrap_or(0));
        if hits == symbols.len() {
            return Ok(quotes);
        }
        let missing: Vec<Symbol> = quotes
            .iter()
            .zip(symbols)
            .filter(|(quote, _)| quote.is_none())
            .map(|(_, symbol)| *symbol)
            .collect();
        let question = self.level.held_mut().ask(missing);
        let found = match question {
            Some(question) => self.ask(question).await?,
            None => return self.store.realtime(symbols).await,
        };
        let gaps = quotes.iter_mut().filter(|quote| quote.is_none());
        gaps.zip(found).for_each(|(gap, quote)| *gap = quote);
        Ok(quotes)
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.store.close(symbols).await
    }

    async fn lives(&self, symbols: &[Symbol]) -> Result<Vec<Option<Duration>>, StoreError> {
        self.store.lives(symbols).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

/// Makes and watches the link, and makes it anew whenever it drops, for as long as the cache
/// exists.
async fn keep_linked(level: Arc<Level>, store: Arc<RedisStore>) {
    let mut has_said = false;
    loop {
        let number = level.held_mut().new_number();
        match level.link(number, &store).await {
            Ok(connection) => level.watch(number, connection, &store).await,
            Err(error) => {
                let error = store.link.error(&error);
                if std::mem::replace(&mut has_said, true) {
                    tracing::debug!(%error, "no link for the first level");
                } else {
                    tracing::warn!(%error, "the first level is empty until Redis reports changes");
                }
            }
        }
        level.held_mut().end(number);
        sleep(Duration::from_millis(fastrand::u64(RETRY_MS))).await;
    }
}

impl Level {
    /// Makes the link with this number and starts to hold prices.
    async fn link(
        self: &Arc<Self>,
        number: u64,
        store: &RedisStore,
    ) -> RedisResult<MultiplexedConnection> {
        // The settings refuse a first level cache with a cluster or sentinels.
        let one = store.link.client();
        let one = one.ok_or((ErrorKind::InvalidClientConfig, "more than one server"))?;
        let info = one.get_connection_info().clone();
        let limits = store.link.limits();
        let redis = info.redis_settings().clone();
        let client =
            Client::open(info.set_redis_settings(redis.set_protocol(ProtocolVersion::RESP3)))?;
        let level = Arc::clone(self);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limits.connect))
            .set_response_timeout(Some(limits.response))
            .set_push_sender(move |push: PushInfo| {
                level.hear(number, &push);
                Ok::<_, RedisError>(())
            });
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let then = self.now();
        let mut tracking = redis::cmd("CLIENT");
        let () = tracking
            .arg(&["TRACKING", "ON"])
            .query_async(&mut connection)
            .await?;
        self.held_mut().begin(number, connection.clone(), then);
        Ok(connection)
    }

    /// Tests the link at an interval, until it fails.
    async fn watch(&self, number: u64, mut connection: MultiplexedConnection, store: &RedisStore) {
        for pulse in 1_u32.. {
            // Wakes up when a link drops. A notice about an earlier link costs only one extra
            // pulse.
            let _ = timeout(PULSE, self.dropped.notified()).await;
            let then = self.now();
            store.learn_time().await;
            let ping: RedisResult<String> = redis::cmd("PING").query_async(&mut connection).await;
            let mut held = self.held_mut();
            if ping.is_err() || !held.hear(number, then) {
                return;
            }
            if pulse.is_multiple_of(CLEAR_EVERY) {
                held.clear_out(then);
            }
        }
    }

    /// Handles a message of the server on the link with this number.
    fn hear(&self, number: u64, push: &PushInfo) {
        match (&push.kind, push.data.first()) {
            (PushKind::Invalidate, Some(Value::Array(keys))) => {
                let mut held = self.held_mut();
                for key in keys {
                    match key {
                        Value::BulkString(key) => {
                            if let Some(symbol) = self.keys.symbol_of_realtime(key) {
                                held.forget(symbol);
                            }
                        }
                        _ => held.forget_all(),
                    }
                }
            }
            // The whole database was emptied.
            (PushKind::Invalidate, _) => self.held_mut().forget_all(),
            (PushKind::Disconnection, _) => {
                self.held_mut().end(number);
                self.dropped.notify_one();
            }
            _ => {}
        }
    }

    /// Returns the held prices in the order of `symbols`, or `None` if nothing may be served.
    fn given(&self, symbols: &[Symbol]) -> Option<Vec<Option<Box<Quote>>>> {
        let now = self.now();
        let held = self.held();
        held.is_trusted(now)
            .then(|| symbols.iter().map(|s| held.price(*s, now)).collect())
    }

    fn now(&self) -> Now {
        Now {
            instant: Instant::now(),
            time: (self.clock)(),
        }
    }

    fn held(&self) -> RwLockReadGuard<'_, Prices> {
        // A panic cannot leave it half changed.
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Prices> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RedisFirstLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFirstLevel")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
