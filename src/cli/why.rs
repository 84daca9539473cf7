//! `sise why`

mod code;
mod then;

use chrono::{NaiveTime, TimeZone as _};
use clap::Args;
use serde_json::Value;

use super::codes;
use super::failure::{DONE, Failure, Outcome};
use super::output;
use super::words::{self, sentence};
use crate::config::RawSettings;
use sise_domain::{Entry, Event, KrxTime, Seoul, Skipped};
use sise_port::Journal as _;
use sise_store::RedisStore;

/// Number of entries to read: the whole event log.
const ENTRIES: usize = 20_000;

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
    /// Stock by code or name: when it was last polled, and since when its price is unchanged, or
    /// why there is none
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// The same as an option, as in other commands
    #[arg(long = "codes", hide = true, value_name = "CODE")]
    named: Option<String>,
    /// Why the last run was skipped
    #[arg(long)]
    last_skip: bool,
    /// What was going on at this time: 10:15 today, or 2026-11-20T10:15 (Seoul)
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

pub(super) async fn run(arguments: WhyArguments, raw: RawSettings) -> Outcome {
    let WhyArguments { question, json } = arguments;
    let wiring = super::wiring(&raw)?;
    let symbol = match question.code.or(question.named) {
        Some(text) => match codes::symbols(&wiring, &[text]).await?.as_slice() {
            [symbol] => Some(*symbol),
            _ => return Err(Failure::usage("only one code at a time can be explained")),
        },
        None => None,
    };
    let redis = super::redis(&wiring)?;
    wiring.learn_time().await;
    let now = (wiring.clock)();
    let at = question.at.as_deref().map(|text| moment(text, now));
    let at = at.transpose()?;
    match (symbol, at) {
        (Some(symbol), _) => code::explain(symbol, &wiring, &redis, json).await,
        (None, Some(at)) => then::explain(at, &wiring, &redis, json).await,
        (None, None) => why_skipped(now, &redis, json).await,
    }
}

/// Parses a time of today, or a day and a time. Refuses a time in the future.
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
            "--at '{text}' is in the future; `sise calendar --at` shows what is planned"
        ))),
    }
}

/// Returns whether the entry is a skip for another reason than that another process leads.
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
            output::line("no run was skipped, as far back as the event log goes");
        }
        return Ok(DONE);
    };
    if json {
        output::json(skip);
        return Ok(DONE);
    }
    output::line(sentence(skip, now));
    let sweeps = entries.iter().filter_map(|entry| entry.event.whole_sweep());
    let since = sweeps.filter(|swept| swept.started_at > skip.last_at);
    match since.max_by_key(|swept| swept.started_at) {
        Some(swept) => output::line(format!("since then: {}", words::sweep(swept, now))),
        None => output::line("no sweep since then"),
    }
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32) -> KrxTime {
        Seoul.with_ymd_and_hms(2026, 11, 20, 10, minute, 0).unwrap()
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
