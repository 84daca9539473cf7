//! `sise alert`

mod trial;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output::{self, grouped};
use super::words::short;
use crate::alerts::{AlertRules, AlertRulesError};
use crate::config::Layers;
use crate::domain::{Alert, Condition, Event, Quiet, Rule, Scope, Symbol, Terms};
use crate::port::Journal as _;
use crate::setup::Parts;
use crate::store::RedisStore;
use crate::watch::WatchLists;

/// A whole journal.
const ENTRIES: usize = 20_000;

/// Coverage is low for so long before it is told, where nobody says another time.
const USUALLY_FOR: Duration = Duration::from_secs(180);

/// Arguments of `sise alert`.
#[derive(Debug, Args)]
pub(super) struct AlertArguments {
    #[command(subcommand)]
    command: AlertCommand,
}

#[derive(Debug, Subcommand)]
enum AlertCommand {
    /// Add a rule, or replace the one of that name
    Add(Box<AddArguments>),
    /// Remove a rule
    Remove {
        /// Name of the rule
        name: String,
    },
    /// Show all rules, or the alerts that were told
    List {
        /// The alerts that were told, the newest first, instead of the rules
        #[arg(long)]
        fired: bool,
        /// With --fired: so many at most
        #[arg(short = 'n', long, default_value_t = 20, requires = "fired")]
        most: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what a rule would tell now, and send a test alert along all ways
    Test {
        /// Name of the rule
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct AddArguments {
    /// Name of the rule, such as low-samsung
    name: String,
    #[command(flatten)]
    scope: ScopeArguments,
    #[command(flatten)]
    condition: ConditionArguments,
    /// With --jump and --volume-times: 1m, 2m, 3m, 5m, 10m, 15m, 30m or 1h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    within: Option<Duration>,
    /// With --coverage-below: only where it lasts so long [default: 3m]
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration, requires = "coverage_below")]
    lasting: Option<Duration>,
    /// Nothing is told in these hours of Seoul, such as 15:40-08:50
    #[arg(long, value_name = "FROM-UNTIL", value_parser = str::parse::<Quiet>)]
    quiet: Option<Quiet>,
    /// How far the value must go back before it is told again: percent of a price, high, low or
    /// volume; percentage points of a change, jump or coverage
    #[arg(long, value_name = "PERCENT")]
    hysteresis: Option<f64>,
    /// Least time between two alerts of one code
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "10m")]
    every: Duration,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct ScopeArguments {
    /// The codes on a watch list, whatever is on it
    #[arg(long, value_name = "LIST")]
    list: Option<String>,
    /// These codes, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    codes: Option<Vec<String>>,
    /// All codes
    #[arg(long)]
    market: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ConditionArguments {
    /// The price rises above so many won
    #[arg(long, value_name = "WON")]
    price_above: Option<i64>,
    /// The price falls below so many won
    #[arg(long, value_name = "WON")]
    price_below: Option<i64>,
    /// The price is so many percent or more from the previous close, up or down
    #[arg(long, value_name = "PERCENT")]
    change_beyond: Option<f64>,
    /// The price moves so many percent or more --within a time, up or down
    #[arg(long, value_name = "PERCENT", requires = "within")]
    jump: Option<f64>,
    /// The price is higher than before on that day
    #[arg(long)]
    new_high: bool,
    /// The price is lower than before on that day
    #[arg(long)]
    new_low: bool,
    /// --within a time so many times as much is traded as before on that day
    #[arg(long, value_name = "TIMES", requires = "within")]
    volume_times: Option<f64>,
    /// In an open session less of the list has a live price, percent
    #[arg(long, value_name = "PERCENT")]
    coverage_below: Option<f64>,
    /// Nobody has led for so long
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    leader_lost: Option<Duration>,
}

pub(super) async fn run(arguments: AlertArguments, layers: Layers) -> Outcome {
    let (parts, scribe) = super::recorded(&layers)?;
    // Other processes are to see the rules.
    let redis = super::redis(&parts)?;
    let rules = AlertRules::new(&parts.cache);
    match arguments.command {
        AlertCommand::Add(arguments) => add(&parts, &rules, *arguments).await,
        AlertCommand::Remove { name } => remove(&rules, &name).await,
        AlertCommand::List {
            fired: true,
            most,
            json,
        } => show_told(&parts, &redis, most, json).await,
        AlertCommand::List { json, .. } => show(&rules, json).await,
        AlertCommand::Test { name, json } => {
            let outcome = match rules.get(&name).await? {
                Some(rule) => trial::run(&parts, &rule, json).await,
                None => missing(&name),
            };
            // The test is in the journal too.
            scribe.close().await;
            outcome
        }
    }
}

async fn add(parts: &Parts, rules: &AlertRules, arguments: AddArguments) -> Outcome {
    let name = arguments.name.clone();
    let terms = terms(arguments)?;
    let is_new = rules.set(&name, &terms, (parts.clock)()).await?;
    if let Some(list) = terms.of.list()
        && WatchLists::new(&parts.cache).codes(list).await?.is_empty()
    {
        output::note(format!(
            "nothing is on the watch list {list} yet: `sise watch add {list} CODE...`"
        ));
    }
    let interval = parts.settings.schedule.interval.as_secs();
    if terms
        .when
        .window_s()
        .is_some_and(|window| window < interval * 2)
    {
        output::note(format!(
            "prices come every {interval} s (schedule.interval): within so short a time few but \
             watched codes have two of them"
        ));
    }
    let what = if is_new { "added" } else { "replaced" };
    output::line(format!("{name} is {what}: {}", sentence(&terms)));
    Ok(DONE)
}

/// The terms that the arguments say.
fn terms(arguments: AddArguments) -> Result<Terms, Failure> {
    let when = condition(&arguments)?;
    let AddArguments {
        scope,
        quiet,
        hysteresis,
        every,
        ..
    } = arguments;
    let of = match scope {
        ScopeArguments {
            list: Some(list), ..
        } => Scope::List(list),
        ScopeArguments {
            codes: Some(codes), ..
        } => Scope::Codes(symbols(&codes)?),
        ScopeArguments { market: true, .. } => Scope::Market,
        _ if when.is_of_stocks() => {
            return Err(Failure::usage(
                "of which stocks? Give --list LIST, --codes A,B or --market",
            ));
        }
        _ => Scope::Market,
    };
    Ok(Terms {
        of,
        when,
        hysteresis,
        quiet,
        every_s: every.as_secs(),
    })
}

fn condition(arguments: &AddArguments) -> Result<Condition, Failure> {
    let given = &arguments.condition;
    let window = arguments.within.map(|within| within.as_secs());
    if window.is_some() && given.jump.is_none() && given.volume_times.is_none() {
        return Err(Failure::usage(
            "--within goes with --jump and --volume-times only",
        ));
    }
    // clap sees to it that there is one of them, with its time.
    let within_s = window.unwrap_or_default();
    Ok(if let Some(won) = given.price_above {
        Condition::PriceAbove(won)
    } else if let Some(won) = given.price_below {
        Condition::PriceBelow(won)
    } else if let Some(percent) = given.change_beyond {
        Condition::ChangeBeyond(percent)
    } else if let Some(percent) = given.jump {
        Condition::Jump { percent, within_s }
    } else if let Some(times) = given.volume_times {
        Condition::VolumeTimes { times, within_s }
    } else if let Some(percent) = given.coverage_below {
        Condition::CoverageBelow {
            percent,
            for_s: arguments.lasting.unwrap_or(USUALLY_FOR).as_secs(),
        }
    } else if let Some(lasting) = given.leader_lost {
        Condition::LeaderLost {
            for_s: lasting.as_secs(),
        }
    } else if given.new_high {
        Condition::NewHigh
    } else {
        Condition::NewLow
    })
}

fn symbols(codes: &[String]) -> Result<Vec<Symbol>, Failure> {
    let mut symbols: Vec<Symbol> = Vec::new();
    for code in codes {
        let symbol = code.trim().parse();
        let symbol = symbol.map_err(|error| Failure::usage(format!("{error}")))?;
        if !symbols.contains(&symbol) {
            symbols.push(symbol);
        }
    }
    Ok(symbols)
}

async fn remove(rules: &AlertRules, name: &str) -> Outcome {
    if rules.remove(name).await? {
        output::line(format!("{name} is removed"));
        return Ok(DONE);
    }
    missing(name)
}

fn missing(name: &str) -> Outcome {
    output::note(format!(
        "there is no rule {}; `sise alert list` shows all",
        name.escape_debug()
    ));
    Ok(INCOMPLETE)
}

async fn show(rules: &AlertRules, json: bool) -> Outcome {
    let kept = rules.all().await?;
    for (name, trouble) in &kept.unreadable {
        output::note(format!(
            "what is kept as {} is no rule: {trouble}",
            name.escape_debug()
        ));
    }
    if json {
        output::json(&json!({ "alerts": kept.rules }));
        return Ok(DONE);
    }
    if kept.rules.is_empty() {
        output::note("there are no rules: `sise alert add NAME ...`");
        return Ok(DONE);
    }
    let mut table = output::table(&["rule", "when"]);
    for Rule { name, terms, .. } in kept.rules {
        table.add_row([name, sentence(&terms)]);
    }
    output::line(table);
    Ok(DONE)
}

async fn show_told(parts: &Parts, redis: &RedisStore, most: usize, json: bool) -> Outcome {
    let entries = redis.entries(ENTRIES).await?.into_iter();
    let alert = |event: Event| match event {
        Event::Alert { alert } => Some(*alert),
        _ => None,
    };
    let told = entries.filter_map(|entry| alert(entry.event));
    let told: Vec<Alert> = told.take(most).collect();
    if json {
        output::json(&json!({ "fired": told }));
        return Ok(DONE);
    }
    if told.is_empty() {
        output::note("nothing was told, as far back as the journal goes");
        return Ok(DONE);
    }
    let now = (parts.clock)();
    let mut table = output::table(&["time", "rule", "alert"]);
    for alert in told {
        table.add_row([short(alert.at, now), alert.rule, alert.text]);
    }
    output::line(table);
    Ok(DONE)
}

/// The terms in one sentence.
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
        Condition::LeaderLost { for_s } => format!("nobody leads for {}", time(for_s)),
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
    text + &format!(", every {} at most", time(terms.every_s))
}

impl From<AlertRulesError> for Failure {
    fn from(error: AlertRulesError) -> Self {
        match error {
            AlertRulesError::Invalid(trouble) => Self::usage(trouble),
            AlertRulesError::Cache(error) => error.into(),
        }
    }
}
