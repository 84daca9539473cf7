//! `sise plan`

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::codes;
use super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::output::{self, grouped};
use crate::config::Layers;
use sise_domain::{Calling, Plan};

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

pub(super) async fn run(arguments: PlanArguments, layers: Layers) -> Outcome {
    let parts = super::parts(&layers)?;
    let codes = match (arguments.count, &arguments.codes) {
        (Some(count), _) => count,
        (None, Some(texts)) => {
            let named = codes::symbols(&parts, texts).await;
            named.map_err(|failure| say_count(failure, texts))?.len()
        }
        (None, None) => super::universe::load(&parts).await?.universe.len(),
    };
    let plan = match arguments.watched {
        Some(watched) => parts.plan(codes, watched),
        None => parts.plan_ahead(codes).await,
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
            "shared": parts.settings.sweep.shared,
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
    output::line(format!("time a sweep      {}", seconds(plan.sweep_time())));
    output::line(format!("sweep every       {}", seconds(plan.period())));
    output::line(format!("a price lives     {}", seconds(plan.ttl)));
    output::line(format!(
        "alive at any time {} %{}",
        alive(&plan),
        until_spent(&plan)
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
            figures(&plan),
            remedies(&plan)
        )
    };
    output::line(verdict);
    if let Some(strain) = plan.watched_strain() {
        output::line(format!("{strain}: {WATCH_LESS}"));
    }
    if parts.settings.sweep.shared {
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
        seconds(plan.watched_period()),
        grouped(plan.watched_calls())
    )
}

/// The remedy for too many or too frequent refreshes of watched codes.
pub(super) const WATCH_LESS: &str = "watch fewer codes, or set watch.interval to more";

/// Describes a set-up that cannot keep its codes alive, in the same words for all commands.
pub(super) fn figures(plan: &Plan) -> String {
    let strain = plan.list_strain();
    let strain = strain.map_or_else(String::new, |strain| format!("; {strain}"));
    if plan.period() <= plan.ttl && !plan.is_in_time() {
        return format!(
            "each is written every {:.0} s and lives {:.0} s, which leaves too little for a call that has to \
             be repeated: a twentieth of the life, {:.0} s, must be left{strain}",
            plan.period().as_secs_f64(),
            plan.ttl.as_secs_f64(),
            plan.ttl.as_secs_f64() / 20.0,
        );
    }
    format!(
        "each is written every {:.0} s and lives {:.0} s, so {} % are alive at any time{}{strain}",
        plan.period().as_secs_f64(),
        plan.ttl.as_secs_f64(),
        alive(plan),
        until_spent(plan)
    )
}

/// Returns the share of the codes that are alive in whole percent, rounded down.
pub(super) fn alive(plan: &Plan) -> f64 {
    (plan.share_alive() * 100.0 + 1e-9).floor()
}

/// Returns a note if the calls of a day do not last until its end.
fn until_spent(plan: &Plan) -> &'static str {
    match plan.lasts_the_day() {
        true => "",
        false => ", until the calls of the day are used up",
    }
}

/// Returns the changes that would make the plan work.
pub(super) fn remedies(plan: &Plan) -> String {
    let mut ways = Vec::new();
    if plan.list_strain().is_some() {
        ways.push(WATCH_LESS.to_owned());
    }
    if let Some(most) = plan.per_day.filter(|_| !plan.lasts_the_day()) {
        ways.push(format!(
            "more calls a day (kis.calls_per_day, now {most}; {} are needed), or sweeps further apart (schedule.interval, now {})",
            grouped(plan.calls_a_day()),
            seconds(plan.interval)
        ));
    }
    if let Some(most) = plan.per_minute.filter(|_| !plan.is_in_time()) {
        ways.push(format!(
            "more calls a minute (kis.calls_per_minute, now {most})"
        ));
    }
    match plan.largest_list() {
        // A shorter interval needs even more calls a day.
        0 if !plan.lasts_the_day() => {}
        0 => ways.push(format!(
            "a shorter interval (schedule.interval, now {})",
            seconds(plan.interval)
        )),
        codes => ways.push(format!(
            "a list of at most {} codes (universe.source = csv and universe.file)",
            grouped(codes)
        )),
    }
    if !plan.is_in_time() {
        // Slightly more than needed, in whole seconds.
        let ttl = Duration::from_secs(plan.period().mul_f64(1.06).as_secs() + 1);
        ways.push(format!(
            "a life of at least {} (store.ttl, now {})",
            seconds(ttl),
            seconds(plan.ttl)
        ));
    }
    if plan.calling == Calling::Single {
        ways.push("a real account, which asks for 30 codes a call (KIS_ENV=real)".to_owned());
    }
    ways.join("; or ")
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    // A time that would be rounded to 120.0 s is shown in minutes.
    if seconds < 119.95 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}
