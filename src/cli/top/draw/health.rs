//! The health strip: session, coverage, ages of the prices, calls, leader and processes.

use std::collections::BTreeMap;

use ratatui::text::{Line, Span};

use super::Shown;
use crate::cli::output::grouped;
use crate::cli::strip::{self, Look};
use crate::cli::terminal::paint::Paint;
use crate::cli::words::{self, length, percent, short};
use crate::status::Status;
use sise_domain::{APART, Event, IndexQuote, KrxTime, Presence, Role};

/// Width of the label in front of each line.
const LABEL: usize = 10;

/// Returns the first line: the time, the session and the store.
pub(super) fn title(shown: &Shown<'_>, paint: Paint) -> Line<'static> {
    let session =
        shown
            .picture
            .status
            .as_ref()
            .map(|status| match (&status.reason, status.closes_at) {
                (Some(closed), _) => format!("closed: {closed}"),
                (None, Some(close)) => {
                    format!("{}, closes {}", status.phase, close.format("%H:%M"))
                }
                (None, None) => status.phase.to_string(),
            });
    let is_simulated = shown.picture.is_simulated();
    let simulated = if is_simulated {
        "  SIMULATED PRICES"
    } else {
        ""
    };
    Line::from(vec![
        Span::styled("sise", Paint::strong()),
        Span::styled(simulated, paint.bad()),
        Span::raw(format!(
            "  {}  {}  ",
            shown.now.format("%Y-%m-%d %H:%M:%S KST"),
            session.unwrap_or_default()
        )),
        Span::styled(shown.address.to_owned(), paint.dim()),
    ])
}

/// Returns a line with the levels of the indices, or `None` if no level is known.
pub(super) fn indices(indices: &[IndexQuote], paint: Paint) -> Option<Line<'static>> {
    let mut spans = Vec::new();
    for index in indices {
        spans.push(Span::styled(format!("{} ", index.index), Paint::strong()));
        spans.push(Span::raw(format!("{} ", points(index.level))));
        if let Some(rate) = index.change_rate {
            let words = format!("{}{:.2} %", paint.arrow(Some(rate)), rate.abs());
            spans.push(Span::styled(words, paint.change(Some(rate))));
        }
        spans.push(Span::raw("   "));
    }
    (!spans.is_empty()).then(|| Line::from(spans))
}

/// Formats a level with two decimals and thousands separators.
fn points(level: f64) -> String {
    let text = format!("{level:.2}");
    match text.split_once('.') {
        Some((whole, part)) => {
            let whole = whole
                .parse::<i64>()
                .map_or_else(|_| whole.to_owned(), grouped);
            format!("{whole}.{part}")
        }
        None => text,
    }
}

/// Returns the lines below the title and the indices.
pub(super) fn lines(
    status: &Status,
    shown: &Shown<'_>,
    width: usize,
    paint: Paint,
) -> Vec<Line<'static>> {
    let mut lines = coverage(status, shown.look, width, paint);
    lines.push(ages(status, paint));
    lines.push(calls(status, paint));
    lines.push(leader(status, paint));
    lines.push(processes(status));
    lines.push(next_run(status, shown.now, paint));
    if let Some(Event::Sweep(swept)) = status.sweeps.first().map(|entry| &entry.event) {
        lines.push(labelled("last", words::sweep(swept, shown.now)));
    }
    for ban in &status.bans {
        let words = words::sentence(ban, shown.now);
        lines.push(Line::styled(
            format!("{:<LABEL$}{words}", "ban"),
            paint.bad(),
        ));
    }
    if let Some(trouble) = Presence::at_odds(&status.processes) {
        let words = format!("{:<LABEL$}{trouble}; {APART}", "warning");
        lines.push(Line::styled(words, paint.bad()));
    }
    lines
}

fn labelled(label: &str, words: String) -> Line<'static> {
    Line::raw(format!("{label:<LABEL$}{words}"))
}

