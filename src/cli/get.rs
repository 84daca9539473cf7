//! `sise get`

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, timeout};

use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output::{self, grouped};
use super::reason;
use super::words;
use crate::config::Layers;
use crate::domain::Reading;

/// Arguments of `sise get`.
#[derive(Debug, Args)]
pub(super) struct GetArguments {
    /// Stock codes, such as 005930
    #[arg(required = true, value_name = "CODE")]
    codes: Vec<String>,
    /// Take no price that is older, such as 5s; ask the broker instead
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_age: Option<Duration>,
    /// Where nothing fresh can be had, take an older price, no older than this; it is labelled
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    allow_stale: Option<Duration>,
    /// End within this time, such as 300ms
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    within: Option<Duration>,
    /// Print JSON: one object for one code, an array for several
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: GetArguments, layers: Layers) -> Outcome {
    let began = Instant::now();
    let (parts, scribe) = super::recorded(&layers)?;
    parts.know_names().await;
    let codes: Vec<&str> = arguments.codes.iter().map(String::as_str).collect();
    let reader = parts.reader();
    let mut ask = reader.ask(&codes);
    if let Some(age) = arguments.max_age {
        ask = ask.max_age(age);
    }
    if let Some(age) = arguments.allow_stale {
        ask = ask.allow_stale(age);
    }
    if let Some(time) = arguments.within {
        ask = ask.within(time);
    }
    let answer = ask.await;
    // A token may have been issued. Whoever is in a hurry does not wait for a journal that hangs.
    let left = arguments
        .within
        .map(|time| time.saturating_sub(began.elapsed()));
    let last_words = async { tokio::join!(scribe.close(), parts.reads.tell()) };
    let _ = timeout(left.unwrap_or(Duration::MAX), last_words).await;
    let (readings, trouble) = match answer {
        Ok(readings) => (readings, None),
        // What was found is still worth printing.
        Err(mut error) => match error.take_found() {
            found if found.is_empty() => return Err(error.into()),
            found => (found, Some(Failure::from(error))),
        },
    };
    if arguments.json {
        match (codes.as_slice(), readings.as_slice()) {
            ([_], one) => output::json(&one.first()),
            (_, many) => output::json(&many),
        }
    } else {
        print(&readings);
    }
    if let Some(failure) = trouble {
        return Err(failure);
    }
    let found = |code: &&&str| {
        readings
            .iter()
            .any(|r| r.quote.stock_code.as_str() == **code)
    };
    let missing: Vec<&str> = codes.iter().filter(|code| !found(code)).copied().collect();
    if missing.is_empty() {
        return Ok(DONE);
    }
    for code in missing {
        // Every code was understood: the reader would have refused it.
        let reason = match code.parse() {
            Ok(symbol) => reason::of_no_price(&parts, symbol).await,
            Err(error) => error.to_string(),
        };
        output::note(format!("no price of {code}: {reason}"));
    }
    Ok(INCOMPLETE)
}

fn print(readings: &[Reading]) {
    if readings.is_empty() {
        return;
    }
    let mut table = output::table(&[
        "code", "name", "price", "change", "%", "volume", "age", "source",
    ]);
    let absent = || "-".to_owned();
    for reading in readings {
        let quote = &reading.quote;
        let simulated = if quote.simulated { ", simulated" } else { "" };
        let stale = if reading.is_stale { ", stale" } else { "" };
        table.add_row([
            quote.stock_code.to_string(),
            quote.stock_name.clone(),
            grouped(quote.price),
            quote.change.map_or_else(absent, grouped),
            quote
                .change_rate
                .map_or_else(absent, |rate| format!("{rate:+.2}")),
            quote.volume.map_or_else(absent, grouped),
            age(reading.age),
            format!("{}{stale}{simulated}", reading.source.as_str()),
        ]);
    }
    for column in 2..=6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    output::line(table);
    if readings.iter().any(|reading| reading.quote.simulated) {
        output::note(words::SIMULATED);
    }
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        0..=119 => format!("{:.1} s", age.as_secs_f64()),
        120..=7_199 => format!("{} min", age.as_secs() / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
