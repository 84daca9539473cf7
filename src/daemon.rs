//! The long-lived process: named tasks, signals, a bounded drain.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::api::ApiServer;

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
pub enum DaemonError<E> {
    /// The work failed; the rest was stopped.
    #[error("{0}")]
    Work(E),
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

/// What a task came to.
enum Ended<E> {
    Work(Result<(), E>),
    Api(io::Result<()>),
}

/// Runs `work` and the API until a signal, or until one of them ends. Signals are heard and health
/// is served from the first moment, whatever `work` waits for.
///
/// # Errors
///
/// A task ended unasked: the first to end stops the rest.
pub async fn run<E: Send + 'static>(
    work: impl Future<Output = Result<(), E>> + Send + 'static,
    api: Option<(TcpListener, ApiServer)>,
    stop: CancellationToken,
) -> Result<Signal, DaemonError<E>> {
    let mut tasks: JoinSet<Ended<E>> = JoinSet::new();
    tasks.spawn(async { Ended::Work(work.await) });
    if let Some((listener, api)) = api {
        tasks.spawn(async { Ended::Api(api.serve(listener).await) });
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

fn unasked<E>(ended: Result<Ended<E>, JoinError>) -> DaemonError<E> {
    let (task, trouble) = match ended {
        Ok(Ended::Work(Err(error))) => return DaemonError::Work(error),
        Ok(Ended::Work(Ok(()))) => ("work", "without being asked to".to_owned()),
        Ok(Ended::Api(Ok(()))) => ("API", "without being asked to".to_owned()),
        Ok(Ended::Api(Err(error))) => ("API", error.to_string()),
        Err(error) => ("task", error.to_string()),
    };
    DaemonError::Ended { task, trouble }
}
