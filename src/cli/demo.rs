//! `sise demo`: simulated broker, daemon and memory store in one process.

mod board;
mod screen;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;

use super::failure::{Failure, Outcome};
use super::output;
use crate::api::{ApiServer, Sweeping};
use crate::config::{Layers, Settings};
use crate::daemon;
use crate::freshness::Freshness;
use crate::schedule::{Schedule, Watcher, Work};
use crate::setup::Parts;
use crate::telemetry;
use board::Board;
use sise_net::supervisor::{Supervisor, Tasks};
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
    let mut layers = Layers::unset();
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
    let outcome = watch(settings, &sim, has_screen, supervisor).await;
    // A demo leaves nothing behind.
    let _ = tokio::fs::remove_dir_all(&state).await;
    outcome
}

async fn watch(settings: Settings, sim: &Sim, has_screen: bool, supervisor: Supervisor) -> Outcome {
    let (parts, scribe) = super::recorded_on(settings)?;
    let parts = Arc::new(parts);
    let loaded = super::universe::load(&parts).await?;
    let Some(sweeper) = parts.sweeper(None) else {
        return Err(Failure::no_credentials());
    };
    let board = Arc::new(Board::new(loaded.universe.len(), !has_screen));
    let freshness = Arc::new(Freshness::default());
    let tasks = supervisor.tasks().clone();
    let api = serve(&parts, &freshness, &tasks).await?;
    let page = api
        .as_ref()
        .and_then(|(listener, _)| listener.local_addr().ok())
        .map(super::serve::page);
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
    let running = async {
        let telling = Supervisor::default();
        scribe.start(telling.tasks());
        if let Some((listener, api)) = api {
            api.start(listener);
        }
        tasks.vital("schedule", schedule.run(tasks.stop().clone()));
        let ready = async { Ok::<_, Failure>(()) };
        let signal = daemon::run(ready, supervisor).await;
        telling.finish().await;
        signal
    };
    let shown = async {
        if has_screen {
            let clock = Arc::clone(&parts.clock);
            return screen::show(board, sim.clone(), clock, page).await;
        }
        output::line(
            "sise demo: SIMULATED prices of an invented market, no real quotes. Ctrl-C ends it.",
        );
        if let Some(page) = page {
            output::line(format!("the market on one page: {page}"));
        }
        screen::ended(daemon::signalled().await)
    };
    // A demo has nothing worth waiting for, so it ends at once.
    tokio::select! {
        biased;
        outcome = shown => outcome,
        signal = running => Ok(signal?.exit_code()),
    }
}

/// Returns the API of the demo and its listener, or `None` if the API is off.
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
