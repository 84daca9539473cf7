//! `sise plan`

use clap::Args;
use serde_json::json;

use super::codes;
use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output;
use crate::config::RawSettings;
use sise_domain::{Calling, Plan, grouped, rounded_time};

/// Arguments of `sise plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// Plan for this many codes instead of the stock list in use
    #[arg(long, value_name = "N", conflicts_with = "codes")]
    count: Option<usize>,
    /// Plan for these stocks, by code or name, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    codes: Option<Vec<String>>,
    /// Plan with this many watched codes instead of the present ones
    #[arg(long, value_name = "N")]
    watched: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: PlanArguments, raw: RawSettings) -> Outcome {
    let wiring = super::wiring(&raw)?;
    let codes = match (arguments.count, &arguments.codes) {
        (Some(count), _) => count,
        (None, Some(texts)) => {
            let named = codes::symbols(&wiring, texts).await;
            named.map_err(|failure| say_count(failure, texts))?.len()
        }
        (None, None) => crate::daemon::load_list(&wiring).await?.universe.len(),
    };
    let plan = match arguments.watched {
        Some(watched) => wiring.planner().plan(codes, watched),
        None => wiring.planner().plan_ahead(codes).await,
    };
    let outcome = match plan.keeps_alive() {
        true => DONE,
        false => INCOMPLETE,
    };
    if arguments.json {
        output::json(&json!({
            "codes": plan.codes,
            "calling": plan.calling,
            "batch_size": plan.batch_size,
            "calls": plan.calls(),
            "rate_per_second": plan.rate,
            "calls_per_minute": plan.per_minute,
            "calls_per_day": plan.per_day,
            "calls_a_day": plan.calls_a_day(),
            "batch_pause_seconds": plan.batch_pause.as_secs_f64(),
            "interval_seconds": plan.interval.as_secs_f64(),
            "ttl_seconds": plan.ttl.as_secs_f64(),
            "sweep_seconds": plan.sweep_time().as_secs_f64(),
            "share_alive": plan.share_alive(),
            "keeps_alive": plan.keeps_alive(),
            "largest_list": plan.largest_list(),
            "watched": plan.watched,
            "watched_calls": plan.watched_calls(),
            "watched_interval_seconds": plan.watched_interval.as_secs_f64(),
            "watched_period_seconds": plan.watched_period().as_secs_f64(),
            "keeps_watched": plan.keeps_watched(),
            "shared": wiring.settings.sweep.shared,
        }));
        return Ok(outcome);
    }
    let way = match plan.calling {
        Calling::Multi => format!("{} codes a call (real account)", plan.batch_size),
        Calling::Single => "one code a call (paper account)".to_owned(),
    };
    output::line(format!("codes             {}", grouped(codes)));
    output::line(format!("way of calling    {way}, {:.2} calls/s", plan.rate));
    output::line(format!("calls a sweep     {}", grouped(plan.calls())));
    output::line(format!("calls a day       {}", grouped(plan.calls_a_day())));
    output::line(format!(
        "time a sweep      {}",
        rounded_time(plan.sweep_time())
    ));
    output::line(format!("sweep every       {}", rounded_time(plan.period())));
    output::line(format!("a price lives     {}", rounded_time(plan.ttl)));
    output::line(format!(
        "alive at any time {} %{}",
        plan.alive_percent(),
        plan.until_spent()
    ));
    output::line(format!(
        "largest list      {} codes",
        grouped(plan.largest_list())
    ));
    output::line(format!("watched           {}", watched_words(&plan)));
    let verdict = if plan.keeps_alive() {
        "this set-up keeps every code alive".to_owned()
    } else {
        format!(
            "this set-up does NOT keep its codes alive: {}. What works: {}",
            plan.figures(),
            plan.remedies()
        )
    };
    output::line(verdict);
    if let Some(strain) = plan.watched_strain() {
        output::line(format!("{strain}: {}", Plan::WATCH_LESS));
    }
    if wiring.settings.sweep.shared {
        output::line("(this key alone; other keys share the work: sweep.shared)".to_owned());
    }
    Ok(outcome)
}

/// Adds a tip if the only code is a number, which was likely meant as a count.
fn say_count(failure: Failure, texts: &[String]) -> Failure {
    match texts {
        [text] if text.parse::<usize>().is_ok() => Failure::usage(format!(
            "{failure}; to plan for that many codes write --count {text}"
        )),
        _ => failure,
    }
}

/// Describes the codes that are refreshed more often than the rest.
fn watched_words(plan: &Plan) -> String {
    format!(
        "{} codes every {}, {} calls",
        grouped(plan.watched),
        rounded_time(plan.watched_period()),
        grouped(plan.watched_calls())
    )
}
