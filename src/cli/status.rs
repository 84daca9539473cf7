//! `sise status`

use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;

use super::failure::{DONE, Outcome};
use super::output::{self, grouped};
use super::paint::{Ink, Painted};
use super::strip::{self, Look};
use super::table::{Cell, Table};
use super::words::{self, length, long, percent, short};
use crate::closes::LastKnown;
use crate::config::RawSettings;
use crate::status::{DayCoverage, KeyCalls, Status};
use sise_domain::{APART, Event, KrxTime, Presence, Watching};

/// Arguments of `sise status`.
#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// How many of the last sweeps to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    sweeps: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: StatusArguments, raw: RawSettings) -> Outcome {
    let wiring = super::wiring(&raw)?;
    let redis = super::redis(&wiring)?;
    // The ages of the prices are computed over the list in use.
    wiring.know_names().await;
    let status = Status::gather(&wiring.status()?, arguments.sweeps).await?;
    if arguments.json {
        output::json(&status);
    } else {
        Told(&status).print(redis.address());
    }
    Ok(DONE)
}

/// The status in words.
struct Told<'a>(&'a Status);

impl Told<'_> {
    fn print(&self, address: &str) {
        let status = self.0;
        let session = match (&status.reason, status.closes_at) {
            (Some(closed), _) => format!("closed: {closed}"),
            (None, Some(close)) => format!("{}, closes {}", status.phase, close.format("%H:%M")),
            (None, None) => status.phase.to_string(),
        };
        let now = status.at;
        output::line(format!(
            "{}   session {session}   Redis {address}",
            long(now)
        ));
        if let Some(clock) = &status.clock {
            output::line(format!("clock      {clock}"));
        }
        if let Some(LastKnown { of, at }) = status.last_known {
            let at = at.format("%Y-%m-%d %H:%M:%S");
            output::line(format!(
                "closes     none of {of} was taken: the last known prices stand in, taken at {at}"
            ));
        }
        if status.is_simulated() {
            output::line(format!("warning    {}", words::SIMULATED));
        }
        output::line("");
        let ink = match (&status.leader, status.open) {
            (None, true) => Ink::Bad,
            _ => Ink::Plain,
        };
        output::painted(
            Painted::new()
                .with(Ink::Plain, "leader     ")
                .with(ink, self.leader_words()),
        );
        if let Some(broker) = &status.broker {
            output::line(format!("prices of  {broker}"));
        }
        self.print_processes();
        self.print_sweeps();
        self.print_coverage();
        output::line("");
        if status.bans.is_empty() {
            output::line("bans       none");
        }
        for ban in &status.bans {
            let words = format!("ban        {}", words::sentence(ban, now));
            output::painted(Painted::new().with(Ink::Bad, words));
        }
        for KeyCalls { key, share, .. } in &status.rates {
            let why = if *share < 1.0 {
                ", climbing back since the broker refused calls"
            } else {
                ""
            };
            let ink = if *share < 1.0 {
                Ink::Warning
            } else {
                Ink::Plain
            };
            let words = format!(
                "rate       {} of the set rate{why} (key {key})",
                percent(*share)
            );
            output::painted(Painted::new().with(ink, words));
        }
    }

    fn leader_words(&self) -> String {
        let Some(leader) = &self.0.leader else {
            return "no process leads: no daemon runs, or none has taken over yet".to_owned();
        };
        let since = leader.since.map_or_else(String::new, |since| {
            let ago = length(self.0.at - since);
            format!(" since {} ({ago})", short(since, self.0.at))
        });
        format!("{}{since}, lead {}", leader.process, leader.lead)
    }

    fn print_processes(&self) {
        if self.0.processes.is_empty() {
            output::line("processes  none was seen lately");
            return;
        }
        // The last column may be a long sentence.
        let header = ["process", "role", "since", "key", "rate", "doing"];
        let mut table = Table::new(&header).folded();
        for process in &self.0.processes {
            table.add_row([
                process.process.as_str(),
                process.role.as_str(),
                &short(process.since, self.0.at),
                process.key.as_deref().unwrap_or("none"),
                process.rate.as_str(),
                &process.doing,
            ]);
        }
        output::line("");
        output::rows(&table);
        for watched in self
            .0
            .processes
            .iter()
            .filter_map(|process| process.watched)
        {
            output::line(format!("watched    {}", watched_words(watched, self.0.at)));
        }
        for live in self.0.processes.iter().filter_map(|process| process.live) {
            output::line(format!("live       {live} codes streamed by the live feed"));
        }
        if let Some(trouble) = Presence::at_odds(&self.0.processes) {
            let words = format!("warning    {trouble}; {APART}");
            output::painted(Painted::new().with(Ink::Warning, words));
        }
    }

    fn print_sweeps(&self) {
        output::line("");
        if self.0.sweeps.is_empty() {
            output::line("sweeps     none in the event log");
        } else {
            let mut table = Table::new(&[
                "sweep", "took", "coverage", "written", "calls", "refused", "missing",
            ]);
            for entry in &self.0.sweeps {
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
                let coverage = match swept.coverage < self.0.coverage.gap_below {
                    true => Ink::Bad,
                    false => Ink::Good,
                };
                let refused = match swept.refused_calls {
                    0 => Ink::Plain,
                    _ => Ink::Warning,
                };
                table.add_row([
                    short(swept.started_at, self.0.at).into(),
                    format!("{seconds:.1} s").into(),
                    Cell::new(percent(swept.coverage), coverage),
                    grouped(swept.written).into(),
                    grouped(swept.calls).into(),
                    Cell::new(grouped(swept.refused_calls), refused),
                    missing.join(", ").into(),
                ]);
            }
            table.right(1..=5);
            output::rows(&table);
        }
        if let Some(skip) = &self.0.last_skip {
            let sentence = words::sentence(skip, self.0.at);
            output::line(format!("since then {sentence}"));
        }
    }

    fn print_coverage(&self) {
        let DayCoverage {
            gap_below,
            open,
            slots,
            gaps,
            ..
        } = &self.0.coverage;
        if slots.is_empty() {
            output::line("");
            output::line("coverage   no session today");
            return;
        }
        output::line("");
        output::line("coverage of today, minute by minute");
        for line in strip::draw(slots, *open, *gap_below, Look::of_terminal()) {
            output::painted(line);
        }
        for gap in gaps {
            output::painted(Painted::new().with(Ink::Bad, words::gap(gap, self.0.at)));
        }
    }
}

/// Describes how the watched codes are refreshed.
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
