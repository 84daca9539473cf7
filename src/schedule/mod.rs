//! When the daemon works: cron entries to passes, and the words for every run that is skipped.

mod account;
mod cron;
mod decision;
mod morning;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use metrics::{counter, gauge};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_cron_scheduler::JobSchedulerError;
use tokio_util::sync::CancellationToken;

use crate::domain::{KrxTime, Plan, Symbol};
use crate::freshness::Freshness;
use crate::leadership::{Candidate, Post};
use crate::port::QuoteSource as _;
use crate::setup::Parts;
use crate::sweep::{Reason, Report, Step, Sweeper, Task};
use crate::universe::Loader;
pub use cron::{Ticks, Timetable};
use decision::{Due, Skip};
use morning::Morning;

/// While the store is away, it is looked for this often.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// A sweep may take this much more than twice the plan: a token may take its minute.
const SLACK: Duration = Duration::from_secs(75);

/// Told of what happens, for a live display.
pub trait Watcher: Send + Sync {
    /// A batch was written.
    fn step(&self, step: &Step<'_>);
    /// A sweep is over.
    fn swept(&self, report: &Report);
    /// A run was skipped: why, and when the next is due.
    fn skipped(&self, why: &str, next: Option<KrxTime>);
}

/// What the schedule works with.
pub struct Work {
    /// Store, calendar, list, broker.
    pub parts: Arc<Parts>,
    /// Makes the passes.
    pub sweeper: Sweeper,
    /// This process among those that may lead; `None` where it is alone.
    pub candidate: Option<Arc<Candidate>>,
    /// Loads the list anew every morning.
    pub loader: Loader,
    /// Told of what is written.
    pub freshness: Arc<Freshness>,
    /// The calendar is not asked.
    pub always_open: bool,
    /// A live display.
    pub watcher: Option<Arc<dyn Watcher>>,
}

/// Decides for every tick whether to sweep, and does it.
pub struct Schedule {
    parts: Arc<Parts>,
    sweeper: Sweeper,
    candidate: Option<Arc<Candidate>>,
    morning: Arc<Morning>,
    freshness: Arc<Freshness>,
    always_open: bool,
    watcher: Option<Arc<dyn Watcher>>,
    timetable: Timetable,
}

/// What the loop remembers between ticks.
struct State {
    /// The last tick of any kind, by the monotonic clock.
    ticked_at: Instant,
    /// The last tick of the cron loop that counted.
    cron_at: Option<Instant>,
    /// The cron loop has missed its ticks.
    is_cron_silent: bool,
    /// The run that is under way.
    running: Option<Due>,
    /// A tick came while a sweep was running; it is made up for once, at its end.
    owed: bool,
    /// The last day whose close is kept.
    closed_on: Option<NaiveDate>,
    /// When to look for the store again.
    store_again: Option<Instant>,
    /// Whether its being away was said.
    store_said: bool,
}

impl Schedule {
    /// A schedule of `work`.
    ///
    /// # Errors
    ///
    /// The interval cannot be said in cron.
    pub fn new(work: Work) -> Result<Self, String> {
        let schedule = &work.parts.settings.schedule;
        Ok(Self {
            timetable: Timetable::new(schedule.interval, schedule.reload_at)?,
            sweeper: work.sweeper,
            candidate: work.candidate,
            morning: Arc::new(Morning {
                parts: Arc::clone(&work.parts),
                loader: work.loader,
            }),
            parts: work.parts,
            freshness: work.freshness,
            always_open: work.always_open,
            watcher: work.watcher,
        })
    }

    /// Works until `stop`: at once, then at every tick of the cron loop.
    ///
    /// # Errors
    ///
    /// The cron loop cannot be started.
    pub async fn run(self, stop: CancellationToken) -> Result<(), JobSchedulerError> {
        let ticks = Ticks::default();
        let mut cron = self.timetable.start(&ticks).await?;
        self.run_on(&ticks, stop).await;
        cron.shutdown().await
    }

