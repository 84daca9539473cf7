//! Counters that are exact at once and durable a little later.
//!
//! The totals lie in a hash of the store, where all processes add to them; the durable side is told
//! a total after every so many increments, or after some time. What is told is the total, not the
//! growth, so that telling it twice does no harm.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::key::{COUNTER, beside, key};
use super::queue::{Behind, Full, Queue, Sink};
use super::{BoxError, Cache, CacheError};
use crate::port::{Growth, Receipt};

/// A batch that was not answered is known again for so long. Each process leaves one behind.
const RECEIPT_LIFE: Duration = Duration::from_secs(600);

/// Names of one batch: a longer one would keep everybody else waiting.
const BATCH: usize = 500;

/// Where totals outlive the store.
#[async_trait]
pub trait DurableCounts: Send + Sync {
    /// The totals of `names`, in their order; 0 for one that is not known.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    async fn load(&self, names: &[String]) -> Result<Vec<u64>, BoxError>;

    /// All totals.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    async fn load_all(&self) -> Result<BTreeMap<String, u64>, BoxError>;

    /// Keeps totals that are greater than those it has.
    ///
    /// # Errors
    ///
    /// Some of them were not kept.
    async fn keep(&self, totals: &[(String, u64)]) -> Result<(), BoxError>;

    /// Forgets totals.
    ///
    /// # Errors
    ///
    /// Some of them were not forgotten.
    async fn forget(&self, names: &[String]) -> Result<(), BoxError>;
}

/// Why an increment was not taken, or a total is not known.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// The store failed, or its totals are gone and the durable side could not be asked.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The durable side failed.
    #[error("the durable side of the counters failed: {0}")]
    Durable(BoxError),
    /// The store is away and too many counters wait for it already; the increment was not taken.
    #[error(transparent)]
    Full(#[from] Full),
}

/// Counters by name. A cheap handle: clones share everything.
///
/// An increment is counted once, also where an answer of the store was lost, unless the store stays
/// away for more than ten minutes right after that. While the store is away
/// increments wait in this process, up to [`Behind::most`] counters, and are added when it is back.
///
/// | what ends | what is lost |
/// |---|---|
/// | this process, by [`Counters::close`] | nothing |
/// | this process, killed | what waited for a store that was away; the durable side hears the rest with the next increment of each counter |
/// | the store, with its data | of each counter what came after the durable side was told last: less than [`Behind::every`], or what came within [`Behind::within`] |
#[derive(Clone)]
pub struct Counters {
    shared: Arc<Shared>,
}

struct Shared {
    cache: Cache,
    key: String,
    receipt: String,
    every: u64,
    most: usize,
    durable: Arc<dyn DurableCounts>,
    queue: Queue<u64>,
    /// Increments that the store was not told yet.
    unsent: std::sync::Mutex<HashMap<String, u64>>,
    /// One batch is sent at a time, so that one that was not answered can be sent again.
    sending: Mutex<Sending>,
}

/// The batch that is being sent.
#[derive(Default)]
struct Sending {
    number: u64,
    batch: Vec<(String, u64)>,
}

/// The durable side as the end of a queue.
struct Keep(Arc<dyn DurableCounts>);

#[async_trait]
impl Sink<u64> for Keep {
    async fn write(&self, batch: &[(String, u64)]) -> Result<(), BoxError> {
        self.0.keep(batch).await
    }
}

impl Cache {
    /// The counters that are called `name`, with their durable side. Needs a tokio runtime.
    #[must_use]
    pub fn counters(
        &self,
        name: &str,
        durable: Arc<dyn DurableCounts>,
        behind: Behind,
    ) -> Counters {
        let key = key(&self.prefix, COUNTER, name);
        Counters {
            shared: Arc::new(Shared {
                cache: self.clone(),
                receipt: beside(&self.prefix, "counted", &key) + &self.shared.process,
                key,
                every: behind.every.max(1),
                most: behind.most,
                queue: Queue::new(Arc::new(Keep(Arc::clone(&durable))), behind),
                durable,
                unsent: std::sync::Mutex::default(),
                sending: Mutex::new(Sending {
                    // A process that is called as another was must not be taken for it.
                    number: fastrand::u64(..1 << 52),
                    batch: Vec::new(),
                }),
            }),
        }
    }
}

impl Counters {
    /// Adds to a counter. Where the store is away the increment waits in this process.
    ///
    /// # Errors
    ///
    /// The store is away and too many counters wait for it; nothing was counted.
    pub async fn add(&self, name: &str, by: u64) -> Result<(), Full> {
        self.add_many(&[(name, by)]).await
    }

    /// Adds to counters, all in one round trip.
    ///
    /// # Errors
    ///
    /// As [`Counters::add`]: none was counted.
    pub async fn add_many(&self, increments: &[(&str, u64)]) -> Result<(), Full> {
        self.shared.take(increments)?;
        if let Err(error) = self.shared.send().await {
            tracing::debug!(%error, "increments wait until the store is back");
        }
        Ok(())
    }

