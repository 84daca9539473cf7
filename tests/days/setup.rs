//! What a day is set up with, drawn from its seed.

use std::time::Duration;

use chrono::{NaiveDate, NaiveTime, TimeZone as _};
use fastrand::Rng;
use sise::domain::{Calendar, KrxTime, Seoul, Shipped, Symbol};
use sise::sim::Mode;

use super::broker::Codes;

/// Sessions of an hour and forty minutes, so that a thousand days fit into a test.
pub(crate) const SHORT_DAYS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/days/short_days.csv");

/// One seed in so many is a day of full length.
const FULL: u64 = 25;

/// Days of all kinds. The short ones are those of [`SHORT_DAYS`].
const ORDINARY: [&str; 4] = ["2026-03-20", "2026-06-12", "2026-09-11", "2026-09-14"];
/// The exam day, the first day of the year, and days without trading.
const SPECIAL: [&str; 4] = ["2026-11-19", "2026-01-02", "2026-05-05", "2026-11-21"];

#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    /// When the day begins, and how long it is watched.
    pub(crate) start: KrxTime,
    pub(crate) length: Duration,
    pub(crate) is_short: bool,
    /// The regular session, since the start.
    pub(crate) session: Option<(Duration, Duration)>,
    /// When prices are the close, since the start.
    pub(crate) close: Option<(Duration, Duration)>,
    pub(crate) mode: Mode,
    pub(crate) codes: Codes,
    pub(crate) living: Vec<Symbol>,
    /// Refreshed more often than the rest; none on most days.
    pub(crate) watched: Vec<Symbol>,
    pub(crate) daemons: usize,
    /// Readers with the key.
    pub(crate) readers: usize,
    /// Readers that live from Redis alone.
    pub(crate) onlookers: usize,
    pub(crate) interval: Duration,
    pub(crate) lease: Duration,
    pub(crate) batch_size: usize,
    /// Calls in a minute, where they are capped: enough for the sweeps, and not for much more.
    pub(crate) calls_per_minute: Option<u32>,
    /// And in a day: enough for three times the sweeps.
    pub(crate) calls_per_day: Option<u32>,
    pub(crate) redis_latency: Duration,
    pub(crate) broker_latency: Duration,
    /// How far each slot's clock is off at the start, microseconds.
    pub(crate) skews: Vec<i64>,
}

fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

