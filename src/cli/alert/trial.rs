//! What a rule would tell now, and a test alert along all ways.

use chrono::TimeDelta;
use serde_json::json;

use super::super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::super::output::{self, grouped};
use super::super::words::percent;
use crate::alerts::Delivery;
use crate::domain::{Alert, Condition, Coverage, Event, KrxTime, Quote, Rule, Scope, Symbol};
use crate::port::Change;
use crate::setup::Parts;
use crate::watch::WatchLists;

/// Codes that are named one by one.
const NAMED: usize = 20;

/// What was found.
struct Found {
    /// In words.
    lines: Vec<String>,
    /// Codes of the rule.
    codes: usize,
    /// Their live prices.
    live: Vec<Quote>,
    /// Those beyond the limit now; `None` where that takes minutes to know.
    beyond: Option<Vec<Symbol>>,
}

pub(super) async fn run(parts: &Parts, rule: &Rule, json: bool) -> Outcome {
    parts.learn_time().await;
    let now = (parts.clock)();
    let mut found = if rule.terms.when.is_of_stocks() {
        of_stocks(parts, rule).await?
    } else {
        of_market(parts, rule, now).await?
    };
    let is_quiet = rule.terms.quiet.filter(|quiet| quiet.holds(now.time()));
    if let Some(quiet) = is_quiet {
        found
            .lines
            .push(format!("nothing is told now: quiet hours are {quiet}"));
    }
    let watcher = parts.alert_watcher().await?;
    found.lines.push(match &watcher {
        Some(process) => format!("{process} watches"),
        None => "no process watches for alerts: start `sise run`".to_owned(),
    });
    let alert = Alert::test(rule, now);
    tracing::warn!(
        rule = alert.rule,
        kind = "test",
        id = alert.id,
        "alert: {}",
        alert.text
    );
    parts.recorder.note(Event::Alert {
        alert: Box::new(alert.clone()),
    });
    let stream = parts.changes.tell(&Change::Alert(alert.clone())).await;
    let webhook = match parts.webhook()? {
        Some(webhook) => Some(webhook.deliver(&alert).await),
        None => None,
    };
    let stream = stream.map_or_else(|error| error.to_string(), |()| "told".to_owned());
    let posted = webhook.as_ref().map_or_else(
        || "alerts.webhook_url is not set".to_owned(),
        Delivery::to_string,
    );
    if json {
        output::json(&json!({
            "rule": rule,
            "codes": found.codes,
            "live": found.live.len(),
            "beyond": found.beyond,
            "quiet": is_quiet.is_some(),
            "watched_by": watcher,
            "alert": alert,
            "stream": stream,
            "webhook": webhook.as_ref().map(Delivery::to_string),
        }));
    } else {
        for line in found.lines {
            output::line(line);
        }
        output::line(format!("test alert {}", alert.id));
        output::line(format!("  stream   {stream}"));
        output::line("  journal  written; `sise alert list --fired` shows it");
        output::line(format!("  webhook  {posted}"));
    }
    let is_sent =
        stream == "told" && webhook.is_none_or(|delivery| delivery == Delivery::Delivered);
    Ok(if is_sent { DONE } else { INCOMPLETE })
}

async fn of_stocks(parts: &Parts, rule: &Rule) -> Result<Found, Failure> {
    let codes: Vec<Symbol> = match &rule.terms.of {
        Scope::List(list) => {
            let on_it = WatchLists::new(&parts.cache).codes(list).await?;
            on_it.into_keys().collect()
        }
        Scope::Codes(codes) => codes.clone(),
        Scope::Market => {
            parts.know_names().await;
            parts.universe.load().symbols().collect()
        }
    };
    let prices = parts.reader_store.realtime(&codes).await?;
    let live: Vec<Quote> = prices.into_iter().flatten().map(|quote| *quote).collect();
    let holds = |quote: &Quote| rule.terms.when.holds_for(quote);
    let is_known = live.iter().all(|quote| holds(quote).is_some());
    let beyond = live.iter().filter(|quote| holds(quote) == Some(true));
    let beyond: Vec<&Quote> = beyond.collect();
    let mut lines = vec![format!(
        "{} codes, {} with a live price",
        grouped(codes.len()),
        grouped(live.len())
    )];
    if !is_known {
        lines.push("what they do takes some minutes of watching to know".to_owned());
    } else if beyond.is_empty() {
        lines.push("none is beyond the limit now".to_owned());
    } else {
        lines.push(format!("{} beyond the limit now:", grouped(beyond.len())));
        let named = beyond.iter().take(NAMED).map(|quote| {
            let rate = quote.change_rate;
            let rate = rate.map_or_else(String::new, |rate| format!(" ({rate:+.2} %)"));
            let price = grouped(quote.price);
            format!(
                "  {} {} {price} won{rate}",
                quote.stock_code, quote.stock_name
            )
        });
        lines.extend(named);
    }
    let beyond = beyond.iter().map(|quote| quote.stock_code).collect();
    Ok(Found {
        lines,
        codes: codes.len(),
        beyond: is_known.then_some(beyond),
        live,
    })
}

async fn of_market(parts: &Parts, rule: &Rule, now: KrxTime) -> Result<Found, Failure> {
    let mut found = Found {
        lines: Vec::new(),
        codes: 0,
        live: Vec::new(),
        beyond: None,
    };
    if let Condition::LeaderLost { .. } = rule.terms.when {
        let leader = parts.leader().await?;
        found.lines.push(leader.map_or_else(
            || "nobody leads now".to_owned(),
            |leader| format!("{} leads", leader.process),
        ));
        return Ok(found);
    }
    parts.know_names().await;
    let codes: Vec<Symbol> = parts.universe.load().symbols().collect();
    let prices = parts.reader_store.realtime(&codes).await?;
    let life = TimeDelta::from_std(parts.settings.store.ttl).unwrap_or(TimeDelta::MAX);
    let live = prices.into_iter().flatten().map(|quote| *quote);
    found.live = live
        .filter(|quote| now - quote.fetched_at <= life)
        .collect();
    found.codes = codes.len();
    let coverage = Coverage {
        live: found.live.len(),
        codes: codes.len(),
    };
    let share = coverage.share().map_or_else(|| "none".to_owned(), percent);
    found
        .lines
        .push(format!("{share} of the list have a live price"));
    if let Some(closed) = &parts.calendar.load().moment(now).closed {
        found.lines.push(format!(
            "nothing is told now: the market is closed: {closed}"
        ));
    }
    Ok(found)
}
