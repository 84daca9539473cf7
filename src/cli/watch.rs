//! `sise watch`

use clap::{Args, Subcommand};
use serde_json::json;

use super::codes;
use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output;
use super::similar;
use super::table::Table;
use crate::config::RawSettings;
use crate::setup::Wiring;
use crate::watch::WatchLists;
use sise_domain::{Symbol, check_name};

/// Arguments of `sise watch`.
#[derive(Debug, Args)]
pub(super) struct WatchArguments {
    #[command(subcommand)]
    command: WatchCommand,
}

#[derive(Debug, Subcommand)]
enum WatchCommand {
    /// Put codes on a list, which is created if needed
    #[command(override_usage = "sise watch add [OPTIONS] <LIST> <CODE>...")]
    Add {
        /// Name of the list, such as mine
        list: String,
        /// Stocks by code or name, such as 005930 or 삼성전자
        #[arg(required_unless_present = "named", value_name = "CODE")]
        codes: Vec<String>,
        #[command(flatten)]
        named: codes::Named,
    },
    /// Take codes off a list, or remove the whole list
    Remove {
        /// Name of the list
        list: String,
        /// Stocks by code or name; none for the whole list
        #[arg(value_name = "CODE")]
        codes: Vec<String>,
        #[command(flatten)]
        named: codes::Named,
    },
    /// Show all lists, or the codes of one
    List {
        /// Name of the list
        list: Option<String>,
        /// Print JSON: an array of objects
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(arguments: WatchArguments, raw: RawSettings) -> Outcome {
    let wiring = super::wiring(&raw)?;
    // Lists are for other processes, which cannot see memory.
    super::redis(&wiring)?;
    let lists = WatchLists::new(&wiring.cache);
    match arguments.command {
        WatchCommand::Add { list, codes, named } => {
            add(&wiring, &lists, &list, &named.and(codes)).await
        }
        WatchCommand::Remove { list, codes, named } => {
            remove(&wiring, &lists, &list, &named.and(codes)).await
        }
        WatchCommand::List { list, json } => show(&wiring, &lists, list, json).await,
    }
}

async fn add(wiring: &Wiring, lists: &WatchLists, list: &str, codes: &[String]) -> Outcome {
    let symbols = codes::symbols(wiring, codes).await?;
    let now = (wiring.clock)();
    let new = lists.add(list, &symbols, now).await?;
    let universe = wiring.universe.load();
    let unlisted: Vec<&str> = symbols
        .iter()
        .filter(|symbol| universe.get(**symbol).is_none())
        .map(Symbol::as_str)
        .collect();
    if !unlisted.is_empty() {
        output::note(format!(
            "not in the stock list, but watched all the same: {}",
            unlisted.join(", ")
        ));
        for tip in symbols
            .iter()
            .filter_map(|code| codes::tip(&universe, *code))
        {
            output::note(tip);
        }
    }
    let on_it = lists.codes(list).await?.len();
    output::line(format!("{new} new on {list}, {on_it} in all"));
    Ok(DONE)
}

async fn remove(wiring: &Wiring, lists: &WatchLists, list: &str, codes: &[String]) -> Outcome {
    if codes.is_empty() {
        check_name(list).map_err(|error| Failure::usage(error.to_string()))?;
        // Shown first: nobody else has the codes of the list.
        let held = lists.codes(list).await?;
        let held: Vec<&str> = held.keys().map(Symbol::as_str).collect();
        if held.is_empty() {
            return no_list(lists, list).await;
        }
        output::line(format!("removing {list}: {}", held.join(" ")));
        output::check()?;
        lists.clear(list).await?;
        output::line(format!("{list} is removed"));
        return Ok(DONE);
    }
    let symbols = codes::symbols(wiring, codes).await?;
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

async fn show(wiring: &Wiring, lists: &WatchLists, list: Option<String>, json: bool) -> Outcome {
    let names = match &list {
        Some(list) => vec![list.clone()],
        None => lists.names().await?,
    };
    let mut found = Vec::new();
    wiring.know_names().await;
    let universe = wiring.universe.load();
    let mut table = Table::new(&["list", "code", "name", "market", "since"]);
    for name in names {
        let codes = lists.codes(&name).await?;
        let texts: Vec<&str> = codes.keys().map(Symbol::as_str).collect();
        if !texts.is_empty() {
            found.push(json!({ "name": name, "codes": texts }));
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
        output::rows(&table);
    }
    match (is_empty, list) {
        (false, _) => Ok(DONE),
        (true, None) => {
            output::note("nothing is watched: `sise watch add LIST CODE...`");
            Ok(DONE)
        }
        (true, Some(list)) => no_list(lists, &list).await,
    }
}

async fn no_list(lists: &WatchLists, list: &str) -> Outcome {
    let names = lists.names().await?;
    let meant = similar::meant(list, names.iter().map(String::as_str));
    output::note(format!("there is no watch list {list}{meant}"));
    Ok(INCOMPLETE)
}
