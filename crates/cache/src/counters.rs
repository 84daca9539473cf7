//! Counters that are exact at once and durable a little later.
//!
//! The totals are in a hash of the store, where all processes add to them. The durable side gets a
//! total after a number of increments, or after some time. It gets the total, not the increment, so
//! sending a total twice is harmless.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::{sleep, timeout};

use super::key::{COUNTER, beside, key};
use super::queue::{Behind, Full, Queue, Sink};
use super::unsent::{Batch, Unsent};
use super::{BoxError, Cache, CacheError};
use sise_net::supervisor::Supervisor;
use sise_net::unique;
use sise_port::{Growth, Receipt};

/// How long a batch that was not answered is recognized. Each process leaves one receipt behind.
const RECEIPT_LIFE: Duration = Duration::from_secs(600);

/// Longest time for an answer of the durable side.
const DURABLE: Duration = Duration::from_secs(5);

/// Pauses before the rest is sent again, growing from the first to the last, each shortened by up
/// to half at random.
const AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Durable storage for totals that outlive the store.
#[async_trait]
pub trait DurableCounts: Send + Sync {
    /// Returns the totals of `names`, in their order; 0 for an unknown name.
    ///
    /// # Errors
    ///
    /// Returns an error if the totals cannot be read.
    async fn load(&self, names: &[String]) -> Result<Vec<u64>, BoxError>;

    /// Returns all totals.
    ///
    /// # Errors
    ///
    /// Returns an error if the totals cannot be read.
    async fn load_all(&self) -> Result<BTreeMap<String, u64>, BoxError>;

    /// Stores those totals that are greater than the stored ones.
    ///
    /// # Errors
    ///
    /// Returns an error if some totals were not stored.
    async fn keep(&self, totals: &[(String, u64)]) -> Result<(), BoxError>;

    /// Removes totals.
    ///
    /// # Errors
    ///
    /// Returns an error if some totals were not removed.
    async fn forget(&self, names: &[String]) -> Result<(), BoxError>;
}

/// Why an increment was not taken, or a total is unknown.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// The store failed, or its totals are lost and the durable side could not be asked.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The durable side failed.
    #[error("the durable side of the counters failed: {0}")]
    Durable(BoxError),
    /// The store is unreachable and too many counters wait already; the increment was not taken.
    #[error(transparent)]
    Full(#[from] Full),
}

/// Counters by name. A cheap handle: clones share everything.
///
/// An increment is counted once, even if an answer of the store was lost, unless the store then
/// stays unreachable for more than ten minutes. While the store is unreachable, increments of up to
/// [`Behind::most`] counters wait in this process; they are added when it is back. A total ends at
/// `i64::MAX`.
///
/// | what ends | what is lost |
/// |---|---|
/// | this process, by [`Counters::close`] | nothing |
/// | this process, killed | increments that waited for an unreachable store; the durable side gets the rest with the next increment of each counter |
/// | the store, with its data | for each counter, what came after the last total that the durable side got: less than [`Behind::every`], or what came within [`Behind::within`] |
#[derive(Clone)]
pub struct Counters {
    shared: Arc<Shared>,
}

struct Shared {
    cache: Cache,
    key: String,
    receipt: String,
    every: u64,
    durable: Arc<dyn DurableCounts>,
    queue: Queue<u64>,
    /// Increments not yet sent to the store.
    unsent: std::sync::Mutex<Unsent>,
    /// Held while sending: one caller sends at a time.
    turn: Mutex<()>,
    /// Signals that increments wait which no caller is sending.
    left: Arc<Notify>,
    /// Stops the background task that sends the rest.
    _sending: Supervisor,
}

/// Increments of a caller that may be dropped before they are sent.
struct Waiting<'a> {
    left: &'a Notify,
    is_sent: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_sent {
            self.left.notify_one();
        }
    }
}

/// The durable side as the sink of a queue.
struct Keep(Arc<dyn DurableCounts>);

#[async_trait]
impl Sink<u64> for Keep {
    async fn write(&self, batch: &[(String, u64)]) -> Result<(), BoxError> {
        self.0.keep(batch).await
    }
}

impl Cache {
    /// Returns the counters named `name`, with their durable side. Needs a tokio runtime.
    #[must_use]
    pub fn counters(
        &self,
        name: &str,
        durable: Arc<dyn DurableCounts>,
        behind: Behind,
    ) -> Counters {
        let key = key(&self.prefix, COUNTER, name);
        // Unique, so that other handles of this process, and other processes of the same name, are
        // not mistaken for this one.
        let [handle, number] = [(); 2].map(|()| unique::number() >> 12);
        let owner = format!("{}/{handle:x}", self.shared.process);
        let sending = Supervisor::default();
        let tasks = sending.tasks().within(Duration::ZERO);
        let left = Arc::new(Notify::new());
        let counters = Counters {
            shared: Arc::new(Shared {
                cache: self.clone(),
                receipt: beside(&self.prefix, "counted", &key) + &owner,
                key,
                every: behind.every.max(1),
                queue: Queue::new(Arc::new(Keep(Arc::clone(&durable))), behind),
                durable,
                unsent: std::sync::Mutex::new(Unsent::new(behind.most, number)),
                turn: Mutex::new(()),
                left: Arc::clone(&left),
                _sending: sending,
            }),
        };
        let shared = Arc::downgrade(&counters.shared);
        let mut has_begun = false;
        tasks.lasting("counters", move |_| {
            if std::mem::replace(&mut has_begun, true) {
                // Increments that the aborted run was to send are also left.
                left.notify_one();
            }
            send_left(Weak::clone(&shared), Arc::clone(&left))
        });
        counters
    }
}