impl Setup {
    pub(crate) fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let is_full = seed.is_multiple_of(FULL);
        let date = match is_full && rng.bool() {
            true => one_of(&mut rng, &SPECIAL),
            false => one_of(&mut rng, &ORDINARY),
        };
        let date: NaiveDate = date.parse().unwrap();
        let is_short = !is_full;
        let calendar = calendar(is_short);
        let session = calendar.session(date);
        let ordinary_open = NaiveTime::from_hms_opt(9, 0, 0).unwrap();
        let opens = session.map_or(ordinary_open, |(open, _)| open.time());
        let at = |time| Seoul.from_local_datetime(&date.and_time(time)).unwrap();
        let start = at(opens) - chrono::TimeDelta::minutes(20);
        let since = |time: KrxTime| (time - start).to_std().unwrap();
        let close = calendar.close_window(date);
        let until = close.map_or(start + chrono::TimeDelta::hours(3), |(_, until)| until);
        let mode = match rng.u8(..20) {
            0..15 => Mode::Real,
            15..17 => Mode::NewCustomer,
            _ => Mode::Paper,
        };
        let codes = codes(&mut rng, mode);
        let daemons = rng.usize(1..=4);
        let readers = rng.usize(0..=(5 - daemons).min(2));
        let onlookers = rng.usize(0..=1);
        let interval = Duration::from_secs(match (mode, rng.u8(..5)) {
            (Mode::Real, 0) => 30,
            _ => 60,
        });
        let skew = |rng: &mut Rng| match rng.u8(..12) {
            0..7 => 0,
            7..10 => rng.i64(-2_000_000..=2_000_000),
            10 => rng.i64(-60_000_000..=60_000_000),
            _ => rng.i64(-3_600_000_000..=3_600_000_000),
        };
        let slots = daemons + readers + onlookers;
        let batch_size = one_of(&mut rng, &[2, 5, 30]);
        let sweep = codes.listed.len().div_ceil(batch_size);
        let sweeps = usize::try_from(60 / interval.as_secs()).unwrap();
        let a_minute = u32::try_from(sweep * sweeps).unwrap();
        let is_capped = |rng: &mut Rng| mode == Mode::Real && rng.u8(..8) == 0;
        let calls_per_minute = is_capped(&mut rng).then_some(a_minute * 2 + 20);
        let watched = watched(seed, mode, &codes);
        let passes = u32::try_from(watched.len().div_ceil(batch_size) * 6).unwrap();
        let a_minute = a_minute + passes;
        let minutes = session.map_or(60, |(open, close)| (close - open).num_minutes());
        let a_day = a_minute * u32::try_from(minutes).unwrap() * 3 + 500;
        let calls_per_day = is_capped(&mut rng).then_some(a_day);
        Self {
            seed,
            start,
            length: since(until) + Duration::from_secs(300),
            is_short,
            session: session.map(|(from, until)| (since(from), since(until))),
            close: close.map(|(from, until)| (since(from), since(until))),
            mode,
            living: codes.living(),
            watched,
            codes,
            daemons,
            readers,
            onlookers,
            interval,
            lease: Duration::from_secs(one_of(&mut rng, &[3, 10, 10, 10, 30])),
            batch_size,
            calls_per_minute,
            calls_per_day,
            redis_latency: Duration::from_millis(one_of(&mut rng, &[0, 0, 0, 2, 10])),
            broker_latency: Duration::from_millis(one_of(&mut rng, &[10, 40, 40, 250])),
            skews: (0..slots).map(|_| skew(&mut rng)).collect(),
        }
    }

    /// Processes that call the broker.
    pub(crate) fn keyed(&self) -> usize {
        self.daemons + self.readers
    }

    /// Calls that fit into a second at the share of one process without Redis.
    pub(crate) fn calls_of_a_share(&self) -> u32 {
        match self.mode {
            Mode::Real => 3,
            Mode::NewCustomer | Mode::Paper => 1,
        }
    }

    pub(crate) fn slots(&self) -> usize {
        self.daemons + self.readers + self.onlookers
    }
}

/// The calendar of the day, as the daemons read it.
pub(crate) fn calendar(is_short: bool) -> Calendar {
    let mut calendar = Calendar::shipped();
    if is_short {
        let rows = std::fs::read_to_string(SHORT_DAYS).unwrap();
        calendar.override_with(&rows).unwrap();
    }
    calendar
}

/// On one day in four a few codes of the list, drawn apart so that the other days stay as they are.
fn watched(seed: u64, mode: Mode, codes: &Codes) -> Vec<Symbol> {
    let mut rng = Rng::with_seed(!seed);
    if rng.u8(..4) > 0 {
        return Vec::new();
    }
    let most = match mode {
        Mode::Real => 8,
        Mode::NewCustomer => 4,
        // A call for each, one in 1.1 s.
        Mode::Paper => 2,
    };
    rng.choose_multiple(codes.listed.iter().copied(), rng.clone().usize(1..=most))
}

/// Some dozen codes, a few of them unknown to the broker, a few halted.
fn codes(rng: &mut Rng, mode: Mode) -> Codes {
    let count = match mode {
        Mode::Real => rng.usize(20..=70),
        Mode::NewCustomer => rng.usize(20..=60),
        Mode::Paper => rng.usize(10..=30),
    };
    let shipped = &Shipped::get().listings;
    let halted: Vec<Symbol> = shipped
        .iter()
        .filter(|row| row.volume == 0)
        .map(|row| row.code)
        .collect();
    let mut listed = Vec::new();
    while listed.len() < count {
        let code = match listed.len() % 15 {
            7 => halted[rng.usize(..halted.len())],
            _ => shipped[rng.usize(..shipped.len())].code,
        };
        if !listed.contains(&code) {
            listed.push(code);
        }
    }
    let unknown: Vec<Symbol> = (0..rng.usize(0..=2))
        .map(|_| listed[rng.usize(..listed.len())])
        .collect();
    let is_halted = |code: &&Symbol| halted.contains(code) && !unknown.contains(code);
    Codes {
        halted: listed.iter().filter(is_halted).copied().collect(),
        listed,
        unknown,
    }
}
