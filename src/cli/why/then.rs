//! `sise why --at`: what was going on at a moment.

use chrono::{NaiveTime, TimeDelta};
use serde_json::json;

use super::super::failure::{DONE, Outcome};
use super::super::output::{self};
use super::super::words::{as_json, length, long, percent, sentence, short};
use super::{ENTRIES, is_telling};
use crate::setup::Wiring;
use sise_domain::{Entry, Event, KrxTime, Leading, Swept, TokenChange};
use sise_port::{CoverageLog as _, Journal as _};
use sise_store::RedisStore;

/// Alerts and clock jumps are shown if they are at most this far from the moment.
const AROUND: TimeDelta = TimeDelta::minutes(10);

/// What was going on at a moment.
struct Then<'a> {
    now: KrxTime,
    leader: Option<&'a Entry>,
    /// The last sweep that began before the moment, and its entry.
    sweep: Option<(&'a Swept, &'a Entry)>,
    /// Skips at the moment, or else the last one before it.
    skips: Vec<&'a Entry>,
    gaps: Vec<&'a Entry>,
    clocks: Vec<&'a Entry>,
    alerts: Vec<&'a Entry>,
    bans: Vec<&'a Entry>,
    token: Option<&'a Entry>,
}

impl<'a> Then<'a> {
    fn new(at: KrxTime, now: KrxTime, entries: &'a [Entry]) -> Self {
        let mut then = Self {
            now,
            leader: None,
            sweep: None,
            skips: Vec::new(),
            gaps: Vec::new(),
            clocks: Vec::new(),
            alerts: Vec::new(),
            bans: Vec::new(),
            token: None,
        };
        let mut ordered: Vec<&Entry> = entries.iter().collect();
        ordered.sort_by_key(|entry| entry.at);
        let went_on = |entry: &Entry| entry.at <= at && at <= entry.last_at + TimeDelta::seconds(1);
        let mut last_skip = None;
        for entry in ordered {
            match &entry.event {
                Event::Clock { .. } if (entry.at - at).abs() <= AROUND => then.clocks.push(entry),
                Event::Alert { .. } if (entry.at - at).abs() <= AROUND => then.alerts.push(entry),
                Event::Gap(gap) if gap.from <= at && at < gap.until => then.gaps.push(entry),
                // The entry of a sweep is written at its end, so its time says nothing here.
                Event::Sweep(swept) if swept.started_at <= at && !swept.partial => {
                    then.sweep = Some((swept, entry));
                }
                _ if entry.at > at => {}
                Event::Skip(_) => {
                    if went_on(entry) {
                        then.skips.push(entry);
                    } else if is_telling(&entry) {
                        last_skip = Some(entry);
                    }
                }
                Event::Lead(change) => match change.change {
                    Leading::Taken => then.leader = Some(entry),
                    Leading::Lost | Leading::GivenBack => {
                        let was_its = |held: &&Entry| held.process == entry.process;
                        if then.leader.as_ref().is_some_and(was_its) {
                            then.leader = None;
                        }
                    }
                },
                Event::Token(TokenChange::Issued { .. }) => then.token = Some(entry),
                Event::Ban { until, .. } if at < *until => then.bans.push(entry),
                Event::BanLifted {
                    credentials: lifted,
                    ..
                } => then.bans.retain(|ban| {
                    !matches!(&ban.event, Event::Ban { credentials, .. } if credentials == lifted)
                }),
                _ => {}
            }
        }
        if then.skips.is_empty() {
            then.skips.extend(last_skip);
        }
        then
    }
}

