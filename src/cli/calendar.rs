//! `sise calendar`

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeZone as _};
use clap::Args;
use serde_json::{Value, json};

use super::failure::{DONE, Failure, Outcome};
use super::output;
use super::table::Table;
use crate::calendar::read_calendar;
use crate::config::{RawSettings, Settings};
use sise_domain::{Calendar, KrxTime, Moment, Outlook, Seoul};
use sise_port::clock;

/// Arguments of `sise calendar`.
#[derive(Debug, Args)]
pub(super) struct CalendarArguments {
    /// The time to look at: 2026-11-20T10:00 in Seoul, a date, or a time with a zone (RFC 3339)
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Also list this many days from then on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=3660))]
    days: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &CalendarArguments, raw: &RawSettings) -> Outcome {
    let calendar = read_calendar(Settings::new(raw)?.calendar_file.as_deref())?;
    let at = match &arguments.at {
        Some(text) => parse(text)?,
        None => (clock::system())(),
    };
    let moment = calendar.moment(at);
    let days: Vec<NaiveDate> = at
        .date_naive()
        .iter_days()
        .take(arguments.days.unwrap_or(0).into())
        .collect();
    if arguments.json {
        let outlook = Outlook::new(&calendar, &moment);
        let mut object = serde_json::to_value(outlook).unwrap_or_default();
        if arguments.days.is_some() {
            let days = days.iter().map(|date| day_as_json(&calendar, *date));
            if let Some(fields) = object.as_object_mut() {
                fields.insert("days".to_owned(), days.collect());
            }
        }
        output::json(&object);
        return Ok(DONE);
    }
    print(&calendar, &moment);
    if !days.is_empty() {
        let mut table = Table::new(&["day", "", "open", "close", ""]);
        for date in days {
            let row = match calendar.session(date) {
                Some((open, close)) => {
                    let time = |time: KrxTime| time.format("%H:%M").to_string();
                    [time(open), time(close), String::new()]
                }
                None => [String::new(), String::new(), why(&calendar, date)],
            };
            let [open, close, why] = row;
            let weekday = date.format("%a").to_string();
            table.add_row([date.to_string(), weekday, open, close, why]);
        }
        output::line("");
        output::rows(&table);
    }
    Ok(DONE)
}

fn print(calendar: &Calendar, moment: &Moment) {
    let long = |time: KrxTime| time.format("%Y-%m-%d (%a) %H:%M:%S").to_string();
    let verdict = match &moment.closed {
        None => "open".to_owned(),
        Some(closed) => format!("closed: {closed}"),
    };
    output::line(format!("{} KST: {verdict}", long(moment.at)));
    output::line(format!("phase on KRX   {}", moment.phase));
    output::line(format!("phase on NXT   {}", moment.nxt_phase));
    if let Some(close) = moment.closes_at {
        output::line(format!("closes at      {}", long(close)));
    }
    let next = moment.next_open.map_or("not known".to_owned(), long);
    output::line(format!("opens next     {next}"));
    output::line(format!("covered until  {}", calendar.covered_through()));
    if !moment.covered {
        output::note("the calendar does not cover this day: weekdays count as ordinary sessions");
    }
    if let Some(warning) = calendar.cover_warning(moment.at.date_naive()) {
        output::note(warning);
    }
}

fn day_as_json(calendar: &Calendar, date: NaiveDate) -> Value {
    let time = |time: KrxTime| time.to_rfc3339_opts(SecondsFormat::Secs, false);
    match calendar.session(date) {
        Some((open, close)) => json!({
            "date": date, "trading_day": true, "opens_at": time(open), "closes_at": time(close),
        }),
        None => json!({"date": date, "trading_day": false, "reason": why(calendar, date)}),
    }
}

fn why(calendar: &Calendar, date: NaiveDate) -> String {
    let noon = Seoul
        .from_local_datetime(&date.and_time(NaiveTime::MIN))
        .earliest();
    noon.and_then(|noon| calendar.moment(noon).closed)
        .map_or(String::new(), |closed| closed.to_string())
}

/// Parses a time. Without a zone it is in Seoul's.
pub(super) fn parse(text: &str) -> Result<KrxTime, Failure> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.with_timezone(&Seoul));
    }
    let text = text.replace(' ', "T");
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
        .or_else(|| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN)));
    naive
        .and_then(|naive| Seoul.from_local_datetime(&naive).earliest())
        .ok_or_else(|| {
            Failure::usage(format!(
                "--at '{text}' is not a time: use 2026-11-20T10:00 (Seoul) or 2026-11-20T01:00:00Z"
            ))
        })
}
