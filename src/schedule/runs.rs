//! A single run: whether it is due, how it is made, and what is reported about it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use metrics::{counter, gauge};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::decision::{self, Due, Skip};
use super::pass::SLACK;
use super::state::{Run, State};
use super::{Schedule, account};
use crate::leadership::Candidate;
use crate::sweep::{Missing, Reason, Report, Task};
use sise_domain::{Closed, Event, KrxTime, Presence, Role, Skipped, Symbol};
use sise_net::supervisor::seen;
use sise_port::Urgency;

/// How often an unreachable store is tried again.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// Shortest time between two occasions on which this process gives up leadership.
const LEAVE_AGAIN: Duration = Duration::from_secs(300);

impl Schedule {
    /// Handles one tick: starts a sweep, or logs why not.
    pub(super) async fn tick(&self, state: &mut State, stop: &CancellationToken) {
        state.ticked_at = Instant::now();
        state.store_again = None;
        let now = (self.parts.clock)();
        let mut wanted = None;
        let decision = match self.decide(state, now) {
            Ok(due) => self.unless_banned(due).await,
            Err(Skip::Closed(closed)) => match self.wanted(state, now).await {
                Some((due, symbols)) => {
                    wanted = Some(symbols);
                    self.unless_banned(due).await
                }
                None => Err(Skip::Closed(closed)),
            },
            skip => skip,
        };
        // Checked before a call is spent: prices that cannot be stored are of no use.
        if matches!(decision, Ok(_) | Err(Skip::NoLeader)) {
            if let Err(error) = self.parts.store.ping().await {
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
                // The log has moved on: if the store is still unreachable later, that is logged
                // again.
                state.store_said = false;
                self.skip(&skip, now);
                if matches!(skip, Skip::Banned(_)) {
                    self.leave_lead(state).await;
                }
                return;
            }
        };
        let symbols = match due.close_of {
            Some(of) => match self.closes_to_take(state, of, now).await {
                Some(symbols) => symbols,
                None => {
                    self.skip(&Skip::Closed(Closed::AfterClose), now);
                    return;
                }
            },
            None if wanted.is_some() => {
                let symbols = wanted.unwrap_or_default();
                tracing::info!(
                    codes = symbols.len(),
                    "no close of the last session is kept: making one pass out of session for the last known prices"
                );
                symbols
            }
            None => {
                if !self.always_open {
                    self.forget_early_close(state, now.date_naive()).await;
                }
                self.parts.universe.load().symbols().collect()
            }
        };
        self.note_next_run(now);
        self.sweep(state, due, symbols, now, stop);
    }

    /// Starts a sweep of `symbols`.
    fn sweep(
        &self,
        state: &mut State,
        due: Due,
        symbols: Vec<Symbol>,
        now: KrxTime,
        stop: &CancellationToken,
    ) {
        let watched = self.watched.load(Ordering::Relaxed);
        let plan = self.parts.planner.plan(symbols.len(), watched);
        let task = Task {
            deadline: plan.sweep_time() * 2 + SLACK,
            symbols,
            kept: due.kept(),
            urgency: Urgency::Sweep,
        };
        let since = now.format("%H:%M:%S");
        let doing = format!("sweeping {} codes since {since}", task.symbols.len());
        self.parts.activity.set(doing);
        state.running = Some(Run {
            due,
            codes: task.symbols.len(),
            started_at: now,
            began: Instant::now(),
        });
        let (passes, stop) = (self.passes.clone(), stop.clone());
        let sweep = async move { passes.make(&task, now, &stop).await };
        state.sweeps.spawn(seen("sweep", sweep));
    }

    /// Skips the run because the store is unreachable. This is logged once until the store is back.
    fn note_store_away(&self, state: &mut State, skip: &Skip, now: KrxTime) {
        state.store_again = Some(Instant::now() + STORE_AGAIN);
        if std::mem::replace(&mut state.store_said, true) {
            self.record_skip(skip, self.next_run(skip, now));
            return;
        }
        self.skip(skip, now);
        tracing::warn!("trying the store every second; sweeping as soon as it answers");
    }

    /// Decides whether a sweep is due at `now`.
    fn decide(&self, state: &State, now: KrxTime) -> Result<Due, Skip> {
        if state.running.is_some() {
            return Err(Skip::PreviousRun);
        }
        let due = if self.always_open {
            Due::default()
        } else {
            decision::by_calendar(&self.parts.calendar.load(), now)?
        };
        decision::by_post(self.candidate.as_deref()).map(|()| due)
    }

    /// Skips a run while the app key is banned, as each call would prolong the ban.
    async fn unless_banned(&self, due: Due) -> Result<Due, Skip> {
        let Some(broker) = &self.parts.broker else {
            return Ok(due);
        };
        // The app keys of other processes can still be used.
        if self.parts.shares_sweeps {
            return Ok(due);
        }
        match broker.rest.bans().in_force().await {
            Some(ban) => Err(Skip::Banned(ban)),
            None => Ok(due),
        }
    }

    /// Whether the close of the day, or the rest of it, should be taken now.
    pub(super) async fn close_is_due(&self, state: &mut State) -> bool {
        let now = (self.parts.clock)();
        match self.decide(state, now) {
            Ok(Due {
                close_of: Some(of), ..
            }) => self.closes_to_take(state, of, now).await.is_some(),
            Ok(_) | Err(_) => false,
        }
    }

