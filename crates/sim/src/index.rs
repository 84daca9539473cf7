//! The three indexes of the simulated market, weighted by capitalisation.

use super::stock::{Figures, Stock};
use sise_domain::Market;

/// An index (contract 4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    Kospi,
    Kosdaq,
    Kospi200,
}

impl Index {
    pub(super) const ALL: [Self; 3] = [Self::Kospi, Self::Kosdaq, Self::Kospi200];

    pub(super) fn with_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|index| index.code() == code)
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Kospi => "0001",
            Self::Kosdaq => "1001",
            Self::Kospi200 => "2001",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kospi => "종합",
            Self::Kosdaq => "KOSDAQ",
            Self::Kospi200 => "KOSPI200",
        }
    }

    pub(super) fn holds(self, stock: &Stock) -> bool {
        match self {
            Self::Kospi => stock.market == Market::Kospi,
            Self::Kosdaq => stock.market == Market::Kosdaq,
            Self::Kospi200 => stock.large,
        }
    }

    /// Returns the level of the previous close. It is made up: only the ratio to it comes from the
    /// stocks.
    fn base(self) -> f64 {
        match self {
            Self::Kospi => 2_800.0,
            Self::Kosdaq => 900.0,
            Self::Kospi200 => 380.0,
        }
    }
}

/// The level of an index through the day, in points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Level {
    pub(super) base: f64,
    pub(super) open: f64,
    pub(super) high: f64,
    pub(super) low: f64,
    pub(super) now: f64,
}

impl Level {
    /// Returns a level that is still at the previous close.
    pub(super) fn at_base(index: Index) -> Self {
        let base = index.base();
        Self {
            base,
            open: base,
            high: base,
            low: base,
            now: base,
        }
    }

    /// Opens the day at `ratio` times the base.
    pub(super) fn open_at(&mut self, ratio: f64) {
        let level = self.base * ratio;
        (self.open, self.high, self.low, self.now) = (level, level, level, level);
    }

    /// Moves to `ratio` times the base.
    pub(super) fn move_to(&mut self, ratio: f64) {
        self.now = self.base * ratio;
        self.high = self.high.max(self.now);
        self.low = self.low.min(self.now);
    }
}

/// A level in hundredths of a point, as it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Points {
    pub(super) base: i64,
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) now: i64,
}

impl Level {
    pub(super) fn in_hundredths(&self) -> Points {
        Points {
            base: cents(self.base),
            open: cents(self.open),
            high: cents(self.high),
            low: cents(self.low),
            now: cents(self.now),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast from a float saturates, and what it cuts was rounded before"
)]
fn cents(points: f64) -> i64 {
    (points * 100.0).round() as i64
}

/// Returns the capitalisation of each index at the prices of `price`, over that at the base prices.
///
/// A stock without a price, or with price 0, counts at its base price.
pub(super) fn ratios(stocks: &[Stock], price: impl Fn(usize) -> Option<i64>) -> [f64; 3] {
    let mut sums = [(0.0, 0.0); 3];
    for (place, stock) in stocks.iter().enumerate() {
        let shares = stock.shares as f64;
        let base = stock.base as f64 * shares;
        let now = price(place)
            .filter(|price| *price > 0)
            .map_or(base, |price| price as f64 * shares);
        for (index, (total, base_total)) in Index::ALL.into_iter().zip(&mut sums) {
            if index.holds(stock) {
                *total += now;
                *base_total += base;
            }
        }
    }
    sums.map(|(now, base)| if base > 0.0 { now / base } else { 1.0 })
}

/// An index at one moment: its level, and the sums over its stocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct IndexFigures {
    pub(super) level: Level,
    /// Thousands of shares.
    pub(super) volume: i64,
    /// Millions of won.
    pub(super) value: i64,
    /// Advancing, at the upper limit, unchanged, declining, at the lower limit.
    pub(super) counts: [i64; 5],
    /// Thousands of shares of the previous day.
    pub(super) previous_volume: i64,
}

impl IndexFigures {
    pub(super) fn sum(
        index: Index,
        level: Level,
        stocks: &[Stock],
        figures: impl Fn(usize) -> Option<Figures>,
    ) -> Self {
        let (mut volume, mut value, mut previous_volume) = (0_i64, 0_i64, 0_i64);
        let mut counts = [0; 5];
        for (place, stock) in stocks.iter().enumerate() {
            let Some(now) = figures(place).filter(|_| index.holds(stock)) else {
                continue;
            };
            volume = volume.saturating_add(now.volume);
            value = value.saturating_add(now.value);
            previous_volume = previous_volume.saturating_add(stock.previous_volume);
            let [up, upper, same, down, lower] = &mut counts;
            match now.sign() {
                "1" => *upper += 1,
                "2" => *up += 1,
                "4" => *lower += 1,
                "5" => *down += 1,
                _ => *same += 1,
            }
        }
        Self {
            level,
            volume: volume / 1_000,
            value: value / 1_000_000,
            counts,
            previous_volume: previous_volume / 1_000,
        }
    }
}
