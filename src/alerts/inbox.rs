//! From the board to who watches: a queue that never holds the board up.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::counter;
use tokio::sync::Notify;

use crate::board::{News, Onlooker, Posted};

/// Prices that wait at most: three whole lists.
const MOST: usize = 8_192;

/// Prices that wait for who watches.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<VecDeque<Arc<Posted>>>,
    arrived: Notify,
    is_behind: AtomicBool,
}

impl Inbox {
    /// Comes back when there is something to take.
    pub(super) async fn arrived(&self) {
        if self.waiting().is_empty() {
            self.arrived.notified().await;
        }
    }

    /// Takes all that waits, in the order in which it came.
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
                    "prices come faster than the rules of alerts are looked through: only the \
                     latest of each code count"
                );
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<Posted>>> {
        // Every change leaves it whole.
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
