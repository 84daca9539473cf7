//! One simulated day: its machines take their turns in the order of their next moments.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sise::sim::{Faults, SimStats};

use super::machine::Machine;
use super::process::Disk;
use super::record::Shows;
use super::script::{Event, Script, Target};
use super::setup::Setup;
use super::world::World;
use super::{daemon, reader};

/// A service manager starts what failed again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// What a day came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    /// The same for the same seed.
    pub(crate) trace: (u64, u64),
    #[expect(dead_code, reason = "shown where one seed is run")]
    pub(crate) stats: SimStats,
    /// The oldest price that Redis gave a reader.
    pub(crate) oldest: Duration,
    /// The oldest price of a watched code while all was well.
    pub(crate) oldest_watched: Duration,
    /// From the last fault until the whole list had live prices for good.
    pub(crate) recovery: Duration,
}

thread_local! {
    /// What a task of the day panicked with: tokio keeps that to itself.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Lets a panic in any task end its day.
pub(crate) fn watch_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICKED.set(true);
        usual(panic);
    }));
}

fn has_panicked() -> bool {
    PANICKED.get()
}

/// Runs the day of a seed. `shows` prints what happens.
pub(crate) fn run(seed: u64, shows: Shows) -> Outcome {
    // Jitter, tokens and the names of processes are drawn from the thread's own generator.
    fastrand::seed(seed);
    let setup = Setup::of_seed(seed);
    let script = Script::of(&setup);
    if shows > Shows::Nothing {
        eprintln!("{setup:#?}\n{script:#?}");
    }
    Day::new(World::new(setup, script, shows)).run()
}

struct Day {
    world: Arc<World>,
    slots: Vec<Slot>,
    events: BTreeMap<(Duration, usize), Event>,
    counted: usize,
}

/// A place where one process runs at a time.
#[derive(Default)]
struct Slot {
    machine: Option<Machine>,
    is_frozen: bool,
    disk: Arc<Disk>,
    /// Processes so far.
    count: usize,
}

impl Day {
    fn new(world: Arc<World>) -> Self {
        let mut day = Self {
            slots: (0..world.setup.slots()).map(|_| Slot::default()).collect(),
            world: Arc::clone(&world),
            events: BTreeMap::new(),
            counted: 0,
        };
        for (at, event) in &world.script.events {
            day.due(*at, *event);
        }
        day
    }

    fn due(&mut self, at: Duration, event: Event) {
        self.counted += 1;
        self.events.insert((at, self.counted), event);
    }

    fn run(mut self) -> Outcome {
        let timeline = Arc::clone(&self.world.timeline);
        let end = self.world.setup.length;
        self.world.audit();
        self.world.audit_closes();
        while self.world.record().violations.is_empty() && !has_panicked() {
            let event = self.events.keys().next().copied();
            let event_at = event.map_or(end, |(at, _)| at.min(end));
            let turns = self.turns();
            let machine_at = turns.first().map_or(end, |(at, _)| *at);
            if timeline.happen(event_at.min(machine_at)) {
                continue;
            }
            match (event, turns.as_slice()) {
                (Some(place), _) if event_at <= machine_at && event_at < end => {
                    timeline.happen_at(place.0);
                    if let Some(event) = self.events.remove(&place) {
                        self.apply(event);
                    }
                }
                (_, [(at, slot), others @ ..]) if *at < end => {
                    let other = others.first().map_or(end, |(at, _)| *at);
                    self.step(*slot, other.min(event_at));
                }
                _ => break,
            }
        }
        let outcome = self.end();
        timeline.end();
        outcome
    }

    /// The machines that run, by their next moment.
    fn turns(&self) -> Vec<(Duration, usize)> {
        let slots = self.slots.iter().enumerate();
        let mut turns: Vec<(Duration, usize)> = slots
            .filter(|(_, slot)| !slot.is_frozen)
            .filter_map(|(number, slot)| Some((slot.machine.as_ref()?.next(), number)))
            .collect();
        turns.sort_unstable();
        turns
    }

    fn step(&mut self, number: usize, horizon: Duration) {
        let slot = &mut self.slots[number];
        let Some(machine) = &mut slot.machine else {
            return;
        };
        machine.run(horizon);
        if machine.is_done() {
            slot.machine = None;
            let now = self.world.timeline.now();
            self.world.record().renewed(now, number);
            let script = &self.world.script;
            let is_planned = script.stops.iter().any(|(stopped, at)| {
                *stopped == number && *at <= now && now < *at + Duration::from_secs(10)
            });
            if !is_planned {
                self.due(now + AGAIN, Event::Start(number));
            }
        }
    }

