//! `sise why`

use std::sync::Arc;

use chrono::{NaiveTime, TimeDelta, TimeZone as _};
use clap::Args;
use serde_json::{Value, json};

use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output::{self, grouped};
use super::status::{leader_json, time};
use super::words::{self, length, long, percent, sentence, short};
use crate::config::Layers;
use crate::domain::{
    Entry, Event, KrxTime, Leading, Missed, Quote, Row, Seoul, Skipped, Status, Swept, Symbol,
    TokenChange,
};
use crate::port::{
    CoverageLog as _, Journal as _, Leader, Leadership as _, Ledger as _, PriceStore as _,
};
use crate::setup::Parts;
use crate::store::RedisStore;

/// A whole journal; what comes before it is gone.
const ENTRIES: usize = 20_000;

/// Jumps of a clock are told this long before and after the moment that is asked for.
const AROUND: TimeDelta = TimeDelta::minutes(10);

/// Arguments of `sise why`.
#[derive(Debug, Args)]
pub(super) struct WhyArguments {
    #[command(flatten)]
    question: Question,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Question {
    /// Stock code: when it was asked for last, since when its price stands, or why there is none
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// Why the last run was skipped
    #[arg(long)]
    last_skip: bool,
    /// What was going on then: 10:15 today, or 2026-11-20T10:15 (Seoul)
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

pub(super) async fn run(arguments: WhyArguments, layers: Layers) -> Outcome {
    let WhyArguments { question, json } = arguments;
    let symbol = question
        .code
        .as_deref()
        .map(str::parse::<Symbol>)
        .transpose();
    let symbol = symbol.map_err(|error| Failure::usage(error.to_string()))?;
    let parts = super::parts(&layers)?;
    let now = (parts.clock)();
    let at = question.at.as_deref().map(|text| moment(text, now));
    let at = at.transpose()?;
    let redis = super::redis(&parts)?;
    match (symbol, at) {
        (Some(symbol), _) => why_code(symbol, &parts, &redis, json).await,
        (None, Some(at)) => why_at(at, &parts, &redis, json).await,
        (None, None) => why_skipped(now, &redis, json).await,
    }
}

/// A time of today, or a day and a time, that is not to come.
fn moment(text: &str, now: KrxTime) -> Result<KrxTime, Failure> {
    let clock = ["%H:%M:%S", "%H:%M"]
        .iter()
        .find_map(|format| NaiveTime::parse_from_str(text, format).ok());
    let at = match clock {
        Some(clock) => {
            let today = now.date_naive().and_time(clock);
            Seoul.from_local_datetime(&today).earliest()
        }
        None => Some(super::calendar::parse(text)?),
    };
    match at {
        Some(at) if at <= now => Ok(at),
        _ => Err(Failure::usage(format!(
            "--at '{text}' is yet to come; `sise calendar --at` tells what is planned"
        ))),
    }
}

/// Whether the entry is a skip that says more than that another process sweeps.
fn is_telling(entry: &&Entry) -> bool {
    matches!(&entry.event, Event::Skip(skipped) if skipped.reason != Skipped::NOT_LEADER)
}

async fn why_skipped(now: KrxTime, redis: &RedisStore, json: bool) -> Outcome {
    let entries = redis.entries(ENTRIES).await?;
    let is_skip = |entry: &&Entry| matches!(entry.event, Event::Skip(_));
    let newest = |wanted: fn(&&Entry) -> bool| {
        let skips = entries.iter().filter(is_skip).filter(&wanted);
        skips.max_by_key(|entry| entry.last_at)
    };
    let Some(skip) = newest(is_telling).or_else(|| newest(|_| true)) else {
        if json {
            output::json(&Value::Null);
        } else {
            output::line("no run was skipped as far back as the journal goes");
        }
        return Ok(DONE);
    };
    if json {
        output::json(skip);
        return Ok(DONE);
    }
    output::line(sentence(skip, now));
    let since = entries.iter().filter_map(|entry| match &entry.event {
        Event::Sweep(swept) if swept.started_at > skip.last_at => Some(swept),
        _ => None,
    });
    match since.max_by_key(|swept| swept.started_at) {
        Some(swept) => output::line(format!("since then: {}", words::sweep(swept, now))),
        None => output::line("no sweep since then"),
    }
    Ok(DONE)
}

/// What is known of one code.
struct Code {
    symbol: Symbol,
    name: Option<String>,
    now: KrxTime,
    row: Option<Row>,
    price: Option<Box<Quote>>,
    life: Option<TimeDelta>,
    /// How long a price lives: one that was asked for longer ago says nothing of now.
    ttl: TimeDelta,
    /// The sweep that asked for it last.
    sweep: Option<Entry>,
    /// What was skipped since.
    skip: Option<Entry>,
    leader: Option<Leader>,
}

async fn why_code(symbol: Symbol, parts: &Parts, redis: &Arc<RedisStore>, json: bool) -> Outcome {
    parts.know_names().await;
    let row = redis.row(symbol).await?;
    let price = redis.realtime(&[symbol]).await?.pop().flatten();
    let life = redis.life(symbol).await?;
    let life = life.and_then(|life| TimeDelta::from_std(life).ok());
    let leader = redis.leader().await?;
    let entries = redis.entries(ENTRIES).await?;
    let asked_by = row.as_ref().and_then(Row::last_sweep);
    let is_its = |entry: &&Entry| match &entry.event {
        Event::Sweep(swept) => Some(swept.started_at) == asked_by,
        _ => false,
    };
    let sweep = entries.iter().find(is_its);
    let ended = sweep.map(|entry| entry.at).or(asked_by);
    let is_later = |entry: &&Entry| ended.is_none_or(|ended| entry.last_at > ended);
    let mut skips = entries.iter().filter(is_telling).filter(is_later);
    let list = parts.universe.load();
    let code = Code {
        symbol,
        name: list.get(symbol).map(|listing| listing.name.clone()),
        now: (parts.clock)(),
        price,
        life,
        ttl: TimeDelta::from_std(parts.settings.store.ttl).unwrap_or(TimeDelta::MAX),
        sweep: sweep.cloned(),
        skip: skips.next().cloned(),
        leader,
        row,
    };
    if json {
        output::json(&code.as_json());
    } else {
        code.print();
    }
    let is_known = code.row.is_some() || code.price.is_some();
    Ok(if is_known { DONE } else { INCOMPLETE })
}

impl Code {
    /// The state in one word, and in words.
    fn state(&self) -> (&'static str, String) {
        let Some(row) = &self.row else {
            return ("never_polled", "no sweep has asked for it".to_owned());
        };
        let Some(polled) = row.polled else {
            return ("not_polled", "never polled".to_owned());
        };
        if row.missed.is_some() || self.now - polled.at > self.ttl {
            let words = format!("not polled since {}", self.at(polled.at));
            return ("not_polled", words);
        }
        match polled.status {
            Status::Halted => ("halted", "polled; trading is halted".to_owned()),
            Status::Untraded => ("untraded", "polled; it has not traded yet today".to_owned()),
            Status::Trading if polled.unchanged_since < polled.at => {
                ("unchanged", "polled and unchanged".to_owned())
            }
            Status::Trading => ("changed", "polled; the price changed".to_owned()),
        }
    }

    fn at(&self, at: KrxTime) -> String {
        format!("{} ({} ago)", short(at, self.now), length(self.now - at))
    }

    fn print(&self) {
        let name = self.name.as_deref().unwrap_or("not in the stock list");
        output::line(format!("{} {name}: {}", self.symbol, self.state().1));
        if let Some(row) = &self.row {
            self.print_row(row);
        }
        let held = match (&self.price, self.life) {
            (Some(quote), life) => {
                let life = life.map_or_else(String::new, |life| {
                    format!(", lives another {}", length(life))
                });
                let given = self.at(quote.fetched_at);
                format!("{} won, given {given}{life}", grouped(quote.price))
            }
            (None, Some(_)) => "something that is no price".to_owned(),
            (None, None) => "no live price".to_owned(),
        };
        output::line(format!("in Redis        {held}"));
        let leader = self.leader.as_ref().map_or_else(
            || "nobody leads, so nobody sweeps".to_owned(),
            |leader| match words::since(leader) {
                Some(since) => format!("{} leads since {}", leader.process, self.at(since)),
                None => format!("{} leads", leader.process),
            },
        );
        output::line(format!("leader          {leader}"));
        if let Some(skip) = &self.skip {
            output::line(format!("since then      {}", sentence(skip, self.now)));
        }
    }

    fn print_row(&self, row: &Row) {
        if let Some(Missed {
            since,
            sweep,
            reason,
            detail,
        }) = &row.missed
        {
            let detail = if detail.is_empty() {
                String::new()
            } else {
                format!(" ({detail})")
            };
            output::line(format!("why             {reason}{detail}"));
            output::line(format!(
                "missed          since the sweep of {}, last by that of {}",
                self.at(*since),
                short(*sweep, self.now)
            ));
        }
        if let Some(polled) = row.polled {
            output::line(format!("last polled     {}", self.at(polled.at)));
            output::line(format!(
                "price           {} won, unchanged since {}",
                grouped(polled.price),
                self.at(polled.unchanged_since)
            ));
        }
        match &self.sweep {
            Some(entry) => {
                output::line(format!("by              {}", sentence(entry, self.now)));
            }
            None => output::line("by              a sweep that is not in the journal any more"),
        }
    }

    fn as_json(&self) -> Value {
        let row = self.row.as_ref();
        json!({
            "code": self.symbol,
            "name": self.name,
            "state": self.state().0,
            "polled": row.and_then(|row| row.polled).map(|polled| json!({
                "at": time(polled.at), "sweep": time(polled.sweep), "price": polled.price,
                "unchanged_since": time(polled.unchanged_since), "status": polled.status,
            })),
            "missed": row.and_then(|row| row.missed.as_ref()).map(|missed| json!({
                "since": time(missed.since), "sweep": time(missed.sweep), "reason": missed.reason,
                "detail": missed.detail,
            })),
            "redis": self.price.as_ref().map(|quote| json!({
                "quote": quote, "life_ms": self.life.map(|life| life.num_milliseconds()),
            })),
            "sweep": self.sweep,
            "skipped_since": self.skip,
            "leader": self.leader.as_ref().map(leader_json),
        })
    }
}

/// What was going on at a moment.
struct Then<'a> {
    now: KrxTime,
    leader: Option<&'a Entry>,
    /// The last sweep that had begun, and its entry.
    sweep: Option<(&'a Swept, &'a Entry)>,
    /// Skips that went on then, and the last one before where none did.
    skips: Vec<&'a Entry>,
    gaps: Vec<&'a Entry>,
    clocks: Vec<&'a Entry>,
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
                Event::Gap(gap) if gap.from <= at && at < gap.until => then.gaps.push(entry),
                // Noted when it was over.
                Event::Sweep(swept) if swept.started_at <= at => {
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
                Event::BanLifted { key } => then.bans.retain(
                    |ban| !matches!(&ban.event, Event::Ban { key: banned, .. } if banned == key),
                ),
                _ => {}
            }
        }
        if then.skips.is_empty() {
            then.skips.extend(last_skip);
        }
        then
    }
}

