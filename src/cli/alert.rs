//! `sise alert`

mod add;
mod trial;

use std::time::Duration;

use clap::{Args, Subcommand};

use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output::{self, grouped};
use super::similar;
use super::table::Table;
use super::words::short;
use crate::alerts::OutlookError;
use crate::alerts::{AlertRules, AlertRulesError};
use crate::config::RawSettings;
use crate::setup::Wiring;
use sise_domain::{Alert, Condition, Event, Rule, Scope, Symbol, Terms};
use sise_port::Journal as _;
use sise_store::RedisStore;

/// Number of entries to read: the whole event log.
const ENTRIES: usize = 20_000;

/// Arguments of `sise alert`.
#[derive(Debug, Args)]
pub(super) struct AlertArguments {
    #[command(subcommand)]
    command: AlertCommand,
}

#[derive(Debug, Subcommand)]
enum AlertCommand {
    /// Add a rule, or replace the rule of the same name
    Add(Box<add::AddArguments>),
    /// Remove a rule
    Remove {
        /// Name of the rule
        name: String,
    },
    /// Show all rules, or past alerts
    List {
        /// Show past alerts instead of the rules, the newest first
        #[arg(long)]
        fired: bool,
        /// With --fired: show at most this many
        #[arg(short = 'n', long, default_value_t = 20, requires = "fired")]
        most: usize,
        /// Print JSON: an array of objects
        #[arg(long)]
        json: bool,
    },
    /// Show what a rule would report now, and send a test alert through all channels
    Test {
        /// Name of the rule
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(arguments: AlertArguments, raw: RawSettings) -> Outcome {
    let (wiring, writer) = super::recorded(&raw)?;
    // Rules are for other processes, which cannot see memory.
    let redis = super::redis(&wiring)?;
    let rules = AlertRules::new(&wiring.cache);
    match arguments.command {
        AlertCommand::Add(arguments) => add::run(&wiring, &rules, *arguments).await,
        AlertCommand::Remove { name } => remove(&rules, &name).await,
        AlertCommand::List {
            fired: true,
            most,
            json,
        } => show_told(&wiring, &redis, most, json).await,
        AlertCommand::List { json, .. } => show(&rules, json).await,
        AlertCommand::Test { name, json } => {
            let outcome = match rules.get(&name).await? {
                Some(rule) => trial::run(&wiring, &rule, json).await,
                None => missing(&rules, &name).await,
            };
            // The test alert is in the event log too.
            writer.close().await;
            outcome
        }
    }
}

async fn remove(rules: &AlertRules, name: &str) -> Outcome {
    if rules.remove(name).await? {
        output::line(format!("{name} is removed"));
        return Ok(DONE);
    }
    missing(rules, name).await
}

async fn missing(rules: &AlertRules, name: &str) -> Outcome {
    let kept = rules.all().await?.rules;
    let meant = similar::meant(name, kept.iter().map(|rule| rule.name.as_str()));
    output::note(format!(
        "there is no rule {}{meant}; `sise alert list` shows all",
        name.escape_debug()
    ));
    Ok(INCOMPLETE)
}

async fn show(rules: &AlertRules, json: bool) -> Outcome {
    let kept = rules.all().await?;
    for (name, trouble) in &kept.unreadable {
        output::note(format!(
            "the entry {} is not a rule: {trouble}",
            name.escape_debug()
        ));
    }
    if json {
        output::json(&kept.rules);
        return Ok(DONE);
    }
    if kept.rules.is_empty() {
        output::note("there are no rules: `sise alert add NAME ...`");
        return Ok(DONE);
    }
    let mut table = Table::new(&["rule", "when"]);
    for Rule { name, terms, .. } in kept.rules {
        table.add_row([name, sentence(&terms)]);
    }
    output::rows(&table);
    Ok(DONE)
}

async fn show_told(wiring: &Wiring, redis: &RedisStore, most: usize, json: bool) -> Outcome {
    let entries = redis.entries(ENTRIES).await?.into_iter();
    let alert = |event: Event| match event {
        Event::Alert { alert } => Some(*alert),
        _ => None,
    };
    let told = entries.filter_map(|entry| alert(entry.event));
    let told: Vec<Alert> = told.take(most).collect();
    if json {
        output::json(&told);
        return Ok(DONE);
    }
    if told.is_empty() {
        output::note("no alert was sent, as far back as the event log goes");
        return Ok(DONE);
    }
    let now = (wiring.clock)();
    let mut table = Table::new(&["time", "rule", "alert"]);
    for alert in told {
        table.add_row([short(alert.at, now), alert.rule, alert.text]);
    }
    output::rows(&table);
    Ok(DONE)
}

/// Returns the terms in one sentence.
fn sentence(terms: &Terms) -> String {
    let time = |seconds: u64| humantime::format_duration(Duration::from_secs(seconds));
    let when = match terms.when {
        Condition::PriceAbove(won) => format!("price above {} won", grouped(won)),
        Condition::PriceBelow(won) => format!("price below {} won", grouped(won)),
        Condition::ChangeBeyond(percent) => format!("change beyond {percent} %"),
        Condition::Jump { percent, within_s } => {
            format!("jump of {percent} % within {}", time(within_s))
        }
        Condition::NewHigh => "new high of the day".to_owned(),
        Condition::NewLow => "new low of the day".to_owned(),
        Condition::VolumeTimes { times, within_s } => {
            format!("{times} times the volume within {}", time(within_s))
        }
        Condition::CoverageBelow { percent, for_s } => {
            format!("coverage below {percent} % for {}", time(for_s))
        }
        Condition::LeaderLost { for_s } => format!("no process leads for {}", time(for_s)),
    };
    let mut text = match &terms.of {
        Scope::List(list) => format!("{when}, of the list {list}"),
        Scope::Codes(codes) => {
            let codes: Vec<&str> = codes.iter().map(Symbol::as_str).collect();
            format!("{when}, of {}", codes.join(" "))
        }
        Scope::Market if terms.when.is_of_stocks() => format!("{when}, of all codes"),
        Scope::Market => when,
    };
    if let Some(way_back) = terms.hysteresis {
        text += &format!(", again after {way_back} % back");
    }
    if let Some(quiet) = terms.quiet {
        text += &format!(", quiet {quiet}");
    }
    if terms.next_crossing {
        text += ", at the next crossing";
    }
    text + &format!(", every {} at most", time(terms.every_s))
}

impl From<OutlookError> for Failure {
    fn from(error: OutlookError) -> Self {
        match error {
            OutlookError::Cache(error) => error.into(),
            OutlookError::Store(error) => error.into(),
        }
    }
}

impl From<AlertRulesError> for Failure {
    fn from(error: AlertRulesError) -> Self {
        match error {
            AlertRulesError::Invalid(trouble) => Self::usage(trouble),
            AlertRulesError::Cache(error) => error.into(),
        }
    }
}
