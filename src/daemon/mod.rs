//! The long-running process, wired and supervised: what `sise run`, `sise serve` and `sise demo` are,
//! and what another program can embed.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use sise::config::{RawSettings, Settings};
//! use sise::daemon::{self, Options};
//!
//! let settings = Settings::new(&RawSettings::of_process()?)?;
//! let daemon = daemon::build(settings, Options::default()).await?;
//! let signal = daemon.run(daemon::signalled()).await??;
//! # Ok(())
//! # }
//! ```

mod error;
mod listener;
mod ready;
mod signals;
mod sweeps;

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::alerts::Alerts;
use crate::api::{ApiServer, Sweeping, Watching};
use crate::board::{self, Keeper, QuoteBoard};
use crate::config::Settings;
use crate::journal::{self, EventWriter};
use crate::schedule::Watcher;
use crate::setup::{Adapters, Wiring};
use crate::telemetry;
use sise_domain::{Role, Universe};
use sise_net::supervisor::{GRACE, Supervisor, Tasks};
use sise_port::clock;

pub use error::DaemonError;
pub(crate) use ready::{check_redis, load_list};
pub use signals::{Signal, signalled};
use sweeps::Sweeps;

/// Interval at which a daemon that only serves reads the stock list again. Daemons that sweep
/// replace it when they start and every morning.
const LIST_EVERY: Duration = Duration::from_secs(60);

/// What a daemon does, beyond its settings.
#[derive(Clone, Default)]
pub struct Options {
    /// Whether it only serves the API, for a daemon that sweeps elsewhere.
    pub only_serves: bool,
    /// Whether it sweeps at any hour, without asking the calendar; for trials.
    pub always_open: bool,
    /// Whether it starts even if its sweeps would let prices expire.
    pub allow_gaps: bool,
    /// A live display of its sweeps.
    pub watcher: Option<Arc<dyn Watcher>>,
}

/// A daemon that is wired and bound to its port, but does nothing yet.
pub struct Daemon {
    wiring: Arc<Wiring>,
    writer: EventWriter,
    options: Options,
    sweeps: Option<Sweeps>,
    serving: Option<Serving>,
    /// The tasks that work.
    supervisor: Supervisor,
    /// The tasks that tell others of the work, event log and heartbeat: they end after it.
    telling: Supervisor,
}

/// What answers from the prices.
enum Serving {
    /// The API, with a board and alerts of its own.
    Api(TcpListener, Box<ApiServer>),
    /// Board and alerts of a daemon without an API.
    Alerts(Box<(Keeper, Alerts)>),
}

/// Builds a daemon by `settings`: opens its port and wires its parts. Needs a tokio runtime.
///
/// # Errors
///
/// Returns an error if a setting or credentials are missing or unusable, or the port is taken.
pub async fn build(settings: Settings, options: Options) -> Result<Daemon, DaemonError> {
    let clock = clock::system();
    let (event_queue, notes) = journal::event_queue(Arc::clone(&clock));
    let mut adapters = Adapters::new(&settings, clock)?;
    adapters.recorder = Arc::new(event_queue);
    let wiring = Wiring::on(settings, adapters)?;
    let writer = wiring.writer(notes);
    Daemon::on(wiring, writer, options).await
}

impl Daemon {
    /// Builds a daemon by `wiring`.
    pub(crate) async fn on(
        wiring: Wiring,
        writer: EventWriter,
        options: Options,
    ) -> Result<Self, DaemonError> {
        let wiring = Arc::new(wiring);
        let sweeps = match options.only_serves {
            true => None,
            false => Some(Sweeps::new(&wiring)?),
        };
        if sweeps.is_none() && wiring.redis.is_none() {
            return Err(DaemonError::UnsharedStore);
        }
        // Bound first, so that a second daemon on the same port fails before it does anything.
        let listener = listener::bind(&wiring.settings.api).await?;
        if sweeps.is_none() && listener.is_none() {
            return Err(DaemonError::NothingToServe);
        }
        let supervisor = Supervisor::default();
        let mut daemon = Self {
            wiring,
            writer,
            options,
            sweeps,
            serving: None,
            supervisor,
            telling: Supervisor::default(),
        };
        daemon.serving = Some(match listener {
            Some(listener) => Serving::Api(listener, Box::new(daemon.api().await?)),
            None => Serving::Alerts(Box::new(daemon.board_of_alerts()?)),
        });
        Ok(daemon)
    }

