//! `sise status`

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveTime, TimeDelta, TimeZone as _};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::failure::{DONE, Outcome};
use super::output::{self, grouped};
use super::strip::{self, Look, Slot};
use super::words::{self, length, long, percent, short};
use crate::config::Layers;
use crate::domain::{
    APART, Coverage, Entry, Event, Gap, KrxTime, Moment, Presence, Role, Seoul, Skipped, Watching,
};
use crate::port::{
    CoverageLog as _, Journal as _, Leader, Leadership as _, Roster as _, StoreError,
};
use crate::setup::Parts;
use crate::store::{RedisBudget, RedisStore};

/// Entries that are looked through for the last sweeps and bans.
const ENTRIES: usize = 1_000;

/// Arguments of `sise status`.
#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// So many of the last sweeps
    #[arg(long, value_name = "N", default_value_t = 5)]
    sweeps: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is known of all processes together.
struct Status {
    now: KrxTime,
    moment: Moment,
    leader: Option<Leader>,
    processes: Vec<Presence>,
    sweeps: Vec<Entry>,
    /// The skips since the last sweep.
    skips: Vec<Entry>,
    bans: Vec<Entry>,
    day: Day,
    rates: Vec<Rate>,
}

/// Coverage of today's session.
struct Day {
    open: KrxTime,
    slots: Vec<Slot>,
    counted: Vec<(NaiveTime, Coverage)>,
    gaps: Vec<Gap>,
}

/// How fast the calls of an app key go.
#[derive(Debug, Serialize)]
struct Rate {
    key: String,
    /// Share of the set rate, 0 to 1.
    share: f64,
}

pub(super) async fn run(arguments: StatusArguments, layers: Layers) -> Outcome {
    let parts = super::parts(&layers)?;
    let redis = super::redis(&parts)?;
    let status = Status::gather(&parts, &redis, arguments.sweeps).await?;
    if arguments.json {
        output::json(&status.as_json(&parts));
    } else {
        status.print(&parts, &redis);
    }
    Ok(DONE)
}

impl Status {
    async fn gather(
        parts: &Parts,
        redis: &Arc<RedisStore>,
        sweeps: usize,
    ) -> Result<Self, StoreError> {
        let now = (parts.clock)();
        let leader = redis.leader().await?;
        let mut processes = redis.present().await?;
        for process in &mut processes {
            // The lease has the last word: one that was killed is on the roster for a while.
            let leads = leader.as_ref().map(|leader| &leader.process) == Some(&process.process);
            if process.role == Role::Leading && !leads {
                process.role = Role::Waiting;
            }
        }
        let entries = redis.entries(ENTRIES).await?;
        let counted = redis.minutes(now.date_naive()).await?;
        let keys: BTreeSet<String> = processes
            .iter()
            .filter_map(|process| process.key.clone())
            .chain(parts.app_key_digest())
            .collect();
        let mut rates = Vec::new();
        for key in keys {
            let caps = parts.settings.kis.caps();
            let budget = RedisBudget::new(Arc::clone(redis), &key, caps, Arc::default());
            let share = budget.share().await?;
            rates.push(Rate { key, share });
        }
        let is_sweep = |entry: &&Entry| matches!(entry.event, Event::Sweep(_));
        // The newest come first: what was lifted since is no ban any more.
        let mut lifted = BTreeSet::new();
        let mut bans = Vec::new();
        for entry in &entries {
            match &entry.event {
                Event::BanLifted { credentials, .. } => drop(lifted.insert(credentials)),
                Event::Ban {
                    credentials, until, ..
                } if *until > now && !lifted.contains(credentials) => bans.push(entry.clone()),
                _ => {}
            }
        }
        let of = |wanted: &dyn Fn(&&Entry) -> bool, most: usize| -> Vec<Entry> {
            entries.iter().filter(wanted).take(most).cloned().collect()
        };
        let last_sweep = entries.iter().find(is_sweep).map(|entry| entry.at);
        let is_skip = |entry: &&Entry| match &entry.event {
            Event::Skip(skipped) => {
                skipped.reason != Skipped::NOT_LEADER
                    && last_sweep.is_none_or(|last| entry.last_at > last)
            }
            _ => false,
        };
        Ok(Self {
            moment: parts.calendar.load().moment(now),
            leader,
            sweeps: of(&is_sweep, sweeps),
            skips: of(&is_skip, 1),
            bans,
            day: Day::new(parts, now, counted),
            rates,
            processes,
            now,
        })
    }