/// Sends what callers could not, for as long as the counters exist.
async fn send_left(counters: Weak<Shared>, left: Arc<Notify>) {
    loop {
        left.notified().await;
        let [mut pause, longest] = AGAIN;
        loop {
            sleep(pause.mul_f64(1.0 - fastrand::f64() / 2.0)).await;
            let Some(shared) = counters.upgrade() else {
                // The counters are gone, so this task is about to be stopped.
                return std::future::pending().await;
            };
            if shared.send_all().await.is_ok() {
                break;
            }
            pause = (pause * 2).min(longest);
        }
    }
}

impl Counters {
    /// Adds to a counter.
    ///
    /// If the store is unreachable, the increment waits in this process without holding up the
    /// caller. The same happens if the store has lost the counter and the durable side is slow to
    /// return its total.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable and too many counters wait for it; nothing was
    /// counted.
    pub async fn add(&self, name: &str, by: u64) -> Result<(), Full> {
        self.add_many(&[(name, by)]).await
    }

    /// Adds to counters, all in one round trip.
    ///
    /// # Errors
    ///
    /// See [`Counters::add`]; none was counted.
    pub async fn add_many(&self, increments: &[(&str, u64)]) -> Result<(), Full> {
        let taken = self.shared.unsent().take(increments)?;
        let mut waiting = Waiting {
            left: &self.shared.left,
            is_sent: false,
        };
        let within = self.shared.cache.shared.timeout;
        match timeout(within, self.shared.send(taken)).await {
            Ok(Ok(())) => waiting.is_sent = true,
            Ok(Err(error)) => tracing::debug!(%error, "increments wait until the store is back"),
            Err(_) => tracing::debug!("increments wait: store and durable side are slow"),
        }
        Ok(())
    }

    /// Returns the total of a counter.
    ///
    /// If the store fails, this is the total known to this process and the durable side, if that
    /// answers within the time-out. Recent increments of other processes are then missing.
    pub async fn get(&self, name: &str) -> u64 {
        match self.try_get(name).await {
            Ok(total) => total,
            Err(error) => {
                tracing::debug!(%error, "treated as a miss");
                let within = self.shared.cache.shared.timeout;
                let names = [name.to_owned()];
                let known = match timeout(within, self.shared.known(&names)).await {
                    Ok(Ok(known)) => known.first().copied().unwrap_or(0),
                    _ => self.shared.queue.get(name).unwrap_or(0),
                };
                let unsent = self.shared.unsent().of(name).unwrap_or(0);
                known.saturating_add(unsent)
            }
        }
    }

    /// Like [`Counters::get`], but exact.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed, or if it does not know the counter and the durable
    /// side failed.
    pub async fn try_get(&self, name: &str) -> Result<u64, CountError> {
        let shared = &self.shared;
        shared.send_all().await?;
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
                let known = shared.known(&names).await?;
                Ok(known.first().copied().unwrap_or(0))
            }
        }
    }

    /// Returns all totals by name; none if the store or the durable side fails.
    pub async fn all(&self) -> BTreeMap<String, u64> {
        self.try_all().await.unwrap_or_else(|error| {
            tracing::debug!(%error, "treated as a miss");
            BTreeMap::new()
        })
    }

    /// Like [`Counters::all`], but exact.
    ///
    /// # Errors
    ///
    /// Returns an error if the store or the durable side failed.
    pub async fn try_all(&self) -> Result<BTreeMap<String, u64>, CountError> {
        let shared = &self.shared;
        shared.send_all().await?;
        let store = &shared.cache.shared.store;
        let found = shared
            .cache
            .run("all_fields", store.all_fields(&shared.key))
            .await?;
        let mut totals = durable(shared.durable.load_all()).await?;
        for (name, behind) in shared.queue.all() {
            let total = totals.entry(name).or_default();
            *total = behind.max(*total);
        }
        for (name, total) in found {
            if let Some(total) = number(&total) {
                totals.insert(name, total);
            }
        }
        Ok(totals)
    }

    /// Removes counters, here and on the durable side.
    ///
    /// Increments that other processes have not yet sent to the durable side may bring a counter
    /// back. So remove only counters that no process increments any more.
    ///
    /// # Errors
    ///
    /// Returns an error if the store or the durable side failed; some counters may be removed.
    pub async fn remove(&self, names: &[&str]) -> Result<(), CountError> {
        let shared = &self.shared;
        let taken = shared.unsent().taken();
        // Increments in this process wait meanwhile, so that they do not bring the counters back.
        let turn = shared.turn().await?;
        shared.send_in(&turn, taken).await?;
        shared
            .queue
            .flush()
            .await
            .map_err(|error| CountError::Durable(error.into()))?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        durable(shared.durable.forget(&names)).await?;
        let store = &shared.cache.shared.store;
        let deleted = store.delete_fields(&shared.key, &names);
        shared.cache.run("delete_fields", deleted).await?;
        Ok(())
    }

    /// Sends store and durable side everything they do not have yet.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them failed; what it did not get still waits.
    pub async fn flush(&self) -> Result<(), CountError> {
        let sent = self.shared.send_all().await;
        let flushed = self.shared.queue.flush().await;
        sent?;
        flushed.map_err(|error| CountError::Durable(error.into()))
    }

    /// Like [`Counters::flush`]; to be called before the process ends.
    ///
    /// # Errors
    ///
    /// See [`Counters::flush`]; what was not sent is lost with this process.
    pub async fn close(self) -> Result<(), CountError> {
        self.flush().await
    }

    /// Returns how many counters wait for the durable side.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }
}

