//! `sise run`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::codes;
use super::failure::{DONE, Failure, INCOMPLETE, Outcome, by_signal};
use super::output::{self, grouped};
use super::progress;
use super::words::percent;
use crate::broker::Broker;
use crate::closes::Window;
use crate::config::RawSettings;
use crate::daemon::{self, Options};
use crate::ledger::LedgerKeeper;
use crate::setup::Wiring;
use crate::sweep::{Kept, Report, Step, Sweeper, Task};
use sise_domain::{Event, KrxTime, Role, Skipped, Symbol};
use sise_net::supervisor::Supervisor;
use sise_port::{SourceError, StoreError, Urgency};

/// Number of codes per reason that the report lists one by one.
const NAMED: usize = 20;

/// Time that a pass may take beyond twice its plan: a token alone may take a minute.
const SLACK: Duration = Duration::from_secs(75);

/// Arguments of `sise run`.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Make one pass at any hour, then exit
    #[arg(long)]
    once: bool,
    /// With --once: these stocks only, by code or name, separated by commas
    #[arg(
        long,
        value_name = "A,B",
        requires = "once",
        value_delimiter = ',',
        conflicts_with = "codes_file"
    )]
    codes: Option<Vec<String>>,
    /// With --once: the stocks in this file only, separated by white space or commas
    #[arg(long, value_name = "FILE", requires = "once")]
    codes_file: Option<PathBuf>,
    /// With --once: do nothing while the market is closed
    #[arg(long, requires = "once", conflicts_with = "always_open")]
    if_open: bool,
    /// Ignore the calendar, for trials
    #[arg(long)]
    always_open: bool,
    /// Start even if the set-up cannot keep its codes alive
    #[arg(long)]
    allow_gaps: bool,
    /// With --once: print the report as JSON
    #[arg(long, requires = "once")]
    json: bool,
}

pub(super) async fn run(arguments: RunArguments, raw: RawSettings) -> Outcome {
    if !arguments.once {
        let options = Options {
            always_open: arguments.always_open,
            allow_gaps: arguments.allow_gaps,
            ..Options::default()
        };
        let daemon = daemon::build(super::settings(&raw)?, options).await?;
        return by_signal(daemon.run(daemon::signalled()).await?);
    }
    let (wiring, writer) = super::recorded(&raw)?;
    let Some(broker) = wiring.broker.clone() else {
        return Err(Failure::no_credentials());
    };
    // A daemon writes as the leader. A single pass was asked for by a person and needs no lease.
    let Some(sweeper) = wiring.sweeper(None) else {
        return Err(Failure::no_credentials());
    };
    // Event log and heartbeat end after the work that they report.
    let telling = Supervisor::default();
    writer.start(telling.tasks());
    wiring.heartbeat(Role::OneShot, None).start(telling.tasks());
    let outcome = once(&arguments, wiring, sweeper, broker).await;
    telling.finish().await;
    outcome
}

/// Makes one pass.
///
/// A signal ends the preparation at once, and the pass within its grace period.
async fn once(
    arguments: &RunArguments,
    wiring: Wiring,
    sweeper: Sweeper,
    broker: Broker,
) -> Outcome {
    let codes = codes(arguments, &wiring).await?;
    wiring.learn_time().await;
    let moment = wiring.calendar.load().moment((wiring.clock)());
    if let (true, Some(closed)) = (arguments.if_open, &moment.closed) {
        let next = moment.next_open.map_or_else(
            || "not known".to_owned(),
            |next| next.format("%Y-%m-%d %H:%M KST").to_string(),
        );
        output::note(format!(
            "skipped: the market is closed: {closed}; it opens {next}"
        ));
        wiring.recorder.note(Event::Skip(Skipped {
            reason: closed.slug().to_owned(),
            why: format!("the market is closed: {closed}"),
            next_run: None,
        }));
        if arguments.json {
            output::json(&json!({
                "skipped": closed.to_string(), "next_open": moment.next_open,
                "universe": 0, "written": 0, "coverage": 0.0, "calls": 0, "refused_calls": 0,
                "retries": 0, "elapsed_ms": 0, "missing": [], "stopped": false, "is_close": false,
            }));
        }
        return Ok(DONE);
    }
    let stop = CancellationToken::new();
    let pass = pass(arguments, codes, &wiring, &sweeper, &broker, &stop);
    tokio::pin!(pass);
    tokio::select! {
        outcome = &mut pass => outcome,
        signal = daemon::signalled() => {
            let code = by_signal(signal)?;
            stop.cancel();
            pass.await?;
            Ok(code)
        }
    }
}

