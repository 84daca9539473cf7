//! The random walk: a market that never stops moving. The same seed and step give the same figures.

use fastrand::Rng;

use super::index::{Index, Level, ratios};
use super::stock::{Figures, Stock, hundredths};
use sise_domain::{price_limits, tick_size};

/// One in this many stocks trades in a step.
const MOVES: usize = 10;

/// Trades of each stock between the open and the start of the simulator, so that the day already
/// has a high and a low.
const WARM_UP: usize = 12;

/// The figures of every stock, and how they move.
#[derive(Debug)]
pub(super) struct Walk {
    figures: Vec<Figures>,
    walkers: Vec<Walker>,
    levels: [Level; 3],
    rng: Rng,
    steps: u64,
}

/// The rules for the moves of one stock.
#[derive(Debug, Clone, Copy)]
struct Walker {
    lower: i64,
    upper: i64,
    /// Shares in a typical trade; 0 if trading is halted.
    lot: i64,
}

impl Walk {
    pub(super) fn new(stocks: &[Stock], seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let walkers: Vec<Walker> = stocks.iter().map(Walker::of).collect();
        let figures = stocks
            .iter()
            .zip(&walkers)
            .map(|(stock, walker)| walker.open(stock, &mut rng))
            .collect();
        let mut walk = Self {
            levels: Index::ALL.map(Level::at_base),
            figures,
            walkers,
            rng,
            steps: 0,
        };
        let opened = ratios(stocks, |place| walk.figures.get(place).map(|now| now.open));
        for (level, ratio) in walk.levels.iter_mut().zip(opened) {
            level.open_at(ratio);
        }
        for place in 0..stocks.len() {
            for _ in 0..WARM_UP {
                walk.trade(place);
            }
        }
        walk.note_levels(stocks);
        walk
    }

    /// Whether `due` steps have been made.
    pub(super) fn reached(&self, due: u64) -> bool {
        self.steps >= due
    }

    /// Makes the steps up to `due`, but only the last `most` of them.
    pub(super) fn catch_up(&mut self, due: u64, most: u64, stocks: &[Stock]) {
        self.steps = self.steps.max(due.saturating_sub(most));
        while self.steps < due {
            self.step(stocks);
        }
    }

    pub(super) fn figures(&self) -> &[Figures] {
        &self.figures
    }

    pub(super) fn levels(&self) -> &[Level; 3] {
        &self.levels
    }

    /// Lets a random tenth of the stocks trade once.
    fn step(&mut self, stocks: &[Stock]) {
        self.steps += 1;
        for _ in 0..self.figures.len().div_ceil(MOVES) {
            let place = self.rng.usize(..self.figures.len());
            self.trade(place);
        }
        self.note_levels(stocks);
    }

    fn trade(&mut self, place: usize) {
        if let (Some(figures), Some(walker)) =
            (self.figures.get_mut(place), self.walkers.get(place))
        {
            walker.trade(figures, &mut self.rng);
        }
    }

    fn note_levels(&mut self, stocks: &[Stock]) {
        let now = ratios(stocks, |place| self.figures.get(place).map(|f| f.price));
        for (level, ratio) in self.levels.iter_mut().zip(now) {
            level.move_to(ratio);
        }
    }
}

impl Walker {
    fn of(stock: &Stock) -> Self {
        let (lower, upper) = price_limits(stock.base);
        let lot = if stock.halted {
            0
        } else {
            stock.previous_volume / 5_000 + 1
        };
        Self { lower, upper, lot }
    }

    /// Returns the figures just after the opening cross.
    ///
    /// Most stocks open near their base price and a few far from it, so that there are gainers and
    /// losers from the start.
    fn open(&self, stock: &Stock, rng: &mut Rng) -> Figures {
        if self.lot == 0 {
            return Figures::untraded(stock.base);
        }
        let spread = match rng.u8(..20) {
            0 => 2_500,
            1..5 => 800,
            _ => 250,
        };
        let gap = stock.base * rng.i64(-spread..=spread) / 10_000;
        let price = on_grid(stock.base + gap).clamp(self.lower, self.upper);
        let volume = self.lot * rng.i64(500..2_500);
        Figures {
            price,
            rate: hundredths(price - stock.base, stock.base),
            open: price,
            high: price,
            low: price,
            volume,
            value: volume.saturating_mul(price),
            base: stock.base,
        }
    }

