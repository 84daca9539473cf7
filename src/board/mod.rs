//! The quote board: the latest price of every code in the memory of this process, as the store has
//! it, for whoever serves many readers at once.
//!
//! ```text
//!  store --changes--> keeper --> board --news--> onlookers (streams, alerts)
//!    '----all prices-----^         '--> who answers requests
//! ```
//!
//! The board is heard by changes and read anew every few seconds; while changes are not heard it
//! says so, and nothing is answered from it.

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

/// Clocks may differ so much: a price from further ahead has no age and is not believed.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(60);

/// What an onlooker is told.
#[derive(Debug)]
pub enum News<'a> {
    /// Live prices of these codes changed, or came for the first time.
    Prices(&'a [Arc<Posted>]),
    /// These indices changed.
    Indices(&'a [Index]),
    /// Trades of these codes may have been missed by the live feed.
    Gap(&'a [Symbol]),
    /// A rule asked to be told of this.
    Alert(&'a Alert),
    /// Changes are not heard any more.
    Lost,
    /// Changes are heard again, and what was missed has been told as [`News::Prices`].
    Found,
}

/// Told of what changes on the board. Must not block: it stands in the way of all others.
pub trait Onlooker: Send + Sync {
    /// Something changed.
    fn told(&self, news: &News<'_>);
}

/// The latest prices. Places are given to codes in the order in which they are first seen, and stay.
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

/// What is known of one code.
#[derive(Default)]
struct Slot {
    live: Option<Arc<Posted>>,
    close: Option<Arc<Posted>>,
}

impl QuoteBoard {
    /// An empty board of prices that live for `ttl`.
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

    /// Whether the board hears every change, so that what stands on it is what stands in the store.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Acquire)
    }

    /// Comes back as soon as the board hears every change.
    pub async fn heard(&self) {
        let mut heard = pin!(self.heard.notified());
        // From here on no call is missed.
        heard.as_mut().enable();
        if !self.is_heard() {
            heard.await;
        }
    }

    /// Grows with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The live price of a code; `None` where there is none on the board, or its life is over.
    #[must_use]
    pub fn live(&self, symbol: Symbol, now: KrxTime) -> Option<Arc<Posted>> {
        let state = self.state();
        let posted = state.slot(symbol)?.live.as_ref()?;
        self.lives(posted, now).then(|| Arc::clone(posted))
    }

    /// The price of a code that stands on the board, live or its last close, and whether it is live.
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

    /// The live prices at these places.
    #[must_use]
    pub fn at(&self, places: impl IntoIterator<Item = usize>) -> Vec<Arc<Posted>> {
        let state = self.state();
        let at = |place: usize| state.slots.get(place)?.live.clone();
        places.into_iter().filter_map(at).collect()
    }

    /// The places of codes, in their order, given to them now where they had none.
    #[must_use]
    pub fn places(&self, symbols: impl IntoIterator<Item = Symbol>) -> Vec<usize> {
        let mut state = self.state_mut();
        let places = symbols.into_iter().map(|symbol| state.place(symbol));
        places.collect()
    }

    /// The place of a code; `None` where the board never heard of it.
    #[must_use]
    pub fn known_place(&self, symbol: Symbol) -> Option<usize> {
        self.state().places.get(&symbol).copied()
    }

    /// The last levels of the indices, whether they live or not.
    #[must_use]
    pub fn indices(&self) -> Vec<IndexQuote> {
        self.state().indices.values().cloned().collect()
    }

    /// The prices of the day of one code, as far as this process saw them.
    #[must_use]
    pub fn line(&self, symbol: Symbol) -> Option<Line> {
        let state = self.state();
        state.lines.of(*state.places.get(&symbol)?)
    }

    /// The prices of one minute of a day.
    fn minute(&self, date: NaiveDate, minute: u16) -> Vec<(Symbol, i64)> {
        let state = self.state();
        let at = state.lines.minute(date, minute);
        let mut prices: HashMap<usize, i64> = at.into_iter().collect();
        let of_codes = state.places.iter();
        of_codes
            .filter_map(|(symbol, place)| Some((*symbol, prices.remove(place)?)))
            .collect()
    }

    /// Puts prices of an earlier minute into the lines.
    fn restore(&self, date: NaiveDate, minute: u16, prices: Vec<(Symbol, i64)>) {
        let mut state = self.state_mut();
        for (symbol, price) in prices {
            let place = state.place(symbol);
            state.lines.restore(place, date, minute, price);
        }
    }

    /// Whether the life of a price is not over.
    fn lives(&self, posted: &Posted, now: KrxTime) -> bool {
        self.is_alive(posted.quote.fetched_at, now)
    }

    fn is_alive(&self, fetched_at: KrxTime, now: KrxTime) -> bool {
        let age = now - fetched_at;
        age <= self.ttl && age >= -CLOCKS_DIFFER
    }

    /// Puts levels of indices up; returns those that are new.
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

    /// Puts live prices up; returns those that are new.
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

    /// Puts closes up.
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

    /// Takes down what is not in the store any more though its life is not over.
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

    /// Whether the store was read when it was tried last, be changes heard or not.
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
        // Every change leaves it whole.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `quote` is another and no older one than what is `held`. What is held and is from the
/// future, because a clock was wrong, does not stay for it.
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
        // Of two that are no live ones the later: a close is of the session before, too.
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