fn coverage(status: &Status, look: Look, width: usize, paint: Paint) -> Vec<Line<'static>> {
    let day = &status.coverage;
    if day.slots.is_empty() {
        return vec![labelled("coverage", "no session today".to_owned())];
    }
    let look = Look {
        width: width.saturating_sub(LABEL),
        ..look
    };
    let mut spans = vec![Span::raw(format!("{:<LABEL$}", "coverage"))];
    for cell in strip::cells(&day.slots, day.gap_below, look) {
        let mark = cell.mark.to_string();
        spans.push(if cell.is_bad {
            Span::styled(mark, paint.bad())
        } else {
            Span::raw(mark)
        });
    }
    let minutes = strip::minutes_a_cell(&day.slots, look.width);
    let hours = strip::hours(day.slots.len(), minutes, day.open);
    vec![Line::from(spans), labelled("", hours)]
}

fn ages(status: &Status, paint: Paint) -> Line<'static> {
    let Some(ages) = status.ages_ms else {
        let words = format!("{:<LABEL$}no live price", "ages");
        return Line::styled(
            words,
            if status.open {
                paint.bad()
            } else {
                paint.dim()
            },
        );
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "ages in milliseconds are far below 2^52"
    )]
    let seconds = |millis: u64| millis as f64 / 1_000.0;
    labelled(
        "ages",
        format!(
            "half {:.1} s   90 % {:.1} s   99 % {:.1} s   oldest {:.1} s",
            seconds(ages.p50),
            seconds(ages.p90),
            seconds(ages.p99),
            seconds(ages.max)
        ),
    )
}

fn calls(status: &Status, paint: Paint) -> Line<'static> {
    let calls = &status.calls;
    let second = calls.last_second.map_or_else(
        || format!("limit {} a second", calls.limit_per_second),
        |second| format!("{second} of {} a second", calls.limit_per_second),
    );
    let mut spans = vec![Span::raw(format!("{:<LABEL$}{second}", "calls"))];
    if calls.share < 1.0 {
        let words = format!(" ({} since a refusal)", percent(calls.share));
        spans.push(Span::styled(words, paint.bad()));
    }
    let minute = grouped(calls.last_minute);
    spans.push(Span::raw(format!("   {minute} in the last minute")));
    if let Some(today) = calls.today {
        spans.push(Span::raw(format!("   {} today", grouped(today))));
    }
    Line::from(spans)
}

fn leader(status: &Status, paint: Paint) -> Line<'static> {
    match &status.leader {
        None => Line::styled(format!("{:<LABEL$}no process leads", "leader"), paint.bad()),
        Some(leader) => {
            let since = leader.since.map_or_else(String::new, |since| {
                let ago = length(status.at - since);
                format!(" since {} ({ago})", short(since, status.at))
            });
            labelled("leader", format!("{}{since}", leader.process))
        }
    }
}

fn processes(status: &Status) -> Line<'static> {
    if status.processes.is_empty() {
        return labelled("processes", "none was seen lately".to_owned());
    }
    let mut roles: BTreeMap<&str, usize> = BTreeMap::new();
    for process in &status.processes {
        *roles.entry(process.role.as_str()).or_default() += 1;
    }
    let mut words: Vec<String> = roles
        .into_iter()
        .map(|(role, count)| format!("{count} {role}"))
        .collect();
    let leads = |process: &&Presence| process.role == Role::Leading;
    if let Some(leading) = status.processes.iter().find(leads) {
        words.push(leading.doing.clone());
    }
    labelled("processes", words.join(", "))
}

fn next_run(status: &Status, now: KrxTime, paint: Paint) -> Line<'static> {
    let next = status.next_run.map_or_else(
        || "not known".to_owned(),
        |next| {
            let until = length(next - now);
            format!("{} (in {until})", short(next, now))
        },
    );
    match &status.idle {
        None => labelled("next run", next),
        Some(idle) => {
            let words = format!("{:<LABEL$}{next}; not now: {}", "next run", idle.why);
            // A closed market is no trouble.
            let is_trouble = status.open;
            Line::styled(words, if is_trouble { paint.bad() } else { paint.dim() })
        }
    }
}
