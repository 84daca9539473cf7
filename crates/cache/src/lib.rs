//! A small, typed cache on the store's connection: values, sessions, profiles, rankings, counters.
//!
//! A [`Cache`] is a cheap handle. Every read has two forms. `get` treats a failure of the store as
//! a miss, so that a program keeps running without its cache; `try_get` returns the error. No
//! operation waits for the store longer than the cache's time-out, 100 ms by default. Most calls
//! are one operation. Calls on sessions are several operations in a row and end at the first one
//! that times out. [`State`] says how the store is doing.
//!
//! # Which policy
//!
//! | policy | use it for | what it can lose |
//! |---|---|---|
//! | time to live alone: [`Cache::set`] | values that can be rebuilt, or are needed only for a while | everything, at any time |
//! | cache-aside: [`Cache::get_or_set`], [`Cache::aside`] | values that are read often and stored elsewhere | nothing: a value is loaded again; a reader may see one that is as old as its life |
//! | write-through: [`Cache::write_through`] | values that are read right after they are written | nothing: the other side has the value first; if the cache fails, readers may see the previous value for the rest of its life |
//! | write-behind: [`WriteBehind`], [`Counters`] | values that change much more often than they must be stored | what was not yet written when the process is killed: see there |
//!
//! With any policy, [`Cache::delete`] invalidates a value by type and id. A load that began before
//! the deletion puts nothing back.

mod aside;
mod behind;
mod builder;
mod claim;
mod count_file;
mod count_hash;
mod counters;
mod error;
mod flight;
mod key;
mod metrics;
mod profiles;
mod queue;
mod rankings;
mod sessions;
mod state;
mod through;
mod unsent;
mod values;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};

use sise_net::supervisor::Supervisor;
use sise_pace::FetchTime;
use sise_port::clock::Clock;
use sise_port::{CacheStore, StoreError, StoreHealth};

pub use aside::{Aside, Loaded, Origin};
pub use behind::WriteBehind;
pub use builder::CacheBuilder;
pub use count_file::FileCounts;
pub use count_hash::HashCounts;
pub use counters::{CountError, Counters, DurableCounts};
pub use error::{BoxError, CacheError, LoadError};
pub use key::{Cached, Life};
pub use metrics::{CacheMetrics, LastOperation};
pub use profiles::Profiles;
pub use queue::{Behind, Full, Sink, Unwritten};
pub use rankings::{NewRanking, Ranked, Ranking};
pub use sessions::{ListedSession, Session, Sessions};
pub use sessions::{digest_of, name_of};
pub use state::State;

use flight::Flights;
use metrics::Counts;
use state::Health;

/// Longest time of an operation, unless set otherwise.
pub const TIMEOUT: Duration = Duration::from_millis(100);

/// Number of connection attempts before a start goes on without the store.
const TRIES: u32 = 3;

/// Pause after the first attempt; each further pause is twice as long.
const PAUSE: Duration = Duration::from_millis(50);

/// Upper limit of every wait, so that adding it to the current time cannot overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 86_400);

/// Longest time for counting keys, which takes longer than any other operation.
const COUNTING: Duration = Duration::from_secs(30);

/// Parts that a cache is built from.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn CacheStore>,
    /// Name of this process in the store. No other process has the same name.
    pub process: String,
    /// Source of the current time.
    pub clock: Clock,
    /// Longest time of an operation.
    pub timeout: Duration,
    /// Prefix of every key. A missing colon at the end is added.
    pub namespace: String,
}

/// A cache. A cheap handle: clones share everything.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
    prefix: Arc<str>,
}

struct Shared {
    store: Arc<dyn CacheStore>,
    process: String,
    clock: Clock,
    timeout: Duration,
    health: Arc<Health>,
    counts: Counts,
    flights: Flights,
    load_time: FetchTime,
    /// Stops the background task that checks the store.
    _watching: Supervisor,
}

/// State of the store, and the number of keys of this cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheInfo {
    /// Version and memory of the server; in a cluster, of the node with the fullest memory.
    pub store: StoreHealth,
    /// Number of keys that begin with the namespace of this cache and the given prefix.
    pub keys: u64,
}

