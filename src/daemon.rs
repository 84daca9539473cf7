//! The long-running process: its signals and tasks.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use sise_net::supervisor::{GRACE, Supervisor, TaskEnded};

/// The signal that asked the process to stop.
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
    /// Returns the conventional exit code: 128 plus the signal's number.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::HangUp => 129,
        }
    }
}

/// Errors that end the daemon.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError<E> {
    /// The preparation failed.
    #[error("{0}")]
    Unprepared(E),
    /// A vital task ended unexpectedly; the others were stopped.
    #[error(transparent)]
    Ended(#[from] TaskEnded),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(#[from] io::Error),
}

/// Waits for SIGINT, SIGTERM or SIGHUP.
///
/// # Errors
///
/// Returns an error if the handlers cannot be installed.
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

/// Prepares, and then runs the tasks of `supervisor` until a signal or until a vital task ends.
///
/// Signals are handled from the start, even while `prepare` waits.
///
/// # Errors
///
/// Returns an error if the preparation failed or a vital task ended, after stopping the rest.
pub async fn run<E>(
    prepare: impl Future<Output = Result<(), E>>,
    supervisor: Supervisor,
) -> Result<Signal, DaemonError<E>> {
    let prepared = async {
        match prepare.await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    };
    let outcome = tokio::select! {
        signal = signalled() => signal.map_err(DaemonError::from),
        ended = supervisor.failed() => Err(ended.into()),
        error = prepared => Err(DaemonError::Unprepared(error)),
    };
    if let Ok(signal) = &outcome {
        tracing::info!(
            ?signal,
            "stopping: work in flight ends within {} s",
            GRACE.as_secs()
        );
    }
    supervisor.finish().await;
    outcome
}
