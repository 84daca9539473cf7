//! `sise demo`: simulated broker, daemon and memory store in one process.

mod board;
mod screen;

use std::future::pending;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::time::interval;

use super::failure::{DONE, Failure, Outcome, by_signal};
use super::output;
use crate::config::{RawSettings, Settings};
use crate::daemon::{self, DaemonError, Options};
use board::Board;
use sise_domain::Shipped;
use sise_net::supervisor::Supervisor;
use sise_port::clock;
use sise_sim::{Sim, SimOptions};

/// Arguments of `sise demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Seed of the simulated market
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Time between the starts of two sweeps
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    interval: String,
    /// Address to serve the page and the API on
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
    let has_screen = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    // Logs would overwrite the screen, which shows itself what goes wrong.
    let log_level = if has_screen && std::io::stderr().is_terminal() {
        "off"
    } else {
        "error"
    };
    let state = std::env::temp_dir().join(format!("sise-demo-{}", std::process::id()));
    let mut raw = RawSettings::unset();
    for (key, value) in [
        ("kis.base_url", format!("http://{address}")),
        ("kis.master_url", format!("http://{address}")),
        ("kis.app_key", "demo".to_owned()),
        ("kis.app_secret", "demo".to_owned()),
        ("store.url", "memory".to_owned()),
        ("schedule.interval", arguments.interval),
        ("api.listen", arguments.listen),
        ("log.level", log_level.to_owned()),
        ("state.directory", state.display().to_string()),
    ] {
        raw.set(key, value);
    }
    let settings = Settings::new(&raw)?;
    super::logging::start(&settings)?;
    let supervisor = Supervisor::default();
    let (broker, stop) = (sim.clone(), supervisor.tasks().stop().clone());
    let tasks = supervisor.tasks().within(Duration::ZERO);
    tasks.vital("simulated broker", async move {
        broker.serve(listener, stop).await
    });
    // Nothing of a demo is worth waiting for: it ends as soon as somebody ends it.
    let outcome = tokio::select! {
        biased;
        outcome = watch(settings, &sim, has_screen) => outcome,
        ended = supervisor.failed() => Err(DaemonError::from(ended).into()),
    };
    supervisor.finish().await;
    // Nothing of a demo stays behind.
    let _ = tokio::fs::remove_dir_all(&state).await;
    outcome
}

async fn watch(settings: Settings, sim: &Sim, has_screen: bool) -> Outcome {
    let total = Shipped::get().universe().len();
    let board = Arc::new(Board::new(total, !has_screen));
    let options = Options {
        always_open: true,
        watcher: Some(board.clone()),
        ..Options::default()
    };
    let daemon = daemon::build(settings, options).await?;
    let page = daemon.page();
    let shown = async {
        if has_screen {
            return screen::show(board, sim.clone(), clock::system(), page).await;
        }
        output::line(
            "sise demo: SIMULATED prices of an invented market, no real quotes. Ctrl-C ends it.",
        );
        if let Some(page) = page {
            output::line(format!("the market on one page: {page}"));
        }
        tokio::select! {
            signal = daemon::signalled() => by_signal(signal),
            () = unread() => output::check().map(|()| DONE),
        }
    };
    tokio::select! {
        biased;
        outcome = shown => outcome,
        outcome = daemon.run(pending::<Outcome>()) => outcome?,
    }
}

/// Waits until nothing more can be written to standard output.
async fn unread() {
    let mut ticks = interval(Duration::from_secs(1));
    while output::written().is_ok() {
        ticks.tick().await;
    }
}
