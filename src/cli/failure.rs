//! Turns errors into exit codes, which happens only here
//! (docs/decisions/0009-errors-in-one-place.md).

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use super::visible::visible_lines;
use crate::calendar::OverrideError;
use crate::config::ConfigError;
use crate::daemon::{DaemonError, Signal};
use crate::movers::MoversError;
use crate::reader::ReadError;
use crate::setup::SetupError;
use crate::watch::WatchListsError;
use sise_cache::CacheError;
use sise_domain::BanKind;
use sise_port::{ListError, SourceError, StoreError};

/// The exit code of a command, or why it failed.
pub(super) type Outcome = Result<u8, Failure>;

/// Exit code: all done.
pub(super) const DONE: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 2;
/// Exit code: done, but not for every code.
pub(super) const INCOMPLETE: u8 = 3;

/// The exit code and message of a command that failed.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self {
            code: FAILED,
            message: message.into(),
        }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            message: message.into(),
        }
    }

    /// The command needs app key and secret, and they are not set.
    pub(super) fn no_credentials() -> Self {
        Self::usage(
            "the broker's app key and secret are not set: put KIS_APP_KEY and KIS_APP_SECRET into \
             the environment or into .env (no key yet? `sise demo` needs none)",
        )
    }

    pub(super) fn report(self) -> ExitCode {
        // If standard error is closed, there is no other place for the message.
        let _ = writeln!(std::io::stderr(), "sise: {}", visible_lines(&self.message));
        ExitCode::from(self.code)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<OverrideError> for Failure {
    fn from(error: OverrideError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused { .. } => return Self::failed(error.to_string()),
            // Nothing failed: the settings name another broker than the prices are from.
            StoreError::OtherBroker { .. } => return Self::usage(error.to_string()),
            _ => {}
        }
        Self::failed(format!(
            "{error}; check that Redis runs there and that REDIS_URL is right (see `sise doctor`)"
        ))
    }
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Store(error) => error.into(),
            error @ CacheError::Invalid(_) => Self::usage(error.to_string()),
            error => Self::failed(error.to_string()),
        }
    }
}

impl From<WatchListsError> for Failure {
    fn from(error: WatchListsError) -> Self {
        match error {
            WatchListsError::Invalid(trouble) => Self::usage(trouble),
            WatchListsError::Cache(error) => error.into(),
        }
    }
}

impl From<MoversError> for Failure {
    fn from(error: MoversError) -> Self {
        match error {
            MoversError::Store(error) => error.into(),
            MoversError::Cache(error) => error.into(),
        }
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        Self::failed(format!("no stock list: {error}"))
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Denied(_) => Self::usage(format!(
                "{error}; check KIS_APP_KEY, KIS_APP_SECRET and KIS_ENV (see `sise doctor`)"
            )),
            SourceError::Banned(ban) => Self {
                code: match ban.kind {
                    BanKind::Credentials => USAGE,
                    BanKind::Access => FAILED,
                },
                message: format!(
                    "{ban}; once the cause is fixed, `sise doctor` tries at once and lifts the ban"
                ),
            },
            _ => Self::failed(error.to_string()),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Code(error) => Self::usage(error.to_string()),
            ReadError::Source { .. } | ReadError::Late { .. } => Self::failed(error.to_string()),
        }
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::NoCredentials => Self::no_credentials(),
            DaemonError::Store(error) => error.into(),
            DaemonError::Source(error) => error.into(),
            error @ (DaemonError::NothingToServe
            | DaemonError::UnsharedStore
            | DaemonError::Setup(_)
            | DaemonError::Schedule(_)
            | DaemonError::Api(_)
            | DaemonError::StoreKind(_)
            | DaemonError::Gaps(_)) => Self::usage(error.to_string()),
            error @ (DaemonError::Listen { .. }
            | DaemonError::Metrics(_)
            | DaemonError::List(_)
            | DaemonError::Ended(_)) => Self::failed(error.to_string()),
        }
    }
}

/// Returns the exit code for the end of a process by a signal.
pub(super) fn by_signal(signal: io::Result<Signal>) -> Outcome {
    let signal =
        signal.map_err(|error| Failure::failed(format!("signals cannot be received: {error}")))?;
    Ok(signal.exit_code())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
