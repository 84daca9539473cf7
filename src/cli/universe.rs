//! `sise universe`

use std::collections::BTreeMap;

use clap::Args;

use super::failure::{DONE, Outcome};
use super::output::{self, grouped};
use super::table::Table;
use crate::config::RawSettings;
use crate::daemon::load_list;

/// Arguments of `sise universe`.
#[derive(Debug, Args)]
pub(super) struct UniverseArguments {
    /// Source of the list: auto, master, csv, last-good, shipped
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Accept the list even if it lost many codes compared with the last good copy
    #[arg(long)]
    accept: bool,
    /// Print JSON: an array of objects
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: UniverseArguments, mut raw: RawSettings) -> Outcome {
    if let Some(source) = arguments.source {
        raw.set("universe.source", source);
    }
    let wiring = super::wiring(&raw)?;
    let loaded = if arguments.accept {
        wiring.loader()?.accept().await?
    } else {
        load_list(&wiring).await?
    };
    if arguments.accept {
        for note in &loaded.notes {
            tracing::warn!("{note}");
        }
    }
    if arguments.json {
        output::json(&loaded.universe.listings());
        return Ok(DONE);
    }
    let mut table = Table::new(&["code", "name", "market", "group", "sector", ""]);
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for listing in loaded.universe.listings() {
        *groups.entry(listing.group.code()).or_default() += 1;
        let halted = if listing.halted == Some(true) {
            "halted"
        } else {
            ""
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
    let groups: Vec<String> = groups
        .iter()
        .map(|(group, count)| format!("{group} {count}"))
        .collect();
    output::note(format!(
        "{} codes from {} ({})",
        grouped(loaded.universe.len()),
        loaded.source,
        groups.join(", ")
    ));
    Ok(DONE)
}
