//! The next run, and why no sweeps run until then.

use chrono::TimeDelta;
use serde::Serialize;

use super::Parts;
use sise_domain::{Closed, Entry, Event, KrxTime, Moment};

/// The next run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextRun {
    /// When it is due; `None` if not known.
    pub at: Option<KrxTime>,
    /// Why no sweeps run until then; `None` while they go on.
    pub idle: Option<Idle>,
}

/// Why no sweeps run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// The label in metrics.
    pub reason: String,
    /// In words.
    pub why: String,
}

/// The facts that the next run is concluded from.
pub(super) struct Known<'a> {
    pub(super) parts: &'a Parts,
    pub(super) has_leader: bool,
    pub(super) last_sweep: Option<&'a Entry>,
    /// The last run skipped since that sweep.
    pub(super) last_skip: Option<&'a Entry>,
    pub(super) ban: Option<&'a Entry>,
}

impl Known<'_> {
    pub(super) fn next_run(&self, moment: &Moment, now: KrxTime) -> NextRun {
        let timetable = &self.parts.timetable;
        let first = |from: KrxTime, inclusive| timetable.first_sweep(from, inclusive);
        let idle = |at: Option<KrxTime>, reason: &str, why: String| NextRun {
            at,
            idle: Some(Idle {
                reason: reason.to_owned(),
                why,
            }),
        };
        // On a shared store, one process must lead.
        if self.parts.redis.is_some() && !self.has_leader {
            let why = "no process leads: no daemon runs, or none has taken over yet";
            return idle(None, "no_leader", why.to_owned());
        }
        if let Some(Event::Ban { until, why, .. }) = self.ban.map(|entry| &entry.event) {
            let why = format!("the broker bans the app key: {why}");
            return idle(first(*until, true), "banned", why);
        }
        let interval = TimeDelta::from_std(self.parts.interval).unwrap_or(TimeDelta::MAX);
        let sweeps_go_on = self.last_skip.is_none()
            && self.last_sweep.is_some_and(|entry| {
                // A sweep is recorded when it ends, and it may take longer than the interval.
                (now - entry.at) / 2 < interval.max(TimeDelta::minutes(1))
            });
        // A process that ignores the calendar also sweeps out of session.
        if sweeps_go_on {
            return NextRun {
                at: first(now, false),
                idle: None,
            };
        }
        if let Some(Event::Skip(skipped)) = self.last_skip.map(|entry| &entry.event)
            && let Some(next) = skipped.next_run.filter(|next| *next > now)
        {
            return idle(Some(next), &skipped.reason, skipped.why.clone());
        }
        match &moment.closed {
            None => NextRun {
                at: first(now, false),
                idle: None,
            },
            Some(closed) => {
                let close = self.parts.calendar.load().close_window(now.date_naive());
                let close = close.filter(|(from, _)| *closed == Closed::AfterClose && now < *from);
                let at = match close {
                    Some((from, _)) => Some(from),
                    None => moment.next_open.and_then(|open| first(open, true)),
                };
                let why = format!("the market is closed: {closed}");
                idle(at, closed.slug(), why)
            }
        }
    }
}
