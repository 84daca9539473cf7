//! The made-up days before today.

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{Days, NaiveDate};
use fastrand::Rng;

use super::stock::{Figures, Stock, hundredths};
use super::walk::on_grid;
use sise_domain::{Calendar, price_limits, tick_size};

/// How far back the history reaches, in days.
const PAST: Days = Days::new(3_653);

/// The prices of one day or of a longer period, in won and shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) date: NaiveDate,
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) close: i64,
    /// The close before this bar.
    pub(super) base: i64,
    pub(super) volume: i64,
    pub(super) value: i64,
}

impl Bar {
    /// Returns the bar of the running day.
    pub(super) fn running(date: NaiveDate, now: &Figures) -> Self {
        Self {
            date,
            open: now.open,
            high: now.high,
            low: now.low,
            close: now.price,
            base: now.base,
            volume: now.volume,
            value: now.value,
        }
    }
}

/// The trading days of a stock before `day`, newest first. The same seed gives the same days.
///
/// The newest day closes at the base price of the stock and has its previous volume. No price,
/// however old, is outside the limits of that base price.
#[derive(Debug)]
pub(super) struct History<'a> {
    calendar: &'a Calendar,
    stock: &'a Stock,
    next: Option<NaiveDate>,
    until: NaiveDate,
    close: i64,
    volume: Option<i64>,
    rng: Rng,
}

impl<'a> History<'a> {
    pub(super) fn before(
        day: NaiveDate,
        stock: &'a Stock,
        calendar: &'a Calendar,
        seed: u64,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        (stock.code, seed).hash(&mut hasher);
        let past = day.checked_sub_days(PAST).unwrap_or(day);
        Self {
            calendar,
            stock,
            next: day.pred_opt(),
            until: past.max(stock.listed),
            close: stock.base,
            volume: Some(stock.previous_volume).filter(|volume| *volume > 0),
            rng: Rng::with_seed(hasher.finish()),
        }
    }

    fn bar(&mut self, date: NaiveDate) -> Bar {
        let close = self.close;
        let (least, most) = price_limits(self.stock.base);
        let away = hundredths(close - self.stock.base, self.stock.base);
        let rate = self.rng.i64(-250..=250) + away / 20;
        let base = on_grid(close * 10_000 / (10_000 + rate)).clamp(least, most);

        let (lower, upper) = price_limits(base);
        let gap = base * self.rng.i64(-100..=100) / 10_000;
        let open = on_grid(base + gap).clamp(lower, upper);
        let (top, bottom) = (open.max(close), open.min(close));
        let high = on_grid(top + self.rng.i64(0..=3) * tick_size(top));
        let low = on_grid(bottom - self.rng.i64(0..=3) * tick_size(bottom));
        let (high, low) = (high.min(upper).max(top), low.max(lower).min(bottom));

        let usual = self.stock.previous_volume.max(self.stock.shares / 1_000) + 1;
        let drawn = usual * self.rng.i64(50..150) / 100 + 1;
        let volume = self.volume.take().unwrap_or(drawn);
        self.close = base;
        Bar {
            date,
            open,
            high,
            low,
            close,
            base,
            volume,
            value: volume.saturating_mul(i64::midpoint(high, low)),
        }
    }
}

impl Iterator for History<'_> {
    type Item = Bar;

    fn next(&mut self) -> Option<Bar> {
        loop {
            let date = self.next.filter(|date| *date >= self.until)?;
            self.next = date.pred_opt();
            if self.calendar.is_trading_day(date) {
                return Some(self.bar(date));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sise_domain::Shipped;

    #[test]
    fn every_day_hangs_together_and_the_newest_ends_at_the_base_price() {
        let calendar = Calendar::shipped();
        let day = NaiveDate::from_ymd_opt(2026, 3, 23).unwrap();
        for row in &Shipped::get().listings {
            let stock = Stock::shipped(row);
            let mut close = stock.base;
            let bars = History::before(day, &stock, &calendar, 1).take(300);
            for (age, bar) in bars.enumerate() {
                assert_eq!(bar.close, close, "{stock:?} {bar:?}");
                assert!(bar.date < day && bar.date >= stock.listed);
                assert!(calendar.is_trading_day(bar.date));
                assert!(0 < bar.low && bar.low <= bar.open.min(bar.close), "{bar:?}");
                assert!(bar.high >= bar.open.max(bar.close), "{bar:?}");
                let average = bar.value / bar.volume;
                assert!((bar.low..=bar.high).contains(&average), "{bar:?}");
                if age == 0 && !stock.halted {
                    assert_eq!(bar.volume, stock.previous_volume);
                    assert_eq!(bar.date.to_string(), "2026-03-20");
                }
                close = bar.base;
            }
        }
    }
}