impl Cache {
    /// Creates a cache from `parts`. Nothing is connected yet. Needs a tokio runtime.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let health = Arc::new(Health::default());
        let supervisor = Supervisor::default();
        let (watched, store) = (Arc::clone(&health), Arc::clone(&parts.store));
        let tasks = supervisor.tasks().within(Duration::ZERO);
        tasks.lasting("cache state", move |stop| {
            Arc::clone(&watched).watch(Arc::clone(&store), stop)
        });
        let now = (parts.clock)();
        Self {
            prefix: prefix(&parts.namespace),
            shared: Arc::new(Shared {
                store: parts.store,
                process: parts.process,
                clock: parts.clock,
                timeout: parts.timeout.min(LONGEST_WAIT),
                health,
                counts: Counts::new(now),
                flights: Flights::default(),
                load_time: FetchTime::default(),
                _watching: supervisor,
            }),
        }
    }

    /// Returns the same cache with the keys of another namespace.
    #[must_use]
    pub fn with_namespace(&self, namespace: &str) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            prefix: prefix(namespace),
        }
    }

    /// Waits for the store to answer: three attempts, with a growing pause between them.
    ///
    /// # Errors
    ///
    /// Returns an error if the store did not answer. The cache can be used all the same: it is
    /// [`State::Failed`] and keeps trying to reach the store in the background.
    pub async fn connect(&self) -> Result<(), CacheError> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            let trouble = match self.shared.store.answers().await {
                Ok(()) => {
                    self.shared.health.succeeded();
                    return Ok(());
                }
                Err(trouble) => trouble,
            };
            if tries == TRIES {
                self.shared.health.not_reached(&trouble);
                return Err(trouble.into());
            }
            tries += 1;
            sleep(pause.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
            pause *= 2;
        }
    }

    /// Returns how the store is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.health.state()
    }

    /// Waits until the state is no longer `from`, and returns the new one.
    pub async fn state_changed(&self, from: State) -> State {
        self.shared.health.changed(from).await
    }

    /// Pings the store and returns how long the answer took. The store is asked in every state, and
    /// the state is updated by the result.
    ///
    /// # Errors
    ///
    /// Returns an error if the store does not answer in time.
    pub async fn check(&self) -> Result<Duration, CacheError> {
        let began = Instant::now();
        let answers = timeout(self.shared.timeout, self.shared.store.answers()).await;
        let answers = self.outcome("check", answers, began, self.shared.timeout);
        answers.map(|()| began.elapsed())
    }

    /// Returns server version, memory and its limit, and the number of keys that begin with
    /// `prefix` within the namespace of this cache.
    ///
    /// The keys are counted in small steps, so other callers are not held up. In a store with
    /// millions of keys counting takes seconds, and a key may be counted twice if keys are added or
    /// removed meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses, or if the keys are not counted
    /// within 30 s.
    pub async fn info(&self, prefix: &str) -> Result<CacheInfo, CacheError> {
        let store = self.run("info", self.shared.store.health()).await?;
        let prefix = [&*self.prefix, prefix].concat();
        let counted = self.shared.store.count_keys(&prefix);
        let keys = self.run_within("count", counted, COUNTING).await?;
        Ok(CacheInfo { store, keys })
    }

    /// Returns counts and times of the operations of this process.
    #[must_use]
    pub fn metrics(&self) -> CacheMetrics {
        self.shared.counts.read()
    }

    /// Resets the counts. The metrics exported for Prometheus go on.
    pub fn reset_metrics(&self) {
        self.shared.counts.reset((self.shared.clock)());
    }

    /// Runs an operation within the time-out. It is refused at once while the cache has failed.
    async fn run<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, CacheError> {
        self.run_within(name, work, self.shared.timeout).await
    }

    async fn run_within<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
        within: Duration,
    ) -> Result<T, CacheError> {
        let began = Instant::now();
        if let Err(refused) = self.shared.health.admit() {
            self.note(name, began, Some(&refused));
            return Err(refused);
        }
        self.outcome(name, timeout(within, work).await, began, within)
    }

    /// Turns the result of a store operation into one of the cache, and records it.
    fn outcome<T>(
        &self,
        name: &'static str,
        outcome: Result<Result<T, StoreError>, Elapsed>,
        began: Instant,
        within: Duration,
    ) -> Result<T, CacheError> {
        let outcome = match outcome {
            Ok(outcome) => outcome.map_err(CacheError::from),
            Err(_) => Err(CacheError::Late { within }),
        };
        match &outcome {
            Ok(_) => self.shared.health.succeeded(),
            Err(error) => self.shared.health.failed(error),
        }
        self.note(name, began, outcome.as_ref().err());
        outcome
    }

    fn note(&self, name: &'static str, began: Instant, error: Option<&CacheError>) {
        let shared = &self.shared;
        shared
            .counts
            .note(name, began.elapsed(), error, &shared.clock);
    }
}

/// Turns a failed read into a miss.
fn or_miss<T: Default>(read: Result<T, CacheError>) -> T {
    read.unwrap_or_else(|error| {
        tracing::debug!(%error, "treated as a miss");
        T::default()
    })
}

fn prefix(namespace: &str) -> Arc<str> {
    // On a cluster, braces determine the slot of a key. With text between them, all keys of the
    // namespace share one slot. Braces without text are escaped, or keys that belong together could
    // end up on different slots.
    let tag = namespace
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let namespace = match tag {
        Some((tag, _)) if !tag.is_empty() => namespace.to_owned(),
        _ => namespace.replace('{', "%7B").replace('}', "%7D"),
    };
    match namespace.as_str() {
        "" => Arc::from(""),
        namespace if namespace.ends_with(':') => Arc::from(namespace),
        namespace => Arc::from([namespace, ":"].concat()),
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("prefix", &self.prefix)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("process", &self.process)
            .field("namespace", &self.namespace)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_ends_in_a_colon_and_braces_that_hold_nothing_are_letters() {
        for (namespace, expected) in [
            ("", ""),
            ("app", "app:"),
            ("app:live:", "app:live:"),
            ("{app}", "{app}:"),
            ("a{}b", "a%7B%7Db:"),
            ("a}b{c", "a%7Db%7Bc:"),
        ] {
            assert_eq!(&*prefix(namespace), expected);
        }
    }
}
