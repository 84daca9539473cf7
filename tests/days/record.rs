//! What happened on a simulated day.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::Duration;

/// Violations kept at most; the first says it all.
const MOST: usize = 5;

/// What is printed as it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shows {
    Nothing,
    Words,
    /// Every command and call too.
    Steps,
}

pub(crate) struct Record {
    shows: Shows,
    /// The steps so far, in any order: of two at the same moment tokio's watch channel decides by
    /// its own dice which goes first.
    steps: (u64, u64),
    pub(crate) violations: Vec<String>,
    /// The oldest price that Redis gave a reader.
    pub(crate) oldest: Duration,
    /// The oldest price of a watched code while all was well.
    pub(crate) oldest_watched: Duration,
    /// From the last fault until the list was last seen with a gap.
    pub(crate) recovery: Duration,
    slots: Vec<Slot>,
    /// Longer than this nothing is said of a tick only where something is wrong.
    patience: Duration,
}

/// What is open in a slot.
#[derive(Default)]
struct Slot {
    /// Ticks that neither a sweep nor a reason answered yet.
    ticks: Vec<Duration>,
    /// The store is known to be away: it is looked for without words.
    looks_for_store: bool,
    thawed: Duration,
}

impl Record {
    pub(crate) fn new(shows: Shows, slots: usize, interval: Duration) -> Self {
        Self {
            shows,
            steps: (0, 0),
            violations: Vec::new(),
            oldest: Duration::ZERO,
            oldest_watched: Duration::ZERO,
            recovery: Duration::ZERO,
            slots: (0..slots).map(|_| Slot::default()).collect(),
            patience: interval * 2 + interval / 2,
        }
    }

    /// The cron loop rang.
    pub(crate) fn ticked(&mut self, at: Duration, slot: usize) {
        let slot = &mut self.slots[slot];
        let oldest = slot.ticks.first().copied();
        slot.ticks.push(at);
        if let Some(oldest) = oldest
            && at - oldest > self.patience
            && !slot.looks_for_store
        {
            slot.ticks.clear();
            self.violated(
                at,
                &format!("no word of what became of the tick at {oldest:?}"),
            );
        }
    }

    /// A run was skipped, for a reason.
    pub(crate) fn skipped(&mut self, at: Duration, slot: usize, why: &str) {
        self.say(at, &format!("slot {slot} skips: {why}"));
        if why.is_empty() {
            self.violated(at, "a run is skipped without a reason");
        }
        let slot = &mut self.slots[slot];
        slot.ticks.clear();
        slot.looks_for_store = why.starts_with("the store at");
    }

    /// A sweep is over.
    pub(crate) fn swept(&mut self, at: Duration, slot: usize, elapsed: Duration) {
        let began = at.saturating_sub(elapsed) + Duration::from_secs(1);
        let slot = &mut self.slots[slot];
        slot.ticks.retain(|tick| *tick > began);
        slot.looks_for_store = false;
    }

    /// Redis gave a reader a price of this age.
    pub(crate) fn read(&mut self, age: Duration) {
        self.oldest = self.oldest.max(age);
    }

    /// The process in a slot is another one, or was not run for a while.
    pub(crate) fn renewed(&mut self, at: Duration, slot: usize) {
        self.slots[slot] = Slot {
            thawed: at,
            ..Slot::default()
        };
    }

    /// Whether the process in a slot was not run at some time after `since`.
    pub(crate) fn was_frozen(&self, slot: usize, since: Duration) -> bool {
        self.slots[slot].thawed > since
    }

    /// A step of a process: part of the trace, which is the same for the same seed.
    pub(crate) fn note(&mut self, at: Duration, slot: usize, what: &str, detail: u64) {
        self.add((at, slot, what, detail));
        if self.shows >= Shows::Steps {
            eprintln!("{at:>14.3?}    slot {slot} {what} {detail}");
        }
    }

    /// What a person wants to read of a day.
    pub(crate) fn say(&mut self, at: Duration, words: &str) {
        self.add((at, words));
        if self.shows >= Shows::Words {
            eprintln!("{at:>14.3?}  {words}");
        }
    }

    pub(crate) fn violated(&mut self, at: Duration, promise: &str) {
        self.say(at, &format!("VIOLATED: {promise}"));
        if self.violations.len() < MOST {
            self.violations.push(format!("{at:?}: {promise}"));
        }
    }

    fn add(&mut self, step: impl Hash) {
        let mut hasher = DefaultHasher::new();
        step.hash(&mut hasher);
        self.steps.0 = self.steps.0.wrapping_add(hasher.finish());
        self.steps.1 += 1;
    }

    /// The trace as one number, and its length.
    pub(crate) fn trace(&self) -> (u64, u64) {
        self.steps
    }
}
