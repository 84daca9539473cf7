//! `sise search`

use clap::Args;

use super::codes;
use super::failure::{DONE, INCOMPLETE, Outcome};
use super::output;
use super::table::Table;
use crate::config::RawSettings;
use sise_domain::{Listing, Shipped};

/// Arguments of `sise search`.
#[derive(Debug, Args)]
pub(super) struct SearchArguments {
    /// A code, a name, a part of a name, or its initial consonants (ㅅㅅㅈㅈ)
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
    /// Show at most this many, the likeliest first
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// Print JSON: an array of objects
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: SearchArguments, raw: RawSettings) -> Outcome {
    let wiring = super::wiring(&raw)?;
    wiring.know_names().await;
    let text = arguments.text.join(" ");
    let universe = wiring.universe.load();
    let shipped = Shipped::get().universe();
    let mut found = universe.search(&text);
    if found.is_empty() {
        // The list in use may be a user's own with only a few codes.
        found = shipped.search(&text);
    }
    let meant = codes::one(&universe, &text);
    if found.is_empty()
        && let Ok(code) = meant
    {
        // A code in the notation of another program, such as A005930, is part of no name.
        found.extend(universe.get(code).or_else(|| shipped.get(code)));
    }
    let all = found.len();
    found.truncate(arguments.count.into());
    if arguments.json {
        output::json(&found);
    } else if !found.is_empty() {
        print(&found);
    }
    if found.is_empty() {
        output::note(meant.map_or_else(
            |error| error.to_string(),
            |_| format!("no stock is called '{text}'"),
        ));
        return Ok(INCOMPLETE);
    }
    if all > found.len() {
        output::note(format!("{} of {all}; -n {all} shows all", found.len()));
    }
    Ok(DONE)
}

fn print(found: &[&Listing]) {
    let mut table = Table::new(&["code", "name", "market", "group", "sector", ""]);
    for listing in found {
        let halted = match listing.halted {
            Some(true) => "halted",
            _ => "",
        };
        table.add_row([
            listing.code.as_str(),
            &listing.name,
            listing.market.as_str(),
            listing.group.code(),
            listing.sector.as_deref().unwrap_or_default(),
            halted,
        ]);
    }
    output::rows(&table);
}
