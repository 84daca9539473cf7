//! What all processes of a simulated day meet in: the time, Redis, the broker, and the record of
//! what happened.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use fastrand::Rng;
use reqwest::Request;
use sise::clock::Clock;
use sise::domain::{Calendar, KrxTime, Quote, Symbol};
use sise::kis::Reply;
use sise::port::{Lead, Shelf, SourceError, StoreError, Written};
use sise::sim::Mode;

use super::broker::{Broker, Told};
use super::link::Way;
use super::promises::TOKEN;
use super::record::{Record, Shows};
use super::redis::Redis;
use super::script::Script;
use super::setup::{Setup, calendar};
use super::timeline::Timeline;
use super::wire::{Lists, Reach};

/// What was booked before Redis went or came back has been called after this.
const SETTLED: Duration = Duration::from_secs(10);
/// And it is no call of the last minute any more after this.
const SETTLED_MINUTE: Duration = Duration::from_secs(75);
/// The broker issues one token within this time.
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) script: Script,
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) calendar: Calendar,
    record: Mutex<Record>,
    redis: Mutex<Redis>,
    broker: Mutex<Broker>,
    /// How often each slot drew for each purpose.
    draws: Mutex<BTreeMap<(usize, &'static str), u64>>,
    ways: Mutex<Ways>,
    /// How far each slot's clock is off, microseconds.
    skews: Vec<AtomicI64>,
    /// How far Redis's is.
    redis_skew: AtomicI64,
}

/// How everything answers at present.
pub(crate) struct Ways {
    pub(crate) redis: Way,
    /// Slots that reach Redis otherwise.
    pub(crate) cut_off: Vec<Option<Way>>,
    /// When these were changed last.
    pub(crate) cut_off_at: Vec<Option<Duration>>,
    pub(crate) redis_was_up_since: Duration,
    /// When it came back empty last.
    pub(crate) redis_forgot_at: Option<Duration>,
    /// When its clock was set ahead last.
    pub(crate) redis_ahead_at: Option<Duration>,
    pub(crate) broker: Reach,
    /// Slots that reach the broker otherwise.
    pub(crate) broker_cut_off: Vec<Option<Reach>>,
    pub(crate) broker_lies: bool,
    /// When something was wrong with the broker last, or with its tokens.
    pub(crate) broker_was_well_since: Duration,
    pub(crate) lists: Lists,
}

impl Ways {
    /// Remembers that something is wrong with the broker, if it is.
    pub(crate) fn note_trouble(&mut self, now: Duration) {
        let is_cut_off = self.broker_cut_off.iter().any(Option::is_some);
        if self.broker != Reach::Up || self.broker_lies || is_cut_off {
            self.broker_was_well_since = now;
        }
    }
}

impl World {
    pub(crate) fn new(setup: Setup, script: Script, shows: Shows) -> Arc<Self> {
        let timeline = Arc::new(Timeline::new());
        let (start, time) = (setup.start, Arc::clone(&timeline));
        let clock: sise::sim::Clock = Arc::new(move || start + delta(time.now()));
        let broker = Broker::new(setup.seed, setup.mode, &setup.codes, &clock);
        let slots = setup.slots();
        let ways = Ways {
            redis: Way::Up,
            cut_off: vec![None; slots],
            cut_off_at: vec![None; slots],
            redis_was_up_since: Duration::ZERO,
            redis_forgot_at: None,
            redis_ahead_at: None,
            broker: Reach::Up,
            broker_cut_off: vec![None; slots],
            broker_lies: false,
            broker_was_well_since: Duration::ZERO,
            lists: Lists::Whole,
        };
        let skews = setup.skews.iter().copied().map(AtomicI64::new).collect();
        Arc::new(Self {
            record: Mutex::new(Record::new(shows, slots, setup.interval)),
            calendar: calendar(setup.is_short),
            redis: Mutex::new(Redis::new()),
            broker: Mutex::new(broker),
            draws: Mutex::default(),
            ways: Mutex::new(ways),
            skews,
            redis_skew: AtomicI64::new(0),
            timeline,
            setup,
            script,
        })
    }