/// Prepares store, list and token, makes the pass and prints its report.
async fn pass(
    arguments: &RunArguments,
    codes: Option<Vec<Symbol>>,
    wiring: &Wiring,
    sweeper: &Sweeper,
    broker: &Broker,
    stop: &CancellationToken,
) -> Outcome {
    let is_whole_list = codes.is_none();
    let prepared = stop
        .run_until_cancelled(prepare(codes, wiring, broker))
        .await;
    let Some(symbols) = prepared.transpose()? else {
        output::note("stopped before the first call");
        return Ok(INCOMPLETE);
    };
    let plan = wiring.planner().plan_ahead(symbols.len()).await;
    if plan.sweep_time() > plan.ttl {
        tracing::warn!(
            "the pass takes about {} s and a price lives {} s: the first expire before its end",
            plan.sweep_time().as_secs(),
            plan.ttl.as_secs()
        );
    }
    let window = close_window(wiring).filter(|_| !arguments.always_open);
    let task = Task {
        deadline: plan.sweep_time() * 2 + SLACK,
        urgency: Urgency::Sweep,
        kept: window.map(Kept::Close),
        symbols,
    };
    let bar = progress::bar(task.symbols.len());
    let ledger = LedgerKeeper::new(wiring.records.clone());
    let observe = |step: Step<'_>| {
        bar.set_position(u64::try_from(step.done).unwrap_or(0));
        ledger.note(step.written);
    };
    let started_at = (wiring.clock)();
    let codes = task.symbols.len();
    wiring.activity.set(format!("sweeping {codes} codes"));
    let report = sweeper.sweep(&task, &observe, stop).await;
    bar.finish_and_clear();
    let today = window.map(|(from, _)| from.date_naive());
    wiring
        .recorder
        .note(report.event(started_at, !is_whole_list, today));
    if let Err(error) = ledger
        .settle(&task.symbols, &report, started_at, None)
        .await
    {
        tracing::debug!(%error, "the ledger was not written");
    }
    // A pass over a few codes makes no ranking of the day.
    if is_whole_list && report.written > 0 && !report.stopped {
        let closes_since = match window {
            Some(window) if take_close(wiring, &task.symbols, window, &report).await => {
                Some(window.0)
            }
            _ => None,
        };
        let universe = wiring.universe.load_full();
        if let Err(error) = wiring.movers().rank_day(&universe, closes_since).await {
            tracing::warn!(%error, "the stocks of the day are not ranked; another pass ranks them");
        }
    }
    if arguments.json {
        output::json(&Once {
            report: &report,
            is_close: window.is_some(),
        });
    } else {
        print(&report, window.is_some());
    }
    Ok(if report.missing.is_empty() {
        DONE
    } else {
        INCOMPLETE
    })
}

/// Marks the close of the day as taken if enough codes have one. Returns whether it is taken.
async fn take_close(wiring: &Wiring, symbols: &[Symbol], window: Window, report: &Report) -> bool {
    let closes = wiring.closes();
    let Ok(missing) = closes.missing(symbols, window).await else {
        return false;
    };
    let is_taken = closes.is_enough(symbols.len(), missing.len(), report.unknown().len());
    if !is_taken {
        tracing::warn!(
            missing = missing.len(),
            "there are too few closes to rank the day by: another pass before {} brings the rest",
            window.1.format("%H:%M")
        );
    } else if let Err(error) = closes.mark(Some(window.0.date_naive())).await {
        tracing::warn!(%error, "the close could not be marked as taken; a daemon takes it again");
    }
    is_taken
}

async fn prepare(
    codes: Option<Vec<Symbol>>,
    wiring: &Wiring,
    broker: &Broker,
) -> Result<Vec<Symbol>, Failure> {
    // Checked before a call is spent: prices that cannot be stored are useless.
    wiring.sweep_store.ping().await?;
    daemon::check_redis(wiring).await?;
    let symbols = match codes {
        Some(codes) => codes,
        None => daemon::load_list(wiring)
            .await?
            .universe
            .symbols()
            .collect(),
    };
    if let Some(ban) = broker.rest.bans().in_force().await {
        return Err(SourceError::Banned(ban).into());
    }
    broker.auth.token().await?;
    claim_prices(wiring).await?;
    Ok(symbols)
}

/// Claims the prices in the store for this broker, so that those of another are not overwritten.
async fn claim_prices(wiring: &Wiring) -> Result<(), StoreError> {
    match &wiring.provenance {
        Some(provenance) => provenance.claim().await,
        None => Ok(()),
    }
}

#[derive(Serialize)]
struct Once<'a> {
    #[serde(flatten)]
    report: &'a Report,
    is_close: bool,
}

/// Returns today's window in which prices count as the close, if it is open now.
fn close_window(wiring: &Wiring) -> Option<(KrxTime, KrxTime)> {
    let now = (wiring.clock)();
    let window = wiring.calendar.load().close_window(now.date_naive());
    window.filter(|(from, until)| *from <= now && now < *until)
}

/// Returns the codes to ask for; `None` for the whole list.
async fn codes(arguments: &RunArguments, wiring: &Wiring) -> Result<Option<Vec<Symbol>>, Failure> {
    Ok(match (&arguments.codes, &arguments.codes_file) {
        (Some(texts), _) => Some(codes::symbols(wiring, texts).await?),
        (None, Some(path)) => Some(codes::in_file(wiring, path).await?),
        (None, None) => None,
    })
}

fn print(report: &Report, is_close: bool) {
    let kept = if is_close { ", kept as the close" } else { "" };
    output::line(format!(
        "{} of {} codes written ({}{kept}) in {:.1} s: {} calls, {} refused, {} repeated",
        grouped(report.written),
        grouped(report.universe),
        percent(report.coverage),
        Duration::from_millis(report.elapsed_ms).as_secs_f64(),
        grouped(report.calls),
        grouped(report.refused_calls),
        grouped(report.retries),
    ));
    for (reason, count) in report.missing_by_reason() {
        let of_reason = || report.missing.iter().filter(|m| m.reason == reason);
        let named: Vec<&str> = of_reason().take(NAMED).map(|m| m.code.as_str()).collect();
        let more = match count.saturating_sub(named.len()) {
            0 => String::new(),
            more => format!(" and {} more (--json names all)", grouped(more)),
        };
        let detail = of_reason().find(|m| !m.detail.is_empty());
        let detail = detail.map_or(String::new(), |m| format!(" ({})", m.detail));
        output::line(format!("  {reason}{detail}: {}{more}", named.join(" ")));
    }
}
