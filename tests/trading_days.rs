//! A thousand trading days in virtual time, each drawn from a seed: one to four daemons and some
//! readers, real down to their sockets, and whatever may go wrong around them.
//!
//! `SISE_DAYS=10000` runs as many, `SISE_FROM=1001` begins with another seed than the first,
//! `SISE_SEED=123` runs one and prints what happens, `SISE_STEPS=1` every command and call with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unchecked_time_subtraction,
    reason = "a test fails by panicking"
)]

mod days;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use days::day;
use days::record::Shows;

/// Days that are run where nobody says how many.
const DAYS: u64 = 1_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn what_is_promised_holds_on_a_thousand_faulted_trading_days() {
    day::watch_panics();
    if let Some(seed) = number("SISE_SEED") {
        let steps = number("SISE_STEPS").is_some();
        let outcome = day::run(seed, if steps { Shows::Steps } else { Shows::Words });
        eprintln!("{outcome:#?}");
        assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
        return;
    }
    let days = number("SISE_DAYS").unwrap_or(DAYS);
    let began = tokio::time::Instant::now();
    let from = number("SISE_FROM").unwrap_or(1);
    let next = AtomicU64::new(from);
    let failed = Mutex::new(Vec::new());
    let worst = Mutex::new([(Duration::ZERO, 0); 3]);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + days {
                        return;
                    }
                    let outcome = day::run(seed, Shows::Nothing);
                    let mut worst = worst.lock().unwrap();
                    for (worst, new) in worst.iter_mut().zip([
                        outcome.oldest,
                        outcome.oldest_watched,
                        outcome.recovery,
                    ]) {
                        *worst = (*worst).max((new, seed));
                    }
                    drop(worst);
                    if let Some(first) = outcome.violations.first() {
                        eprintln!("seed {seed}: {first}");
                        failed.lock().unwrap().push((seed, first.clone()));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    let [(age, aged), (watched, watching), (recovery, recovered)] = worst.into_inner().unwrap();
    eprintln!(
        "{days} days in {:.1?}; the oldest price from Redis was {age:.1?} old (seed {aged}), of a \
         watched code with all well {watched:.1?} (seed {watching}); the list was whole {recovery:.1?} after the last fault (seed {recovered})",
        began.elapsed()
    );
    assert!(
        failed.is_empty(),
        "{} of {days} days broke a promise; SISE_SEED=<seed> runs one again:\n{failed:#?}",
        failed.len()
    );
}

#[test]
fn the_same_seed_is_the_same_day() {
    for seed in 1..=20 {
        assert_eq!(
            day::run(seed, Shows::Nothing).trace,
            day::run(seed, Shows::Nothing).trace,
            "{seed}"
        );
    }
}
