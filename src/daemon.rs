//! The long-lived process: named tasks, signals, a bounded drain.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::api::{self, ApiState};
use crate::schedule::Schedule;

/// After a stop the tasks get this long; then they are cut off.
const DRAIN: Duration = Duration::from_secs(5);

/// What asked the process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// The service manager.
    Terminate,
    /// The terminal was closed.
    HangUp,
}

impl Signal {
    /// The exit code by convention: 128 and the signal's number.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::HangUp => 129,
        }
    }
}

/// Why the daemon ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A task ended unasked; the others were stopped.
    #[error("the {task} ended: {trouble}")]
    Ended {
        /// Which task.
        task: &'static str,
        /// What happened.
        trouble: String,
    },
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(#[from] io::Error),
}

/// Waits for SIGINT, SIGTERM or SIGHUP.
///
/// # Errors
///
/// The handlers cannot be installed.
pub async fn signalled() -> io::Result<Signal> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = terminate.recv() => Ok(Signal::Terminate),
        _ = interrupt.recv() => Ok(Signal::Interrupt),
        _ = hang_up.recv() => Ok(Signal::HangUp),
    }
}

/// Runs schedule and API until a signal, or until one of them ends.
///
/// # Errors
///
/// A task ended unasked: the first to end stops the rest.
pub async fn run(
    schedule: Schedule,
    api: Option<(TcpListener, ApiState)>,
    stop: CancellationToken,
) -> Result<Signal, DaemonError> {
    let mut tasks: JoinSet<(&'static str, Result<(), String>)> = JoinSet::new();
    let token = stop.clone();
    tasks.spawn(async move {
        let ended = schedule.run(token).await;
        ("schedule", ended.map_err(|error| error.to_string()))
    });
    if let Some((listener, state)) = api {
        let token = stop.clone();
        tasks.spawn(async move {
            let ended = api::serve(listener, state, token).await;
            ("health server", ended.map_err(|error| error.to_string()))
        });
    }
    let outcome = tokio::select! {
        signal = signalled() => signal.map_err(DaemonError::from),
        Some(ended) = tasks.join_next() => Err(unasked(ended)),
    };
    stop.cancel();
    if let Ok(signal) = &outcome {
        tracing::info!(
            ?signal,
            "stopping: what is in flight ends within {} s",
            DRAIN.as_secs()
        );
    }
    let drained = timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!("not everything ended in time; cut off");
        tasks.shutdown().await;
    }
    outcome
}

fn unasked(
    ended: Result<(&'static str, Result<(), String>), tokio::task::JoinError>,
) -> DaemonError {
    let (task, trouble) = match ended {
        Ok((task, Ok(()))) => (task, "without being asked to".to_owned()),
        Ok((task, Err(trouble))) => (task, trouble),
        Err(error) => ("task", error.to_string()),
    };
    DaemonError::Ended { task, trouble }
}