    /// Returns the address of the API; `None` if it is off.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.serving {
            Some(Serving::Api(listener, _)) => listener.local_addr().ok(),
            _ => None,
        }
    }

    /// Returns the address of the page, as a browser on this machine can open it; `None` if the API
    /// is off.
    #[must_use]
    pub fn page(&self) -> Option<String> {
        self.address().map(listener::page)
    }

    /// Returns the stock list in use; the shipped one until the daemon has loaded its own.
    #[must_use]
    pub fn universe(&self) -> Arc<Universe> {
        self.wiring.universe.load_full()
    }

    /// Works until `stop` is done, and returns its output.
    ///
    /// The stop is obeyed from the start, even while the daemon still makes itself ready. Work in
    /// flight then ends within its grace time.
    ///
    /// # Errors
    ///
    /// Returns an error if the daemon cannot start, or a vital task ended; the rest is stopped.
    pub async fn run<S>(self, stop: impl Future<Output = S>) -> Result<S, DaemonError> {
        let Self {
            wiring,
            writer,
            options,
            sweeps,
            serving,
            supervisor,
            telling,
        } = self;
        let tasks = supervisor.tasks().clone();
        writer.start(telling.tasks());
        let role = match options.only_serves {
            true => Role::Reader,
            false => Role::OneShot,
        };
        let candidate = sweeps.as_ref().and_then(|sweeps| sweeps.candidate.as_ref());
        wiring.heartbeat(role, candidate).start(telling.tasks());
        let start = async {
            if sweeps.is_none() {
                // Before the first answer, which would show another list.
                ready::to_serve(&wiring).await?;
                keep_names(&wiring, &tasks);
            }
            // Alerts without an API end with the schedule, as everything that shares its sweeps.
            let alerts = match serving {
                Some(Serving::Api(listener, api)) => {
                    api.start(listener);
                    None
                }
                Some(Serving::Alerts(alerts)) => Some(*alerts),
                None => None,
            };
            if let Some(sweeps) = sweeps {
                ready::to_sweep(&wiring, &options).await?;
                sweeps.start(&wiring, options, alerts, &tasks)?;
            }
            Ok(())
        };
        let started = async {
            match start.await {
                Ok(()) => std::future::pending().await,
                Err(error) => error,
            }
        };
        let outcome = tokio::select! {
            stopped = stop => Ok(stopped),
            ended = supervisor.failed() => Err(ended.into()),
            error = started => Err(error),
        };
        if outcome.is_ok() {
            tracing::info!("stopping: work in flight ends within {} s", GRACE.as_secs());
        }
        supervisor.finish().await;
        telling.finish().await;
        outcome
    }

    async fn api(&self) -> Result<ApiServer, DaemonError> {
        let metrics = telemetry::install_metrics()
            .map_err(|error| DaemonError::Metrics(error.to_string()))?;
        let sweeping = self.sweeps.as_ref().map(|sweeps| Sweeping {
            freshness: Arc::clone(&sweeps.freshness),
            candidate: sweeps.candidate.clone(),
            always_open: self.options.always_open,
        });
        let tasks = self.supervisor.tasks();
        let board = Arc::new(QuoteBoard::new(self.wiring.settings.store.ttl));
        let watching = Watching {
            board: self.wiring.board(&board),
            alerts: self.wiring.alerts(&board, self.options.always_open)?,
        };
        let api = ApiServer::new(self.wiring.api()?, watching, sweeping, metrics, tasks);
        api.check().await?;
        Ok(api)
    }

    fn board_of_alerts(&self) -> Result<(Keeper, Alerts), DaemonError> {
        let board = Arc::new(QuoteBoard::new(self.wiring.settings.store.ttl));
        let alerts = self.wiring.alerts(&board, self.options.always_open)?;
        let keeper = Keeper::new(board::Parts {
            onlookers: vec![alerts.onlooker()],
            ..self.wiring.board(&board)
        });
        Ok((keeper, alerts))
    }
}

/// Reads the stock list again at an interval.
fn keep_names(wiring: &Arc<Wiring>, tasks: &Tasks) {
    let wiring = Arc::clone(wiring);
    tasks.lasting("stock list", move |stop: CancellationToken| {
        let wiring = Arc::clone(&wiring);
        async move {
            let mut ticks = interval(LIST_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                wiring.know_names().await;
            }
        }
    });
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("only_serves", &self.only_serves)
            .field("always_open", &self.always_open)
            .field("allow_gaps", &self.allow_gaps)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon")
            .field("options", &self.options)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
