//! Queue of values for the durable side, and the task that writes them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use metrics::counter;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{BoxError, LONGEST_WAIT};
use sise_net::supervisor::Supervisor;

/// Longest time of one write.
const WRITE: Duration = Duration::from_secs(5);

/// Time to write what is left at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// Pauses after a failed write, growing from the first to the last; half of each is random.
const AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// Durable side of a write-behind.
#[async_trait]
pub trait Sink<V>: Send + Sync {
    /// Writes values by their names. A failed batch comes again, with newer values if there are
    /// any, so writing a value twice must be harmless.
    ///
    /// # Errors
    ///
    /// Returns an error if the batch was not written, or not completely.
    async fn write(&self, batch: &[(String, V)]) -> Result<(), BoxError>;
}

/// When queued values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// After this many values that wait, or increments of one counter.
    pub every: u64,
    /// After this time at the latest.
    pub within: Duration,
    /// Most values that may wait at once.
    pub most: usize,
}

impl Default for Behind {
    /// Every 100, or 5 s; up to 10,000 may wait.
    fn default() -> Self {
        Self {
            every: 100,
            within: Duration::from_secs(5),
            most: 10_000,
        }
    }
}

/// Too many values wait to be written; the value was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{waiting} values wait to be written, and no more are taken: the durable side is too slow or unreachable"
)]
pub struct Full {
    /// Number of values that wait.
    pub waiting: usize,
}

/// Values that were not written in time. They are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{count} values could not be written to the durable side and are lost")]
pub struct Unwritten {
    /// Number of values.
    pub count: usize,
}

/// Values that wait to be written, the last of each name.
pub(super) struct Queue<V> {
    shared: Arc<Shared<V>>,
    writer: Supervisor,
}

struct Shared<V> {
    waiting: Mutex<Waiting<V>>,
    wake: Notify,
    /// Cuts the pause after a failure short.
    hurry: Notify,
    /// Counts completed writes.
    written: watch::Sender<u64>,
    within: Duration,
    most: usize,
}

struct Waiting<V> {
    values: HashMap<String, Value<V>>,
    /// Values that are being written.
    in_flight: HashMap<String, Value<V>>,
    /// Number of names in both maps.
    in_both: usize,
}

struct Value<V> {
    value: V,
    since: Instant,
    is_due: bool,
}

