//! Which codes this process is asking for, or asked for just now: one flight a code.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::landing::Landing;
use sise_domain::{KrxTime, Quote, Symbol};
use sise_port::SourceError;

/// What a flight brought stays this long for callers who looked in the store just before it was
/// written there.
const LINGER: Duration = Duration::from_secs(1);

/// Codes in flight or remembered at most. More at once is a flood, not a need.
pub(super) const MOST_FLIGHTS: usize = 8_192;

/// Codes in flight that are not in the list at most: more than go out in the time of a read. Those that
/// are have the rest for themselves.
pub(super) const MOST_UNLISTED: usize = 1_024;

/// A code that is wanted, and how fresh.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) symbol: Symbol,
    /// Whether it is in the list.
    pub(super) is_listed: bool,
    /// A price fetched before this is too old; `None` where any that lives will do.
    pub(super) not_before: Option<KrxTime>,
}

impl Wanted {
    /// Whether `quote` is fresh enough.
    pub(super) fn takes(&self, quote: &Quote) -> bool {
        self.not_before.is_none_or(|time| quote.fetched_at >= time)
    }
}

/// A flight that somebody must fly.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) wanted: Wanted,
    news: watch::Sender<Option<Landing>>,
}

/// Where a flight's landing is told.
#[derive(Debug)]
pub(super) struct Seat(watch::Receiver<Option<Landing>>);

#[derive(Debug)]
struct Flight {
    landing: watch::Receiver<Option<Landing>>,
    is_listed: bool,
    /// When it is forgotten; `None` while it is under way.
    forget_at: Option<Instant>,
}

impl Departure {
    /// Whether anybody waits for it still, other than the board.
    pub(super) fn is_awaited(&self) -> bool {
        self.news.receiver_count() > 1
    }
}

impl Flight {
    /// Whether it is under way, with somebody to land it, or remembered.
    fn is_alive(&self, now: Instant) -> bool {
        match self.forget_at {
            None => self.landing.has_changed().is_ok(),
            Some(at) => now < at,
        }
    }

    /// Whether it may bring, or brought, what is wanted.
    fn serves(&self, wanted: &Wanted, now: Instant) -> bool {
        let takes = |landing: &Option<Landing>| match landing {
            Some(Landing::Quote(quote, _)) => wanted.takes(quote),
            Some(Landing::Unknown | Landing::Failed(_)) | None => true,
        };
        self.is_alive(now) && takes(&self.landing.borrow())
    }
}

/// The flights of this process.
#[derive(Debug, Default)]
pub(super) struct Board {
    flights: Mutex<HashMap<Symbol, Flight>>,
}

impl Board {
    /// A seat on the flight of every code that is wanted, none where too many are under way; and
    /// the flights that nobody flies yet.
    pub(super) fn take_seats(
        &self,
        wanted: &[Wanted],
    ) -> (Vec<(Wanted, Option<Seat>)>, Vec<Departure>) {
        let now = Instant::now();
        let mut flights = self.flights();
        let mut seats = Vec::with_capacity(wanted.len());
        let mut departures = Vec::new();
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
            let seat = match known.filter(|flight| flight.serves(wanted, now)) {
                Some(flight) => Some(Seat(flight.landing.clone())),
                None if known.is_none() && flights.len() >= MOST_FLIGHTS => None,
                None if !wanted.is_listed && unlisted >= MOST_UNLISTED => None,
                None => {
                    unlisted += usize::from(!wanted.is_listed);
                    let (news, landing) = watch::channel(None);
                    let flight = Flight {
                        landing: landing.clone(),
                        is_listed: wanted.is_listed,
                        forget_at: None,
                    };
                    flights.insert(wanted.symbol, flight);
                    departures.push(Departure {
                        wanted: *wanted,
                        news,
                    });
                    Some(Seat(landing))
                }
            };
            seats.push((*wanted, seat));
        }
        (seats, departures)
    }

    /// Lands a flight and tells everybody who waits for it. It is remembered for a moment, or for
    /// `memory` where that is given.
    pub(super) fn land(&self, departure: Departure, landing: Landing, memory: Option<Duration>) {
        if let Some(flight) = self.flights().get_mut(&departure.wanted.symbol) {
            flight.forget_at = Some(Instant::now() + memory.unwrap_or(LINGER));
        }
        departure.news.send_replace(Some(landing));
    }

    /// Codes in flight or remembered.
    pub(super) fn len(&self) -> usize {
        self.flights().len()
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Symbol, Flight>> {
        // Nothing that holds the lock can leave a flight half changed.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// What the flight brings; `None` where it has not landed by `deadline`.
    pub(super) async fn landing(mut self, deadline: Instant) -> Option<Landing> {
        match timeout_at(deadline, self.0.wait_for(Option::is_some)).await {
            Ok(Ok(landing)) => landing.clone(),
            Ok(Err(_)) => Some(Landing::Failed(SourceError::Stopped)),
            Err(_) => None,
        }
    }
}
