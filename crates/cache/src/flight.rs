//! Single flight: one load of a value for all callers in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::LoadError;

/// Result of a flight, for all callers that wait for it.
pub(super) type FlightOutcome = Result<FoundValue, LoadError>;

/// A value that was found or loaded.
#[derive(Debug)]
pub(super) struct FoundValue {
    /// JSON of the value; empty if it is known not to exist.
    pub(super) bytes: Vec<u8>,
    /// Whether the loader returned it.
    pub(super) is_loaded: bool,
    /// Whether it was found close to its end; the caller that found it then reloads it.
    pub(super) is_early: bool,
}

/// The flights of this process, by key.
#[derive(Debug, Default)]
pub(super) struct Flights {
    flights: Mutex<HashMap<String, Flight>>,
}

#[derive(Debug, Default)]
struct Flight {
    cell: Arc<OnceCell<FlightOutcome>>,
    /// Number of waiters taken.
    waiters: usize,
}

/// A waiter in a flight. The flight is over when it has outcome, or when the last waiter is dropped.
#[derive(Debug)]
pub(super) struct Waiter<'a> {
    flights: &'a Flights,
    key: String,
    cell: Arc<OnceCell<FlightOutcome>>,
}

impl Flights {
    /// Returns a waiter in the flight of `key`, which begins with the first waiter taken.
    pub(super) fn join(&self, key: &str) -> Waiter<'_> {
        let mut flights = self.flights();
        let flight = flights.entry(key.to_owned()).or_default();
        self.waiter(key, flight)
    }

    /// Returns the first waiter of a new flight; `None` if there is a flight already.
    pub(super) fn begin(&self, key: &str) -> Option<Waiter<'_>> {
        let mut flights = self.flights();
        if flights.contains_key(key) {
            return None;
        }
        let flight = flights.entry(key.to_owned()).or_default();
        Some(self.waiter(key, flight))
    }

    /// Forgets the flights of `keys`: later callers begin new ones.
    pub(super) fn forget<'a>(&self, keys: impl IntoIterator<Item = &'a String>) {
        let mut flights = self.flights();
        if flights.is_empty() {
            return;
        }
        for key in keys {
            flights.remove(key);
        }
    }

    fn waiter(&self, key: &str, flight: &mut Flight) -> Waiter<'_> {
        flight.waiters += 1;
        Waiter {
            flights: self,
            key: key.to_owned(),
            cell: Arc::clone(&flight.cell),
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        // Every change is a single step, so a poisoned lock is usable.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.flights().len()
    }
}

impl Waiter<'_> {
    /// Waits for the outcome. The first caller that waits runs `load`; if it gives up, the next one
    /// does.
    pub(super) async fn outcome<Fut>(&self, load: impl FnOnce() -> Fut) -> &FlightOutcome
    where
        Fut: Future<Output = FlightOutcome>,
    {
        self.cell.get_or_init(load).await
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        let Some(flight) = flights.get_mut(&self.key) else {
            return;
        };
        // A new flight may have begun after this one was forgotten.
        if !Arc::ptr_eq(&flight.cell, &self.cell) {
            return;
        }
        flight.waiters -= 1;
        if flight.waiters == 0 || self.cell.initialized() {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> FlightOutcome {
        Ok(FoundValue {
            bytes: bytes.to_vec(),
            is_loaded: true,
            is_early: false,
        })
    }

    #[tokio::test]
    async fn all_who_wait_are_given_what_one_brought_and_nothing_stays() {
        let flights = Flights::default();
        let (one, other) = (flights.join("a"), flights.join("a"));
        assert!(flights.begin("a").is_none());
        let first = one.outcome(|| async { found(b"1") }).await;
        assert_eq!(first.as_ref().unwrap().bytes, b"1");
        let second = other.outcome(|| async { found(b"2") }).await;
        assert_eq!(second.as_ref().unwrap().bytes, b"1");
        drop((one, other));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_flight_that_was_given_up_is_flown_by_the_next() {
        let flights = Flights::default();
        let (one, other) = (flights.join("a"), flights.join("a"));
        {
            let never = one.outcome(std::future::pending);
            tokio::pin!(never);
            assert!(futures_util::poll!(never.as_mut()).is_pending());
        }
        drop(one);
        let second = other.outcome(|| async { found(b"2") }).await;
        assert_eq!(second.as_ref().unwrap().bytes, b"2");
        drop(other);
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn after_it_is_forgotten_another_begins_and_the_first_does_not_end_it() {
        let flights = Flights::default();
        let old = flights.join("a");
        flights.forget(&["a".to_owned()]);
        let new = flights.begin("a").unwrap();
        old.outcome(|| async { found(b"old") })
            .await
            .as_ref()
            .unwrap();
        drop(old);
        assert!(flights.begin("a").is_none());
        let outcome = new.outcome(|| async { found(b"new") }).await;
        assert_eq!(outcome.as_ref().unwrap().bytes, b"new");
    }
}
