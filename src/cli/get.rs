//! `sise get`

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, timeout};

use super::codes;
use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output::{self, grouped};
use super::paint::Ink;
use super::standing::Standing;
use super::table::{Cell, Table};
use super::words;
use crate::config::RawSettings;
use sise_domain::{Reading, Symbol};

/// Arguments of `sise get`.
#[derive(Debug, Args)]
#[command(override_usage = "sise get [OPTIONS] <CODE>...")]
pub(super) struct GetArguments {
    /// Stocks by code or name, such as 005930 or 삼성전자
    #[arg(required_unless_present = "named", value_name = "CODE")]
    codes: Vec<String>,
    #[command(flatten)]
    named: codes::Named,
    /// Ask the broker if the price is older than this, such as 5s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_age: Option<Duration>,
    /// If there is no fresh price, take one that is at most this old, and label it
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    allow_stale: Option<Duration>,
    /// Answer within this time, such as 300ms
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    within: Option<Duration>,
    /// Print JSON: an array of objects
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: GetArguments, raw: RawSettings) -> Outcome {
    let began = Instant::now();
    let (wiring, writer) = super::recorded(&raw)?;
    let symbols = codes::symbols(&wiring, &arguments.named.and(arguments.codes)).await?;
    let codes: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
    let reader = wiring.reader();
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
    // The event log is flushed, since a token may have been issued. With --within, a Redis that
    // hangs is not waited for any longer than that.
    let left = arguments
        .within
        .map(|time| time.saturating_sub(began.elapsed()));
    let last_words = async { tokio::join!(writer.close(), wiring.reads.tell()) };
    let _ = timeout(left.unwrap_or(Duration::MAX), last_words).await;
    let (readings, trouble) = match answer {
        Ok(readings) => (readings, None),
        // The prices that were found are still printed.
        Err(mut error) => match error.take_found() {
            found if found.is_empty() => return Err(error.into()),
            found => (found, Some(Failure::from(error))),
        },
    };
    if arguments.json {
        output::json(&readings);
    } else {
        print(&readings);
    }
    if let Some(failure) = trouble {
        return Err(failure);
    }
    let is_missing = |code: &Symbol| {
        let mut found = readings.iter().map(|reading| reading.quote.stock_code);
        !found.any(|found| found == *code)
    };
    let missing: Vec<Symbol> = symbols.into_iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(DONE);
    }
    for code in missing {
        let reason = wiring.reasons().of_no_price(code).await;
        output::note(format!("no price of {code}: {reason}"));
        if let Some(tip) = codes::tip(&wiring.universe.load(), code) {
            output::note(tip);
        }
    }
    Ok(INCOMPLETE)
}

fn print(readings: &[Reading]) {
    if readings.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        "code", "name", "price", "change", "%", "volume", "age", "source", "",
    ]);
    let absent = || "-".to_owned();
    for reading in readings {
        let quote = &reading.quote;
        let simulated = if quote.simulated { ", simulated" } else { "" };
        let stale = if reading.is_stale { ", stale" } else { "" };
        let ink = Ink::of_change(quote.change_rate);
        let standing = Standing::of(quote);
        let mark = standing.map_or_else(
            || "".into(),
            |standing| Cell::new(standing.words(), standing.ink()),
        );
        table.add_row([
            quote.stock_code.as_str().into(),
            quote.stock_name.as_str().into(),
            Cell::new(grouped(quote.price), ink),
            Cell::new(quote.change.map_or_else(absent, grouped), ink),
            Cell::new(
                quote
                    .change_rate
                    .map_or_else(absent, |rate| format!("{rate:+.2}")),
                ink,
            ),
            quote.volume.map_or_else(absent, grouped).into(),
            age(reading.age).into(),
            format!("{}{stale}{simulated}", reading.source.as_str()).into(),
            mark,
        ]);
    }
    table.right(2..=6);
    output::rows(&table);
    if readings.iter().any(|reading| reading.quote.simulated) {
        output::note(words::SIMULATED);
    }
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        // Cut off, not rounded, so that no age is shown as 120.0 s.
        seconds @ 0..=119 => format!("{seconds}.{} s", age.subsec_millis() / 100),
        120..=7_199 => format!("{} min", age.as_secs() / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
