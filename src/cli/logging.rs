//! Logs go to standard error, pretty or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::ChronoLocal;

use super::failure::Failure;
use crate::config::{LogFormat, Settings};

/// Switches logging on.
pub(super) fn start(settings: &Settings) -> Result<(), Failure> {
    // The cron loop narrates its own inner life at info.
    let quiet = format!("tokio_cron_scheduler=warn,{}", settings.log_level);
    let filter = EnvFilter::try_new(quiet).map_err(|error| {
        Failure::usage(format!(
            "log.level = \"{}\" is refused: {error}; allowed is error, warn, info, debug, trace or \
             a filter such as info,sise::kis=debug",
            settings.log_level
        ))
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Text => logs
            .with_timer(ChronoLocal::new("%H:%M:%S%.3f".to_owned()))
            .with_target(false)
            .with_ansi(colours(std::io::stderr().is_terminal()))
            .try_init(),
    };
    started.map_err(|error| Failure::failed(format!("logs cannot be started: {error}")))
}

/// Whether to colour what goes to a stream: on a terminal, unless `NO_COLOR` is set.
pub(super) fn colours(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