async fn why_at(at: KrxTime, parts: &Parts, redis: &RedisStore, json: bool) -> Outcome {
    let entries = redis.entries(ENTRIES).await?;
    let minutes = redis.minutes(at.date_naive()).await?;
    let held = minutes
        .iter()
        .rev()
        .find(|(minute, _)| *minute <= at.time());
    let is_its = |minute: &NaiveTime| (at.time() - *minute) < TimeDelta::minutes(1);
    let coverage = held.filter(|(minute, _)| is_its(minute));
    let share = coverage.and_then(|(_, coverage)| coverage.share());
    let then = Then::new(at, (parts.clock)(), &entries);
    let moment = parts.calendar.load().moment(at);
    if json {
        output::json(&json!({
            "at": time(at),
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
        || "nobody, as far as the journal goes".to_owned(),
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
        None => output::line("last sweep none before that, as far as the journal goes"),
    }
    let others = [&then.skips, &then.gaps, &then.clocks, &then.bans];
    for entry in others.into_iter().flatten().copied().chain(then.token) {
        output::line(format!("           {}", sentence(entry, then.now)));
    }
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ClockJump, Gap, LeadChange};

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

    #[test]
    fn a_time_is_one_of_today_and_never_to_come() {
        let now = at(30);
        assert_eq!(moment("10:15", now).unwrap(), at(15));
        assert_eq!(moment("2026-11-20T10:15", now).unwrap(), at(15));
        for text in ["10:31", "2026-11-21", "noon"] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }
}
