//! Queues of codes that wait until a call can go out.
//!
//! The slower the calls go, the more codes each one carries, so a code behind many others waits for
//! a few calls and not for one call each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Shared;
use super::fetch::{FetchOptions, LONGEST_FLIGHT};
use super::in_flight::Fetch;
use sise_domain::{Calling, Urgency};
use sise_net::supervisor::spawn_brief;

/// Most codes in one call (contract 4.3).
const CODES_A_CALL: usize = 30;

/// Time to gather codes after a call that was not full. A flight waits for its turn at the broker
/// only after it has claimed its codes, so until then the way looks free.
const GATHER: Duration = Duration::from_millis(5);

/// Queues of codes, by how they are fetched. They hold no more codes than are in flight.
#[derive(Debug, Default)]
pub(super) struct Batcher {
    queues: Mutex<HashMap<FetchOptions, VecDeque<Fetch>>>,
    /// When the next call for codes outside the universe may go out.
    unlisted_from: Mutex<Option<Instant>>,
}

impl Batcher {
    /// Queues codes. Returns whether the queue is new, so that a task must be started for it.
    fn add(&self, fetches: Vec<Fetch>, options: FetchOptions) -> bool {
        let mut queues = self.queues();
        let is_new = !queues.contains_key(&options);
        queues.entry(options).or_default().extend(fetches);
        is_new
    }

    /// Returns whether the queue is empty, and removes it if so. Its task then ends.
    fn is_over(&self, options: FetchOptions) -> bool {
        let mut queues = self.queues();
        let is_over = queues.get(&options).is_none_or(VecDeque::is_empty);
        if is_over {
            queues.remove(&options);
        }
        is_over
    }

    /// Returns the next codes, at most `most`. If there are none, returns `None` and removes the
    /// queue.
    fn next(&self, options: FetchOptions, most: usize) -> Option<Vec<Fetch>> {
        let mut queues = self.queues();
        let queue = queues.get_mut(&options)?;
        if !options.is_listed {
            // These may have waited long: no call is spent on codes that no caller waits for.
            queue.retain(Fetch::is_awaited);
        }
        if queue.is_empty() {
            queues.remove(&options);
            return None;
        }
        Some(queue.drain(..queue.len().min(most)).collect())
    }

    /// Waits until the next call for codes outside the universe may go out, `interval` after the
    /// previous one.
    async fn until_unlisted_may_go(&self, interval: Duration) {
        let now = Instant::now();
        let goes_at = {
            let from = self.unlisted_from.lock();
            let mut from = from.unwrap_or_else(PoisonError::into_inner);
            let goes_at = from.map_or(now, |from| from.max(now));
            *from = Some(goes_at + interval);
            goes_at
        };
        sleep_until(goes_at).await;
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<FetchOptions, VecDeque<Fetch>>> {
        // No code that holds the lock leaves a queue half changed, so a poisoned lock is usable.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that serves a queue. If it dies, the queue goes with it: its callers are told at once, and
/// the next code starts another task.
struct Dispatching<'a> {
    batcher: &'a Batcher,
    options: FetchOptions,
    /// Whether the queue was served to its end.
    is_over: bool,
}

impl Drop for Dispatching<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.batcher.queues().remove(&self.options);
        }
    }
}

impl Shared {
    /// Sends flights off, each batch as its own task, so that a caller that gives up does not
    /// cancel the answer for the others.
    pub(super) fn submit(
        self: &Arc<Self>,
        fetches: Vec<Fetch>,
        urgency: Urgency,
        store_answers: bool,
    ) {
        let is_listed = |fetch: &Fetch| fetch.wanted.is_listed;
        let (listed, unlisted) = fetches.into_iter().partition(is_listed);
        for (fetches, is_listed) in [(listed, true), (unlisted, false)] {
            let fetches: Vec<Fetch> = fetches;
            let options = FetchOptions {
                urgency,
                store_answers,
                is_listed,
            };
            if !fetches.is_empty() && self.batcher.add(fetches, options) {
                spawn_brief("batcher", Arc::clone(self).dispatch(options));
            }
        }
    }

    /// Waits until a call for such codes may go out. Codes of the universe do not wait.
    pub(super) async fn may_go(&self, options: FetchOptions) {
        if !options.is_listed {
            let interval = self.parts.unlisted_interval;
            self.batcher.until_unlisted_may_go(interval).await;
        }
    }

    /// Sends batches off as long as codes are queued.
    async fn dispatch(self: Arc<Self>, options: FetchOptions) {
        let source = self.parts.source.as_ref();
        let mut dispatching = Dispatching {
            batcher: &self.batcher,
            options,
            is_over: false,
        };
        let calling = source.map_or(Calling::Multi, |source| source.calling());
        // If every code is a call of its own, each one finishes by itself.
        let most = calling.codes_a_call(CODES_A_CALL);
        loop {
            if !options.is_listed {
                if self.batcher.is_over(options) {
                    dispatching.is_over = true;
                    return;
                }
                self.may_go(options).await;
            }
            if let Some(source) = source {
                // A failure is ignored here; each flight finds out the reason itself.
                let _ = timeout(LONGEST_FLIGHT, source.ready(options.urgency)).await;
            }
            let Some(batch) = self.batcher.next(options, most) else {
                dispatching.is_over = true;
                return;
            };
            let is_full = batch.len() == most;
            spawn_brief("flight", Arc::clone(&self).run(batch, options));
            if !is_full {
                sleep(GATHER).await;
            }
        }
    }
}
