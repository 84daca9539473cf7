//! The codes that this process is asking for, or has just asked for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::fetched::Fetched;
use sise_domain::{KrxTime, Quote, Symbol};
use sise_port::SourceError;

/// How long a finished flight is remembered, for callers that looked into the store just before the
/// price was written.
const LINGER: Duration = Duration::from_secs(1);

/// Most codes in flight or remembered. More than that is a flood.
pub(super) const MOST_FLIGHTS: usize = 8_192;

/// Most codes in flight that are outside the universe: more than can go out during a read. The
/// codes of the universe have the rest to themselves.
pub(super) const MOST_UNLISTED: usize = 1_024;

/// A requested code, and how fresh its price must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) symbol: Symbol,
    /// Whether it is in the universe.
    pub(super) is_listed: bool,
    /// A price fetched earlier is too old; `None` if any live price will do.
    pub(super) not_before: Option<KrxTime>,
}

impl Wanted {
    /// Returns whether `quote` is fresh enough.
    pub(super) fn takes(&self, quote: &Quote) -> bool {
        self.not_before.is_none_or(|time| quote.fetched_at >= time)
    }
}

/// A flight to be made.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) wanted: Wanted,
    news: watch::Sender<Option<Fetched>>,
}

/// A waiter for the result of a flight.
#[derive(Debug)]
pub(super) struct Waiter(watch::Receiver<Option<Fetched>>);

#[derive(Debug)]
struct Flight {
    fetched: watch::Receiver<Option<Fetched>>,
    is_listed: bool,
    /// When it is forgotten; `None` while it is under way.
    forget_at: Option<Instant>,
}

impl Fetch {
    /// Returns whether any caller besides this process's table still waits for it.
    pub(super) fn is_awaited(&self) -> bool {
        self.news.receiver_count() > 1
    }
}

impl Flight {
    /// Returns whether it is still under way, or remembered.
    fn is_alive(&self, now: Instant) -> bool {
        match self.forget_at {
            None => self.fetched.has_changed().is_ok(),
            Some(at) => now < at,
        }
    }

    /// Returns whether it may bring, or has brought, what is wanted.
    fn serves(&self, wanted: &Wanted, now: Instant) -> bool {
        let takes = |fetched: &Option<Fetched>| match fetched {
            Some(Fetched::Quote(quote, _)) => wanted.takes(quote),
            Some(Fetched::Unknown | Fetched::Failed(_)) | None => true,
        };
        self.is_alive(now) && takes(&self.fetched.borrow())
    }
}

/// The flights of this process.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    flights: Mutex<HashMap<Symbol, Flight>>,
}

impl InFlight {
    /// Returns a waiter for each code, or none if too many flights are under way. Also returns the
    /// new flights, which the caller must send off.
    pub(super) fn join(&self, wanted: &[Wanted]) -> (Vec<(Wanted, Option<Waiter>)>, Vec<Fetch>) {
        let now = Instant::now();
        let mut flights = self.flights();
        let mut waiters = Vec::with_capacity(wanted.len());
        let mut fetches = Vec::new();
        if flights.len() + wanted.len() > MOST_FLIGHTS {
            flights.retain(|_, flight| flight.is_alive(now));
        }
        let mut unlisted = match wanted.iter().all(|wanted| wanted.is_listed) {
            true => 0,
            false => {
                let is_under_way = |flight: &&Flight| flight.forget_at.is_none();
                let flights = flights.values().filter(is_under_way);
                flights
                    .filter(|flight| !flight.is_listed && flight.is_alive(now))
                    .count()
            }
        };
        for wanted in wanted {
            let known = flights.get(&wanted.symbol);
            let waiter = match known.filter(|flight| flight.serves(wanted, now)) {
                Some(flight) => Some(Waiter(flight.fetched.clone())),
                None if known.is_none() && flights.len() >= MOST_FLIGHTS => None,
                None if !wanted.is_listed && unlisted >= MOST_UNLISTED => None,
                None => {
                    unlisted += usize::from(!wanted.is_listed);
                    let (news, fetched) = watch::channel(None);
                    let flight = Flight {
                        fetched: fetched.clone(),
                        is_listed: wanted.is_listed,
                        forget_at: None,
                    };
                    flights.insert(wanted.symbol, flight);
                    fetches.push(Fetch {
                        wanted: *wanted,
                        news,
                    });
                    Some(Waiter(fetched))
                }
            };
            waiters.push((*wanted, waiter));
        }
        (waiters, fetches)
    }

    /// Finishes a flight and tells all callers that wait for it. It is remembered for `memory`, or
    /// only for a moment if that is `None`.
    pub(super) fn finish(&self, fetch: Fetch, fetched: Fetched, memory: Option<Duration>) {
        if let Some(flight) = self.flights().get_mut(&fetch.wanted.symbol) {
            flight.forget_at = Some(Instant::now() + memory.unwrap_or(LINGER));
        }
        fetch.news.send_replace(Some(fetched));
    }

    /// Returns the number of codes in flight or remembered.
    pub(super) fn len(&self) -> usize {
        self.flights().len()
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Symbol, Flight>> {
        // No code that holds the lock leaves a flight half changed, so a poisoned lock is usable.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Waits for the result; `None` if the flight has not finished by `deadline`.
    pub(super) async fn fetched(mut self, deadline: Instant) -> Option<Fetched> {
        match timeout_at(deadline, self.0.wait_for(Option::is_some)).await {
            Ok(Ok(fetched)) => fetched.clone(),
            Ok(Err(_)) => Some(Fetched::Failed(SourceError::Stopped)),
            Err(_) => None,
        }
    }
}
