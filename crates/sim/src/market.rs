//! The simulated market: its stocks, and their current figures.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use chrono::NaiveDate;
use tokio::time::Instant;

use super::index::{Index, IndexFigures};
use super::options::{MarketSource, SimError, SimOptions};
use super::replay::Replay;
use super::stock::{Figures, Stock, mark_large};
use super::walk::Walk;
use sise_domain::{Calendar, KrxTime, Shipped, ShippedListing, Symbol};

/// Time between two steps of the walk.
const STEP: Duration = Duration::from_millis(250);

/// Most steps caught up at once after a long time without calls; ten minutes.
const MOST_STEPS: u64 = 2_400;

/// How many days to look back for one with trading.
const LONGEST_CLOSURE: usize = 60;

/// The market. It moves when it is read, by the time that has passed since.
#[derive(Debug)]
pub(super) struct Market {
    stocks: Vec<Stock>,
    places: HashMap<Symbol, usize>,
    prices: Prices,
    started: Instant,
    calendar: Calendar,
    seed: u64,
}

#[derive(Debug)]
enum Prices {
    Walk(RwLock<Walk>),
    Replay(Replay),
}

impl Market {
    pub(super) fn new(options: &SimOptions) -> Result<Self, SimError> {
        let SimOptions { seed, codes, .. } = options;
        let seed = *seed;
        let (stocks, prices) = match &options.market {
            MarketSource::Walk => {
                let shipped = &Shipped::get().listings;
                let is_listed = |row: &&ShippedListing| {
                    codes.as_ref().is_none_or(|codes| codes.contains(&row.code))
                };
                let listed = shipped.iter().filter(is_listed);
                let mut stocks: Vec<Stock> = listed.map(Stock::shipped).collect();
                mark_large(&mut stocks);
                let walk = Walk::new(&stocks, seed);
                (stocks, Prices::Walk(RwLock::new(walk)))
            }
            MarketSource::Replay { path, speed, from } => {
                let (replay, stocks) = Replay::read(path, *speed, *from)?;
                (stocks, Prices::Replay(replay))
            }
        };
        let places = stocks
            .iter()
            .enumerate()
            .map(|(place, stock)| (stock.code, place))
            .collect();
        Ok(Self {
            stocks,
            places,
            prices,
            started: Instant::now(),
            calendar: Calendar::shipped(),
            seed,
        })
    }

    pub(super) fn stocks(&self) -> &[Stock] {
        &self.stocks
    }

    pub(super) fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the place of the stock with this code, or `None` if the code is unknown.
    pub(super) fn place(&self, code: &str) -> Option<usize> {
        self.places.get(&code.parse().ok()?).copied()
    }

    pub(super) fn stock(&self, place: usize) -> Option<&Stock> {
        self.stocks.get(place)
    }

    /// Returns the day of the market's figures: the recorded day, or the last trading day up to
    /// `now`.
    pub(super) fn day(&self, now: KrxTime) -> NaiveDate {
        match &self.prices {
            Prices::Replay(replay) => replay.day(),
            Prices::Walk(_) => {
                let today = now.date_naive();
                let mut days = std::iter::successors(Some(today), NaiveDate::pred_opt);
                days.by_ref()
                    .take(LONGEST_CLOSURE)
                    .find(|day| self.calendar.is_trading_day(*day))
                    .unwrap_or(today)
            }
        }
    }

    /// Calls `look` with a function that returns the current figures by place.
    pub(super) fn look<T>(&self, look: impl FnOnce(&dyn Fn(usize) -> Option<Figures>) -> T) -> T {
        match &self.prices {
            Prices::Walk(walk) => {
                self.advance(walk);
                let walk = walk.read().unwrap_or_else(PoisonError::into_inner);
                let figures = walk.figures();
                look(&|place| figures.get(place).copied())
            }
            Prices::Replay(replay) => {
                let shot = replay.after(self.started.elapsed());
                look(&|place| shot?.figures(place))
            }
        }
    }

    /// Returns the current figures of one stock.
    pub(super) fn figures(&self, place: usize) -> Option<Figures> {
        self.look(|figures| figures(place))
    }

    /// Returns the current figures of an index.
    pub(super) fn index(&self, index: Index) -> Option<IndexFigures> {
        let levels = match &self.prices {
            Prices::Walk(walk) => {
                self.advance(walk);
                let walk = walk.read().unwrap_or_else(PoisonError::into_inner);
                *walk.levels()
            }
            Prices::Replay(replay) => *replay.after(self.started.elapsed())?.levels(),
        };
        let (_, level) = Index::ALL
            .into_iter()
            .zip(levels)
            .find(|(of, _)| *of == index)?;
        Some(self.look(|figures| IndexFigures::sum(index, level, &self.stocks, figures)))
    }

    fn advance(&self, walk: &RwLock<Walk>) {
        let due = self.started.elapsed().as_millis() / STEP.as_millis();
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        if walk
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .reached(due)
        {
            return;
        }
        let mut walk = walk.write().unwrap_or_else(PoisonError::into_inner);
        walk.catch_up(due, MOST_STEPS, &self.stocks);
    }
}
