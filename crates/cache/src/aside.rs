//! Cache-aside: a value from the cache or a loader, loaded once for all callers that want it.
//!
//! ```text
//!  Aside -> waiter (one flight a key in the process) -> look -> claim (one load in all processes)
//!                                                               -> loader -> written, if still wanted
//! ```

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use metrics::counter;
use tokio::time::{Instant, sleep, timeout_at};

use super::claim::HeldClaim;
use super::flight::{FlightOutcome, FoundValue};
use super::key::beside;
use super::values::{FLIGHT, STALE, decode, encode};
use super::{BoxError, Cache, Cached, LONGEST_WAIT, Life, LoadError, or_miss};
use sise_pace::head_start;
use sise_port::{CacheEntry, ValueClaim};

/// Time of a read, unless the caller gives one.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a claim outlives its process; a living process prolongs it.
const CLAIM_LIFE: Duration = Duration::from_secs(2);

/// How often a load looks for the value that another process is loading.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// A value and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The value; `None` if there is none, as the loader said now or a while ago.
    pub value: Option<T>,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The cache.
    Cache,
    /// The loader, just now.
    Loader,
    /// The cache, although the value has expired: the loader failed, and the caller allowed it.
    Stale,
}

/// A read that loads a missing value. Made by [`Cache::aside`].
#[must_use = "nothing is read until `or_load` is awaited"]
pub struct Aside<'a, T: Cached> {
    cache: &'a Cache,
    id: &'a T::Id,
    life: Life,
    missing: Option<Duration>,
    stale: Option<Duration>,
    within: Duration,
}

impl Cache {
    /// Returns the value of an id from the cache, or else from a loader, which returns `None` if
    /// there is none. Short for [`Cache::aside`] with its defaults.
    ///
    /// # Errors
    ///
    /// Returns an error if the loader failed or took longer than 10 s, or if the value cannot be
    /// encoded as JSON.
    pub async fn get_or_set<T, F, Fut, E>(
        &self,
        id: &T::Id,
        load: F,
    ) -> Result<Option<T>, LoadError>
    where
        T: Cached,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<T>, E>>,
        E: Into<BoxError>,
    {
        Ok(self.aside(id).or_load(load).await?.value)
    }

    /// Starts a read of a value from the cache, or else from a loader, with options.
    ///
    /// However many callers ask for one value at once, in this process or another, one load is
    /// made. All get its result, even if it is an error. Near the end of a value's life some reader
    /// reloads it early. The longer a load takes, the earlier that is likely to happen. A value
    /// that is read often therefore never expires under its readers.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use sise_cache::{Cache, Cached, Life, LoadError};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Article { title: String }
    /// # impl Cached for Article {
    /// #     type Id = u64;
    /// #     const KIND: &'static str = "article";
    /// #     const LIFE: Life = Life::of(Duration::from_secs(600));
    /// # }
    /// # async fn find(id: u64) -> Result<Option<Article>, std::io::Error> { Ok(None) }
    /// # async fn example(cache: &Cache) -> Result<(), LoadError> {
    /// let article = cache
    ///     .aside::<Article>(&7)
    ///     .missing_for(Duration::from_secs(30))
    ///     .stale_if_error(Duration::from_secs(3_600))
    ///     .or_load(|| find(7))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn aside<'a, T: Cached>(&'a self, id: &'a T::Id) -> Aside<'a, T> {
        Aside {
            cache: self,
            id,
            life: T::LIFE,
            missing: None,
            stale: None,
            within: PATIENCE,
        }
    }
}

