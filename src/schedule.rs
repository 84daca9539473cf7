//! When the daemon works: cron entries to passes, and the words for every run that is skipped.

mod account;
mod decision;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta, Timelike as _};
use croner::Cron;
use metrics::{counter, gauge};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::domain::{KrxTime, Plan, Seoul, Symbol};
use crate::freshness::Freshness;
use crate::kis::BrokerDay;
use crate::port::QuoteSource as _;
use crate::setup::Parts;
use crate::sweep::{Reason, Report, Step, Sweeper, Task};
use crate::universe::Loader;
use decision::{Due, Skip};

/// While the store is away, it is looked for this often.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// A sweep may take this much more than twice the plan: a token may take its minute.
const SLACK: Duration = Duration::from_secs(75);

/// How often it is looked whether the close is due: the interval may be too long for its window.
const EVERY_MINUTE: &str = "0 * * * * *";

/// Told of what happens, for a live display.
pub trait Watcher: Send + Sync {
    /// A batch was written.
    fn step(&self, step: &Step<'_>);
    /// A sweep is over.
    fn swept(&self, report: &Report);
    /// A run was skipped: why, and when the next is due.
    fn skipped(&self, why: &str, next: Option<KrxTime>);
}

/// Decides for every tick whether to sweep, and does it.
pub struct Schedule {
    parts: Arc<Parts>,
    sweeper: Sweeper,
    loader: Loader,
    freshness: Arc<Freshness>,
    always_open: bool,
    watcher: Option<Arc<dyn Watcher>>,
    cron: Cron,
    expression: String,
}

/// Ticks of the cron loop. Each holds one tick at most: missed ones never pile up.
#[derive(Default)]
struct Ticks {
    sweep: Arc<Notify>,
    close: Arc<Notify>,
    reload: Arc<Notify>,
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
    /// A schedule over `parts`. With `always_open` the calendar is not asked.
    ///
    /// # Errors
    ///
    /// The interval cannot be said in cron.
    pub fn new(
        parts: Arc<Parts>,
        sweeper: Sweeper,
        loader: Loader,
        freshness: Arc<Freshness>,
        always_open: bool,
        watcher: Option<Arc<dyn Watcher>>,
    ) -> Result<Self, String> {
        let expression = expression(parts.settings.schedule.interval);
        let cron = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Required)
            .build()
            .parse(&expression)
            .map_err(|error| format!("cron expression '{expression}': {error}"))?;
        Ok(Self {
            parts,
            sweeper,
            loader,
            freshness,
            always_open,
            watcher,
            cron,
            expression,
        })
    }

    /// Works until `stop`: at once, then at every tick.
    ///
    /// # Errors
    ///
    /// The cron loop cannot be started.
    pub async fn run(self, stop: CancellationToken) -> Result<(), JobSchedulerError> {
        let ticks = Ticks::default();
        let mut cron = self.start_cron(&ticks).await?;
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
        if !self.always_open {
            self.check_calendar((self.parts.clock)()).await;
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
                () = ticks.reload.notified() => self.reload().await,
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
        cron.shutdown().await?;
        // A sweep sees the same stop and ends within its grace.
        while let Some(done) = sweeps.join_next().await {
            if let Ok(report) = done {
                self.finish(&mut state, &report, None);
            }
        }
        Ok(())
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
        let due = match self.decide(state, now) {
            Ok(due) => due,
            Err(skip) => {
                state.owed = matches!(skip, Skip::PreviousRun);
                self.skip(&skip, now);
                return;
            }
        };
        // Looked for before a call is spent: prices that cannot be kept are of no use.
        if let Err(error) = self.parts.sweep_store.ping().await {
            state.store_again = Some(Instant::now() + STORE_AGAIN);
            let skip = Skip::StoreAway(error.to_string());
            if state.store_said {
                counter!("sise_skipped_runs_total", "reason" => skip.slug()).increment(1);
            } else {
                self.skip(&skip, now);
                tracing::warn!(
                    "looking for the store every second; sweeping as soon as it answers"
                );
                state.store_said = true;
            }
            return;
        }
        if std::mem::take(&mut state.store_said) {
            tracing::info!("the store answers again");
        }
        self.note_next_run(now);
        let symbols: Vec<Symbol> = self.parts.universe.load().symbols().collect();
        let task = Task {
            deadline: self.plan(symbols.len()).sweep_time() * 2 + SLACK,
            symbols,
            close_until: due.close_until,
        };
        let sweeper = self.sweeper.clone();
        let freshness = Arc::clone(&self.freshness);
        let watcher = self.watcher.clone();
        let stop = stop.clone();
        state.running = Some(due);
        sweeps.spawn(async move {
            let observe = |step: Step<'_>| {
                freshness.note(step.written);
                if let Some(watcher) = &watcher {
                    watcher.step(&step);
                }
            };
            sweeper.sweep(&task, &observe, &stop).await
        });
    }

