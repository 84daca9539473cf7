//! Entries of the event log, times and shares in words.

use std::time::Duration;

use chrono::TimeDelta;

use super::output::grouped;
pub(super) use sise_domain::percent;
use sise_domain::{
    ClockJump, Entry, Event, Gap, KrxTime, LeadChange, Leading, Seoul, Skipped, Swept, TokenChange,
};
use sise_port::Leader;

/// The notice wherever prices of a simulated broker are shown.
pub(super) const SIMULATED: &str =
    "these prices are simulated: a simulated broker made them up, they are not the market's";

/// Formats the date and the time of day.
pub(super) fn long(time: KrxTime) -> String {
    time.format("%Y-%m-%d %H:%M:%S KST").to_string()
}

/// Formats the time of day, with the date if that is not the date of `now`.
pub(super) fn short(time: KrxTime, now: KrxTime) -> String {
    let format = if time.date_naive() == now.date_naive() {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    time.format(format).to_string()
}

/// Formats an instant for JSON.
pub(super) fn as_json(time: KrxTime) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, false)
}

/// Formats a length of time in one or two units.
pub(super) fn length(length: TimeDelta) -> String {
    let rounded = length.checked_add(&TimeDelta::milliseconds(500));
    let seconds = rounded.unwrap_or(length).num_seconds().max(0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Returns the time since which `leader` leads, by the store's clock.
pub(super) fn since(leader: &Leader) -> Option<KrxTime> {
    let since = chrono::DateTime::from_timestamp_millis(leader.since_ms)?;
    Some(since.with_timezone(&Seoul))
}

/// Returns an entry as one sentence.
pub(super) fn sentence(entry: &Entry, now: KrxTime) -> String {
    let process = &entry.process;
    match &entry.event {
        Event::Sweep(swept) => format!("{}, by {process}", sweep(swept, now)),
        Event::Skip(skipped) => skip(entry, skipped, now),
        Event::Gap(held) => gap(held, now),
        Event::Lead(LeadChange {
            change,
            lead,
            after,
        }) => {
            let at = short(entry.at, now);
            match (change, after) {
                (Leading::Taken, Some(before)) => {
                    format!("{at}: {process} took the lead after {before} (lead {lead})")
                }
                (Leading::Taken, None) => format!("{at}: {process} took the lead (lead {lead})"),
                (Leading::Lost, _) => format!("{at}: {process} lost the lead (lead {lead})"),
                (Leading::GivenBack, _) => {
                    format!("{at}: {process} stopped and gave the lead back (lead {lead})")
                }
            }
        }
        Event::Token(change) => {
            let at = short(entry.at, now);
            match change {
                TokenChange::Issued { expires_at } => format!(
                    "{at}: the broker issued a token to {process}, good until {}",
                    expires_at.format("%Y-%m-%d %H:%M")
                ),
                TokenChange::Refused { said } => {
                    format!("{at}: the broker refused {process} a token: {said}")
                }
                TokenChange::Dead => {
                    format!("{at}: the broker no longer accepts the token of {process}")
                }
            }
        }
        Event::Ban {
            key, why, until, ..
        } => {
            let (at, until) = (short(entry.at, now), long(*until));
            format!(
                "{at}: the broker bans key and secret of {process} (key {key}); nothing is asked \
                 with them until {until}: {why}"
            )
        }
        Event::BanLifted { key, .. } => {
            let at = short(entry.at, now);
            format!("{at}: the broker accepts key and secret of {process} (key {key}) again")
        }
        Event::Clock { jump, by_ms } => clock(entry, *jump, Duration::from_millis(*by_ms), now),
        Event::Alert { alert } => format!(
            "{}: alert of the rule {}, sent by {process}: {}",
            short(alert.at, now),
            alert.rule,
            alert.text
        ),
        Event::Lost { count } => format!(
            "{}: {} events were dropped, for lack of room, before they reached the event log",
            short(entry.at, now),
            grouped(*count)
        ),
    }
}

/// Returns a sweep in words, without the process that made it.
pub(super) fn sweep(swept: &Swept, now: KrxTime) -> String {
    let what = match swept.partial {
        true => "pass over some codes at",
        false => "sweep of",
    };
    let mut text = format!(
        "{what} {}: {} of {} codes ({}) in {:.1} s, {} calls, {} refused, {} repeated",
        short(swept.started_at, now),
        grouped(swept.written),
        grouped(swept.universe),
        percent(swept.coverage),
        Duration::from_millis(swept.elapsed_ms).as_secs_f64(),
        grouped(swept.calls),
        grouped(swept.refused_calls),
        grouped(swept.retries),
    );
    if swept.close_of.is_some() {
        text += ", kept as the close";
    }
    if swept.stopped {
        text += ", stopped before its end";
    }
    for missing in &swept.missing {
        let codes: Vec<&str> = missing.codes.iter().map(|code| code.as_str()).collect();
        let more = match missing.count.saturating_sub(codes.len()) {
            0 => String::new(),
            more => format!(" and {} more", grouped(more)),
        };
        text += &format!(
            "; {} {}: {}{more}",
            grouped(missing.count),
            missing.reason,
            codes.join(" ")
        );
        if !missing.detail.is_empty() {
            text += &format!(" ({})", missing.detail);
        }
    }
    text
}

fn skip(entry: &Entry, skipped: &Skipped, now: KrxTime) -> String {
    let when = match entry.times {
        1 => format!("run of {} skipped", short(entry.at, now)),
        times => format!(
            "{} runs skipped from {} to {}",
            grouped(times),
            short(entry.at, now),
            short(entry.last_at, now)
        ),
    };
    let next = skipped.next_run.map_or_else(String::new, |next| {
        format!("; the next was due {}", long(next))
    });
    format!("{when} by {}: {}{next}", entry.process, skipped.why)
}

/// Returns a gap in words, with both of its ends.
pub(super) fn gap(gap: &Gap, now: KrxTime) -> String {
    let day = if gap.from.date_naive() == now.date_naive() {
        String::new()
    } else {
        format!("{} ", gap.from.date_naive())
    };
    let span = format!(
        "gap {day}{} to {}",
        gap.from.format("%H:%M"),
        gap.until.format("%H:%M")
    );
    match gap.lowest {
        Some(lowest) => format!("{span}: down to {} of the list live", percent(lowest)),
        None => format!("{span}: no process swept"),
    }
}

fn clock(entry: &Entry, jump: ClockJump, by: Duration, now: KrxTime) -> String {
    let by = length(TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX));
    let process = &entry.process;
    let what = match jump {
        ClockJump::Ahead => {
            format!("the clock of {process} jumped ahead by {by}: its host slept, or was set")
        }
        ClockJump::Back => format!("the clock of {process} was set back by {by}"),
        ClockJump::Paused => format!("{process} did not run for {by}"),
    };
    format!("{}: {what}", short(entry.at, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_percent_are_the_whole() {
        for (share, words) in [
            (1.0, "100.0 %"),
            (0.9996, "99.9 %"),
            (2_768.0 / 2_769.0, "99.9 %"),
            (0.7, "70.0 %"),
            (0.29, "29.0 %"),
            (0.0, "0.0 %"),
        ] {
            assert_eq!(percent(share), words);
        }
    }

    #[test]
    fn lengths_are_said_in_units_that_people_use() {
        for (seconds, words) in [
            (-5, "0 s"),
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_200, "2 h 0 min"),
            (19 * 3_600 + 60, "19 h 1 min"),
            (3 * 86_400, "3 days"),
        ] {
            assert_eq!(length(TimeDelta::seconds(seconds)), words);
        }
    }
}
