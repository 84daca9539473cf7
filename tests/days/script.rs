//! What happens on a day, drawn from its seed: who starts when, and what goes wrong.

use std::time::Duration;

use chrono::TimeDelta;
use fastrand::Rng;
use sise::sim::Faults;

use super::link::Way;
use super::setup::Setup;
use super::wire::{Lists, Reach};

/// Whom a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Slot(usize),
    /// Whoever leads then.
    Leader,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    Start(usize),
    /// Killed, and started again after a time.
    Kill(Target, Duration),
    /// Not run for a time.
    Freeze(Target, Duration),
    Thaw(usize),
    SetClock(usize, TimeDelta),
    /// The clock of Redis's machine.
    SetRedisClock(TimeDelta),
    Redis(Way),
    /// A slot alone reaches Redis otherwise.
    CutOff(usize, Option<Way>),
    RedisForgets,
    Broker(Reach),
    /// A slot alone reaches the broker otherwise.
    BrokerCutOff(usize, Option<Reach>),
    BrokerFaults(Faults),
    /// Every token is dead; the next one is given at once.
    KillTokens,
    /// The token in use is dead; the next one is given a minute after the last.
    RevokeToken,
    /// Another program of the same key asks for a token.
    ForeignToken,
    Lists(Lists),
}

/// Microseconds; no clock that is looked after is off by more.
pub(crate) const WRONG: i64 = 60_000_000;

#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) events: Vec<(Duration, Event)>,
    /// Daemons that are stopped in order.
    pub(crate) stops: Vec<(usize, Duration)>,
    /// When the last fault is over.
    pub(crate) quiet_from: Duration,
}

impl Script {
    pub(crate) fn of(setup: &Setup) -> Self {
        let mut rng = Rng::with_seed(setup.seed.wrapping_mul(0x9E37_79B9) ^ 0xDA75);
        let mut script = Self {
            events: Vec::new(),
            stops: Vec::new(),
            quiet_from: Duration::ZERO,
        };
        for slot in 0..setup.slots() {
            // The first daemon is there from the start; the others come within ten minutes.
            let late = if slot == 0 { 0 } else { rng.u64(0..600_000) };
            script.add(Duration::from_millis(late), Event::Start(slot));
            script.quiet(Duration::from_millis(late));
        }
        let (from, until) = Script::faulty_time(setup, &mut rng);
        // Clocks that are wrong from the start are set right once.
        for (slot, skew) in setup.skews.iter().enumerate() {
            if skew.abs() > WRONG {
                let at = Duration::from_millis(rng.u64(from..until));
                script.add(at, Event::SetClock(slot, TimeDelta::microseconds(-skew)));
                script.quiet(at);
            }
        }
        for _ in 0..rng.usize(0..=10) {
            let start = rng.u64(from..until);
            let longest = match rng.u8(..4) {
                0 => 3_000,
                1..3 => 60_000,
                _ => 400_000,
            };
            let length = rng.u64(100..=longest);
            let start = Duration::from_millis(start);
            script.fault(setup, &mut rng, start, Duration::from_millis(length));
        }
        script.events.sort_by_key(|(at, _)| *at);
        script
    }

