//! A queue from the board to the alert engine that never blocks the board.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::counter;
use tokio::sync::Notify;

use crate::board::{News, Onlooker, Posted};

/// Maximum number of waiting prices: about three times the universe.
const MOST: usize = 8_192;

/// Prices waiting for the engine.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<VecDeque<Arc<Posted>>>,
    arrived: Notify,
    is_behind: AtomicBool,
}

impl Inbox {
    /// Waits until there is something to take.
    pub(super) async fn arrived(&self) {
        if self.waiting().is_empty() {
            self.arrived.notified().await;
        }
    }

    /// Takes all waiting prices in order of arrival.
    pub(super) fn take(&self) -> VecDeque<Arc<Posted>> {
        let taken = std::mem::take(&mut *self.waiting());
        if taken.len() < MOST / 2 {
            self.is_behind.store(false, Ordering::Relaxed);
        }
        taken
    }

    fn put(&self, posted: &[Arc<Posted>]) {
        let mut waiting = self.waiting();
        waiting.extend(posted.iter().cloned());
        let mut dropped = 0;
        if waiting.len() > MOST {
            let all = waiting.len();
            keep_latest(&mut waiting);
            let surplus = waiting.len().saturating_sub(MOST);
            waiting.drain(..surplus);
            dropped = all - waiting.len();
        }
        drop(waiting);
        self.arrived.notify_one();
        if dropped > 0 {
            let count = u64::try_from(dropped).unwrap_or(u64::MAX);
            counter!("sise_alerts_dropped_total", "what" => "prices").increment(count);
            if !self.is_behind.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    dropped,
                    "prices arrive faster than the alert rules are checked: only the latest price \
                     of each code counts"
                );
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<Posted>>> {
        // Every change leaves it consistent, so a poisoned lock is safe to use.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the latest price of each code.
fn keep_latest(waiting: &mut VecDeque<Arc<Posted>>) {
    let mut seen = HashSet::new();
    let latest = waiting.drain(..).rev();
    let mut kept: VecDeque<Arc<Posted>> =
        latest.filter(|posted| seen.insert(posted.place)).collect();
    kept.make_contiguous().reverse();
    *waiting = kept;
}

impl Onlooker for Inbox {
    fn told(&self, news: &News<'_>) {
        if let News::Prices(posted) = news {
            self.put(posted);
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("waiting", &self.waiting().len())
            .finish_non_exhaustive()
    }
}
