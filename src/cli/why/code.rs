//! `sise why CODE`: what is known about one code.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::super::codes;
use super::super::failure::{DONE, INCOMPLETE, Outcome};
use super::super::output::{self, grouped};
use super::super::standing::Standing;
use super::super::words::{self, as_json, length, sentence, short};
use super::{ENTRIES, is_telling};
use crate::setup::Wiring;
use crate::status::LeaderSince;
use sise_domain::{Entry, Event, KrxTime, Missed, Quote, Row, Status, Symbol};
use sise_port::{Journal as _, Leader, Leadership as _, Ledger as _, PriceStore as _};
use sise_store::RedisStore;

/// What is known about one code.
struct Code {
    symbol: Symbol,
    name: Option<String>,
    /// Why it is not in the list, if it is not.
    not_listed: Option<String>,
    now: KrxTime,
    row: Option<Row>,
    price: Option<Box<Quote>>,
    life: Option<TimeDelta>,
    /// Life of a price. An older poll says nothing about the present.
    ttl: TimeDelta,
    /// The last sweep that asked for it.
    sweep: Option<Entry>,
    /// The last run that was skipped since that sweep.
    skip: Option<Entry>,
    /// The last alert about it.
    alert: Option<Entry>,
    leader: Option<Leader>,
}

pub(super) async fn explain(
    symbol: Symbol,
    wiring: &Wiring,
    redis: &Arc<RedisStore>,
    json: bool,
) -> Outcome {
    wiring.know_names().await;
    let row = redis.row(symbol).await?;
    let price = redis.realtime(&[symbol]).await?.pop().flatten();
    let life = redis.life(symbol).await?;
    let life = life.and_then(|life| TimeDelta::from_std(life).ok());
    let leader = redis.leader().await?;
    let entries = redis.entries(ENTRIES).await?;
    let asked_by = row.as_ref().and_then(Row::last_sweep);
    let is_its = |entry: &&Entry| match &entry.event {
        Event::Sweep(swept) => Some(swept.started_at) == asked_by,
        _ => false,
    };
    let sweep = entries.iter().find(is_its);
    let ended = sweep.map(|entry| entry.at).or(asked_by);
    let is_later = |entry: &&Entry| ended.is_none_or(|ended| entry.last_at > ended);
    let mut skips = entries.iter().filter(is_telling).filter(is_later);
    let is_of_it = |entry: &&Entry| match &entry.event {
        Event::Alert { alert } => alert.code == Some(symbol),
        _ => false,
    };
    let list = wiring.universe.load();
    let code = Code {
        symbol,
        name: list.get(symbol).map(|listing| listing.name.clone()),
        not_listed: (!list.is_empty() && list.get(symbol).is_none())
            .then(|| wiring.reasons().not_listed()),
        now: (wiring.clock)(),
        price,
        life,
        ttl: TimeDelta::from_std(wiring.settings.store.ttl).unwrap_or(TimeDelta::MAX),
        sweep: sweep.cloned(),
        skip: skips.next().cloned(),
        alert: entries.iter().find(is_of_it).cloned(),
        leader,
        row,
    };
    if json {
        output::json(&code.as_json());
    } else {
        code.print();
    }
    if !json && let Some(tip) = codes::tip(&list, symbol) {
        output::note(tip);
    }
    let is_known = code.row.is_some() || code.price.is_some();
    Ok(if is_known { DONE } else { INCOMPLETE })
}

impl Code {
    /// Returns the state as one word for JSON, and as text.
    fn state(&self) -> (&'static str, String) {
        let Some(row) = &self.row else {
            return ("never_polled", "no sweep has asked for it".to_owned());
        };
        let Some(polled) = row.polled else {
            return ("not_polled", "never polled".to_owned());
        };
        if row.missed.is_some() || self.now - polled.at > self.ttl {
            let words = format!("not polled since {}", self.at(polled.at));
            return ("not_polled", words);
        }
        match polled.status {
            Status::Halted => ("halted", "polled; trading is halted".to_owned()),
            Status::Untraded => ("untraded", "polled; it has not traded yet today".to_owned()),
            Status::Trading if polled.unchanged_since < polled.at => {
                ("unchanged", "polled and unchanged".to_owned())
            }
            Status::Trading => ("changed", "polled; the price changed".to_owned()),
        }
    }