    /// The total of a counter. Where the store fails, what this process and the durable side know:
    /// what other processes counted since it was told last is missing then.
    pub async fn get(&self, name: &str) -> u64 {
        match self.try_get(name).await {
            Ok(total) => total,
            Err(error) => {
                tracing::debug!(%error, "taken as a miss");
                let durable = self.shared.durable.load(&[name.to_owned()]).await;
                let durable = durable.ok().and_then(|totals| totals.first().copied());
                let behind = self.shared.queue.get(name).unwrap_or(0);
                durable.unwrap_or(0).max(behind) + self.shared.unsent_of(name).await
            }
        }
    }

    /// As [`Counters::get`], exact.
    ///
    /// # Errors
    ///
    /// The store failed, or it does not know the counter and the durable side failed.
    pub async fn try_get(&self, name: &str) -> Result<u64, CountError> {
        let shared = &self.shared;
        shared.send().await?;
        let names = [name.to_owned()];
        let store = &shared.cache.shared.store;
        let found = shared
            .cache
            .run("fields", store.fields(&shared.key, &names))
            .await?;
        let total = found.first().and_then(|total| number(total.as_deref()?));
        match total {
            Some(total) => Ok(total),
            None => {
                let loaded = shared.durable.load(&names).await;
                let loaded = loaded.map_err(CountError::Durable)?;
                Ok(loaded.first().copied().unwrap_or(0))
            }
        }
    }

    /// All totals, by name.
    ///
    /// # Errors
    ///
    /// The store or the durable side failed.
    pub async fn try_all(&self) -> Result<BTreeMap<String, u64>, CountError> {
        let shared = &self.shared;
        shared.send().await?;
        let store = &shared.cache.shared.store;
        let found = shared
            .cache
            .run("all_fields", store.all_fields(&shared.key))
            .await?;
        let mut totals = shared
            .durable
            .load_all()
            .await
            .map_err(CountError::Durable)?;
        for (name, total) in found {
            if let Some(total) = number(&total) {
                totals.insert(name, total);
            }
        }
        Ok(totals)
    }

    /// Forgets counters, here and on the durable side. Increments of other processes meanwhile
    /// begin anew.
    ///
    /// # Errors
    ///
    /// The store or the durable side failed; some may be forgotten.
    pub async fn remove(&self, names: &[&str]) -> Result<(), CountError> {
        let shared = &self.shared;
        shared.send().await?;
        // What waits to be told would bring them back.
        shared
            .queue
            .flush()
            .await
            .map_err(|error| CountError::Durable(error.into()))?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let forgotten = shared.durable.forget(&names).await;
        forgotten.map_err(CountError::Durable)?;
        let store = &shared.cache.shared.store;
        let deleted = store.delete_fields(&shared.key, &names);
        shared.cache.run("delete_fields", deleted).await?;
        Ok(())
    }

    /// Tells store and durable side all that they do not know yet.
    ///
    /// # Errors
    ///
    /// One of them failed; what it was not told still waits.
    pub async fn flush(&self) -> Result<(), CountError> {
        let sent = self.shared.send().await;
        let flushed = self.shared.queue.flush().await;
        sent?;
        flushed.map_err(|error| CountError::Durable(error.into()))
    }

    /// As [`Counters::flush`]; to be called before the process ends.
    ///
    /// # Errors
    ///
    /// As [`Counters::flush`]; what was not told is lost with this process.
    pub async fn close(self) -> Result<(), CountError> {
        self.flush().await
    }

    /// How many counters wait to be told to the durable side.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }
}

impl Shared {
    /// Takes increments, all or none.
    fn take(&self, increments: &[(&str, u64)]) -> Result<(), Full> {
        let mut unsent = self.unsent();
        let is_new = |(name, _): &&(&str, u64)| !unsent.contains_key(*name);
        let waiting = unsent.len();
        if waiting + increments.iter().filter(is_new).count() > self.most {
            return Err(Full { waiting });
        }
        for (name, by) in increments {
            let held = unsent.entry((*name).to_owned()).or_default();
            *held = held.saturating_add(*by);
        }
        Ok(())
    }

    /// Tells the store what it was not told yet, a batch at a time. Whoever comes while another
    /// sends is mostly spared it: his increments went along.
    async fn send(&self) -> Result<(), CountError> {
        let mut sending = self.sending.lock().await;
        loop {
            if sending.batch.is_empty() {
                sending.batch = self.next_batch();
                sending.number += 1;
            }
            if sending.batch.is_empty() {
                return Ok(());
            }
            let grown = self.grow(&sending).await?;
            for ((name, by), total) in sending.batch.drain(..).zip(grown) {
                let Some(total) = total else { continue };
                let before = total.saturating_sub(by);
                let is_due = total / self.every > before / self.every;
                if let Err(error) = self.queue.put(&name, total, is_due) {
                    // The next increment of it tells the durable side of this one too.
                    tracing::warn!(%error, name, "a counter is not told to the durable side");
                }
            }
        }
    }

