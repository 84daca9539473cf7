//! `sise get`

use clap::Args;

use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output::{self, grouped};
use crate::config::Layers;
use crate::domain::Reading;
use crate::reader::ReadError;

/// Arguments of `sise get`.
#[derive(Debug, Args)]
pub(super) struct GetArguments {
    /// Stock codes, such as 005930
    #[arg(required = true, value_name = "CODE")]
    codes: Vec<String>,
    /// Print JSON: one object for one code, an array for several
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: GetArguments, layers: Layers) -> Outcome {
    let (parts, scribe) = super::recorded(&layers)?;
    parts.know_names().await;
    let codes: Vec<&str> = arguments.codes.iter().map(String::as_str).collect();
    let answer = parts.reader().prices(&codes).await;
    // A token may have been issued.
    scribe.close().await;
    let (readings, trouble) = match answer {
        Ok(readings) => (readings, None),
        // What was found is still worth printing.
        Err(ReadError::Source {
            found,
            failed,
            source,
        }) if !found.is_empty() => {
            let found_less = ReadError::Source {
                found: Vec::new(),
                failed,
                source,
            };
            (found, Some(Failure::from(found_less)))
        }
        Err(error) => return Err(error.into()),
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
    let hint = if parts.broker.is_none() {
        " (the broker was not asked: KIS_APP_KEY and KIS_APP_SECRET are not set)"
    } else {
        ""
    };
    output::note(format!("no price of {}{hint}", missing.join(", ")));
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
            format!("{}{stale}", reading.source.as_str()),
        ]);
    }
    for column in 2..=6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    output::line(table);
}

fn age(age: std::time::Duration) -> String {
    match age.as_secs() {
        0..=119 => format!("{:.1} s", age.as_secs_f64()),
        120..=7_199 => format!("{} min", age.as_secs() / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