    fn apply(&mut self, event: Event) {
        let now = self.world.timeline.now();
        if !matches!(event, Event::Thaw(_)) {
            self.world.record().say(now, &format!("{event:?}"));
        }
        let world = &self.world;
        match event {
            Event::Start(slot) => self.start(slot),
            Event::Kill(target, length) => {
                if let Some(slot) = self.slot_of(target) {
                    self.slots[slot].machine = None;
                    self.slots[slot].is_frozen = false;
                    self.world.record().renewed(now, slot);
                    self.due(now + length, Event::Start(slot));
                }
            }
            Event::Freeze(target, length) => {
                if let Some(slot) = self.slot_of(target)
                    && !self.slots[slot].is_frozen
                {
                    self.slots[slot].is_frozen = true;
                    self.due(now + length, Event::Thaw(slot));
                }
            }
            Event::Thaw(number) => {
                let slot = &mut self.slots[number];
                if std::mem::take(&mut slot.is_frozen) {
                    world.record().renewed(now, number);
                    if let Some(machine) = &mut slot.machine {
                        machine.thaw(now);
                    }
                }
            }
            Event::SetClock(slot, by) => world.set_clock(slot, by),
            Event::Redis(way) => {
                let mut ways = world.ways();
                ways.redis_was_up_since = now;
                ways.redis = way;
            }
            Event::CutOff(slot, way) => {
                let mut ways = world.ways();
                ways.cut_off_at[slot] = Some(now);
                ways.cut_off[slot] = way;
            }
            Event::RedisForgets => {
                world.ways().redis_forgot_at = Some(now);
                world.redis().forget_everything(now);
            }
            Event::Broker(reach) => {
                let mut ways = world.ways();
                ways.broker_was_well_since = now;
                ways.broker = reach;
            }
            Event::SetRedisClock(by) => world.set_redis_clock(by),
            Event::BrokerCutOff(slot, reach) => {
                let mut ways = world.ways();
                ways.broker_was_well_since = now;
                ways.broker_cut_off[slot] = reach;
            }
            Event::BrokerFaults(faults) => {
                let mut ways = world.ways();
                ways.broker_was_well_since = now;
                ways.broker_lies = faults != Faults::default();
                world.broker().set_faults(faults);
            }
            Event::KillTokens => {
                // A process that asked a moment ago waits until the minute is over.
                world.ways().broker_was_well_since = now;
                world.broker().kill_tokens();
            }
            Event::RevokeToken => {
                world.ways().broker_was_well_since = now;
                world.broker().revoke_token();
            }
            Event::ForeignToken => {
                world.ways().broker_was_well_since = now;
                world.broker().ask_for_token(now);
            }
            Event::Lists(lists) => world.ways().lists = lists,
        }
    }

    fn start(&mut self, number: usize) {
        let world = Arc::clone(&self.world);
        let slot = &mut self.slots[number];
        if slot.machine.is_some() {
            return;
        }
        slot.count += 1;
        let name = format!("slot-{number}-{}", slot.count);
        let disk = Arc::clone(&slot.disk);
        let timeline = Arc::clone(&world.timeline);
        let setup = &world.setup;
        let machine = if number < setup.daemons {
            let stop_at = world.script.next_stop(number, timeline.now());
            Machine::start(&timeline, daemon::run(world, number, name, disk, stop_at))
        } else {
            let has_key = number < setup.daemons + setup.readers;
            Machine::start(&timeline, reader::run(world, number, name, disk, has_key))
        };
        slot.machine = Some(machine);
    }

    /// The slot that is meant, if a process runs there.
    fn slot_of(&self, target: Target) -> Option<usize> {
        let slot = match target {
            Target::Slot(slot) => slot,
            Target::Leader => {
                let leader = self.world.redis().leader(self.world.timeline.now())?;
                leader.process.split('-').nth(1)?.parse().ok()?
            }
        };
        self.slots[slot].machine.is_some().then_some(slot)
    }

    fn end(mut self) -> Outcome {
        self.slots.clear();
        let stats = self.world.broker().stats();
        let mut record = self.world.record();
        let mut violations = std::mem::take(&mut record.violations);
        if PANICKED.take() {
            violations.push("a task panicked".to_owned());
        }
        Outcome {
            violations,
            trace: record.trace(),
            stats,
            oldest: record.oldest,
            oldest_watched: record.oldest_watched,
            recovery: record.recovery,
        }
    }
}