    /// Handles the end of a sweep: reports it and starts what follows.
    pub(super) async fn finish(
        &self,
        state: &mut State,
        report: &Report,
        stop: &CancellationToken,
    ) {
        let Some(run) = state.running.take() else {
            return;
        };
        let Run {
            due, started_at, ..
        } = run;
        let taken = match due.close_of {
            Some(of) => self.note_closes(state, run, of, report).await,
            None => None,
        };
        // A pass over the missing codes only does not count for the metrics of the whole list.
        let is_part = due.kept().is_some() && run.codes < self.parts.universe.load().len();
        let closed = taken.map(|of| of.day);
        let last_known = self.note_last_known(state, run, report).await;
        let closes_since = taken.map(|of| of.window.0).or(last_known);
        // One more tick logs at once that nothing more runs until the open.
        state.owed |= due.last_known_since.is_some();
        if !is_part {
            account::record(report);
        }
        account::log(report);
        let is_reached = |missing: &Missing| missing.reason != Reason::NotReached;
        // Without any call, the budget was the cause, and another process would have no more.
        let is_cut_off = report.calls > 0 && report.written == 0 && !report.stopped;
        if is_cut_off && !report.missing.iter().any(is_reached) {
            self.leave_lead(state).await;
        }
        self.parts
            .recorder
            .note(report.event(started_at, is_part, closed));
        if report.written > 0 {
            let parts = Arc::clone(&self.parts);
            let ranking = account::rank(parts, closes_since);
            let stop = stop.clone();
            self.tasks.brief("ranking", async move {
                stop.run_until_cancelled(ranking).await;
            });
        }
        if self.is_good(report, started_at)
            && let Some(ping) = self.ping.clone()
        {
            let stop = stop.clone();
            self.tasks.brief("ping", async move {
                stop.run_until_cancelled(ping.call()).await;
            });
        }
        let ended = (self.parts.clock)().format("%H:%M:%S");
        self.parts
            .activity
            .set(format!("swept until {ended}; waiting for the next run"));
        if let Some(watcher) = &self.passes.watcher {
            watcher.swept(report);
        }
    }

    /// Gives up leadership to a standby daemon that may do better, if there is one.
    ///
    /// It may have an app key that is not banned, or a way to the broker. This is not repeated at
    /// once: if the other daemon fares no better, it gives up leadership likewise.
    async fn leave_lead(&self, state: &mut State) {
        let leads = |own: &&Arc<Candidate>| own.lead().is_some();
        let Some(candidate) = self.candidate.as_ref().filter(leads) else {
            return;
        };
        if state.left_at.is_some_and(|at| at.elapsed() < LEAVE_AGAIN) {
            return;
        }
        let Ok(present) = self.parts.records.present().await else {
            return;
        };
        let is_banned = match &self.parts.broker {
            Some(broker) => broker.rest.bans().in_force().await.is_some(),
            None => false,
        };
        let own_key = self.parts.key.clone();
        let may = |other: &&Presence| {
            other.role == Role::StandingBy && !(is_banned && other.key == own_key)
        };
        if let Some(other) = present.iter().find(may) {
            let why = if is_banned {
                "the key is banned"
            } else {
                "the broker is not reached from here"
            };
            tracing::warn!(to = other.process, "{why}: leaving the lead to others");
            state.left_at = Some(Instant::now());
            candidate.step_back();
        }
    }

    /// Whether this sweep deserves the ping: a good one, during a session.
    fn is_good(&self, report: &Report, started_at: KrxTime) -> bool {
        let is_open = || self.parts.calendar.load().moment(started_at).is_open();
        !report.stopped
            && report.coverage >= self.parts.gap_below
            && (self.always_open || is_open())
    }

    fn skip(&self, skip: &Skip, now: KrxTime) {
        let next = self.next_run(skip, now);
        self.record_skip(skip, next);
        set_next_run(next);
        let shown = match (skip, next) {
            (Skip::PreviousRun, _) => "as soon as it ends".to_owned(),
            (_, Some(next)) => next.format("%Y-%m-%d %H:%M:%S KST").to_string(),
            (_, None) => "none known".to_owned(),
        };
        tracing::info!(reason = skip.slug(), next_run = %shown, "run skipped: {skip}; next run {shown}");
        if *skip != Skip::PreviousRun {
            let doing = format!("{skip}; next run {shown}");
            self.parts.activity.set(doing);
        }
        if let Some(watcher) = &self.passes.watcher {
            watcher.skipped(&skip.to_string(), next);
        }
    }

    /// Counts a skipped run and notes it in the event log.
    fn record_skip(&self, skip: &Skip, next_run: Option<KrxTime>) {
        counter!("sise_skipped_runs_total", "reason" => skip.slug()).increment(1);
        self.parts.recorder.note(Event::Skip(Skipped {
            reason: skip.slug().to_owned(),
            why: skip.to_string(),
            next_run,
        }));
    }

    /// Returns when the next run is due after a skipped one.
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

fn set_next_run(next: Option<KrxTime>) {
    if let Some(next) = next {
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds since 1970 are far below 2^52"
        )]
        gauge!("sise_next_run_timestamp_seconds").set(next.timestamp() as f64);
    }
}