impl<T: Cached> Aside<'_, T> {
    /// Sets how long a loaded value lives, instead of the life of its type.
    pub fn life(mut self, life: Life) -> Self {
        self.life = life;
        self
    }

    /// Sets how long the loader's answer that there is no value is remembered. Without it the
    /// loader is asked every time.
    pub fn missing_for(mut self, time: Duration) -> Self {
        self.missing = Some(time);
        self
    }

    /// Lets a value that expired no longer than `time` ago stand in if the loader fails. The result
    /// is labelled [`Origin::Stale`].
    ///
    /// A value loaded with this option keeps a copy for that long. The copy goes when the value is
    /// deleted, loaded again, or written by [`Cache::write_through`] or behind. [`Cache::set`]
    /// leaves the copy as it is, so it may stand in for a newer value that expired.
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.stale = Some(time);
        self
    }

    /// Sets the time within which the read ends, 10 s by default. A load ends with the caller that
    /// started it, and the next waiting caller starts anew. So give more time than a load takes.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time.min(LONGEST_WAIT);
        self
    }

    /// Returns the value, loaded by `load` if the cache has none. The loader returns `None` if
    /// there is no such value.
    ///
    /// A failure of the store counts as a miss. Then every process makes one load, and nothing is
    /// cached.
    ///
    /// # Errors
    ///
    /// Returns an error if the loader failed or was not done in time and no stale value stands in,
    /// or if the value cannot be encoded as JSON.
    pub async fn or_load<F, Fut, E>(self, load: F) -> Result<Loaded<T>, LoadError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<T>, E>>,
        E: Into<BoxError>,
    {
        let deadline = Instant::now() + self.within;
        let key = self.cache.key::<T>(self.id);
        // Taken by the flight, either here or in the refresh of a value that was found.
        let mut load = Some(load);
        let mut has_flown = false;
        let waiter = self.cache.shared.flights.join(&key);
        let loading = {
            let (aside, key, load, has_flown) = (&self, &key, &mut load, &mut has_flown);
            move || async move {
                *has_flown = true;
                aside.look_or_load(key, load).await
            }
        };
        let outcome = match timeout_at(deadline, waiter.outcome(loading)).await {
            Ok(Ok(found)) => Ok((value(&key, found)?, found.is_early)),
            Ok(Err(error)) => Err(error.clone()),
            Err(_) => Err(LoadError::Late {
                within: self.within,
            }),
        };
        drop(waiter);
        match outcome {
            Ok((found, is_early)) => match load {
                Some(load) if has_flown && is_early => {
                    Ok(self.refresh(&key, load, deadline).await.unwrap_or(found))
                }
                _ => Ok(found),
            },
            Err(error) => match self.stand_in(&key).await {
                Some(value) => {
                    counter!("sise_cache_stale_total").increment(1);
                    tracing::debug!(%error, key, "an expired value stands in");
                    Ok(Loaded {
                        value: Some(value),
                        origin: Origin::Stale,
                    })
                }
                None => Err(error),
            },
        }
    }

    /// Looks the value up, and loads it if it is missing.
    async fn look_or_load<F, Fut, E>(&self, key: &str, load: &mut Option<F>) -> FlightOutcome
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<T>, E>>,
        E: Into<BoxError>,
    {
        let store = &self.cache.shared.store;
        let found = self.cache.run("get", store.get_living(key)).await;
        let is_hit = matches!(found, Ok(Some(_)));
        self.cache
            .shared
            .counts
            .note_values(is_hit.into(), (!is_hit).into());
        let answers = found.is_ok();
        let found = or_miss(found);
        if let Some((bytes, left)) = &found
            && decode::<T>(key, Some(bytes)).is_ok()
        {
            return Ok(FoundValue {
                bytes: bytes.clone(),
                is_loaded: false,
                is_early: self.is_early(bytes, *left),
            });
        }
        // A value that cannot be read is overwritten.
        let seen = found.map(|(bytes, _)| bytes);
        match load.take() {
            Some(load) if answers => self.load(key, seen, load, Waits::Yes).await,
            Some(load) => self.load_alone(key, load).await,
            // Cannot happen: only one caller flies, and it has its loader.
            None => Err(LoadError::Late {
                within: self.within,
            }),
        }
    }

    /// Reloads a value that was found, unless another flight does so already.
    async fn refresh<F, Fut, E>(&self, key: &str, load: F, deadline: Instant) -> Option<Loaded<T>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<T>, E>>,
        E: Into<BoxError>,
    {
        // No value has this name, so readers of the value do not wait for the refresh.
        let refreshing = beside("", FLIGHT, key);
        let waiter = self.cache.shared.flights.begin(&refreshing)?;
        counter!("sise_cache_early_loads_total").increment(1);
        let store = &self.cache.shared.store;
        let seen = or_miss(self.cache.run("get", store.get_living(key)).await);
        let seen = seen.map(|(bytes, _)| bytes);
        // If the value has expired meanwhile, the next reader loads it.
        seen.as_ref()?;
        let loading = || self.load(key, seen, load, Waits::No);
        match timeout_at(deadline, waiter.outcome(loading)).await {
            Ok(Ok(found)) => value(key, found).ok(),
            Ok(Err(error)) => {
                tracing::debug!(%error, key, "an early load failed; the value still lives");
                None
            }
            Err(_) => None,
        }
    }

    /// Loads a value, once among all processes.
    async fn load<F, Fut, E>(
        &self,
        key: &str,
        seen: Option<Vec<u8>>,
        load: F,
        waits: Waits,
    ) -> FlightOutcome
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<T>, E>>,
        E: Into<BoxError>,
    {
        let mut held = self.cache.claim_of(key);
        match self.claim(key, &mut held, seen.as_deref(), waits).await {
            Turn::Own => {}
            Turn::Alone => return self.load_alone(key, load).await,
            Turn::Found(bytes) => return Ok(found(bytes)),
            Turn::Others => return Ok(found(seen.unwrap_or_default())),
        }
        let loaded = self.loaded(key, self.holding(&held.claim, load())).await;
        let entries = match &loaded {
            Ok(found) => self.entries(key, &found.bytes),
            Err(_) => Vec::new(),
        };
        held.end(seen.as_deref(), &entries).await;
        loaded
    }

    /// Loads a value without the store, so without knowing whether others load it too. It is not
    /// cached.
    async fn load_alone<F, Fut, E>(&self, key: &str, load: F) -> FlightOutcome
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<T>, E>>,
        E: Into<BoxError>,
    {
        self.loaded(key, load()).await
    }

    /// Runs the loader and encodes its result.
    async fn loaded<E: Into<BoxError>>(
        &self,
        key: &str,
        load: impl Future<Output = Result<Option<T>, E>>,
    ) -> FlightOutcome {
        let began = Instant::now();
        counter!("sise_cache_loads_total").increment(1);
        let value = load.await.map_err(|error| {
            counter!("sise_cache_load_failures_total").increment(1);
            LoadError::Loader(error.into().into())
        })?;
        self.cache.shared.load_time.note(began.elapsed());
        let bytes = match &value {
            Some(value) => encode(key, value)?,
            None => Vec::new(),
        };
        Ok(FoundValue {
            bytes,
            is_loaded: true,
            is_early: false,
        })
    }

    /// Waits until it is this process's turn to load, or another process has brought the value.
    async fn claim(
        &self,
        key: &str,
        held: &mut HeldClaim,
        seen: Option<&[u8]>,
        waits: Waits,
    ) -> Turn {
        let cache = self.cache;
        let store = &cache.shared.store;
        loop {
            // If no answer comes, the claim may have been taken all the same.
            held.is_held = true;
            let claim = store.claim(&held.claim, CLAIM_LIFE);
            match cache.run("claim", claim).await {
                Ok(is_own) => held.is_held = is_own,
                Err(_) => return Turn::Alone,
            }
            // Looks after claiming: the previous holder may have written the value just now.
            let keys = [key.to_owned()];
            let found = match cache.run("get", store.get(&keys)).await {
                Ok(mut found) => found.pop().flatten(),
                Err(_) => return Turn::Alone,
            };
            if let Some(found) = found.filter(|found| Some(found.as_slice()) != seen)
                && decode::<T>(key, Some(&found)).is_ok()
            {
                return Turn::Found(found);
            }
            if held.is_held {
                return Turn::Own;
            }
            if matches!(waits, Waits::No) {
                return Turn::Others;
            }
            sleep(LOOK_AGAIN.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    /// Awaits `load` while keeping the claim alive.
    async fn holding<Output>(
        &self,
        claim: &ValueClaim,
        load: impl Future<Output = Output>,
    ) -> Output {
        let prolong = async {
            loop {
                sleep(CLAIM_LIFE / 4).await;
                let store = &self.cache.shared.store;
                let _ = self
                    .cache
                    .run("prolong", store.prolong(claim, CLAIM_LIFE))
                    .await;
            }
        };
        match select(pin!(load), pin!(prolong)).await {
            Either::Left((output, _)) => output,
            Either::Right((never, _)) => never,
        }
    }

    /// Returns the entries to write for a value. If there is no value, that fact is written for the
    /// time it is to be remembered, and the copy of an earlier value is removed.
    fn entries(&self, key: &str, bytes: &[u8]) -> Vec<CacheEntry> {
        let entry = |key: String, life: Option<Duration>| CacheEntry {
            key,
            value: bytes.to_vec(),
            life,
        };
        let copy = beside(&self.cache.prefix, STALE, key);
        if bytes.is_empty() {
            let missing = self.missing.unwrap_or_default();
            return vec![
                entry(key.to_owned(), Some(missing)),
                entry(copy, Some(Duration::ZERO)),
            ];
        }
        let life = self.life.draw(fastrand::f64());
        let mut entries = vec![entry(key.to_owned(), life)];
        if let (Some(stale), Some(life)) = (self.stale, life) {
            entries.push(entry(copy, Some(life.saturating_add(stale))));
        }
        entries
    }

    /// Returns whether a value with this much life left is to be reloaded.
    fn is_early(&self, bytes: &[u8], left: Option<Duration>) -> bool {
        // The knowledge that there is no value is not refreshed early.
        let ends_in = left.filter(|_| !bytes.is_empty());
        let head_start = head_start(self.cache.shared.load_time.seconds(), fastrand::f64());
        ends_in.is_some_and(|left| left.as_secs_f64() <= head_start)
    }

    /// Returns a copy that has outlived its value, if the caller allows it.
    async fn stand_in(&self, key: &str) -> Option<T> {
        self.stale?;
        let keys = [beside(&self.cache.prefix, STALE, key)];
        let found = self
            .cache
            .run("get", self.cache.shared.store.get(&keys))
            .await;
        let found = or_miss(found).pop().flatten();
        or_miss(decode(key, found.as_deref()))
    }
}

fn value<T: Cached>(key: &str, found: &FoundValue) -> Result<Loaded<T>, LoadError> {
    Ok(Loaded {
        value: decode(key, Some(&found.bytes))?,
        origin: match found.is_loaded {
            true => Origin::Loader,
            false => Origin::Cache,
        },
    })
}

fn found(bytes: Vec<u8>) -> FoundValue {
    FoundValue {
        bytes,
        is_loaded: false,
        is_early: false,
    }
}

/// Whether a load waits for one of another process.
#[derive(Debug, Clone, Copy)]
enum Waits {
    Yes,
    No,
}

/// Result of waiting for the turn to load.
enum Turn {
    /// It is this flight's turn.
    Own,
    /// The store is unreachable, so the turn is unknown.
    Alone,
    /// Another flight has brought this value.
    Found(Vec<u8>),
    /// Another flight is loading the value.
    Others,
}

impl<T: Cached> fmt::Debug for Aside<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside")
            .field("kind", &T::KIND)
            .field("id", &self.id.to_string())
            .finish_non_exhaustive()
    }
}