impl Shared {
    /// Sends the store everything it does not have yet.
    async fn send_all(&self) -> Result<(), CountError> {
        let taken = self.unsent().taken();
        self.send(taken).await
    }

    /// Sends the store everything up to a `take` call. A caller that waits while another one sends
    /// mostly finds its increments already sent.
    async fn send(&self, until: u64) -> Result<(), CountError> {
        let turn = self.turn().await?;
        self.send_in(&turn, until).await
    }

    /// Waits for the turn to send, no longer than for the store.
    async fn turn(&self) -> Result<MutexGuard<'_, ()>, CacheError> {
        let within = self.cache.shared.timeout;
        let turn = timeout(within, self.turn.lock()).await;
        turn.map_err(|_| CacheError::Late { within })
    }

    async fn send_in(&self, _turn: &MutexGuard<'_, ()>, until: u64) -> Result<(), CountError> {
        loop {
            let batch = self.unsent().next(until);
            let Some(batch) = batch else { return Ok(()) };
            let grown = self.grow(&batch).await?;
            // No await until the next batch, so a dropped caller cannot interrupt this.
            self.unsent().settle();
            for ((name, by), total) in batch.increments.into_iter().zip(grown) {
                let Some(total) = total else { continue };
                let before = total.saturating_sub(by);
                let is_due = total / self.every > before / self.every;
                if let Err(error) = self.queue.put(&name, total, is_due) {
                    // The next increment of the counter sends this total too.
                    tracing::warn!(%error, name, "a total is not queued for the durable side");
                }
            }
        }
    }

    /// Adds the batch to the totals. A total that the store does not know starts from that of the
    /// durable side.
    async fn grow(&self, batch: &Batch) -> Result<Vec<Option<u64>>, CountError> {
        let store = &self.cache.shared.store;
        let receipt = Receipt {
            key: self.receipt.clone(),
            number: batch.number,
            life: RECEIPT_LIFE,
        };
        let growth = |(name, by): &(String, u64)| Growth {
            field: name.clone(),
            by: *by,
            from: None,
        };
        let mut growths: Vec<Growth> = batch.increments.iter().map(growth).collect();
        let grown = store.grow(&self.key, &growths, &receipt);
        let grown = self.cache.run("grow", grown).await?;
        if grown.iter().all(Option::is_some) {
            return Ok(grown);
        }
        // All of them, because the ones that are known now may be lost with the rest meanwhile.
        let names: Vec<String> = growths.iter().map(|growth| growth.field.clone()).collect();
        for (growth, known) in growths.iter_mut().zip(self.known(&names).await?) {
            growth.from = Some(known);
        }
        let grown = store.grow(&self.key, &growths, &receipt);
        Ok(self.cache.run("grow", grown).await?)
    }

    /// Returns totals as the durable side has them, or will have them soon.
    async fn known(&self, names: &[String]) -> Result<Vec<u64>, CountError> {
        let mut totals = durable(self.durable.load(names)).await?;
        totals.resize(names.len(), 0);
        for (name, total) in names.iter().zip(&mut totals) {
            *total = self.queue.get(name).unwrap_or(0).max(*total);
        }
        Ok(totals)
    }

    fn unsent(&self) -> std::sync::MutexGuard<'_, Unsent> {
        // Every change is a single step, so a poisoned lock is usable.
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Awaits the durable side, within its time.
async fn durable<T>(work: impl Future<Output = Result<T, BoxError>>) -> Result<T, CountError> {
    let done = timeout(DURABLE, work).await;
    let done = done.unwrap_or_else(|_| Err(format!("no answer within {DURABLE:?}").into()));
    done.map_err(CountError::Durable)
}

pub(super) fn number(text: &[u8]) -> Option<u64> {
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