    fn as_json(&self, parts: &Parts) -> Value {
        let Day { counted, gaps, .. } = &self.day;
        let minutes: Vec<Value> = counted
            .iter()
            .map(|(minute, coverage)| {
                json!({
                    "minute": minute.format("%H:%M").to_string(), "live": coverage.live,
                    "codes": coverage.codes, "share": coverage.share(),
                })
            })
            .collect();
        json!({
            "at": time(self.now),
            "open": self.moment.is_open(),
            "phase": self.moment.phase,
            "reason": self.moment.closed.as_ref().map(ToString::to_string),
            "leader": self.leader.as_ref().map(leader_json),
            "processes": self.processes,
            "sweeps": self.sweeps,
            "last_skip": self.skips.first(),
            "coverage": {"gap_below": parts.settings.journal.gap_below, "minutes": minutes, "gaps": gaps},
            "bans": self.bans,
            "rates": self.rates,
        })
    }

    fn print(&self, parts: &Parts, redis: &RedisStore) {
        let session = match (&self.moment.closed, self.moment.closes_at) {
            (Some(closed), _) => format!("closed: {closed}"),
            (None, Some(close)) => {
                format!("{}, closes {}", self.moment.phase, close.format("%H:%M"))
            }
            (None, None) => self.moment.phase.to_string(),
        };
        output::line(format!(
            "{}   session {session}   Redis {}",
            long(self.now),
            redis.address()
        ));
        output::line(format!("\nleader     {}", self.leader_words()));
        self.print_processes();
        self.print_sweeps();
        self.print_coverage(parts);
        let now = self.now;
        output::line("");
        if self.bans.is_empty() {
            output::line("bans       none");
        }
        for ban in &self.bans {
            output::line(format!("ban        {}", words::sentence(ban, now)));
        }
        for Rate { key, share } in &self.rates {
            let why = if *share < 1.0 {
                ", climbing back since the broker refused calls"
            } else {
                ""
            };
            output::line(format!(
                "rate       {} of the set rate{why} (key {key})",
                percent(*share)
            ));
        }
    }

    fn leader_words(&self) -> String {
        let Some(leader) = &self.leader else {
            return "nobody leads: no daemon runs, or none has taken over yet".to_owned();
        };
        let since = words::since(leader).map_or_else(String::new, |since| {
            let ago = length(self.now - since);
            format!(" since {} ({ago})", short(since, self.now))
        });
        format!("{}{since}, lead {}", leader.process, leader.lead)
    }

    fn print_processes(&self) {
        if self.processes.is_empty() {
            output::line("processes  none has been heard of lately");
            return;
        }
        let mut table = output::table(&["process", "role", "since", "key", "rate", "doing"]);
        // What a process is doing may be a long sentence.
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
        for process in &self.processes {
            table.add_row([
                process.process.as_str(),
                process.role.as_str(),
                &short(process.since, self.now),
                process.key.as_deref().unwrap_or("none"),
                process.rate.as_str(),
                &process.doing,
            ]);
        }
        output::line(format!("\n{table}"));
        for watched in self.processes.iter().filter_map(|process| process.watched) {
            output::line(format!("watched    {}", watched_words(watched, self.now)));
        }
        if let Some(trouble) = Presence::at_odds(&self.processes) {
            output::line(format!("warning    {trouble}; {APART}"));
        }
    }

    fn print_sweeps(&self) {
        output::line("");
        if self.sweeps.is_empty() {
            output::line("sweeps     none in the journal");
        } else {
            let mut table = output::table(&[
                "sweep", "took", "coverage", "written", "calls", "refused", "missing",
            ]);
            for entry in &self.sweeps {
                let Event::Sweep(swept) = &entry.event else {
                    continue;
                };
                let missing: Vec<String> = swept
                    .missing
                    .iter()
                    .map(|missing| format!("{} {}", grouped(missing.count), missing.reason))
                    .collect();
                let elapsed = i64::try_from(swept.elapsed_ms).unwrap_or(i64::MAX);
                let seconds = TimeDelta::milliseconds(elapsed).as_seconds_f64();
                table.add_row([
                    short(swept.started_at, self.now),
                    format!("{seconds:.1} s"),
                    percent(swept.coverage),
                    grouped(swept.written),
                    grouped(swept.calls),
                    grouped(swept.refused_calls),
                    missing.join(", "),
                ]);
            }
            for column in 1..=5 {
                if let Some(column) = table.column_mut(column) {
                    column.set_cell_alignment(comfy_table::CellAlignment::Right);
                }
            }
            output::line(table);
        }
        if let Some(skip) = self.skips.first() {
            let sentence = words::sentence(skip, self.now);
            output::line(format!("since then {sentence}"));
        }
    }

