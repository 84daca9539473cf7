//! The latest state of the market in the demo.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::output::{self, grouped};
use crate::schedule::Watcher;
use crate::sweep::{Report, Step};
use sise_domain::{KrxTime, Quote, Status, Symbol};
use sise_port::Urgency;

/// Number of stocks in a ranking: more than any terminal has lines.
const PLACES: usize = 100;

/// The latest state of the market.
pub(super) struct Board {
    seen: Mutex<Seen>,
    total: usize,
    /// Whether a line is printed for every sweep, for lack of a screen.
    prints: bool,
}

#[derive(Default)]
struct Seen {
    quotes: HashMap<Symbol, Quote>,
    /// The latest changes, newest first.
    changes: Vec<(Quote, i64)>,
    sweeps: u64,
    done: usize,
    last: Option<Report>,
    trouble: Option<String>,
}

/// What a screen shows of the board.
#[derive(Default)]
pub(super) struct Picture {
    pub(super) live: usize,
    pub(super) total: usize,
    pub(super) sweeps: u64,
    /// Codes done in the current sweep.
    pub(super) done: usize,
    pub(super) last: Option<Report>,
    pub(super) trouble: Option<String>,
    pub(super) up: usize,
    pub(super) down: usize,
    pub(super) unchanged: usize,
    pub(super) halted: usize,
    pub(super) untraded: usize,
    pub(super) gainers: Vec<Quote>,
    pub(super) losers: Vec<Quote>,
    /// Stocks and their moves in won, the latest first.
    pub(super) changes: Vec<(Quote, i64)>,
}

impl Board {
    /// Creates a board for a list of `total` codes. If `prints` is set, it prints a line per sweep.
    pub(super) fn new(total: usize, prints: bool) -> Self {
        Self {
            seen: Mutex::default(),
            total,
            prints,
        }
    }

    fn with_seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn picture(&self) -> Picture {
        self.with_seen(|seen| seen.picture(self.total))
    }
}

impl Seen {
    fn picture(&self, total: usize) -> Picture {
        let mut picture = Picture {
            live: self.quotes.len(),
            total,
            sweeps: self.sweeps,
            done: self.done,
            last: self.last.clone(),
            trouble: self.trouble.clone(),
            changes: self.changes.clone(),
            ..Picture::default()
        };
        for quote in self.quotes.values() {
            let count = match (quote.status, quote.change) {
                (Status::Halted, _) => &mut picture.halted,
                (Status::Untraded, _) => &mut picture.untraded,
                (Status::Trading, Some(change)) if change > 0 => &mut picture.up,
                (Status::Trading, Some(change)) if change < 0 => &mut picture.down,
                (Status::Trading, _) => &mut picture.unchanged,
            };
            *count += 1;
        }
        let mut ranked: Vec<(f64, &Quote)> = self
            .quotes
            .values()
            .filter_map(|quote| Some((quote.change_rate?, quote)))
            .collect();
        ranked.sort_by(|(left, a), (right, b)| {
            right.total_cmp(left).then(a.stock_code.cmp(&b.stock_code))
        });
        let quote = |(_, quote): &(f64, &Quote)| (*quote).clone();
        picture.gainers = ranked.iter().take(PLACES).map(quote).collect();
        picture.losers = ranked.iter().rev().take(PLACES).map(quote).collect();
        picture
    }

    fn line(&self, report: &Report) -> String {
        let rate = |quote: &Quote| quote.change_rate.unwrap_or(f64::MIN);
        let best = self
            .quotes
            .values()
            .max_by(|a, b| rate(a).total_cmp(&rate(b)));
        let best = best.map_or(String::new(), |quote| {
            format!(
                "; best {} {} {} won ({:+.2} %)",
                quote.stock_code,
                quote.stock_name,
                grouped(quote.price),
                quote.change_rate.unwrap_or(0.0)
            )
        });
        format!(
            "simulated sweep {}: {} of {} codes live in {:.1} s with {} calls{best}",
            self.sweeps,
            grouped(report.written),
            grouped(report.universe),
            Duration::from_millis(report.elapsed_ms).as_secs_f64(),
            report.calls
        )
    }
}

impl Watcher for Board {
    fn step(&self, step: &Step<'_>) {
        self.with_seen(|seen| {
            if step.urgency == Urgency::Sweep {
                seen.done = step.done;
            }
            for quote in step.written {
                let before = seen.quotes.insert(quote.stock_code, quote.clone());
                let moved = before.map_or(0, |before| quote.price - before.price);
                if moved != 0 {
                    seen.changes.insert(0, (quote.clone(), moved));
                }
            }
            seen.changes.truncate(PLACES);
        });
    }

    fn swept(&self, report: &Report) {
        let line = self.with_seen(|seen| {
            seen.sweeps += 1;
            seen.done = 0;
            seen.last = Some(report.clone());
            seen.trouble = None;
            (self.prints && !report.stopped).then(|| seen.line(report))
        });
        if let Some(line) = line {
            output::line(line);
        }
    }

    fn skipped(&self, why: &str, _next: Option<KrxTime>) {
        if self.prints {
            output::line(format!("skipped: {why}"));
        }
        self.with_seen(|seen| seen.trouble = Some(why.to_owned()));
    }
}