    fn next_batch(&self) -> Vec<(String, u64)> {
        let mut unsent = self.unsent();
        let names: Vec<String> = unsent.keys().take(BATCH).cloned().collect();
        names
            .into_iter()
            .filter_map(|name| unsent.remove_entry(&name))
            .collect()
    }

    /// Has the batch added to the totals. Where the store does not know one, it begins with what the
    /// durable side has.
    async fn grow(&self, sending: &Sending) -> Result<Vec<Option<u64>>, CountError> {
        let store = &self.cache.shared.store;
        let receipt = Receipt {
            key: self.receipt.clone(),
            number: sending.number,
            life: RECEIPT_LIFE,
        };
        let growth = |(name, by): &(String, u64)| Growth {
            field: name.clone(),
            by: *by,
            from: None,
        };
        let mut growths: Vec<Growth> = sending.batch.iter().map(growth).collect();
        let grown = store.grow(&self.key, &growths, &receipt);
        let grown = self.cache.run("grow", grown).await?;
        let unknown = |(growth, total): (&Growth, &Option<u64>)| {
            total.is_none().then(|| growth.field.clone())
        };
        let names: Vec<String> = growths.iter().zip(&grown).filter_map(unknown).collect();
        if names.is_empty() {
            return Ok(grown);
        }
        let loaded = self
            .durable
            .load(&names)
            .await
            .map_err(CountError::Durable)?;
        let loaded: HashMap<&String, u64> = names.iter().zip(loaded).collect();
        for growth in &mut growths {
            let behind = self.queue.get(&growth.field).unwrap_or(0);
            let durable = loaded.get(&growth.field).copied();
            growth.from = durable.map(|durable| durable.max(behind));
        }
        // One that vanished meanwhile begins with what waits for the durable side, or with nothing.
        for growth in growths.iter_mut().filter(|growth| growth.from.is_none()) {
            growth.from = Some(self.queue.get(&growth.field).unwrap_or(0));
        }
        let grown = store.grow(&self.key, &growths, &receipt);
        Ok(self.cache.run("grow", grown).await?)
    }

    /// What the store was not told of a counter, as far as is known.
    async fn unsent_of(&self, name: &str) -> u64 {
        let sending = self.sending.lock().await;
        let of_name = |(held, _): &&(String, u64)| held == name;
        let in_doubt = sending.batch.iter().find(of_name).map_or(0, |(_, by)| *by);
        in_doubt + self.unsent().get(name).copied().unwrap_or(0)
    }

    fn unsent(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        // Every change is one step.
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters")
            .field("key", &self.shared.key)
            .field("queue", &self.shared.queue)
            .finish_non_exhaustive()
    }
}

/// Totals in a hash of a store: of another Redis, that writes everything to its disk, or of the same
/// one.
#[derive(Debug, Clone)]
pub struct HashCounts {
    cache: Cache,
    key: String,
}

impl HashCounts {
    /// The totals that are called `name` in the store of `cache`.
    #[must_use]
    pub fn new(cache: &Cache, name: &str) -> Self {
        Self {
            key: key(&cache.prefix, COUNTER, &format!("{name}:durable")),
            cache: cache.clone(),
        }
    }
}

#[async_trait]
impl DurableCounts for HashCounts {
    async fn load(&self, names: &[String]) -> Result<Vec<u64>, BoxError> {
        let found = self.cache.shared.store.fields(&self.key, names);
        let found = self.cache.run("fields", found).await?;
        let total = |found: Option<Vec<u8>>| found.and_then(|text| number(&text)).unwrap_or(0);
        Ok(found.into_iter().map(total).collect())
    }

    async fn load_all(&self) -> Result<BTreeMap<String, u64>, BoxError> {
        let found = self.cache.shared.store.all_fields(&self.key);
        let found = self.cache.run("all_fields", found).await?;
        let total = |(name, text): (String, Vec<u8>)| Some((name, number(&text)?));
        Ok(found.into_iter().filter_map(total).collect())
    }

    async fn keep(&self, totals: &[(String, u64)]) -> Result<(), BoxError> {
        let raised = self.cache.shared.store.raise(&self.key, totals);
        Ok(self.cache.run("raise", raised).await?)
    }

    async fn forget(&self, names: &[String]) -> Result<(), BoxError> {
        let deleted = self.cache.shared.store.delete_fields(&self.key, names);
        self.cache.run("delete_fields", deleted).await?;
        Ok(())
    }
}