    fn at(&self, at: KrxTime) -> String {
        format!("{} ({} ago)", short(at, self.now), length(self.now - at))
    }

    fn print(&self) {
        let name = self.name.as_deref().unwrap_or("not in the stock list");
        output::line(format!("{} {name}: {}", self.symbol, self.state().1));
        if let Some(not_listed) = &self.not_listed {
            output::line(format!("why             {not_listed}"));
        }
        if let Some(row) = &self.row {
            self.print_row(row);
        }
        let held = match (&self.price, self.life) {
            (Some(quote), life) => {
                let life = life.map_or_else(String::new, |life| {
                    format!(", lives another {}", length(life))
                });
                let given = self.at(quote.fetched_at);
                let by = match quote.simulated {
                    true => " by a simulated broker",
                    false => "",
                };
                let standing = Standing::of(quote)
                    .map_or_else(String::new, |standing| format!(", {}", standing.words()));
                format!(
                    "{} won{standing}, given{by} {given}{life}",
                    grouped(quote.price)
                )
            }
            (None, Some(_)) => "a value that is not a price".to_owned(),
            (None, None) => "no live price".to_owned(),
        };
        output::line(format!("in Redis        {held}"));
        let leader = self.leader.as_ref().map_or_else(
            || "no process leads, so none sweeps".to_owned(),
            |leader| match words::since(leader) {
                Some(since) => format!("{} leads since {}", leader.process, self.at(since)),
                None => format!("{} leads", leader.process),
            },
        );
        output::line(format!("leader          {leader}"));
        if let Some(skip) = &self.skip {
            output::line(format!("since then      {}", sentence(skip, self.now)));
        }
        if let Some(alert) = &self.alert {
            output::line(format!("last alert      {}", sentence(alert, self.now)));
        }
    }

    fn print_row(&self, row: &Row) {
        if let Some(Missed {
            since,
            sweep,
            reason,
            detail,
        }) = row.missed.as_deref()
        {
            let detail = if detail.is_empty() {
                String::new()
            } else {
                format!(" ({detail})")
            };
            output::line(format!("why             {reason}{detail}"));
            output::line(format!(
                "missed          since the sweep of {}, last by that of {}",
                self.at(*since),
                short(*sweep, self.now)
            ));
        }
        if let Some(polled) = row.polled {
            output::line(format!("last polled     {}", self.at(polled.at)));
            output::line(format!(
                "price           {} won, unchanged since {}",
                grouped(polled.price),
                self.at(polled.unchanged_since)
            ));
        }
        match &self.sweep {
            Some(entry) => {
                output::line(format!("by              {}", sentence(entry, self.now)));
            }
            None => output::line("by              a sweep that is no longer in the event log"),
        }
    }

    fn as_json(&self) -> Value {
        let row = self.row.as_ref();
        json!({
            "code": self.symbol,
            "name": self.name,
            "state": self.state().0,
            "polled": row.and_then(|row| row.polled).map(|polled| json!({
                "at": as_json(polled.at), "sweep": as_json(polled.sweep), "price": polled.price,
                "unchanged_since": as_json(polled.unchanged_since), "status": polled.status,
            })),
            "missed": row.and_then(|row| row.missed.as_ref()).map(|missed| json!({
                "since": as_json(missed.since), "sweep": as_json(missed.sweep), "reason": missed.reason,
                "detail": missed.detail,
            })),
            "redis": self.price.as_ref().map(|quote| json!({
                "quote": quote, "life_ms": self.life.map(|life| life.num_milliseconds()),
            })),
            "sweep": self.sweep,
            "skipped_since": self.skip,
            "last_alert": self.alert,
            "leader": self.leader.as_ref().map(LeaderSince::from),
        })
    }
}