    /// Whether a sweep is due at `now`.
    fn decide(&self, state: &State, now: KrxTime) -> Result<Due, Skip> {
        if state.running.is_some() {
            return Err(Skip::PreviousRun);
        }
        if self.always_open {
            return Ok(Due::default());
        }
        decision::by_calendar(&self.parts.calendar.load(), now, state.closed_on)
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
            Skip::Closed(_) => {
                let open = self.parts.calendar.load().next_open(now)?;
                self.first_tick(open, true)
            }
        }
    }

    /// The first tick at or after an instant.
    fn first_tick(&self, from: KrxTime, inclusive: bool) -> Option<KrxTime> {
        let from = from.with_nanosecond(0).unwrap_or(from);
        self.cron.find_next_occurrence(&from, inclusive).ok()
    }

    fn note_next_run(&self, now: KrxTime) {
        set_next_run(self.first_tick(now, false));
    }

    fn plan(&self, codes: usize) -> Plan {
        let calling = self.parts.broker.as_ref().map_or_else(
            || self.parts.settings.calling(),
            |broker| broker.source.calling(),
        );
        self.parts.settings.plan(codes, calling)
    }

    /// Before the open: calendar, stock list and token are made ready for the day.
    async fn reload(&self) {
        let now = (self.parts.clock)();
        self.check_calendar(now).await;
        if !self.parts.calendar.load().is_trading_day(now.date_naive()) {
            let moment = self.parts.calendar.load().moment(now);
            let why = moment
                .closed
                .map(|closed| closed.to_string())
                .unwrap_or_default();
            tracing::info!(reason = %why, "stock list not reloaded: no trading today");
            return;
        }
        match self.loader.load().await {
            Ok(loaded) => {
                for note in &loaded.notes {
                    tracing::warn!("{note}");
                }
                let codes = loaded.universe.len();
                tracing::info!(codes, source = loaded.source, "stock list loaded");
                gauge!("sise_universe_codes").set(u32::try_from(codes).unwrap_or(u32::MAX));
                if !self.plan(codes).keeps_alive() {
                    tracing::error!(
                        codes,
                        "the list no longer stays alive between two sweeps: see `sise plan`"
                    );
                }
                self.parts.universe.store(Arc::new(loaded.universe));
            }
            Err(error) => tracing::error!(%error, "stock list not reloaded; the one in use stays"),
        }
        if let Some(broker) = &self.parts.broker
            && let Err(error) = broker.auth.token().await
        {
            tracing::error!(%error, "no access token for the day yet");
        }
    }

    /// Crosschecks the calendar with the broker's, reads the override file, warns near the end.
    async fn check_calendar(&self, now: KrxTime) {
        let today = now.date_naive();
        match self.parts.check_calendar(today).await {
            Ok(differing) => {
                for BrokerDay { date, is_open } in differing {
                    tracing::warn!(
                        %date, is_open,
                        "the broker's calendar differs from the shipped one and is followed, unless \
                         the override file says otherwise"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the broker's calendar could not be asked; ours stands")
            }
        }
        if let Err(error) = self.parts.reload_calendar() {
            tracing::error!(%error, "the calendar override file is not used; the calendar in use stays");
        }
        if let Some(warning) = self.parts.calendar.load().cover_warning(today) {
            tracing::warn!("{warning}");
        }
    }

    async fn start_cron(&self, ticks: &Ticks) -> Result<JobScheduler, JobSchedulerError> {
        let reload_at = self.parts.settings.schedule.reload_at;
        let reload = format!("0 {} {} * * *", reload_at.minute(), reload_at.hour());
        let cron = JobScheduler::new().await?;
        let entries = [
            (self.expression.as_str(), &ticks.sweep),
            (EVERY_MINUTE, &ticks.close),
            (reload.as_str(), &ticks.reload),
        ];
        for (expression, bell) in entries {
            let bell = Arc::clone(bell);
            // The job only rings; the loop decides, so that jobs never overlap.
            let job = Job::new_async_tz(expression, Seoul, move |_, _| {
                bell.notify_one();
                Box::pin(async {})
            })?;
            cron.add(job).await?;
        }
        cron.start().await?;
        Ok(cron)
    }
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

/// An interval that is a whole part of a minute or an hour, in cron's words.
fn expression(interval: Duration) -> String {
    match interval.as_secs() {
        seconds @ ..60 => format!("*/{seconds} * * * * *"),
        seconds @ 60..3_600 => format!("0 */{} * * * *", seconds / 60),
        _ => "0 0 * * * *".to_owned(),
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("expression", &self.expression)
            .field("always_open", &self.always_open)
            .finish_non_exhaustive()
    }
}
