//! A daemon of a simulated day: what `sise run` does, without sockets, signals and files.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use sise::domain::{KrxTime, Role};
use sise::freshness::Freshness;
use sise::journal::event_queue;
use sise::leadership::Candidate;
use sise::port::SourceError;
use sise::schedule::{Schedule, Ticks, Timetable, Watcher, Work};
use sise::setup::Wiring;
use sise::supervisor::{Supervisor, Tasks};
use sise::sweep::{Report, Step};
use tokio::time::sleep;

use super::process::{Disk, RELOAD_AT, wiring};
use super::world::World;

/// Works until it is stopped in order at `stop_at`, or fails at its start.
pub(crate) async fn run(
    world: Arc<World>,
    slot: usize,
    name: String,
    disk: Arc<Disk>,
    stop_at: Option<Duration>,
) {
    let (event_queue, notes) = event_queue(world.clock(slot));
    let wiring = wiring(&world, slot, &name, &disk, true, Arc::new(event_queue));
    let wiring = Arc::new(wiring);
    let writer = wiring.writer(notes);
    let candidate = wiring.candidate();
    let telling = Supervisor::default();
    writer.start(telling.tasks());
    let heartbeat = wiring.heartbeat(Role::OneShot, candidate.as_ref());
    heartbeat.start(telling.tasks());
    let working = Supervisor::default();
    let tasks = working.tasks();
    if let Some(stop_at) = stop_at {
        let (stop, timeline) = (tasks.stop().clone(), Arc::clone(&world.timeline));
        tokio::spawn(async move {
            sleep(stop_at.saturating_sub(timeline.now())).await;
            stop.cancel();
        });
    }
    if let Err(trouble) = work(&world, slot, wiring, candidate, tasks).await {
        let words = format!("{name} does not start: {trouble}");
        world.record().say(world.timeline.now(), &words);
    }
    working.finish().await;
    telling.finish().await;
}

async fn work(
    world: &Arc<World>,
    slot: usize,
    wiring: Arc<Wiring>,
    candidate: Option<Arc<Candidate>>,
    tasks: &Tasks,
) -> Result<(), String> {
    let stop = tasks.stop();
    match stop.run_until_cancelled(make_ready(&wiring)).await {
        None => return Ok(()),
        Some(ready) => ready?,
    }
    let ticks = Ticks::default();
    let settings = &wiring.settings.schedule;
    let timetable = Timetable::new(settings.interval, settings.reload_at)?;
    tokio::spawn(ring(Arc::clone(world), slot, timetable, ticks.clone()));
    let sweeper = wiring.sweeper(candidate.as_ref()).unwrap();
    let work = Work {
        own_sweeper: sweeper.clone(),
        sweeper,
        candidate,
        loader: wiring.loader().map_err(|error| error.to_string())?,
        freshness: Arc::new(Freshness::default()),
        always_open: false,
        gaps: None,
        tasks: tasks.clone(),
        watcher: Some(Arc::new(Witness {
            world: Arc::clone(world),
            slot,
        })),
        parts: Arc::new(wiring.schedule().map_err(|error| error.to_string())?),
    };
    Schedule::new(work)?.run_on(&ticks, stop.clone()).await;
    Ok(())
}

/// Store, list and token, as before the first sweep of `sise run`.
async fn make_ready(wiring: &Wiring) -> Result<(), String> {
    // Its answer is only said.
    let _ = wiring.sweep_store.ping().await;
    let loader = wiring.loader().map_err(|error| error.to_string())?;
    let loaded = loader.load().await.map_err(|error| error.to_string())?;
    wiring.universe.store(Arc::new(loaded.universe));
    match wiring.broker.as_ref().unwrap().auth.token().await {
        Err(error @ SourceError::Denied(_)) => Err(error.to_string()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The cron loop as it is in production: every half second it looks whether the clock of the slot
/// shows the next tick or more, rings once, and takes the first tick after that for the next. A
/// clock that is set back makes it silent until the time is reached again.
async fn ring(world: Arc<World>, slot: usize, timetable: Timetable, ticks: Ticks) {
    let next_sweep = |now| timetable.first_sweep(now, false).unwrap();
    let next_minute = |now: KrxTime| {
        let into = now.timestamp().rem_euclid(60);
        now + TimeDelta::seconds(60 - into)
    };
    let look = Duration::from_millis(world.rng(slot, "ring").u64(0..500));
    let now = world.time_in(slot);
    let (mut sweep, mut minute) = (next_sweep(now), next_minute(now));
    loop {
        let now = world.time_in(slot);
        let wait = (sweep.min(minute) - now).to_std().unwrap_or_default();
        let elapsed = world.timeline.now();
        let jump = world.script.next_jump(slot, elapsed);
        let wait = jump.map_or(wait, |at| wait.min(at - elapsed));
        sleep(wait + look).await;
        let now = world.time_in(slot);
        if now >= minute {
            minute = next_minute(now);
            ticks.close.notify_one();
            if now.format("%H:%M").to_string() == RELOAD_AT {
                ticks.reload.notify_one();
            }
        }
        if now >= sweep {
            sweep = next_sweep(now);
            world.record().ticked(world.timeline.now(), slot);
            ticks.sweep.notify_one();
        }
    }
}

/// Sees what the schedule does.
struct Witness {
    world: Arc<World>,
    slot: usize,
}

impl Watcher for Witness {
    fn step(&self, step: &Step<'_>) {
        self.world.note(self.slot, "step", step.done as u64);
    }

    fn swept(&self, report: &Report) {
        self.world.check_report(self.slot, report);
    }

    fn skipped(&self, why: &str, _next: Option<KrxTime>) {
        let (now, slot) = (self.world.timeline.now(), self.slot);
        self.world.record().skipped(now, slot, why);
    }
}