impl<V: Clone + Send + Sync + 'static> Queue<V> {
    /// Creates a queue into `sink`. Needs a tokio runtime.
    pub(super) fn new(sink: Arc<dyn Sink<V>>, behind: Behind) -> Self {
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting {
                values: HashMap::new(),
                in_flight: HashMap::new(),
                in_both: 0,
            }),
            wake: Notify::new(),
            hurry: Notify::new(),
            written: watch::Sender::new(0),
            within: behind.within.min(LONGEST_WAIT),
            most: behind.most,
        });
        let writer = Supervisor::default();
        let queue = Arc::clone(&shared);
        // The task has a deadline of its own.
        let tasks = writer.tasks().within(DRAIN * 2);
        tasks.lasting("write-behind", move |stop| {
            Arc::clone(&queue).run(Arc::clone(&sink), stop)
        });
        Self { shared, writer }
    }

    /// Queues a value, replacing an earlier one of the same name. It is written when it is due or
    /// has waited long enough.
    pub(super) fn put(&self, name: &str, value: V, is_due: bool) -> Result<(), Full> {
        let mut waiting = self.shared.waiting();
        let count = waiting.count();
        let is_in_flight = waiting.in_flight.contains_key(name);
        // All values wait equally long, so the first one is written first.
        let is_next = is_due || waiting.values.is_empty();
        match waiting.values.get_mut(name) {
            Some(held) => {
                held.value = value;
                held.is_due |= is_due;
            }
            None if count >= self.shared.most && !is_in_flight => {
                return Err(Full { waiting: count });
            }
            None => {
                let value = Value {
                    value,
                    since: Instant::now(),
                    is_due,
                };
                waiting.values.insert(name.to_owned(), value);
                waiting.in_both += usize::from(is_in_flight);
            }
        }
        drop(waiting);
        if is_next {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Returns how many values wait, including those being written.
    pub(super) fn waiting(&self) -> usize {
        self.shared.waiting().count()
    }

    /// Returns the value of a name that waits or is being written.
    pub(super) fn get(&self, name: &str) -> Option<V> {
        let waiting = self.shared.waiting();
        let held = waiting.values.get(name);
        let held = held.or_else(|| waiting.in_flight.get(name));
        held.map(|held| held.value.clone())
    }

    /// Returns all values that wait or are being written.
    pub(super) fn all(&self) -> HashMap<String, V> {
        let waiting = self.shared.waiting();
        let all = waiting.in_flight.iter().chain(&waiting.values);
        all.map(|(name, held)| (name.clone(), held.value.clone()))
            .collect()
    }

    /// Marks all values that wait as due.
    pub(super) fn make_due(&self) {
        let mut waiting = self.shared.waiting();
        waiting
            .values
            .values_mut()
            .for_each(|held| held.is_due = true);
        drop(waiting);
        self.shared.wake.notify_one();
    }

    /// Writes all values that wait, within the time for an end.
    pub(super) async fn flush(&self) -> Result<(), Unwritten> {
        let mut written = self.shared.written.subscribe();
        let began = Instant::now();
        self.make_due();
        self.shared.hurry.notify_one();
        let deadline = began + DRAIN;
        while self.shared.waiting().has_since(began) {
            if timeout_at(deadline, written.changed()).await.is_err() {
                return Err(Unwritten {
                    count: self.waiting(),
                });
            }
        }
        Ok(())
    }

    /// Writes the values that wait, and ends.
    pub(super) async fn close(self) -> Result<(), Unwritten> {
        self.writer.finish().await;
        match self.shared.waiting().count() {
            0 => Ok(()),
            count => Err(Unwritten { count }),
        }
    }
}

impl<V: Clone + Send + Sync + 'static> Shared<V> {
    async fn run(self: Arc<Self>, sink: Arc<dyn Sink<V>>, stop: CancellationToken) {
        let [first, longest] = AGAIN;
        let mut pause = first;
        loop {
            let next = self.waiting().next(self.within);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    match self.write(&*sink, false).await {
                        Ok(()) => pause = first,
                        Err(error) => {
                            counter!("sise_cache_behind_failures_total").increment(1);
                            tracing::warn!(%error, "the durable side did not take a write-behind batch; trying again");
                            let pausing = sleep(pause.mul_f64(1.0 - fastrand::f64() / 2.0));
                            let pausing = async {
                                tokio::select! {
                                    () = pausing => {}
                                    () = self.hurry.notified() => {}
                                }
                            };
                            stop.run_until_cancelled(pausing).await;
                            pause = (pause * 2).min(longest);
                        }
                    }
                }
                () = self.wake.notified() => {}
            }
        }
        let deadline = Instant::now() + DRAIN;
        while !self.waiting().values.is_empty() && Instant::now() < deadline {
            let written = timeout_at(deadline, self.write(&*sink, true)).await;
            if let Ok(Err(_)) = written {
                sleep(first).await;
            }
        }
        let count = self.waiting().values.len();
        if count > 0 {
            tracing::error!(
                count,
                "write-behind values could not be written at the end and are lost"
            );
        }
    }

    /// Writes the values that are due, or all. A value that could not be written waits again,
    /// unless a newer one has replaced it.
    async fn write(&self, sink: &dyn Sink<V>, all: bool) -> Result<(), BoxError> {
        let batch = self.waiting().take(self.within, all);
        if batch.is_empty() {
            return Ok(());
        }
        let batch_end = BatchEnd { shared: self };
        // A panic of the sink is treated as a failure, so that the values of the batch wait again.
        let write = AssertUnwindSafe(async { sink.write(&batch).await }).catch_unwind();
        match timeout(WRITE, write).await {
            Ok(Ok(Ok(()))) => {
                batch_end.end();
                Ok(())
            }
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err("it panicked".into()),
            Err(_) => Err(format!("no answer within {WRITE:?}").into()),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<V>> {
        // Every change is a single step, so a poisoned lock is usable.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch that is being written. If dropped, its values wait again.
struct BatchEnd<'a, V> {
    shared: &'a Shared<V>,
}

impl<V> BatchEnd<'_, V> {
    /// Ends a batch that was written.
    fn end(self) {
        let mut waiting = self.waiting();
        let count = waiting.in_flight.len();
        waiting.in_flight.clear();
        waiting.in_both = 0;
        drop(waiting);
        counter!("sise_cache_behind_written_total").increment(u64::try_from(count).unwrap_or(0));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<V>> {
        // Every change is a single step, so a poisoned lock is usable.
        let waiting = self.shared.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Drop for BatchEnd<'_, V> {
    fn drop(&mut self) {
        self.waiting().take_back();
        self.shared.written.send_modify(|count| *count += 1);
    }
}

impl<V> Waiting<V> {
    /// Returns how many names wait.
    fn count(&self) -> usize {
        self.values.len() + self.in_flight.len() - self.in_both
    }

    /// Puts values that were being written back in the queue, unless newer ones have replaced them.
    fn take_back(&mut self) {
        self.in_both = 0;
        for (name, held) in self.in_flight.drain() {
            match self.values.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(Value {
                        is_due: true,
                        ..held
                    });
                }
                // The newer value replaces both, and so counts as old as the first.
                Entry::Occupied(mut newer) => {
                    newer.get_mut().since = held.since;
                    newer.get_mut().is_due = true;
                }
            }
        }
    }

    /// Returns when the next value is to be written.
    fn next(&self, within: Duration) -> Option<Instant> {
        let when = |held: &Value<V>| match held.is_due {
            true => held.since,
            false => held.since + within,
        };
        self.values.values().map(when).min()
    }

    /// Returns whether a value still waits that was there at `instant`.
    fn has_since(&self, instant: Instant) -> bool {
        let mut all = self.in_flight.values().chain(self.values.values());
        all.any(|held| held.since <= instant)
    }

    /// Takes the values that are due, or all, to be written.
    fn take(&mut self, within: Duration, all: bool) -> Vec<(String, V)>
    where
        V: Clone,
    {
        let now = Instant::now();
        let is_due =
            |_: &String, held: &mut Value<V>| all || held.is_due || held.since + within <= now;
        // Only one batch at a time is written.
        self.in_flight = self.values.extract_if(is_due).collect();
        let batch = self.in_flight.iter();
        batch
            .map(|(name, held)| (name.clone(), held.value.clone()))
            .collect()
    }
}

impl<V> fmt::Debug for Queue<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("within", &self.shared.within)
            .field("most", &self.shared.most)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