    fn print_coverage(&self, parts: &Parts) {
        let below = parts.settings.journal.gap_below;
        let Day {
            open, slots, gaps, ..
        } = &self.day;
        if slots.is_empty() {
            output::line("\ncoverage   no session today");
            return;
        }
        output::line("\ncoverage of today, minute by minute");
        for line in strip::draw(slots, *open, below, Look::of_terminal()) {
            output::line(line);
        }
        for gap in gaps {
            output::line(words::gap(gap, self.now));
        }
    }
}

impl Day {
    /// The minutes of today's session; where none is, those that were counted all the same.
    fn new(parts: &Parts, now: KrxTime, counted: Vec<(NaiveTime, Coverage)>) -> Self {
        let day = now.date_naive();
        let at = |time: NaiveTime| Seoul.from_local_datetime(&day.and_time(time)).earliest();
        let minute = TimeDelta::minutes(1);
        let session = parts.calendar.load().session(day);
        let first = counted.first().and_then(|(time, _)| at(*time));
        let last = counted.last().and_then(|(time, _)| at(*time));
        // Trials that ignore the calendar count outside it too.
        let open = session.map(|(open, _)| open).into_iter().chain(first).min();
        let close = session.map(|(_, close)| close);
        let close = close
            .into_iter()
            .chain(last.map(|last| last + minute))
            .max();
        let mut slots = Vec::new();
        let mut gaps: Vec<Gap> = Vec::new();
        let below = parts.settings.journal.gap_below;
        let mut time = open.unwrap_or(now);
        while time < close.unwrap_or(time) {
            let held = counted.binary_search_by_key(&time.time(), |(minute, _)| *minute);
            let held = held.ok().and_then(|place| counted.get(place));
            let share = held.and_then(|(_, coverage)| coverage.share());
            let is_over = time + minute <= now;
            let slot = match share {
                Some(share) => Slot::Share(share),
                None if is_over => Slot::NotCounted,
                None => Slot::Future,
            };
            let is_gap = share.map_or(slot == Slot::NotCounted, |share| share < below);
            let is_session = session.is_none_or(|(open, close)| open <= time && time < close);
            slots.push(slot);
            if is_gap && (is_session || share.is_some()) {
                add_minute(&mut gaps, time, share);
            }
            time += minute;
        }
        Self {
            open: open.unwrap_or(now),
            slots,
            counted,
            gaps,
        }
    }
}

/// Adds a minute to the gap that it goes on with, or begins one.
fn add_minute(gaps: &mut Vec<Gap>, minute: KrxTime, share: Option<f64>) {
    let until = minute + TimeDelta::minutes(1);
    let goes_on = |gap: &&mut Gap| gap.until == minute && gap.lowest.is_some() == share.is_some();
    match gaps.last_mut().filter(goes_on) {
        Some(gap) => {
            gap.until = until;
            gap.lowest = gap.lowest.zip(share).map(|(a, b)| a.min(b));
        }
        None => gaps.push(Gap {
            from: minute,
            until,
            lowest: share,
        }),
    }
}

/// How the watched codes are refreshed, in words.
fn watched_words(watched: Watching, now: KrxTime) -> String {
    let Watching {
        codes,
        interval_ms,
        refreshed_at,
    } = watched;
    let noun = if codes == 1 { "code" } else { "codes" };
    let interval = humantime::format_duration(Duration::from_millis(interval_ms));
    let refreshed = short(refreshed_at, now);
    format!(
        "{} {noun} every {interval}, last refreshed {refreshed}",
        grouped(codes)
    )
}

/// An instant as JSON has it.
pub(super) fn time(time: KrxTime) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, false)
}

/// Who leads, as JSON.
pub(super) fn leader_json(leader: &Leader) -> Value {
    json!({
        "process": leader.process, "lead": leader.lead.0,
        "since": words::since(leader).map(time),
    })
}
