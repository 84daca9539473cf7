//! `sise alert test`: what a rule would report now, and a test alert through all channels.

use chrono::TimeDelta;
use serde_json::json;

use super::super::failure::{DONE, Failure, INCOMPLETE, Outcome};
use super::super::output::{self, grouped};
use super::super::standing::Standing;
use super::super::words::{SIMULATED, percent};
use crate::alerts::{Delivery, Try};
use crate::setup::Wiring;
use sise_domain::{Alert, Condition, Coverage, Event, KrxTime, Quote, Rule, Symbol};
use sise_port::Change;

/// Number of codes that are listed one by one.
const NAMED: usize = 20;

/// The state of a rule.
struct Found {
    /// The state in words.
    lines: Vec<String>,
    /// Number of codes of the rule.
    codes: usize,
    /// Live prices of these codes.
    live: Vec<Quote>,
    /// Codes beyond the limit now; `None` if a single price cannot tell.
    beyond: Option<Vec<Symbol>>,
    /// Reasons why the rule may never fire.
    warnings: Vec<String>,
}

pub(super) async fn run(wiring: &Wiring, rule: &Rule, json: bool) -> Outcome {
    wiring.learn_time().await;
    let now = (wiring.clock)();
    let mut found = if rule.terms.when.is_of_stocks() {
        of_stocks(wiring, rule).await?
    } else {
        of_market(wiring, rule, now).await?
    };
    let is_quiet = rule.terms.quiet.filter(|quiet| quiet.holds(now.time()));
    if let Some(quiet) = is_quiet {
        found
            .lines
            .push(format!("no alert is sent now: quiet hours are {quiet}"));
    }
    let watcher = wiring.outlooks().watcher().await?;
    match &watcher {
        Some(process) => found.lines.push(format!("{process} watches")),
        None if found.warnings.is_empty() => {
            let silent = "no process watches for alerts: start `sise run`";
            found.warnings.push(silent.to_owned());
        }
        None => {}
    }
    let alert = Alert::test(rule, now);
    tracing::warn!(
        rule = alert.rule,
        kind = "test",
        id = alert.id,
        "alert: {}",
        alert.text
    );
    wiring.recorder.note(Event::Alert {
        alert: Box::new(alert.clone()),
    });
    let stream = wiring.changes.tell(&Change::Alert(alert.clone())).await;
    let webhook = match wiring.webhook()? {
        Some(webhook) => Some(webhook.deliver(&alert, say_try).await),
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
            "warnings": found.warnings,
            "watched_by": watcher,
            "alert": alert,
            "stream": stream,
            "webhook": webhook.as_ref().map(Delivery::to_string),
        }));
    } else {
        for line in found.lines {
            output::line(line);
        }
        for warning in found.warnings {
            output::note(warning);
        }
        if found.live.iter().any(|quote| quote.simulated) {
            output::note(SIMULATED);
        }
        output::line(format!("test alert {}", alert.id));
        output::line(format!("  stream   {stream}"));
        output::line("  events   recorded; `sise alert list --fired` shows it");
        output::line(format!("  webhook  {posted}"));
    }
    let is_sent =
        stream == "told" && webhook.is_none_or(|delivery| delivery == Delivery::Delivered);
    Ok(if is_sent { DONE } else { INCOMPLETE })
}

/// Reports each repeated try, so that waiting for a dead receiver is visible.
fn say_try(attempt: &Try) {
    if let Some(pause) = attempt.again_in {
        output::note(format!(
            "webhook: try {}: {}; again in {:.1} s",
            attempt.number,
            attempt.delivery,
            pause.as_secs_f64()
        ));
    }
}

async fn of_stocks(wiring: &Wiring, rule: &Rule) -> Result<Found, Failure> {
    wiring.know_names().await;
    let outlook = wiring.outlooks().of(&rule.terms).await?;
    let mut lines = vec![format!(
        "{} codes, {} with a live price",
        grouped(outlook.codes.len()),
        grouped(outlook.live.len())
    )];
    let beyond = outlook.beyond(&rule.terms);
    match &beyond {
        None => lines.push("a single price cannot tell; it fires when it happens".to_owned()),
        Some(beyond) if beyond.is_empty() => lines.push("none is beyond the limit now".to_owned()),
        Some(beyond) => {
            lines.push(format!("{} beyond the limit now:", grouped(beyond.len())));
            lines.extend(beyond.iter().take(NAMED).map(|quote| named(quote)));
        }
    }
    let codes = |beyond: Vec<&Quote>| beyond.iter().map(|quote| quote.stock_code).collect();
    Ok(Found {
        lines,
        codes: outlook.codes.len(),
        beyond: beyond.map(codes),
        warnings: outlook.warnings(&rule.terms),
        live: outlook.live,
    })
}

/// Formats a price that is beyond the limit.
fn named(quote: &Quote) -> String {
    let rate = quote.change_rate;
    let rate = rate.map_or_else(String::new, |rate| format!(" ({rate:+.2} %)"));
    let standing = Standing::of(quote);
    let standing = standing.map_or_else(String::new, |standing| format!(", {}", standing.words()));
    let simulated = if quote.simulated { ", simulated" } else { "" };
    format!(
        "  {} {} {} won{rate}{standing}{simulated}",
        quote.stock_code,
        quote.stock_name,
        grouped(quote.price)
    )
}

async fn of_market(wiring: &Wiring, rule: &Rule, now: KrxTime) -> Result<Found, Failure> {
    let mut found = Found {
        lines: Vec::new(),
        codes: 0,
        live: Vec::new(),
        beyond: None,
        warnings: Vec::new(),
    };
    if let Condition::LeaderLost { .. } = rule.terms.when {
        let leader = wiring.leader().await?;
        found.lines.push(leader.map_or_else(
            || "no process leads now".to_owned(),
            |leader| format!("{} leads", leader.process),
        ));
        return Ok(found);
    }
    wiring.know_names().await;
    let codes: Vec<Symbol> = wiring.universe.load().symbols().collect();
    let prices = wiring.reader_store.realtime(&codes).await?;
    let life = TimeDelta::from_std(wiring.settings.store.ttl).unwrap_or(TimeDelta::MAX);
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
    if let Some(closed) = &wiring.calendar.load().moment(now).closed {
        found.lines.push(format!(
            "no alert is sent now: the market is closed: {closed}"
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::{PriceLimit, Seoul, Status};

    #[test]
    fn a_price_is_marked_as_everywhere() {
        let at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        let mut quote = Quote {
            change_rate: Some(0.0),
            ..Quote::sample("005930".parse().unwrap(), 9_900, at)
        };
        assert_eq!(named(&quote), "  005930 회사 9,900 won (+0.00 %)");
        quote.status = Status::Halted;
        quote.simulated = true;
        let line = "  005930 회사 9,900 won (+0.00 %), halted, simulated";
        assert_eq!(named(&quote), line);
        quote.status = Status::Trading;
        quote.limit = Some(PriceLimit::Upper);
        quote.simulated = false;
        assert_eq!(named(&quote), "  005930 회사 9,900 won (+0.00 %), limit up");
    }
}