    /// Makes one trade, up to three ticks away.
    ///
    /// The farther the price is from the open, the likelier the trade leads back. So a market that
    /// runs for days does not end up at its limits.
    fn trade(&self, figures: &mut Figures, rng: &mut Rng) {
        if self.lot == 0 {
            return;
        }
        let away = hundredths(figures.price - figures.open, figures.open);
        let up_chance = (5_000 - 4 * away).clamp(500, 9_500);
        let ticks = rng.u8(..=3);
        let up = rng.i64(0..10_000) < up_chance;
        for _ in 0..ticks {
            figures.price = if up {
                figures.price + tick_size(figures.price)
            } else {
                figures.price - tick_size(figures.price - 1)
            };
        }
        figures.price = figures.price.clamp(self.lower, self.upper);
        figures.rate = hundredths(figures.change(), figures.base);
        figures.high = figures.high.max(figures.price);
        figures.low = figures.low.min(figures.price);
        let volume = rng.i64(1..=self.lot * 2);
        figures.volume = figures.volume.saturating_add(volume);
        figures.value = figures
            .value
            .saturating_add(volume.saturating_mul(figures.price));
    }
}

/// Rounds a price down to the tick grid, to at least one won.
pub(super) fn on_grid(price: i64) -> i64 {
    let price = price.max(1);
    price - price % tick_size(price)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sise_domain::Shipped;

    fn stocks() -> Vec<Stock> {
        Shipped::get().listings.iter().map(Stock::shipped).collect()
    }

    fn check(figures: &Figures, stock: &Stock) {
        if stock.halted {
            assert_eq!(*figures, Figures::untraded(stock.base), "{stock:?}");
            return;
        }
        let (lower, upper) = price_limits(stock.base);
        for price in [figures.price, figures.open, figures.high, figures.low] {
            assert!((lower..=upper).contains(&price), "{stock:?} {figures:?}");
            assert_eq!(price % tick_size(price), 0, "{stock:?} {figures:?}");
        }
        assert!(figures.low <= figures.price && figures.price <= figures.high);
        assert!(figures.low <= figures.open && figures.open <= figures.high);
        assert!(figures.volume > 0);
        let average = figures.value / figures.volume;
        assert!((figures.low..=figures.high).contains(&average));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn keeps_to_the_grid_and_the_limits_and_only_trades_more(seed: u64) {
            let stocks = stocks();
            let mut walk = Walk::new(&stocks, seed);
            let mut before = walk.figures().to_vec();
            for _ in 0..300 {
                walk.step(&stocks);
                for ((now, then), stock) in walk.figures().iter().zip(&before).zip(&stocks) {
                    check(now, stock);
                    prop_assert!(now.volume >= then.volume && now.value >= then.value);
                    prop_assert!(now.high >= then.high && now.low <= then.low);
                    prop_assert_eq!(now.open, then.open);
                }
                before.clear();
                before.extend_from_slice(walk.figures());
            }
        }
    }

    #[test]
    fn a_small_price_stays_a_price_for_a_long_time() {
        let mut stock = stocks().remove(0);
        stock.halted = false;
        for base in [1, 2, 9, 124, 1_999, 2_037, 4_995, 500_000, 2_735_000] {
            stock.base = base;
            let stocks = [stock.clone()];
            let mut walk = Walk::new(&stocks, 7);
            for _ in 0..20_000 {
                walk.step(&stocks);
                check(&walk.figures()[0], &stock);
            }
        }
    }

    #[test]
    fn a_long_day_drifts_nowhere() {
        let stocks = stocks();
        let mut walk = Walk::new(&stocks, 9);
        for _ in 0..4_000 {
            walk.step(&stocks);
        }
        let at_limit = |figures: &&Figures| matches!(figures.sign(), "1" | "4");
        let stuck = walk.figures().iter().filter(at_limit).count();
        assert!(stuck < 100, "{stuck} at their limits");
        let [kospi, kosdaq, _] = walk.levels();
        for level in [kospi, kosdaq] {
            let rate = level.now / level.base;
            assert!((0.95..1.05).contains(&rate), "{level:?}");
        }
    }

    #[test]
    fn is_the_same_for_the_same_seed_and_step_and_opens_with_gainers_and_losers() {
        let stocks = stocks();
        let run = |seed| {
            let mut walk = Walk::new(&stocks, seed);
            for _ in 0..5 {
                walk.step(&stocks);
            }
            walk.figures().to_vec()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        let figures = run(3);
        let count =
            |wanted: &dyn Fn(&Figures) -> bool| figures.iter().filter(|f| wanted(f)).count();
        assert!(count(&|f| f.change() > 0) > 900);
        assert!(count(&|f| f.change() < 0) > 900);
        assert_eq!(count(&|f| f.volume == 0), 86);
    }
}
