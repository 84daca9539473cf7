//! `sise demo`: simulated broker, daemon and memory store in one process.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use comfy_table::{Cell, CellAlignment, Color};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

use super::failure::{Failure, Outcome};
use super::logging::colours;
use super::output::{self, grouped};
use crate::api::{ApiServer, Sweeping};
use crate::clock;
use crate::config::{Layers, Settings};
use crate::daemon;
use crate::domain::{KrxTime, Quote, Status, Symbol};
use crate::freshness::Freshness;
use crate::port::Urgency;
use crate::schedule::{Schedule, Watcher, Work};
use crate::setup::Parts;
use crate::sim::{Sim, SimOptions};
use crate::supervisor::{Supervisor, Tasks};
use crate::sweep::{Report, Step};
use crate::telemetry;

/// How often the picture is drawn.
const FRAME: Duration = Duration::from_millis(250);

/// Rows of gainers, losers and the latest changes.
const ROWS: usize = 8;

/// Width of the strip that shows the share of live prices.
const STRIP: usize = 40;

/// Arguments of `sise demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Seed of the simulated market
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sweep every so often
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    interval: String,
    /// Where the market on one page and the API are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: String,
}

pub(super) async fn run(arguments: DemoArguments) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| Failure::failed(format!("no port on loopback: {error}")))?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::failed(error.to_string()))?;
    let options = SimOptions {
        seed: arguments.seed,
        ..SimOptions::default()
    };
    let sim = Sim::new(options, clock::system())
        .map_err(|error| Failure::failed(format!("the simulated broker: {error}")))?;
    let state = std::env::temp_dir().join(format!("sise-demo-{}", std::process::id()));
    let mut layers = Layers::unset();
    for (key, value) in [
        ("kis.base_url", format!("http://{address}")),
        ("kis.master_url", format!("http://{address}")),
        ("kis.app_key", "demo".to_owned()),
        ("kis.app_secret", "demo".to_owned()),
        ("store.url", "memory".to_owned()),
        ("schedule.interval", arguments.interval),
        ("api.listen", arguments.listen),
        ("log.level", "error".to_owned()),
        ("state.directory", state.display().to_string()),
    ] {
        layers.set(key, value);
    }
    let settings = Settings::new(&layers)?;
    super::logging::start(&settings)?;
    let supervisor = Supervisor::default();
    let (broker, stop) = (sim.clone(), supervisor.tasks().stop().clone());
    let tasks = supervisor.tasks().within(Duration::ZERO);
    tasks.vital("simulated broker", async move {
        broker.serve(listener, stop).await
    });
    let outcome = watch(settings, &sim, supervisor).await;
    // Nothing of a demo stays behind.
    let _ = std::fs::remove_dir_all(&state);
    outcome
}

async fn watch(settings: Settings, sim: &Sim, supervisor: Supervisor) -> Outcome {
    let (parts, scribe) = super::recorded_on(settings)?;
    let parts = Arc::new(parts);
    let loaded = super::universe::load(&parts).await?;
    let Some(sweeper) = parts.sweeper(None) else {
        return Err(Failure::no_credentials());
    };
    let board = Arc::new(Board::new(loaded.universe.len()));
    let freshness = Arc::new(Freshness::default());
    let tasks = supervisor.tasks();
    let api = serve(&parts, &freshness, tasks).await?;
    let watcher: Arc<dyn Watcher> = board.clone();
    let work = Work {
        sweeper,
        candidate: None,
        loader: parts.loader()?,
        parts: Arc::clone(&parts),
        freshness,
        always_open: true,
        gaps: None,
        watcher: Some(watcher),
        tasks: tasks.clone(),
    };
    let schedule = Schedule::new(work).map_err(Failure::usage)?;
    output::line(
        "sise demo: SIMULATED prices of an invented market, no real quotes. Ctrl-C ends it.",
    );
    if let Some((listener, _)) = &api
        && let Ok(address) = listener.local_addr()
    {
        output::line(format!("the market on one page: http://{address}/"));
    }
    let (shown, sim) = (Arc::clone(&board), sim.clone());
    let screen = tasks.within(Duration::ZERO);
    screen.lasting("screen", move |_| {
        show(Arc::clone(&shown), sim.clone(), Arc::clone(&parts))
    });
    let telling = Supervisor::default();
    scribe.start(telling.tasks());
    if let Some((listener, api)) = api {
        api.start(listener);
    }
    tasks.vital("schedule", schedule.run(tasks.stop().clone()));
    let ready = async { Ok::<_, Failure>(()) };
    let signal = daemon::run(ready, supervisor).await;
    telling.finish().await;
    board.bar.finish_and_clear();
    Ok(signal?.exit_code())
}

