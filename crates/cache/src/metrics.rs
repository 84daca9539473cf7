//! Counts and times of operations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, histogram};

use super::CacheError;
use sise_domain::KrxTime;
use sise_port::StoreError;
use sise_port::clock::Clock;

/// Counts since the start, or since the last reset.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheMetrics {
    /// Time of the start or of the last reset.
    pub since: KrxTime,
    /// Operations, whatever their outcome.
    pub operations: u64,
    /// Operations that were completed.
    pub successes: u64,
    /// Operations that were not: refused, too late, or failed.
    pub failures: u64,
    /// Requested values that were found, or known not to exist.
    pub hits: u64,
    /// Requested values that were not found, or could not be looked up.
    pub misses: u64,
    /// Share of hits, 0 to 1; `None` if no value was requested.
    pub hit_ratio: Option<f64>,
    /// Failures for lack of a connection, including operations refused while the cache has failed.
    pub connection_failures: u64,
    /// Failures for lack of an answer in time.
    pub timeouts: u64,
    /// Failures reported by the store.
    pub store_errors: u64,
    /// Mean time of an operation.
    pub mean_time: Duration,
    /// Longest time of an operation.
    pub longest_time: Duration,
    /// The last operation.
    pub last: Option<LastOperation>,
}

/// A finished operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastOperation {
    /// Its name, such as `get`.
    pub name: &'static str,
    /// When it ended.
    pub at: KrxTime,
    /// How long it took.
    pub took: Duration,
    /// Whether it was completed.
    pub is_done: bool,
}

/// The counts of a cache.
#[derive(Debug)]
pub(super) struct Counts {
    totals: [AtomicU64; TOTALS],
    rest: Mutex<Recent>,
}

#[derive(Debug)]
struct Recent {
    since: KrxTime,
    last: Option<LastOperation>,
}

#[derive(Debug, Clone, Copy)]
enum Total {
    Successes,
    Failures,
    Hits,
    Misses,
    ConnectionFailures,
    Timeouts,
    StoreErrors,
    Microseconds,
    LongestMicroseconds,
}

const TOTALS: usize = Total::LongestMicroseconds as usize + 1;

impl Counts {
    pub(super) fn new(now: KrxTime) -> Self {
        Self {
            totals: Default::default(),
            rest: Mutex::new(Recent {
                since: now,
                last: None,
            }),
        }
    }

    /// Counts an operation.
    pub(super) fn note(
        &self,
        name: &'static str,
        took: Duration,
        error: Option<&CacheError>,
        clock: &Clock,
    ) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.add(Total::Microseconds, micros);
        if let Some(longest) = self.totals.get(Total::LongestMicroseconds as usize) {
            longest.fetch_max(micros, Ordering::Relaxed);
        }
        let outcome = match error {
            None => {
                self.add(Total::Successes, 1);
                "done"
            }
            Some(error) => {
                self.add(Total::Failures, 1);
                let (total, outcome) = kind(error);
                if let Some(total) = total {
                    self.add(total, 1);
                }
                outcome
            }
        };
        let last = LastOperation {
            name,
            at: clock(),
            took,
            is_done: error.is_none(),
        };
        self.rest().last = Some(last);
        counter!("sise_cache_operations_total", "operation" => name, "outcome" => outcome)
            .increment(1);
        histogram!("sise_cache_operation_seconds").record(took.as_secs_f64());
    }

    /// Counts requested values.
    pub(super) fn note_values(&self, hits: usize, misses: usize) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.add(Total::Hits, count(hits));
        self.add(Total::Misses, count(misses));
        counter!("sise_cache_hits_total").increment(count(hits));
        counter!("sise_cache_misses_total").increment(count(misses));
    }

    /// Returns all counts.
    pub(super) fn read(&self) -> CacheMetrics {
        let [successes, failures] = [Total::Successes, Total::Failures].map(|t| self.get(t));
        let [hits, misses] = [Total::Hits, Total::Misses].map(|total| self.get(total));
        let operations = successes + failures;
        let rest = self.rest();
        CacheMetrics {
            since: rest.since,
            operations,
            successes,
            failures,
            hits,
            misses,
            hit_ratio: share(hits, hits + misses),
            connection_failures: self.get(Total::ConnectionFailures),
            timeouts: self.get(Total::Timeouts),
            store_errors: self.get(Total::StoreErrors),
            mean_time: Duration::from_micros(
                self.get(Total::Microseconds)
                    .checked_div(operations)
                    .unwrap_or(0),
            ),
            longest_time: Duration::from_micros(self.get(Total::LongestMicroseconds)),
            last: rest.last.clone(),
        }
    }

    /// Resets the counts. The metrics exported for Prometheus go on, as their counters must never
    /// fall.
    pub(super) fn reset(&self, now: KrxTime) {
        let mut rest = self.rest();
        rest.since = now;
        rest.last = None;
        for total in &self.totals {
            total.store(0, Ordering::Relaxed);
        }
    }

    fn add(&self, total: Total, by: u64) {
        if let Some(total) = self.totals.get(total as usize) {
            total.fetch_add(by, Ordering::Relaxed);
        }
    }

    fn get(&self, total: Total) -> u64 {
        let total = self.totals.get(total as usize);
        total.map_or(0, |total| total.load(Ordering::Relaxed))
    }

    fn rest(&self) -> std::sync::MutexGuard<'_, Recent> {
        // Every change is a single step, so a poisoned lock is usable.
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the total to which a failure is added, and its label.
fn kind(error: &CacheError) -> (Option<Total>, &'static str) {
    match error {
        CacheError::Store(StoreError::Unreachable { .. }) | CacheError::Down { .. } => {
            (Some(Total::ConnectionFailures), "unreachable")
        }
        CacheError::Store(StoreError::Late { .. }) | CacheError::Late { .. } => {
            (Some(Total::Timeouts), "late")
        }
        CacheError::Store(_) => (Some(Total::StoreErrors), "refused"),
        CacheError::Encode { .. } | CacheError::Decode { .. } | CacheError::Invalid(_) => {
            (None, "invalid")
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
