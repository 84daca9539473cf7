//! `sise alert add`

use std::time::Duration;

use clap::Args;

use super::super::codes;
use super::super::failure::{DONE, Failure, Outcome};
use super::super::output;
use super::sentence;
use crate::alerts::AlertRules;
use crate::setup::Wiring;
use sise_domain::{Condition, Quiet, Scope, Terms};

/// How long coverage must be low before an alert, if `--for` is not given.
const USUALLY_FOR: Duration = Duration::from_secs(180);

/// Arguments of `sise alert add`.
#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// Name of the rule, such as low-samsung
    name: String,
    #[command(flatten)]
    scope: ScopeArguments,
    #[command(flatten)]
    condition: ConditionArguments,
    /// With --jump and --volume-times: 1m, 2m, 3m, 5m, 10m, 15m, 30m or 1h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    within: Option<Duration>,
    /// With --coverage-below: only if it lasts this long [default: 3m]
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration, requires = "coverage_below")]
    lasting: Option<Duration>,
    /// Send no alerts in these hours of Seoul, such as 15:40-08:50
    #[arg(long, value_name = "FROM-UNTIL", value_parser = str::parse::<Quiet>)]
    quiet: Option<Quiet>,
    /// How far the value must go back before the next alert: percent of a price, high, low or
    /// volume; percentage points of a change, jump or coverage
    #[arg(long, value_name = "PERCENT")]
    hysteresis: Option<f64>,
    /// Shortest time between two alerts of one code
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "10m")]
    every: Duration,
    /// Fire only when the limit is crossed the next time; by default, a condition that already
    /// holds fires at once
    #[arg(long)]
    next_crossing: bool,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct ScopeArguments {
    /// The codes that are on a watch list at the time
    #[arg(long, value_name = "LIST")]
    list: Option<String>,
    /// These stocks only, by code or name, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    codes: Option<Vec<String>>,
    /// All codes
    #[arg(long)]
    market: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ConditionArguments {
    /// The price rises above this many won
    #[arg(long, value_name = "WON")]
    price_above: Option<i64>,
    /// The price falls below this many won
    #[arg(long, value_name = "WON")]
    price_below: Option<i64>,
    /// The price is at least this many percent from the base price (기준가), up or down
    #[arg(long, value_name = "PERCENT")]
    change_beyond: Option<f64>,
    /// The price moves by at least this many percent --within a time, up or down
    #[arg(long, value_name = "PERCENT", requires = "within")]
    jump: Option<f64>,
    /// The price is higher than before on the same day
    #[arg(long)]
    new_high: bool,
    /// The price is lower than before on the same day
    #[arg(long)]
    new_low: bool,
    /// The volume --within a time is this many times the usual volume of the day so far
    #[arg(long, value_name = "TIMES", requires = "within")]
    volume_times: Option<f64>,
    /// In an open session, less than this percentage of the list has a live price
    #[arg(long, value_name = "PERCENT")]
    coverage_below: Option<f64>,
    /// No process has led for this long
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    leader_lost: Option<Duration>,
}

pub(super) async fn run(wiring: &Wiring, rules: &AlertRules, arguments: AddArguments) -> Outcome {
    let name = arguments.name.clone();
    let terms = terms(wiring, arguments).await?;
    let is_new = rules.set(&name, &terms, (wiring.clock)()).await?;
    let what = if is_new { "added" } else { "replaced" };
    output::line(format!("{name} is {what}: {}", sentence(&terms)));
    wiring.know_names().await;
    let outlook = wiring.outlooks().of(&terms).await?;
    output::line(outlook.promise(&terms));
    for warning in outlook.warnings(&terms) {
        output::note(warning);
    }
    Ok(DONE)
}

/// Returns the terms of a rule from the arguments.
async fn terms(wiring: &Wiring, arguments: AddArguments) -> Result<Terms, Failure> {
    let when = condition(&arguments)?;
    let AddArguments {
        scope,
        quiet,
        hysteresis,
        every,
        next_crossing,
        ..
    } = arguments;
    let of = match scope {
        ScopeArguments {
            list: Some(list), ..
        } => Scope::List(list),
        ScopeArguments {
            codes: Some(codes), ..
        } => Scope::Codes(codes::symbols(wiring, &codes).await?),
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
        next_crossing,
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
    // clap guarantees that exactly one is given, with its time.
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