/// The API of the demo, and where it listens.
async fn serve(
    parts: &Arc<Parts>,
    freshness: &Arc<Freshness>,
    tasks: &Tasks,
) -> Result<Option<(TcpListener, ApiServer)>, Failure> {
    let Some(listener) = super::serve::listen(parts).await? else {
        return Ok(None);
    };
    let metrics = telemetry::install_metrics()
        .map_err(|error| Failure::failed(format!("metrics cannot be started: {error}")))?;
    let sweeping = Sweeping {
        freshness: Arc::clone(freshness),
        candidate: None,
        always_open: true,
    };
    let api = ApiServer::new(Arc::clone(parts), Some(sweeping), metrics, tasks);
    let api = api.with_alerts()?;
    api.check()
        .await
        .map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Some((listener, api)))
}

/// Draws the picture on a terminal; in a pipe the board writes a line a sweep instead.
async fn show(board: Arc<Board>, sim: Sim, parts: Arc<Parts>) {
    if !board.is_terminal {
        return std::future::pending().await;
    }
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        frames.tick().await;
        let most = sim.stats().max_calls_per_second_window;
        board.bar.set_message(board.picture((parts.clock)(), most));
        board.bar.tick();
    }
}

/// The market as it was last seen.
struct Board {
    seen: Mutex<Seen>,
    total: usize,
    bar: ProgressBar,
    is_terminal: bool,
    is_coloured: bool,
}

#[derive(Default)]
struct Seen {
    quotes: HashMap<Symbol, Quote>,
    /// The latest changes, newest first.
    changes: Vec<(Quote, i64)>,
    sweeps: u64,
    done: usize,
    last: Option<Report>,
}

