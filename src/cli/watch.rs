//! `sise watch`

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output;
use crate::config::Layers;
use crate::domain::Symbol;
use crate::setup::Parts;
use crate::watch::WatchLists;

/// Arguments of `sise watch`.
#[derive(Debug, Args)]
pub(super) struct WatchArguments {
    #[command(subcommand)]
    command: WatchCommand,
}

#[derive(Debug, Subcommand)]
enum WatchCommand {
    /// Put codes on a list, which begins with the first
    Add {
        /// Name of the list, such as mine
        list: String,
        /// Stock codes, such as 005930
        #[arg(required = true, value_name = "CODE")]
        codes: Vec<String>,
    },
    /// Take codes off a list, or remove the whole list
    Remove {
        /// Name of the list
        list: String,
        /// Stock codes; none for the whole list
        #[arg(value_name = "CODE")]
        codes: Vec<String>,
    },
    /// Show all lists, or the codes of one
    List {
        /// Name of the list
        list: Option<String>,
        /// Print JSON: an object of arrays
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(arguments: WatchArguments, layers: Layers) -> Outcome {
    let parts = super::parts(&layers)?;
    // Other processes are to see the lists.
    super::redis(&parts)?;
    let lists = WatchLists::new(&parts.cache);
    match arguments.command {
        WatchCommand::Add { list, codes } => add(&parts, &lists, &list, &codes).await,
        WatchCommand::Remove { list, codes } => remove(&lists, &list, &codes).await,
        WatchCommand::List { list, json } => show(&parts, &lists, list, json).await,
    }
}

fn symbols(codes: &[String]) -> Result<Vec<Symbol>, Failure> {
    let parse = |code: &String| {
        code.parse()
            .map_err(|error| Failure::usage(format!("{error}")))
    };
    codes.iter().map(parse).collect()
}

async fn add(parts: &Parts, lists: &WatchLists, list: &str, codes: &[String]) -> Outcome {
    let symbols = symbols(codes)?;
    let now = (parts.clock)();
    let new = lists.add(list, &symbols, now).await?;
    parts.know_names().await;
    let universe = parts.universe.load();
    let unlisted: Vec<&str> = symbols
        .iter()
        .filter(|symbol| universe.get(**symbol).is_none())
        .map(Symbol::as_str)
        .collect();
    if !unlisted.is_empty() {
        output::note(format!(
            "not in the stock list, and asked for all the same: {}",
            unlisted.join(", ")
        ));
    }
    let on_it = lists.codes(list).await?.len();
    output::line(format!("{new} new on {list}, {on_it} in all"));
    Ok(DONE)
}

async fn remove(lists: &WatchLists, list: &str, codes: &[String]) -> Outcome {
    let symbols = symbols(codes)?;
    if symbols.is_empty() {
        if lists.clear(list).await? {
            output::line(format!("{list} is removed"));
            return Ok(DONE);
        }
        output::note(format!("there is no watch list {list}"));
        return Ok(INCOMPLETE);
    }
    let removed = lists.remove(list, &symbols).await?;
    let left = lists.codes(list).await?.len();
    output::line(format!("{removed} removed from {list}, {left} left"));
    Ok(
        if usize::try_from(removed).is_ok_and(|removed| removed < symbols.len()) {
            INCOMPLETE
        } else {
            DONE
        },
    )
}

async fn show(parts: &Parts, lists: &WatchLists, list: Option<String>, json: bool) -> Outcome {
    let names = match &list {
        Some(list) => vec![list.clone()],
        None => lists.names().await?,
    };
    let mut found = serde_json::Map::new();
    parts.know_names().await;
    let universe = parts.universe.load();
    let mut table = output::table(&["list", "code", "name", "market", "since"]);
    for name in names {
        let codes = lists.codes(&name).await?;
        let texts: Vec<&str> = codes.keys().map(Symbol::as_str).collect();
        if !texts.is_empty() {
            found.insert(name.clone(), json!(texts));
        }
        for (code, listed) in &codes {
            let listing = universe.get(*code);
            table.add_row([
                name.clone(),
                code.to_string(),
                listing.map_or(String::new(), |listing| listing.name.clone()),
                listing.map_or(String::new(), |listing| listing.market.to_string()),
                listed.since.format("%Y-%m-%d %H:%M").to_string(),
            ]);
        }
    }
    let is_empty = found.is_empty();
    if json {
        output::json(&found);
    } else if !is_empty {
        output::line(table);
    }
    match (is_empty, list) {
        (false, _) => Ok(DONE),
        (true, None) => {
            output::note("nothing is watched: `sise watch add LIST CODE...`");
            Ok(DONE)
        }
        (true, Some(list)) => {
            output::note(format!("there is no watch list {list}"));
            Ok(INCOMPLETE)
        }
    }
}