    /// Milliseconds within which faults begin: most days are left alone for the last third of the
    /// session, so that recovery can be seen.
    fn faulty_time(setup: &Setup, rng: &mut Rng) -> (u64, u64) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        let (open, close) = setup
            .session
            .unwrap_or((Duration::ZERO, setup.length - Duration::from_secs(300)));
        let whole = millis(setup.length) - 600_000;
        let calm = millis(open) + millis(close - open) * 2 / 3;
        let until = if rng.u8(..4) == 0 { whole } else { calm };
        (1_000, until)
    }

    fn add(&mut self, at: Duration, event: Event) {
        self.events.push((at, event));
    }

    fn quiet(&mut self, from: Duration) {
        self.quiet_from = self.quiet_from.max(from);
    }

    fn fault(&mut self, setup: &Setup, rng: &mut Rng, start: Duration, length: Duration) {
        let end = start + length;
        self.quiet(end);
        let slot = rng.usize(..setup.slots());
        let daemon = rng.usize(..setup.daemons);
        let target = match rng.u8(..3) {
            0 => Target::Slot(slot),
            _ => Target::Leader,
        };
        let mut during = |begin, over| {
            self.add(start, begin);
            self.add(end, over);
        };
        match rng.u8(..22) {
            0 => during(Event::Redis(Way::Refused), Event::Redis(Way::Up)),
            1 => during(Event::Redis(Way::Silent), Event::Redis(Way::Up)),
            2 => during(Event::Redis(Way::Slow), Event::Redis(Way::Up)),
            3 => during(Event::Redis(Way::Full), Event::Redis(Way::Up)),
            4 => {
                // Restarted, and empty.
                during(Event::Redis(Way::Refused), Event::Redis(Way::Up));
                self.add(end, Event::RedisForgets);
            }
            5 => self.add(end, Event::RedisForgets),
            6..8 => {
                let ways = [Way::Refused, Way::Silent, Way::Slow];
                let way = ways[rng.usize(..ways.len())];
                during(Event::CutOff(slot, Some(way)), Event::CutOff(slot, None));
            }
            8 => during(Event::Broker(Reach::Refused), Event::Broker(Reach::Up)),
            9 => during(Event::Broker(Reach::Silent), Event::Broker(Reach::Up)),
            10 => {
                let extra = Duration::from_millis(rng.u64(200..8_000));
                during(Event::Broker(Reach::Slow(extra)), Event::Broker(Reach::Up));
            }
            11..13 => during(
                Event::BrokerFaults(faults(rng)),
                Event::BrokerFaults(Faults::default()),
            ),
            13 => self.add(end, Event::KillTokens),
            14 => self.add(end, Event::RevokeToken),
            15 => self.add(end, Event::ForeignToken),
            20 => {
                let reach = [Reach::Refused, Reach::Silent][rng.usize(..2)];
                let (cut, mended) = (Some(reach), None);
                during(
                    Event::BrokerCutOff(slot, cut),
                    Event::BrokerCutOff(slot, mended),
                );
            }
            21 => {
                let by = TimeDelta::milliseconds(rng.i64(-3_600_000..=3_600_000));
                self.add(start, Event::SetRedisClock(by));
            }
            16 => {
                self.add(start, Event::Kill(target, length));
                // It may come back in the middle of something.
                self.quiet(end + Duration::from_secs(5));
            }
            17 => self.add(start, Event::Freeze(target, length)),
            18 => {
                self.stops.push((daemon, start));
                self.add(end + Duration::from_secs(10), Event::Start(daemon));
                self.quiet(end + Duration::from_secs(10));
            }
            _ => self.clock_or_list(rng, slot, start, end),
        }
    }

    fn clock_or_list(&mut self, rng: &mut Rng, slot: usize, start: Duration, end: Duration) {
        if rng.bool() {
            let longest = if rng.bool() { 5_000 } else { 3_600_000 };
            let by = TimeDelta::milliseconds(rng.i64(-longest..=longest));
            self.add(start, Event::SetClock(slot, by));
            self.add(end, Event::SetClock(slot, -by));
        } else {
            let lists = [Lists::Away, Lists::Cut, Lists::Short];
            let broken = lists[rng.usize(..lists.len())];
            self.add(start, Event::Lists(broken));
            self.add(start, Event::Kill(Target::Leader, (end - start) / 2));
            self.add(end, Event::Lists(Lists::Whole));
            self.quiet(end + Duration::from_secs(10));
        }
    }

    /// When the clock in a slot is set next.
    pub(crate) fn next_jump(&self, slot: usize, now: Duration) -> Option<Duration> {
        self.events
            .iter()
            .filter(|(at, event)| *at > now && matches!(event, Event::SetClock(s, _) if *s == slot))
            .map(|(at, _)| *at)
            .min()
    }

    /// When the daemon in a slot is stopped in order next.
    pub(crate) fn next_stop(&self, slot: usize, now: Duration) -> Option<Duration> {
        self.stops
            .iter()
            .filter(|(stopped, at)| *stopped == slot && *at > now)
            .map(|(_, at)| *at)
            .min()
    }
}

/// A broker that refuses, breaks off and lies, now and then or nearly always.
fn faults(rng: &mut Rng) -> Faults {
    let worst = [0.02, 0.2, 0.6][rng.usize(..3)];
    let mut share = |chance: u8| match rng.u8(..10) < chance {
        true => rng.f64() * worst,
        false => 0.0,
    };
    Faults {
        refuse: share(5),
        http_500: share(5),
        garbage: share(5),
        reset: share(5),
        slow: share(3),
        slow_for: Duration::ZERO,
        dead_token: share(2) / 10.0,
        short: share(4),
        zero: share(5),
        expected: share(2),
        missing_fields: share(5),
        unknown_fields: share(3),
        renamed_fields: share(2),
        misnamed: share(2),
        implausible: share(2),
        damaged: share(3),
        unsigned: share(2),
        no_multi: false,
    }
}
