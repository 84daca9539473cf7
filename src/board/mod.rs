//! The quote board: the latest price of every code in the memory of this process.
//!
//! It mirrors the store, for processes that serve many readers at once.
//!
//! ```text
//!  store --changes--> keeper --> board --news--> onlookers (streams, alerts)
//!    '----all prices-----^         '--> API
//! ```
//!
//! The board follows changes and is read again every few seconds. While changes are not received it
//! says so, and no request is answered from it.

mod history;
mod keeper;
mod lines;
mod posted;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use metrics::gauge;
use tokio::sync::Notify;

use sise_domain::{Alert, Index, IndexQuote, KrxTime, Quote, Symbol};

pub use history::History;
pub use keeper::{Keeper, Parts};
use lines::Lines;
pub use lines::{Line, Point};
pub use posted::Posted;

/// Largest tolerated difference between clocks. The age of a price from further in the future is
/// unknown, so the price is ignored.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(60);

/// News for onlookers.
#[derive(Debug)]
pub enum News<'a> {
    /// Live prices changed or arrived for the first time.
    Prices(&'a [Arc<Posted>]),
    /// These indices changed.
    Indices(&'a [Index]),
    /// The live feed may have missed trades of these codes.
    Gap(&'a [Symbol]),
    /// An alert fired.
    Alert(&'a Alert),
    /// Changes are no longer received.
    Lost,
    /// Changes are received again, and missed ones were reported as [`News::Prices`].
    Found,
}

/// An observer of changes on the board. It must not block, because it would delay all others.
pub trait Onlooker: Send + Sync {
    /// Called on every change.
    fn told(&self, news: &News<'_>);
}

/// The latest prices. Codes get places in the order in which they are first seen, and keep them.
pub struct QuoteBoard {
    state: RwLock<State>,
    is_heard: AtomicBool,
    is_read: AtomicBool,
    heard: Notify,
    version: AtomicU64,
    ttl: TimeDelta,
}

#[derive(Default)]
struct State {
    places: HashMap<Symbol, usize>,
    slots: Vec<Slot>,
    indices: BTreeMap<Index, IndexQuote>,
    lines: Lines,
}

/// The prices of one code.
#[derive(Default)]
struct Slot {
    live: Option<Arc<Posted>>,
    close: Option<Arc<Posted>>,
}

impl QuoteBoard {
    /// Creates an empty board for prices that live for `ttl`.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self {
            state: RwLock::default(),
            is_heard: AtomicBool::new(false),
            is_read: AtomicBool::new(false),
            heard: Notify::new(),
            version: AtomicU64::new(0),
            ttl: TimeDelta::from_std(ttl).unwrap_or(TimeDelta::MAX),
        }
    }

    /// Whether the board receives every change, so that it is in step with the store.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Acquire)
    }

    /// Waits until the board receives every change.
    pub async fn heard(&self) {
        let mut heard = pin!(self.heard.notified());
        // From here on no notification is missed.
        heard.as_mut().enable();
        if !self.is_heard() {
            heard.await;
        }
    }

    /// Returns a number that grows with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Returns the live price of a code; `None` if there is none or its life is over.
    #[must_use]
    pub fn live(&self, symbol: Symbol, now: KrxTime) -> Option<Arc<Posted>> {
        let state = self.state();
        let posted = state.slot(symbol)?.live.as_ref()?;
        self.lives(posted, now).then(|| Arc::clone(posted))
    }

    /// Returns the live price or the last close of a code, and whether it is live.
    #[must_use]
    pub fn latest(&self, symbol: Symbol, now: KrxTime) -> Option<(Arc<Posted>, bool)> {
        self.state()
            .latest(symbol, |posted| self.lives(posted, now))
    }

    /// As [`QuoteBoard::latest`] for many codes at once, in their order.
    #[must_use]
    pub fn latest_of(
        &self,
        symbols: impl IntoIterator<Item = Symbol>,
        now: KrxTime,
    ) -> Vec<Option<(Arc<Posted>, bool)>> {
        let state = self.state();
        let latest = |symbol| state.latest(symbol, |posted| self.lives(posted, now));
        symbols.into_iter().map(latest).collect()
    }

    /// Returns the live prices at these places.
    #[must_use]
    pub fn at(&self, places: impl IntoIterator<Item = usize>) -> Vec<Arc<Posted>> {
        let state = self.state();
        let at = |place: usize| state.slots.get(place)?.live.clone();
        places.into_iter().filter_map(at).collect()
    }

    /// Returns the places of codes in their order, and assigns new ones to new codes.
    #[must_use]
    pub fn places(&self, symbols: impl IntoIterator<Item = Symbol>) -> Vec<usize> {
        let mut state = self.state_mut();
        let places = symbols.into_iter().map(|symbol| state.place(symbol));
        places.collect()
    }

    /// Returns the place of a code; `None` if the board has never seen it.
    #[must_use]
    pub fn known_place(&self, symbol: Symbol) -> Option<usize> {
        self.state().places.get(&symbol).copied()
    }

    /// Returns the last levels of the indices, whether live or not.
    #[must_use]
    pub fn indices(&self) -> Vec<IndexQuote> {
        self.state().indices.values().cloned().collect()
    }

    /// Returns the price line of one code over the day, as far as this process knows it.
    #[must_use]
    pub fn line(&self, symbol: Symbol) -> Option<Line> {
        let state = self.state();
        state.lines.of(*state.places.get(&symbol)?)
    }

    /// Returns the prices of one minute of a day.
    fn minute(&self, date: NaiveDate, minute: u16) -> Vec<(Symbol, i64)> {
        let state = self.state();
        let at = state.lines.minute(date, minute);
        let mut prices: HashMap<usize, i64> = at.into_iter().collect();
        let of_codes = state.places.iter();
        of_codes
            .filter_map(|(symbol, place)| Some((*symbol, prices.remove(place)?)))
            .collect()
    }

    /// Adds prices of an earlier minute to the lines.
    fn restore(&self, date: NaiveDate, minute: u16, prices: Vec<(Symbol, i64)>) {
        let mut state = self.state_mut();
        for (symbol, price) in prices {
            let place = state.place(symbol);
            state.lines.restore(place, date, minute, price);
        }
    }

    /// Whether a price is still live.
    fn lives(&self, posted: &Posted, now: KrxTime) -> bool {
        self.is_alive(posted.quote.fetched_at, now)
    }

    fn is_alive(&self, fetched_at: KrxTime, now: KrxTime) -> bool {
        let age = now - fetched_at;
        age <= self.ttl && age >= -CLOCKS_DIFFER
    }

    /// Posts levels of indices; returns the indices that are new.
    fn post_indices(&self, quotes: Vec<IndexQuote>) -> Vec<Index> {
        let mut state = self.state_mut();
        let mut news = Vec::new();
        for quote in quotes {
            let held = state.indices.get(&quote.index);
            if held.is_none_or(|held| *held != quote && held.fetched_at <= quote.fetched_at) {
                news.push(quote.index);
                state.indices.insert(quote.index, quote);
            }
        }
        news
    }

    /// Posts live prices; returns those that are new.
    pub(crate) fn post(&self, quotes: Vec<Quote>, now: KrxTime) -> Vec<Arc<Posted>> {
        let mut news = Vec::with_capacity(quotes.len());
        let mut state = self.state_mut();
        for quote in quotes {
            let place = state.place(quote.stock_code);
            let Some(slot) = state.slots.get_mut(place) else {
                continue;
            };
            if quote.price <= 0 || !is_news(slot.live.as_deref(), &quote, now) {
                continue;
            }
            let posted = Arc::new(Posted::new(quote, place));
            slot.live = Some(Arc::clone(&posted));
            state.lines.note(place, &posted.quote);
            news.push(posted);
        }
        drop(state);
        if !news.is_empty() {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        news
    }

    /// Posts closes.
    fn post_closes(&self, quotes: impl IntoIterator<Item = Quote>) {
        let mut state = self.state_mut();
        let mut is_changed = false;
        for quote in quotes.into_iter().filter(|quote| quote.price > 0) {
            let place = state.place(quote.stock_code);
            if let Some(slot) = state.slots.get_mut(place) {
                let held = slot.close.as_ref();
                if held.is_none_or(|held| held.quote != quote) {
                    slot.close = Some(Arc::new(Posted::new(quote, place)));
                    is_changed = true;
                }
            }
        }
        drop(state);
        self.version.fetch_add(is_changed.into(), Ordering::AcqRel);
    }

    /// Removes prices that are no longer in the store although their life is not over.
    pub(crate) fn take_down(&self, symbols: &[Symbol]) {
        let mut state = self.state_mut();
        for symbol in symbols {
            let place = state.place(*symbol);
            if let Some(slot) = state.slots.get_mut(place) {
                slot.live = None;
            }
        }
        drop(state);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether the last attempt to read the store succeeded, whether or not changes are received.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Acquire)
    }

    fn set_read(&self, is_read: bool) {
        self.is_read.store(is_read, Ordering::Release);
    }

    fn set_heard(&self, is_heard: bool) {
        self.is_heard.store(is_heard, Ordering::Release);
        gauge!("sise_changes_heard").set(u8::from(is_heard));
        if is_heard {
            self.heard.notify_waiters();
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        // Every change leaves it consistent, so a poisoned lock is safe to use.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `quote` differs from the `held` price and is not older. A held price from the future,
/// caused by a wrong clock, is always replaced.
fn is_news(held: Option<&Posted>, quote: &Quote, now: KrxTime) -> bool {
    held.is_none_or(|held| {
        let held = &held.quote;
        let is_older = quote.is_outranked_by(held);
        let is_believed = held.fetched_at - now <= CLOCKS_DIFFER;
        held != quote && !(is_older && is_believed)
    })
}

impl State {
    fn place(&mut self, symbol: Symbol) -> usize {
        *self.places.entry(symbol).or_insert_with(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        })
    }

    fn slot(&self, symbol: Symbol) -> Option<&Slot> {
        self.slots.get(*self.places.get(&symbol)?)
    }

    fn latest(
        &self,
        symbol: Symbol,
        lives: impl Fn(&Posted) -> bool,
    ) -> Option<(Arc<Posted>, bool)> {
        let slot = self.slot(symbol)?;
        if let Some(live) = slot.live.as_ref().filter(|live| lives(live)) {
            return Some((Arc::clone(live), true));
        }
        // If neither is live, the later one counts: the close may be of an earlier session.
        let fetched_at = |posted: &&Arc<Posted>| posted.quote.fetched_at;
        let latest = slot.live.iter().chain(&slot.close).max_by_key(fetched_at)?;
        Some((Arc::clone(latest), false))
    }
}

impl fmt::Debug for QuoteBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuoteBoard")
            .field("codes", &self.state().slots.len())
            .field("is_heard", &self.is_heard())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}
