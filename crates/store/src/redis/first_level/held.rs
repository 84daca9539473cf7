//! What the first level holds, and when it may be given.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use sise_domain::{KrxTime, Quote, Symbol};

/// Codes held at most; the exchange lists less than half of it.
const MOST_CODES: usize = 8_192;

/// What is held is given so long after the server was last heard: a way that swallows everything
/// swallows what the server says of changes too.
const TRUST: Duration = Duration::from_millis(1_500);

/// Two clocks that drift apart so far in that time: the machine slept, or its clock was set.
const CLOCKS_DRIFT: TimeDelta = TimeDelta::seconds(1);

/// An instant by both clocks. One stands still while the machine sleeps, the other may be set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) time: KrxTime,
}

/// The prices held, and the link that says when they change.
#[derive(Debug, Default)]
pub(super) struct Held {
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
    /// The read of this number asks for it. Gone when the price changed meanwhile, so that an answer
    /// that was overtaken is not held.
    Asked(u64),
    Price(Box<Quote>, Instant),
}

/// A read of what is not held.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) number: u64,
    pub(super) link: u64,
    pub(super) connection: MultiplexedConnection,
    pub(super) symbols: Vec<Symbol>,
}

impl Held {
    /// A number that nothing had before.
    pub(super) fn new_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Begins anew, empty, on the link of this number.
    pub(super) fn begin(&mut self, number: u64, connection: MultiplexedConnection, heard: Now) {
        self.entries.clear();
        self.link = Some(Link {
            number,
            connection,
            heard,
        });
    }

    /// The link of this number is of no use any more: nothing that it watched over is held on.
    pub(super) fn end(&mut self, number: u64) {
        if self.link.as_ref().is_some_and(|link| link.number == number) {
            self.link = None;
            self.entries.clear();
        }
    }

    /// The server answered on this link what was asked `then`; whether what is held may be held on.
    pub(super) fn hear(&mut self, number: u64, then: Now) -> bool {
        let link = self.link.as_mut().filter(|link| link.number == number);
        let Some(link) = link.filter(|link| !have_drifted(link.heard, then)) else {
            return false;
        };
        link.heard = then;
        true
    }

    /// Whether anything may be given at `now`.
    pub(super) fn is_trusted(&self, now: Now) -> bool {
        let is_heard = |link: &Link| {
            now.instant.saturating_duration_since(link.heard.instant) < TRUST
                && !have_drifted(link.heard, now)
        };
        self.link.as_ref().is_some_and(is_heard)
    }

    /// The price of a code, where it is held and lives. Nothing unless [`Held::is_trusted`].
    pub(super) fn price(&self, symbol: Symbol, now: Now) -> Option<Box<Quote>> {
        match self.entries.get(&symbol)? {
            Entry::Price(quote, dies_at) if now.instant < *dies_at => Some(quote.clone()),
            Entry::Price(..) | Entry::Asked(_) => None,
        }
    }

    /// Notes that `symbols` are being asked for, before they are.
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

    /// Holds the answer to the question of this number, unless it was overtaken.
    pub(super) fn hold(&mut self, number: u64, quote: &Quote, dies_at: Instant) {
        if let Some(entry) = self.entries.get_mut(&quote.stock_code)
            && matches!(entry, Entry::Asked(asked) if *asked == number)
        {
            *entry = Entry::Price(Box::new(quote.clone()), dies_at);
        }
    }

    /// A price changed, or is being changed.
    pub(super) fn forget(&mut self, symbol: Symbol) {
        self.entries.remove(&symbol);
    }

    /// Everything changed.
    pub(super) fn forget_all(&mut self) {
        self.entries.clear();
    }

    /// Makes room of what is dead.
    pub(super) fn clear_out(&mut self, now: Now) {
        self.entries.retain(|_, entry| match entry {
            Entry::Price(_, dies_at) => now.instant < *dies_at,
            // Whoever asked may have given up; whoever did not is not held this once.
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