    /// Works until `stop`: at once, then at every tick of `ticks`.
    pub async fn run_on(self, ticks: &Ticks, stop: CancellationToken) {
        let interval = self.parts.settings.schedule.interval;
        let mut state = State {
            ticked_at: Instant::now(),
            cron_at: None,
            is_cron_silent: false,
            running: None,
            owed: false,
            closed_on: None,
            store_again: None,
            store_said: false,
        };
        let mut sweeps = JoinSet::new();
        let mut chores = JoinSet::new();
        let mut posts = None;
        if let Some(candidate) = &self.candidate {
            // Asked once before the first tick, so that it knows who leads.
            candidate.campaign().await;
            posts = Some(candidate.changes());
            let (candidate, stop) = (Arc::clone(candidate), stop.clone());
            chores.spawn(async move { candidate.run(stop).await });
        }
        if !self.always_open {
            let check = self.morning.check_calendar((self.parts.clock)());
            stop.run_until_cancelled(check).await;
        }
        self.tick(&mut state, &mut sweeps, &stop).await;
        loop {
            // The cron loop follows the wall clock: set back an hour, it is silent for an hour.
            let patience = if state.is_cron_silent {
                interval
            } else {
                interval * 2 + Duration::from_secs(2)
            };
            let overdue = state.ticked_at + patience;
            let store_again = state.store_again.unwrap_or(overdue);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = sweeps.join_next() => {
                    let taken = state.running.take().and_then(|due| due.close_of);
                    match done {
                        Ok(report) => self.finish(&mut state, &report, taken),
                        Err(error) => tracing::error!(%error, "a sweep broke off"),
                    }
                    if std::mem::take(&mut state.owed) {
                        self.tick(&mut state, &mut sweeps, &stop).await;
                    }
                }
                // Who takes the lead sweeps at once: the one before may be gone for a while.
                () = changed(&mut posts) => self.tick(&mut state, &mut sweeps, &stop).await,
                () = ticks.sweep.notified() => {
                    // After a sleep of the machine the cron loop catches up; once is enough.
                    let is_new = state.cron_at.is_none_or(|at| at.elapsed() >= interval / 2);
                    state.is_cron_silent = false;
                    if is_new {
                        state.cron_at = Some(Instant::now());
                        self.tick(&mut state, &mut sweeps, &stop).await;
                    }
                }
                () = ticks.close.notified() => {
                    if self.close_is_due(&state) {
                        self.tick(&mut state, &mut sweeps, &stop).await;
                    }
                }
                () = ticks.reload.notified() => {
                    let (morning, stop) = (Arc::clone(&self.morning), stop.clone());
                    chores.spawn(async move {
                        stop.run_until_cancelled(morning.reload()).await;
                    });
                }
                Some(_) = chores.join_next(), if !chores.is_empty() => {}
                () = sleep_until(store_again), if state.store_again.is_some() => {
                    self.tick(&mut state, &mut sweeps, &stop).await;
                }
                () = sleep_until(overdue) => {
                    if !std::mem::replace(&mut state.is_cron_silent, true) {
                        tracing::warn!("no tick of the cron loop for two intervals; was the clock set back? going on without it");
                    }
                    self.tick(&mut state, &mut sweeps, &stop).await;
                }
            }
        }
        // A sweep and the campaign see the same stop and end within their grace.
        while let Some(done) = sweeps.join_next().await {
            if let Ok(report) = done {
                self.finish(&mut state, &report, None);
            }
        }
        while chores.join_next().await.is_some() {}
    }

