//! The prices in the first level cache, and when they may be served.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use sise_domain::{KrxTime, Quote, Symbol};

/// Maximum number of codes held; the exchange lists fewer than half as many.
const MOST_CODES: usize = 8_192;

/// How long prices are served after the last answer of the server. A connection that swallows
/// everything also swallows the reports of changes.
const TRUST: Duration = Duration::from_millis(1_500);

/// Drift between the two clocks above which the machine must have slept, or its clock was set.
const CLOCKS_DRIFT: TimeDelta = TimeDelta::seconds(1);

/// An instant by both clocks. One stops while the machine sleeps, the other may be set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) time: KrxTime,
}

/// The prices held, and the link that reports their changes.
#[derive(Debug, Default)]
pub(super) struct Prices {
    link: Option<Link>,
    entries: HashMap<Symbol, Entry>,
    last_number: u64,
}

#[derive(Debug)]
struct Link {
    number: u64,
    connection: MultiplexedConnection,
    heard: Now,
}

#[derive(Debug)]
enum Entry {
    /// Requested by the read with this number. Removed if the price changes meanwhile, so that an
    /// outdated answer is not held.
    Asked(u64),
    Price(Box<Quote>, Instant),
}

/// A read of prices that are not held.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) number: u64,
    pub(super) link: u64,
    pub(super) connection: MultiplexedConnection,
    pub(super) symbols: Vec<Symbol>,
}

impl Prices {
    /// Returns a number that was not used before.
    pub(super) fn new_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Starts empty on the link with this number.
    pub(super) fn begin(&mut self, number: u64, connection: MultiplexedConnection, heard: Now) {
        self.entries.clear();
        self.link = Some(Link {
            number,
            connection,
            heard,
        });
    }

    /// Ends the link with this number and forgets all prices that it watched.
    pub(super) fn end(&mut self, number: u64) {
        if self.link.as_ref().is_some_and(|link| link.number == number) {
            self.link = None;
            self.entries.clear();
        }
    }

    /// Records an answer on this link to a question of `then`. Returns whether prices may still be
    /// held.
    pub(super) fn hear(&mut self, number: u64, then: Now) -> bool {
        let link = self.link.as_mut().filter(|link| link.number == number);
        let Some(link) = link.filter(|link| !have_drifted(link.heard, then)) else {
            return false;
        };
        link.heard = then;
        true
    }

    /// Whether prices may be served at `now`.
    pub(super) fn is_trusted(&self, now: Now) -> bool {
        let is_heard = |link: &Link| {
            now.instant.saturating_duration_since(link.heard.instant) < TRUST
                && !have_drifted(link.heard, now)
        };
        self.link.as_ref().is_some_and(is_heard)
    }

    /// Returns the price of a code if it is held and has not expired. Only valid if
    /// [`Prices::is_trusted`].
    pub(super) fn price(&self, symbol: Symbol, now: Now) -> Option<Box<Quote>> {
        match self.entries.get(&symbol)? {
            Entry::Price(quote, dies_at) if now.instant < *dies_at => Some(quote.clone()),
            Entry::Price(..) | Entry::Asked(_) => None,
        }
    }

    /// Records that `symbols` are about to be requested.
    pub(super) fn ask(&mut self, symbols: Vec<Symbol>) -> Option<Question> {
        let number = self.new_number();
        let link = self.link.as_ref()?;
        for symbol in &symbols {
            if self.entries.len() < MOST_CODES || self.entries.contains_key(symbol) {
                self.entries.insert(*symbol, Entry::Asked(number));
            }
        }
        Some(Question {
            number,
            link: link.number,
            connection: link.connection.clone(),
            symbols,
        })
    }

    /// Holds the answer to the question with this number, unless the price has changed since.
    pub(super) fn hold(&mut self, number: u64, quote: &Quote, dies_at: Instant) {
        if let Some(entry) = self.entries.get_mut(&quote.stock_code)
            && matches!(entry, Entry::Asked(asked) if *asked == number)
        {
            *entry = Entry::Price(Box::new(quote.clone()), dies_at);
        }
    }

    /// Forgets a price that changed or is being changed.
    pub(super) fn forget(&mut self, symbol: Symbol) {
        self.entries.remove(&symbol);
    }

    /// Forgets all prices.
    pub(super) fn forget_all(&mut self) {
        self.entries.clear();
    }

    /// Removes expired prices.
    pub(super) fn clear_out(&mut self, now: Now) {
        self.entries.retain(|_, entry| match entry {
            Entry::Price(_, dies_at) => now.instant < *dies_at,
            // The caller may have given up. If it did not, its answer is not held this time.
            Entry::Asked(_) => false,
        });
    }
}

fn have_drifted(earlier: Now, later: Now) -> bool {
    let instants = later.instant.saturating_duration_since(earlier.instant);
    let instants = TimeDelta::from_std(instants).unwrap_or(TimeDelta::MAX);
    let drift = (later.time - earlier.time) - instants;
    drift.abs() > CLOCKS_DRIFT
}
