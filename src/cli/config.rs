//! `sise config`

use clap::Args;
use serde_json::{Map, Value, json};

use super::failure::{DONE, Outcome};
use super::output;
use super::table::Table;
use crate::config::{RawSettings, Settings};

/// Arguments of `sise config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ConfigArguments, raw: &RawSettings) -> Outcome {
    if arguments.json {
        let entry = |(key, value, origin): (&crate::config::Key, String, &_)| {
            let origin = format!("{origin}");
            let value = value.trim_matches('"').to_owned();
            (
                key.name.to_owned(),
                json!({"value": value, "origin": origin}),
            )
        };
        output::json(&Value::Object(
            raw.shown().map(entry).collect::<Map<_, _>>(),
        ));
    } else {
        let mut table = Table::new(&["setting", "value", "from"]);
        for (key, value, origin) in raw.shown() {
            table.add_row([key.name.to_owned(), value, origin.to_string()]);
        }
        output::rows(&table);
        output::line("");
    }
    for stranger in raw.strangers() {
        output::note(stranger);
    }
    // Checked only now, so that a refused value is shown with its origin.
    let settings = Settings::new(raw)?;
    if !arguments.json {
        let rate = settings.kis.rate;
        output::line(format!(
            "broker {}, {:.2} calls/s, at most {} in any second; state in {}",
            settings.kis.base_url,
            rate.per_second,
            rate.most_in_a_second(),
            settings.state_directory.display()
        ));
    }
    Ok(DONE)
}
