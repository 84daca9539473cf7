//! Single flight: one load of a value for all callers in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::LoadError;

/// Result of a flight, for all callers that wait for it.
pub(super) type Landed = Result<Landing, LoadError>;

/// A value that was found or loaded.
#[derive(Debug)]
pub(super) struct Landing {
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
    cell: Arc<OnceCell<Landed>>,
    /// Number of seats taken.
    seats: usize,
}

/// A seat in a flight. The flight is over when it has landed, or when the last seat is dropped.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    flights: &'a Flights,
    key: String,
    cell: Arc<OnceCell<Landed>>,
}

impl Flights {
    /// Returns a seat in the flight of `key`, which begins with the first seat taken.
    pub(super) fn board(&self, key: &str) -> Seat<'_> {
        let mut flights = self.flights();
        let flight = flights.entry(key.to_owned()).or_default();
        self.seat(key, flight)
    }

    /// Returns the first seat of a new flight; `None` if there is a flight already.
    pub(super) fn begin(&self, key: &str) -> Option<Seat<'_>> {
        let mut flights = self.flights();
        if flights.contains_key(key) {
            return None;
        }
        let flight = flights.entry(key.to_owned()).or_default();
        Some(self.seat(key, flight))
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

    fn seat(&self, key: &str, flight: &mut Flight) -> Seat<'_> {
        flight.seats += 1;
        Seat {
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

impl Seat<'_> {
    /// Waits for the landing. The first caller that waits flies by `fly`; if it gives up, the next
    /// one does.
    pub(super) async fn landed<Fut>(&self, fly: impl FnOnce() -> Fut) -> &Landed
    where
        Fut: Future<Output = Landed>,
    {
        self.cell.get_or_init(fly).await
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        let Some(flight) = flights.get_mut(&self.key) else {
            return;
        };
        // A new flight may have begun after this one was forgotten.
        if !Arc::ptr_eq(&flight.cell, &self.cell) {
            return;
        }
        flight.seats -= 1;
        if flight.seats == 0 || self.cell.initialized() {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landing(bytes: &[u8]) -> Landed {
        Ok(Landing {
            bytes: bytes.to_vec(),
            is_loaded: true,
            is_early: false,
        })
    }

    #[tokio::test]
    async fn all_who_wait_are_given_what_one_brought_and_nothing_stays() {
        let flights = Flights::default();
        let (one, other) = (flights.board("a"), flights.board("a"));
        assert!(flights.begin("a").is_none());
        let first = one.landed(|| async { landing(b"1") }).await;
        assert_eq!(first.as_ref().unwrap().bytes, b"1");
        let second = other.landed(|| async { landing(b"2") }).await;
        assert_eq!(second.as_ref().unwrap().bytes, b"1");
        drop((one, other));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_flight_that_was_given_up_is_flown_by_the_next() {
        let flights = Flights::default();
        let (one, other) = (flights.board("a"), flights.board("a"));
        {
            let never = one.landed(std::future::pending);
            tokio::pin!(never);
            assert!(futures_util::poll!(never.as_mut()).is_pending());
        }
        drop(one);
        let second = other.landed(|| async { landing(b"2") }).await;
        assert_eq!(second.as_ref().unwrap().bytes, b"2");
        drop(other);
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn after_it_is_forgotten_another_begins_and_the_first_does_not_end_it() {
        let flights = Flights::default();
        let old = flights.board("a");
        flights.forget(&["a".to_owned()]);
        let new = flights.begin("a").unwrap();
        old.landed(|| async { landing(b"old") })
            .await
            .as_ref()
            .unwrap();
        drop(old);
        assert!(flights.begin("a").is_none());
        let landed = new.landed(|| async { landing(b"new") }).await;
        assert_eq!(landed.as_ref().unwrap().bytes, b"new");
    }
}
