//! The one time of a simulated day, and what is due in it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio::time::advance;

/// Something that happens outside of all machines.
pub(crate) type Effect = Box<dyn FnOnce() + Send>;

/// Time since the day began, the same for all machines, and the effects that are due.
#[derive(Default)]
pub(crate) struct Timeline {
    now: AtomicU64,
    next_effect: AtomicU64,
    effects: Mutex<Effects>,
}

#[derive(Default)]
struct Effects {
    due: BTreeMap<(u64, u64), Effect>,
    count: u64,
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

impl Timeline {
    pub(crate) fn new() -> Self {
        let timeline = Self::default();
        timeline.next_effect.store(u64::MAX, Ordering::Relaxed);
        timeline
    }

    pub(crate) fn now(&self) -> Duration {
        Duration::from_micros(self.now.load(Ordering::Relaxed))
    }

    pub(super) fn move_to(&self, micros: u64) {
        let before = self.now.swap(micros, Ordering::Relaxed);
        assert!(before <= micros, "time went back from {before} to {micros}");
    }

    /// When the next effect is due, microseconds.
    pub(super) fn next_effect(&self) -> u64 {
        self.next_effect.load(Ordering::Relaxed)
    }

    /// Lets `effect` happen at `at`, after those that were due then before.
    pub(crate) fn at(&self, at: Duration, effect: impl FnOnce() + Send + 'static) {
        let mut effects = self.effects.lock().unwrap_or_else(PoisonError::into_inner);
        effects.count += 1;
        let place = (micros(at.max(self.now())), effects.count);
        effects.due.insert(place, Box::new(effect));
        self.note_next(&effects);
    }

    /// Moves to the next effect and lets it happen, if it is due until `until`.
    pub(crate) fn happen(&self, until: Duration) -> bool {
        let mut effects = self.effects.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |(at, _): &(u64, u64)| *at <= micros(until);
        let Some(place) = effects.due.keys().next().copied().filter(is_due) else {
            return false;
        };
        let effect = effects.due.remove(&place);
        self.note_next(&effects);
        drop(effects);
        self.move_to(place.0);
        if let Some(effect) = effect {
            effect();
        }
        true
    }

    /// The day is over: nothing happens any more. What is due holds the world that holds it.
    pub(crate) fn end(&self) {
        let effects = std::mem::take(&mut *self.effects.lock().unwrap());
        drop(effects);
    }

    /// Moves to an event of the script.
    pub(crate) fn happen_at(&self, at: Duration) {
        self.move_to(micros(at));
    }

    fn note_next(&self, effects: &Effects) {
        let next = effects.due.keys().next().map_or(u64::MAX, |(at, _)| *at);
        self.next_effect.store(next, Ordering::Relaxed);
    }
}

/// A clock for what stands outside of all machines but asks tokio for the time: the simulated
/// broker, and the stores in memory.
pub(crate) struct Standing {
    runtime: Runtime,
    at: Duration,
}

impl Standing {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        Self {
            runtime,
            at: Duration::ZERO,
        }
    }

    /// When something was done last.
    pub(crate) fn now(&self) -> Duration {
        self.at
    }

    /// Does something at `now` by this clock; it must not wait.
    pub(crate) fn run<T>(&mut self, now: Duration, work: impl FnOnce() -> T) -> T {
        let _entered = self.runtime.enter();
        let _ = advance(now.saturating_sub(self.at)).now_or_never();
        self.at = self.at.max(now);
        work()
    }
}
