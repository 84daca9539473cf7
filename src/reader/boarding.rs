//! Queues of codes that wait until a call can go out.
//!
//! The slower the calls go, the more codes each one carries, so a code behind many others waits for
//! a few calls and not for one call each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Shared;
use super::board::Departure;
use super::crew::{LONGEST_FLIGHT, Orders};
use sise_domain::{Calling, Urgency};
use sise_net::supervisor::spawn_brief;

/// Most codes in one call (contract 4.3).
const CODES_A_CALL: usize = 30;

/// Time to gather codes after a call that was not full. A flight waits for its turn at the broker
/// only after it has claimed its codes, so until then the way looks free.
const GATHER: Duration = Duration::from_millis(5);

/// Queues of codes, by how they are flown. They hold no more codes than the board has flights.
#[derive(Debug, Default)]
pub(super) struct Boarding {
    queues: Mutex<HashMap<Orders, VecDeque<Departure>>>,
    /// When the next call for codes outside the universe may go out.
    unlisted_from: Mutex<Option<Instant>>,
}

impl Boarding {
    /// Queues codes. Returns whether the queue is new, so that a task must be started for it.
    fn add(&self, departures: Vec<Departure>, orders: Orders) -> bool {
        let mut queues = self.queues();
        let is_new = !queues.contains_key(&orders);
        queues.entry(orders).or_default().extend(departures);
        is_new
    }

    /// Returns whether the queue is empty, and removes it if so. Its task then ends.
    fn is_over(&self, orders: Orders) -> bool {
        let mut queues = self.queues();
        let is_over = queues.get(&orders).is_none_or(VecDeque::is_empty);
        if is_over {
            queues.remove(&orders);
        }
        is_over
    }

    /// Returns the next codes, at most `most`. If there are none, returns `None` and removes the
    /// queue.
    fn next(&self, orders: Orders, most: usize) -> Option<Vec<Departure>> {
        let mut queues = self.queues();
        let queue = queues.get_mut(&orders)?;
        if !orders.is_listed {
            // These may have waited long: no call is spent on codes that no caller waits for.
            queue.retain(Departure::is_awaited);
        }
        if queue.is_empty() {
            queues.remove(&orders);
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

    fn queues(&self) -> MutexGuard<'_, HashMap<Orders, VecDeque<Departure>>> {
        // No code that holds the lock leaves a queue half changed, so a poisoned lock is usable.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Sends flights off, each batch as its own task, so that a caller that gives up does not
    /// cancel the answer for the others.
    pub(super) fn depart(
        self: &Arc<Self>,
        departures: Vec<Departure>,
        urgency: Urgency,
        store_answers: bool,
    ) {
        let is_listed = |departure: &Departure| departure.wanted.is_listed;
        let (listed, unlisted) = departures.into_iter().partition(is_listed);
        for (departures, is_listed) in [(listed, true), (unlisted, false)] {
            let departures: Vec<Departure> = departures;
            let orders = Orders {
                urgency,
                store_answers,
                is_listed,
            };
            if !departures.is_empty() && self.boarding.add(departures, orders) {
                spawn_brief("boarding", Arc::clone(self).call_up(orders));
            }
        }
    }

    /// Waits until a call for such codes may go out. Codes of the universe do not wait.
    pub(super) async fn may_go(&self, orders: Orders) {
        if !orders.is_listed {
            let interval = self.parts.unlisted_interval;
            self.boarding.until_unlisted_may_go(interval).await;
        }
    }

    /// Sends batches off as long as codes are queued.
    async fn call_up(self: Arc<Self>, orders: Orders) {
        let source = self.parts.source.as_ref();
        let calling = source.map_or(Calling::Multi, |source| source.calling());
        // If every code is a call of its own, each one lands by itself.
        let most = calling.codes_a_call(CODES_A_CALL);
        loop {
            if !orders.is_listed {
                if self.boarding.is_over(orders) {
                    return;
                }
                self.may_go(orders).await;
            }
            if let Some(source) = source {
                // A failure is ignored here; each flight finds out the reason itself.
                let _ = timeout(LONGEST_FLIGHT, source.ready(orders.urgency)).await;
            }
            let Some(batch) = self.boarding.next(orders, most) else {
                return;
            };
            let is_full = batch.len() == most;
            spawn_brief("flight", Arc::clone(&self).fly(batch, orders));
            if !is_full {
                sleep(GATHER).await;
            }
        }
    }
}
