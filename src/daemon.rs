//! The long-lived process: signals, and the tasks that a stop ends.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use sise_net::supervisor::{GRACE, Supervisor, TaskEnded};

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
    /// The work did not begin.
    #[error("{0}")]
    Unprepared(E),
    /// A vital task ended unasked; the others were stopped.
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

/// Prepares, and then leaves the work to the tasks of `supervisor` until a signal, or until one that
/// is vital ends. Signals are heard from the first moment, whatever `prepare` waits for.
///
/// # Errors
///
/// The preparation failed, or a vital task ended: the rest was stopped.
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
            "stopping: what is in flight ends within {} s",
            GRACE.as_secs()
        );
    }
    supervisor.finish().await;
    outcome
}