    /// One tick: a sweep is started, or a line says why not.
    async fn tick(
        &self,
        state: &mut State,
        sweeps: &mut JoinSet<Report>,
        stop: &CancellationToken,
    ) {
        state.ticked_at = Instant::now();
        state.store_again = None;
        let now = (self.parts.clock)();
        let decision = match self.decide(state, now) {
            Ok(due) => self.unless_banned(due).await,
            skip => skip,
        };
        // Looked for before a call is spent: prices that cannot be kept are of no use.
        if matches!(decision, Ok(_) | Err(Skip::NoLeader)) {
            if let Err(error) = self.parts.sweep_store.ping().await {
                self.note_store_away(state, &Skip::StoreAway(error.to_string()), now);
                return;
            }
            if std::mem::take(&mut state.store_said) {
                tracing::info!("the store answers again");
            }
        }
        let due = match decision {
            Ok(due) => due,
            Err(skip) => {
                state.owed = matches!(skip, Skip::PreviousRun);
                self.skip(&skip, now);
                return;
            }
        };
        self.note_next_run(now);
        let symbols: Vec<Symbol> = self.parts.universe.load().symbols().collect();
        let task = Task {
            deadline: plan(&self.parts, symbols.len()).sweep_time() * 2 + SLACK,
            symbols,
            close_until: due.close_until,
        };
        let sweeper = self.sweeper.clone();
        let posts = self.candidate.as_ref().map(|candidate| candidate.changes());
        let freshness = Arc::clone(&self.freshness);
        let watcher = self.watcher.clone();
        let stop = stop.child_token();
        state.running = Some(due);
        sweeps.spawn(async move {
            let observe = |step: Step<'_>| {
                freshness.note(step.written);
                if let Some(watcher) = &watcher {
                    watcher.step(&step);
                }
            };
            let sweep = sweeper.sweep(&task, &observe, &stop);
            tokio::pin!(sweep);
            tokio::select! {
                biased;
                report = &mut sweep => report,
                // Another one sweeps now: the rest of this pass would be calls for nothing.
                () = superseded(posts) => {
                    stop.cancel();
                    sweep.await
                }
            }
        });
    }

    /// Skips for want of the store, said once until it is back.
    fn note_store_away(&self, state: &mut State, skip: &Skip, now: KrxTime) {
        state.store_again = Some(Instant::now() + STORE_AGAIN);
        if std::mem::replace(&mut state.store_said, true) {
            counter!("sise_skipped_runs_total", "reason" => skip.slug()).increment(1);
            return;
        }
        self.skip(skip, now);
        tracing::warn!("looking for the store every second; sweeping as soon as it answers");
    }

    /// Whether a sweep is due at `now`.
    fn decide(&self, state: &State, now: KrxTime) -> Result<Due, Skip> {
        if state.running.is_some() {
            return Err(Skip::PreviousRun);
        }
        let due = if self.always_open {
            Due::default()
        } else {
            decision::by_calendar(&self.parts.calendar.load(), now, state.closed_on)?
        };
        match self.candidate.as_ref().map(|candidate| candidate.post()) {
            None | Some(Post::Leads { .. }) => Ok(due),
            Some(Post::Follows(leader)) => Err(Skip::NotLeader(leader.process)),
            Some(Post::Unknown) => Err(Skip::NoLeader),
        }
    }

    /// A banned key is left alone: each call would prolong the ban.
    async fn unless_banned(&self, due: Due) -> Result<Due, Skip> {
        let Some(broker) = &self.parts.broker else {
            return Ok(due);
        };
        // The others' keys can still be asked.
        if self.parts.shares_sweeps() {
            return Ok(due);
        }
        match broker.rest.bans().in_force().await {
            Some(ban) => Err(Skip::Banned(ban)),
            None => Ok(due),
        }
    }

    fn close_is_due(&self, state: &State) -> bool {
        let now = (self.parts.clock)();
        matches!(
            self.decide(state, now),
            Ok(Due {
                close_of: Some(_),
                ..
            })
        )
    }

    fn finish(&self, state: &mut State, report: &Report, close_of: Option<NaiveDate>) {
        let lost = |reason| {
            report
                .missing
                .iter()
                .any(|missing| missing.reason == reason)
        };
        if let Some(day) = close_of {
            if report.written > 0 && !lost(Reason::NotReached) && !lost(Reason::NotStored) {
                state.closed_on = Some(day);
                tracing::info!(%day, codes = report.written, "the close of the day is kept");
            } else {
                tracing::warn!(%day, "the close is not complete; another try within a minute");
            }
        }
        account::record(report);
        account::log(report);
        if let Some(watcher) = &self.watcher {
            watcher.swept(report);
        }
    }

    fn skip(&self, skip: &Skip, now: KrxTime) {
        counter!("sise_skipped_runs_total", "reason" => skip.slug()).increment(1);
        let next = self.next_run(skip, now);
        set_next_run(next);
        let shown = match (skip, next) {
            (Skip::PreviousRun, _) => "as soon as it ends".to_owned(),
            (_, Some(next)) => next.format("%Y-%m-%d %H:%M:%S KST").to_string(),
            (_, None) => "none known".to_owned(),
        };
        tracing::info!(reason = skip.slug(), next_run = %shown, "run skipped: {skip}; next run {shown}");
        if let Some(watcher) = &self.watcher {
            watcher.skipped(&skip.to_string(), next);
        }
    }

    /// When the next run is due after one that was skipped.
    fn next_run(&self, skip: &Skip, now: KrxTime) -> Option<KrxTime> {
        let soon = |delay: Duration| Some(now + TimeDelta::from_std(delay).ok()?);
        match skip {
            Skip::PreviousRun => None,
            Skip::StoreAway(_) => soon(STORE_AGAIN),
            Skip::TooEarlyForClose => {
                let calendar = self.parts.calendar.load();
                calendar
                    .close_window(now.date_naive())
                    .map(|(from, _)| from)
            }
            Skip::Banned(ban) => self.timetable.first_sweep(ban.until, true),
            Skip::NotLeader(_) | Skip::NoLeader => self.timetable.first_sweep(now, false),
            Skip::Closed(_) => {
                let open = self.parts.calendar.load().next_open(now)?;
                self.timetable.first_sweep(open, true)
            }
        }
    }

    fn note_next_run(&self, now: KrxTime) {
        set_next_run(self.timetable.first_sweep(now, false));
    }
}

/// What the settings make of a list of `codes`.
fn plan(parts: &Parts, codes: usize) -> Plan {
    let calling = parts.broker.as_ref().map_or_else(
        || parts.settings.calling(),
        |broker| broker.source.calling(),
    );
    parts.settings.plan(codes, calling)
}

/// Waits for a change of the lead; for ever where nobody else can lead.
async fn changed(posts: &mut Option<watch::Receiver<Post>>) {
    if let Some(posts) = posts
        && posts.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Waits until this process is known to follow another.
async fn superseded(posts: Option<watch::Receiver<Post>>) {
    if let Some(mut posts) = posts {
        let follows = |post: &Post| matches!(post, Post::Follows(_));
        if posts.wait_for(follows).await.is_ok() {
            return;
        }
    }
    std::future::pending().await
}

fn set_next_run(next: Option<KrxTime>) {
    if let Some(next) = next {
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds since 1970 are far below 2^52"
        )]
        gauge!("sise_next_run_timestamp_seconds").set(next.timestamp() as f64);
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("candidate", &self.candidate)
            .field("always_open", &self.always_open)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("timetable", &self.timetable)
            .field("always_open", &self.always_open)
            .finish_non_exhaustive()
    }
}
