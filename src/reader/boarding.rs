//! Where codes wait until a call would go out at once: the slower the calls go, the fuller they
//! are, so that one code behind many others waits for a few calls and not for one each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Shared;
use super::board::Departure;
use super::crew::{LONGEST_FLIGHT, Orders};
use sise_domain::{Calling, Urgency};
use sise_net::supervisor::spawn_brief;

/// Codes that go into one call (contract 4.3).
const CODES_A_CALL: usize = 30;

/// After a call with room left, the next ones gather for this long: the first is not seen to wait
/// for its turn before it has claimed its codes.
const GATHER: Duration = Duration::from_millis(5);

/// Codes that wait, by how they are flown. There are no more than the board has flights.
#[derive(Debug, Default)]
pub(super) struct Boarding {
    queues: Mutex<HashMap<Orders, VecDeque<Departure>>>,
    /// When the next call for codes that are not in the list may go out.
    unlisted_from: Mutex<Option<Instant>>,
}

impl Boarding {
    /// Has codes wait; says whether nobody calls them up yet.
    fn add(&self, departures: Vec<Departure>, orders: Orders) -> bool {
        let mut queues = self.queues();
        let is_new = !queues.contains_key(&orders);
        queues.entry(orders).or_default().extend(departures);
        is_new
    }

    /// Whether nobody waits any more; then nobody calls up.
    fn is_over(&self, orders: Orders) -> bool {
        let mut queues = self.queues();
        let is_over = queues.get(&orders).is_none_or(VecDeque::is_empty);
        if is_over {
            queues.remove(&orders);
        }
        is_over
    }

    /// The next ones, `most` at most; `None` where there are none, and then nobody calls up.
    fn next(&self, orders: Orders, most: usize) -> Option<Vec<Departure>> {
        let mut queues = self.queues();
        let queue = queues.get_mut(&orders)?;
        if !orders.is_listed {
            // They may have waited for long: no call is spent on what nobody wants to know any more.
            queue.retain(Departure::is_awaited);
        }
        if queue.is_empty() {
            queues.remove(&orders);
            return None;
        }
        Some(queue.drain(..queue.len().min(most)).collect())
    }

    /// Waits until a call for codes that are not in the list may go out again, `interval` after the one
    /// before.
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
        // Nothing that holds the lock can leave a queue half changed.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Sends flights off, each batch as a task of its own: a caller who gives up must not take
    /// the others' answer along.
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

    /// Waits until a call for such codes may go out: those of the list need not wait.
    pub(super) async fn may_go(&self, orders: Orders) {
        if !orders.is_listed {
            let interval = self.parts.unlisted_interval;
            self.boarding.until_unlisted_may_go(interval).await;
        }
    }

    /// Calls up who waits, as long as somebody does.
    async fn call_up(self: Arc<Self>, orders: Orders) {
        let source = self.parts.source.as_ref();
        let calling = source.map_or(Calling::Multi, |source| source.calling());
        // Where each code is a call of its own, each lands by itself.
        let most = calling.codes_a_call(CODES_A_CALL);
        loop {
            if !orders.is_listed {
                if self.boarding.is_over(orders) {
                    return;
                }
                self.may_go(orders).await;
            }
            if let Some(source) = source {
                // Why nothing can be asked is for each flight to find out.
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