    pub(crate) fn redis(&self) -> MutexGuard<'_, Redis> {
        lock(&self.redis)
    }

    pub(crate) fn broker(&self) -> MutexGuard<'_, Broker> {
        lock(&self.broker)
    }

    /// Random numbers for a purpose of a slot, whatever the others draw meanwhile.
    pub(crate) fn rng(&self, slot: usize, purpose: &'static str) -> Rng {
        let mut draws = lock(&self.draws);
        let count = draws.entry((slot, purpose)).or_default();
        *count += 1;
        let mut hasher = DefaultHasher::new();
        (self.setup.seed, slot, purpose, *count).hash(&mut hasher);
        Rng::with_seed(hasher.finish())
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    /// Whether the token that the broker gave last could not travel to the process in `slot`, which
    /// read at `asked_at`: Redis was away since, from one of the two at least, or lost it. The
    /// broker gives no other one within the minute.
    pub(crate) fn token_is_elsewhere(&self, slot: usize, asked_at: Duration) -> bool {
        let broker = self.broker();
        let Some((at, holder)) = broker.issued else {
            return false;
        };
        // Refused for asking within the minute, a process asks again a minute later.
        let mut calls = broker.token_calls.iter().rev();
        let refused =
            calls.find(|(called, by)| *by == slot && at < *called && *called < at + MINUTE);
        let until = refused.map_or(at, |(called, _)| *called) + TOKEN;
        drop(broker);
        let ways = self.ways();
        let was_away = |slot: usize| {
            ways.cut_off[slot].unwrap_or(ways.redis) != Way::Up
                || ways.redis_was_up_since >= at
                || ways.cut_off_at[slot].is_some_and(|changed| changed >= at)
        };
        let was_lost = ways.redis_forgot_at.is_some_and(|forgot| forgot >= at);
        asked_at < until && holder != slot && (was_lost || was_away(holder) || was_away(slot))
    }

    /// How everything answers, to be changed.
    pub(crate) fn ways(&self) -> MutexGuard<'_, Ways> {
        lock(&self.ways)
    }

    /// Notes a step of a process, for the trace.
    pub(crate) fn note(&self, slot: usize, what: &str, detail: u64) {
        self.record().note(self.timeline.now(), slot, what, detail);
    }

    /// Something is not as promised.
    pub(crate) fn violated(&self, promise: &str) {
        self.record().violated(self.timeline.now(), promise);
    }

    /// The true time of day.
    pub(crate) fn true_time(&self) -> KrxTime {
        self.setup.start + delta(self.timeline.now())
    }

    /// What the clock in a slot shows.
    pub(crate) fn time_in(&self, slot: usize) -> KrxTime {
        let skew = self.skews[slot].load(Ordering::Relaxed);
        self.true_time() + TimeDelta::microseconds(skew)
    }

    /// Sets the clock in a slot forward or back.
    pub(crate) fn set_clock(&self, slot: usize, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap();
        self.skews[slot].fetch_add(micros, Ordering::Relaxed);
    }

    /// The clock of the machine in a slot.
    pub(crate) fn clock(self: &Arc<Self>, slot: usize) -> Clock {
        let world = Arc::clone(self);
        Arc::new(move || world.time_in(slot))
    }

    /// Redis's clock, microseconds since 1970.
    pub(crate) fn redis_clock(&self) -> i64 {
        self.true_time().timestamp_micros() + self.redis_skew.load(Ordering::Relaxed)
    }

    /// Sets Redis's clock forward or back.
    pub(crate) fn set_redis_clock(&self, by: TimeDelta) {
        if by > TimeDelta::zero() {
            self.ways().redis_ahead_at = Some(self.timeline.now());
        }
        let micros = by.num_microseconds().unwrap();
        self.redis_skew.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn way_to_redis(&self, slot: usize) -> Way {
        let ways = self.ways();
        ways.cut_off[slot].unwrap_or(ways.redis)
    }

    pub(crate) fn reach(&self, slot: usize) -> Reach {
        let ways = self.ways();
        ways.broker_cut_off[slot].unwrap_or(ways.broker)
    }

    pub(crate) fn lists(&self) -> Lists {
        self.ways().lists
    }

    /// How long a slow command is on its way.
    pub(crate) fn delay(&self, slot: usize, what: &'static str) -> Duration {
        let mut rng = self.rng(slot, what);
        let longest = if rng.bool() { 60 } else { 4_000 };
        Duration::from_millis(rng.u64(0..=longest))
    }

    pub(crate) fn broker_latency(&self, slot: usize) -> Duration {
        let usual = self.setup.broker_latency;
        usual + Duration::from_millis(self.rng(slot, "broker").u64(0..=20))
    }

    /// A call arrives at the broker.
    pub(crate) fn call_broker(&self, slot: usize, request: Request) -> Result<Reply, SourceError> {
        let now = self.timeline.now();
        let by_its_clock = self.time_in(slot).timestamp_millis();
        self.ways().note_trouble(now);
        let mut broker = self.broker();
        let reply = broker.answer(now, slot, by_its_clock, request);
        let second = broker.in_the_last(Duration::from_secs(1), now);
        let calls: Vec<(Duration, usize)> = second.collect();
        let minute = broker.in_the_last(Duration::from_secs(60), now).count();
        let today = broker.count;
        drop(broker);
        if let Some(cap) = self.setup.calls_per_day
            && today > cap
        {
            self.violated(&format!("{today} calls in a day, {cap} are allowed"));
        }
        if let Some(cap) = self.setup.calls_per_minute {
            let limit = cap + self.calls_beside_the_minute(cap);
            if minute > usize::try_from(limit).unwrap() {
                self.violated(&format!("{minute} calls in a minute, {limit} are allowed"));
            }
        }
        let limit = self.setup.mode.calls_per_second() + self.calls_beside_the_budget();
        if calls.len() > usize::try_from(limit).unwrap() {
            self.violated(&format!(
                "{} calls arrived within a second, {limit} are allowed: {calls:?}",
                calls.len()
            ));
        }
        reply
    }

    /// Calls in a minute that nobody can count together, as [`Self::calls_beside_the_budget`].
    fn calls_beside_the_minute(&self, cap: u32) -> u32 {
        let ways = self.ways();
        let since = self.timeline.now().saturating_sub(SETTLED_MINUTE);
        let keyed = self.setup.keyed();
        let is_cut_off = ways.cut_off_at[..keyed].iter().any(|at| *at >= Some(since))
            || ways.cut_off[..keyed].iter().any(Option::is_some);
        let beside = u32::try_from(keyed).unwrap() * cap / 5;
        let forgotten = match ways.redis_ahead_at.is_some_and(|at| at >= since) {
            true => cap,
            false => 0,
        };
        forgotten + if is_cut_off { beside } else { 0 }
    }

    /// Calls in a second by processes that do not reach the shared budget while others do, or
    /// whose shares are less than a call in a second: nobody can count these together. Where
    /// Redis's clock was set ahead, the budget, which has no other, takes the cells that are waited
    /// for as past, and gives those of their time again: what was booked before comes on top, which
    /// keeps to the limit by itself.
    fn calls_beside_the_budget(&self) -> u32 {
        let ways = self.ways();
        let since = self.timeline.now().saturating_sub(SETTLED);
        let is_cut_off = |slot: usize| {
            ways.cut_off_at[slot].is_some_and(|at| at >= since)
                || ways.cut_off[slot].is_some_and(|way| way != Way::Up)
        };
        let cut_off = (0..self.setup.keyed())
            .filter(|slot| is_cut_off(*slot))
            .count();
        let is_away = ways.redis != Way::Up || ways.redis_was_up_since >= since;
        let beside = match is_away {
            _ if ways.redis == Way::Slow => self.setup.keyed(),
            true if self.setup.mode == Mode::Real => 0,
            true => self.setup.keyed(),
            false => cut_off,
        };
        let booked = match ways.redis_ahead_at.is_some_and(|at| at >= since) {
            true => self.setup.mode.calls_per_second(),
            false => 0,
        };
        u32::try_from(beside).unwrap() * self.setup.calls_of_a_share() + booked
    }

    /// What the broker said when it gave a price object; nothing if it never did.
    pub(crate) fn origin(&self, quote: &Quote) -> Option<Told> {
        let by_its_clock = quote.fetched_at.timestamp_millis();
        let broker = self.broker();
        let told = broker.told(quote.stock_code, by_its_clock);
        told.iter().find(|told| told.price == quote.price).copied()
    }

    /// Checks that a price object is what the broker said, and says when that was.
    pub(crate) fn is_true(&self, quote: &Quote, whose: &str) -> Duration {
        let code = quote.stock_code;
        let halted = self.setup.codes.halted.contains(&code);
        let is_halted = quote.status == sise::domain::Status::Halted;
        let told = self.origin(quote);
        let wrong = match told {
            _ if quote.price <= 0 => "its price is not above zero",
            None => "the broker never said so at that time",
            _ if halted && !is_halted => "it is halted, and not labelled so",
            _ if is_halted && !halted => "it is labelled as halted, and trades",
            Some(told) => return told.at,
        };
        self.violated(&format!(
            "{whose}: {code} at {} of {}: {wrong}",
            quote.price, quote.fetched_at
        ));
        self.timeline.now()
    }

    /// Prices come to Redis from a process.
    pub(crate) fn take_prices(
        &self,
        redis: &mut Redis,
        slot: usize,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<Written, StoreError> {
        let now = self.timeline.now();
        let given: Vec<Duration> = quotes
            .iter()
            .map(|quote| self.is_true(quote, "written"))
            .collect();
        if shelf == Shelf::Close {
            for quote in quotes {
                self.is_close(quote);
            }
        }
        let (outcome, wrong) = redis.write(now, quotes, &given, shelf, lead);
        if let Some(wrong) = wrong {
            self.violated(&wrong);
        }
        let prices: i64 = quotes.iter().map(|quote| quote.price).sum();
        self.note(slot, "take_prices", prices.unsigned_abs());
        outcome
    }

    /// Checks that a price is a close, or was taken out of session for want of one.
    pub(crate) fn is_kept(&self, quote: &Quote) {
        if self.calendar.moment(quote.fetched_at).is_open() {
            self.is_close(quote);
        }
    }

    /// Checks that a price was given while prices were the close of the day.
    pub(crate) fn is_close(&self, quote: &Quote) {
        let window = self.calendar.close_window(quote.fetched_at.date_naive());
        let is_within = |(from, until): (KrxTime, KrxTime)| {
            from <= quote.fetched_at && quote.fetched_at < until
        };
        if !window.is_some_and(is_within) {
            self.violated(&format!(
                "a price of {} is kept as the close of {}",
                quote.fetched_at, quote.stock_code
            ));
        }
    }

    /// The codes that should have a price and have none in Redis.
    pub(crate) fn uncovered(&self) -> Vec<Symbol> {
        let living = &self.setup.living;
        let found = self.redis().realtime(self.timeline.now(), living);
        let codes = living.iter().zip(found);
        codes
            .filter(|(_, found)| found.is_none())
            .map(|(code, _)| *code)
            .collect()
    }
}

/// A panic is reported by itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn delta(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap()
}
