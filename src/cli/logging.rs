//! Logs to standard error, as text or JSON, and traces to a collector if one is set.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, filter, fmt};

use super::failure::Failure;
use super::paint::colours;
use super::visible::visible_json;
use super::{log_fields, traces};
use crate::config::{LogFormat, Settings};
use sise_net::spans;
use sise_port::clock::{self, Clock};

/// Starts logging, and tracing if a collector is set.
pub(super) fn start(settings: &Settings) -> Result<(), Failure> {
    // The cron library logs its internals at info, and spans of traces do not belong in the logs.
    let quiet = format!(
        "tokio_cron_scheduler=warn,{}=off,{}",
        spans::TARGET,
        settings.log_level
    );
    let filter = EnvFilter::try_new(quiet).map_err(|error| {
        Failure::usage(format!(
            "log.level = \"{}\" is refused: {error}; allowed is error, warn, info, debug, trace or \
             a filter such as info,sise::kis=debug",
            settings.log_level
        ))
    })?;
    let started = match traces::tracer(settings)? {
        // One filter for everything costs less than one per layer.
        None => Registry::default()
            .with(filter)
            .with(logs(settings))
            .try_init(),
        Some(tracer) => {
            let is_of_a_trace = filter::filter_fn(|of| of.target() == spans::TARGET);
            let traces = tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_threads(false)
                .with_filter(is_of_a_trace);
            Registry::default()
                .with(logs(settings).with_filter(filter))
                .with(traces)
                .try_init()
        }
    };
    started.map_err(|error| Failure::failed(format!("logs cannot be started: {error}")))
}

/// Returns the log layer in the format of the settings.
fn logs<S>(settings: &Settings) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let logs = fmt::layer().with_timer(SeoulTime(clock::system()));
    match settings.log_format {
        LogFormat::Json => logs
            .with_writer(|| JsonLines)
            .json()
            .flatten_event(true)
            .boxed(),
        LogFormat::Text => logs
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(colours(std::io::stderr().is_terminal()))
            .fmt_fields(log_fields::NotSaid)
            .boxed(),
    }
}

/// Timestamps in the time zone of the exchange, whatever the zone of the machine.
struct SeoulTime(Clock);

impl FormatTime for SeoulTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", (self.0)().format("%Y-%m-%dT%H:%M:%S%.3f%:z"))
    }
}

/// Standard error for lines of JSON, with invisible characters escaped.
struct JsonLines;

impl io::Write for JsonLines {
    /// Writes one line. The layer passes whole lines only.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let json = text.strip_suffix('\n').unwrap_or(&text);
        let shown = visible_json(json.to_owned()) + "\n";
        io::stderr().lock().write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