pub(super) async fn explain(
    at: KrxTime,
    wiring: &Wiring,
    redis: &RedisStore,
    json: bool,
) -> Outcome {
    let entries = redis.entries(ENTRIES).await?;
    let minutes = redis.minutes(at.date_naive()).await?;
    let held = minutes
        .iter()
        .rev()
        .find(|(minute, _)| *minute <= at.time());
    let is_its = |minute: &NaiveTime| (at.time() - *minute) < TimeDelta::minutes(1);
    let coverage = held.filter(|(minute, _)| is_its(minute));
    let share = coverage.and_then(|(_, coverage)| coverage.share());
    let then = Then::new(at, (wiring.clock)(), &entries);
    let moment = wiring.calendar.load().moment(at);
    if json {
        output::json(&json!({
            "at": as_json(at),
            "open": moment.is_open(),
            "phase": moment.phase,
            "reason": moment.closed.as_ref().map(ToString::to_string),
            "coverage": share,
            "leader": then.leader.map(|entry| &entry.process),
            "last_sweep": then.sweep.map(|(_, entry)| entry),
            "skips": then.skips,
            "gaps": then.gaps,
            "clocks": then.clocks,
            "bans": then.bans,
            "alerts": then.alerts,
            "token": then.token,
        }));
        return Ok(DONE);
    }
    let session = match &moment.closed {
        Some(closed) => format!("closed: {closed}"),
        None => format!("open, {}", moment.phase),
    };
    output::line(format!("{}: the session was {session}", long(at)));
    if let Some(share) = share {
        output::line(format!("coverage   {} of the list live", percent(share)));
    }
    let leader = then.leader.map_or_else(
        || "none, as far as the event log goes".to_owned(),
        |entry| format!("{} since {}", entry.process, short(entry.at, then.now)),
    );
    output::line(format!("leader     {leader}"));
    match then.sweep {
        Some((swept, entry)) => {
            let ago = length(at - swept.started_at);
            let state = if entry.at > at { "under way" } else { "done" };
            let said = sentence(entry, then.now);
            output::line(format!("last sweep begun {ago} before, {state}: {said}"));
        }
        None => output::line("last sweep none before that, as far as the event log goes"),
    }
    let others = [
        &then.skips,
        &then.gaps,
        &then.clocks,
        &then.bans,
        &then.alerts,
    ];
    for entry in others.into_iter().flatten().copied().chain(then.token) {
        output::line(format!("           {}", sentence(entry, then.now)));
    }
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::{ClockJump, Gap, LeadChange, Seoul, Skipped};

    fn at(minute: u32) -> KrxTime {
        Seoul.with_ymd_and_hms(2026, 11, 20, 10, minute, 0).unwrap()
    }

    fn entry(process: &str, minute: u32, event: Event) -> Entry {
        Entry::new(process.to_owned(), minute.into(), at(minute), event)
    }

    fn lead(process: &str, minute: u32, change: Leading) -> Entry {
        let change = LeadChange {
            change,
            lead: minute.into(),
            after: None,
        };
        entry(process, minute, Event::Lead(change))
    }

    #[test]
    fn a_moment_is_told_from_what_came_before_it() {
        let mut skip = entry(
            "a",
            10,
            Event::Skip(Skipped {
                reason: "store_away".to_owned(),
                why: "the store failed".to_owned(),
                next_run: None,
            }),
        );
        skip.last_at = at(14);
        skip.times = 240;
        let gap = Gap {
            from: at(11),
            until: at(15),
            lowest: Some(0.0),
        };
        let jump = Event::Clock {
            jump: ClockJump::Ahead,
            by_ms: 4_000,
        };
        let entries = [
            entry("b", 30, jump),
            entry("a", 11, Event::Gap(gap)),
            skip,
            lead("b", 20, Leading::Taken),
            lead("a", 5, Leading::Taken),
            lead("a", 16, Leading::Lost),
        ];
        let then = |minute| Then::new(at(minute), at(59), &entries);
        let leader = |minute| then(minute).leader.map(|entry| entry.process.clone());
        assert_eq!(leader(4), None);
        assert_eq!(leader(12).as_deref(), Some("a"));
        assert_eq!(leader(17), None);
        assert_eq!(leader(21).as_deref(), Some("b"));
        assert_eq!((then(12).skips.len(), then(12).gaps.len()), (1, 1));
        assert_eq!((then(16).skips.len(), then(16).gaps.len()), (1, 0));
        assert_eq!((then(12).clocks.len(), then(25).clocks.len()), (0, 1));
    }
}