impl Board {
    fn new(total: usize) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let target = if is_terminal {
            ProgressDrawTarget::stdout()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self {
            seen: Mutex::default(),
            total,
            bar,
            is_terminal,
            is_coloured: colours(is_terminal),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn picture(&self, now: KrxTime, most_in_a_second: u64) -> String {
        let seen = self.seen();
        let mut lines = Vec::new();
        let live = seen.quotes.len();
        lines.push(format!(
            "{}   {} of {} codes live   {}",
            now.format("%H:%M:%S KST"),
            grouped(live),
            grouped(self.total),
            self.paint("2", "SIMULATED prices")
        ));
        let filled = seen.done * STRIP / self.total.max(1);
        let strip = "█".repeat(filled) + &"·".repeat(STRIP - filled.min(STRIP));
        lines.push(format!(
            "{}  sweep {}, {} calls in the busiest second (limit 18)",
            self.paint("36", &strip),
            seen.sweeps + 1,
            most_in_a_second
        ));
        if let Some(last) = &seen.last {
            lines.push(format!(
                "last sweep: {} written, {} missing, {} calls, {:.1} s",
                grouped(last.written),
                grouped(last.missing.len()),
                last.calls,
                Duration::from_millis(last.elapsed_ms).as_secs_f64()
            ));
        } else {
            lines.push("first sweep...".to_owned());
        }
        let count = |wanted: fn(&Quote) -> bool| seen.quotes.values().filter(|q| wanted(q)).count();
        let up = count(|quote| quote.change.is_some_and(|change| change > 0));
        let down = count(|quote| quote.change.is_some_and(|change| change < 0));
        let halted = count(|quote| quote.status == Status::Halted);
        lines.push(format!(
            "{}   {}   {} unchanged   {} halted",
            self.paint("31", &format!("▲ {} up", grouped(up))),
            self.paint("34", &format!("▼ {} down", grouped(down))),
            grouped(live.saturating_sub(up + down + halted)),
            grouped(halted)
        ));
        lines.push(String::new());
        lines.push(self.movers(&seen));
        lines.push(String::new());
        lines.push(self.paint("2", "latest changes"));
        let mut table = output::table(&[]);
        for (quote, moved) in seen.changes.iter().take(ROWS) {
            let sign = if *moved > 0 { "+" } else { "" };
            let cells = self.cells(quote, &format!("{sign}{}", grouped(*moved)), *moved);
            table.add_row(cells);
        }
        align(&mut table, &[2, 3]);
        lines.push(table.to_string());
        lines.join("\n")
    }

    /// Gainers and losers side by side.
    fn movers(&self, seen: &Seen) -> String {
        let mut ranked: Vec<(f64, &Quote)> = seen
            .quotes
            .values()
            .filter_map(|quote| Some((quote.change_rate?, quote)))
            .collect();
        ranked.sort_by(|(left, a), (right, b)| {
            right.total_cmp(left).then(a.stock_code.cmp(&b.stock_code))
        });
        let mut table = output::table(&["gainers", "", "", "", "losers", "", "", ""]);
        let cells = |(rate, quote): &(f64, &Quote)| {
            let sign = if *rate > 0.0 { 1 } else { -1 };
            self.cells(quote, &format!("{rate:+.2} %"), sign)
        };
        for (gainer, loser) in ranked.iter().zip(ranked.iter().rev()).take(ROWS) {
            table.add_row(cells(gainer).into_iter().chain(cells(loser)));
        }
        align(&mut table, &[2, 3, 6, 7]);
        table.to_string()
    }

    /// Code, name, price and change. Korean screens show rises red and falls blue.
    fn cells(&self, quote: &Quote, change: &str, sign: i64) -> [Cell; 4] {
        let change = match sign.signum() {
            1 if self.is_coloured => Cell::new(change).fg(Color::Red),
            -1 if self.is_coloured => Cell::new(change).fg(Color::Blue),
            _ => Cell::new(change),
        };
        [
            Cell::new(quote.stock_code),
            Cell::new(&quote.stock_name),
            Cell::new(grouped(quote.price)),
            change,
        ]
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.is_coloured {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

fn align(table: &mut comfy_table::Table, right: &[usize]) {
    for place in right {
        if let Some(column) = table.column_mut(*place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

impl Watcher for Board {
    fn step(&self, step: &Step<'_>) {
        let mut seen = self.seen();
        if step.urgency == Urgency::Sweep {
            seen.done = step.done;
        }
        for quote in step.written {
            let before = seen.quotes.insert(quote.stock_code, quote.clone());
            let moved = before.map_or(0, |before| quote.price - before.price);
            if moved != 0 {
                seen.changes.insert(0, (quote.clone(), moved));
            }
        }
        seen.changes.truncate(ROWS);
    }

    fn swept(&self, report: &Report) {
        let mut seen = self.seen();
        seen.sweeps += 1;
        seen.done = 0;
        seen.last = Some(report.clone());
        if self.is_terminal || report.stopped {
            return;
        }
        let best = seen.quotes.values().max_by(|a, b| {
            let rate = |quote: &Quote| quote.change_rate.unwrap_or(f64::MIN);
            rate(a).total_cmp(&rate(b))
        });
        let best = best.map_or(String::new(), |quote| {
            format!(
                "; best {} {} {} won ({:+.2} %)",
                quote.stock_code,
                quote.stock_name,
                grouped(quote.price),
                quote.change_rate.unwrap_or(0.0)
            )
        });
        output::line(format!(
            "simulated sweep {}: {} of {} codes live in {:.1} s with {} calls{best}",
            seen.sweeps,
            grouped(report.written),
            grouped(report.universe),
            Duration::from_millis(report.elapsed_ms).as_secs_f64(),
            report.calls
        ));
    }

    fn skipped(&self, why: &str, _next: Option<KrxTime>) {
        if !self.is_terminal {
            output::line(format!("skipped: {why}"));
        }
    }
}
