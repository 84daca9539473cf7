//! The command line. Each command is a file that turns arguments into output and an exit code.

mod alert;
mod calendar;
mod clients;
mod codes;
mod config;
mod demo;
mod doctor;
mod examples;
mod failure;
mod get;
mod log_fields;
mod logging;
mod output;
mod paint;
mod plan;
mod progress;
mod run;
mod search;
mod serve;
mod sim;
mod similar;
mod standing;
mod status;
mod strip;
mod table;
mod terminal;
mod tips;
mod top;
mod traces;
mod universe;
mod visible;
mod watch;
mod why;
mod words;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{KEYS, RawSettings, Settings};
use crate::journal::{self, EventWriter};
use crate::setup::{Adapters, Wiring};
use sise_port::clock;
use sise_store::RedisStore;

use failure::{Failure, Outcome};

/// Keeps the price of every KOSPI and KOSDAQ stock fresh in Redis.
#[derive(Debug, Parser)]
#[command(name = "sise", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 all done; 1 failed; 2 wrong usage or settings; \
                        3 done, but not for every code; 130, 143 on signals."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Settings file, instead of `SISE_CONFIG` or config/sise.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override any setting of file and environment; may be given more than once
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE")]
    settings: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep prices fresh: as a daemon, or once with --once
    Run(run::RunArguments),
    /// Serve prices, streams and the page over HTTP, for a daemon that runs elsewhere
    Serve(serve::ServeArguments),
    /// Find stocks by name, part of a name, or initial consonants
    Search(search::SearchArguments),
    /// Look up prices: in Redis first, then at the broker
    Get(get::GetArguments),
    /// Calculate whether a set-up keeps its codes alive
    Plan(plan::PlanArguments),
    /// Show whether the exchange is open, and when it opens and closes
    Calendar(calendar::CalendarArguments),
    /// Show the stock list
    Universe(universe::UniverseArguments),
    /// Serve a simulated broker on loopback
    Sim(Box<sim::SimArguments>),
    /// Watch a simulated market: simulated broker, daemon and memory store in one process
    Demo(demo::DemoArguments),
    /// Check the whole set-up and say how to fix it
    Doctor(doctor::DoctorArguments),
    /// Show the leader, what each process does, the last sweeps and today's coverage
    Status(status::StatusArguments),
    /// Explain in words: a code, the last skipped run, or a moment
    Why(why::WhyArguments),
    /// Show the stocks of the day: by change, volume, traded value or market cap
    Top(top::TopArguments),
    /// Manage lists of codes that are refreshed more often than the rest
    Watch(watch::WatchArguments),
    /// Grant and revoke access to an API that is open to others
    Clients(clients::ClientsArguments),
    /// Manage the rules for alerts
    Alert(alert::AlertArguments),
    /// Show the settings in force, secrets redacted, with the source of each
    Config(config::ConfigArguments),
    /// Print shell completions
    Completions {
        /// Shell to print completions for
        shell: Shell,
    },
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match parse_from(command(), std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap writes these messages itself, and knows the stream of each.
            if error.use_stderr() {
                // A message repeats the arguments, which may have been pasted from elsewhere.
                let is_seen = |text: OsString| {
                    text.to_str()
                        .is_some_and(|text| visible::visible(text) == text)
                };
                if std::env::args_os().all(is_seen) {
                    let _ = error.print();
                } else {
                    output::note(&error);
                }
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            }
            let text = error.render();
            if paint::colours(std::io::stdout().is_terminal()) {
                output::raw(text.ansi().to_string().as_bytes());
            } else {
                output::raw(text.to_string().as_bytes());
            }
            return finish(Ok(0));
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Failure::failed(format!("no runtime: {error}")).report(),
    };
    let outcome = runtime.block_on(dispatch(arguments));
    traces::finish();
    // Background tasks have been stopped by now, or are no longer needed.
    runtime.shutdown_background();
    finish(outcome)
}

/// Returns the exit code of a command. A command has failed if its output was not written.
fn finish(outcome: Outcome) -> ExitCode {
    match (outcome, output::check()) {
        (Ok(code), Ok(())) => ExitCode::from(code),
        (Ok(_), Err(unwritten)) => unwritten.report(),
        (Err(failure), unwritten) => {
            // A command that looked at its output itself says the same.
            if let Err(unwritten) = unwritten
                && unwritten.to_string() != failure.to_string()
            {
                output::note(format!("sise: {unwritten}"));
            }
            failure.report()
        }
    }
}

/// Returns the command line with its examples, at the width of the terminal.
fn command() -> clap::Command {
    let command = examples::added(Arguments::command());
    match std::io::stdout().is_terminal() {
        true => command.term_width(table::width().max(table::LEAST_WIDTH).into()),
        false => command,
    }
}

fn parse_from(mut command: clap::Command, words: Vec<OsString>) -> Result<Arguments, clap::Error> {
    let typed = words.iter().skip(1);
    let typed: Vec<String> = typed.map(|word| word.to_string_lossy().into()).collect();
    let matches = command
        .try_get_matches_from_mut(words)
        .map_err(|error| tips::tipped(error, &command, &typed))?;
    Arguments::from_arg_matches(&matches)
}

async fn dispatch(arguments: Arguments) -> Outcome {
    let raw = || raw(arguments.config.as_ref(), &arguments.settings);
    match arguments.command {
        Command::Run(command) => run::run(command, raw()?).await,
        Command::Serve(command) => serve::run(command, raw()?).await,
        Command::Search(command) => search::run(command, raw()?).await,
        Command::Get(command) => get::run(command, raw()?).await,
        Command::Plan(command) => plan::run(command, raw()?).await,
        Command::Calendar(command) => calendar::run(&command, &raw()?),
        Command::Universe(command) => universe::run(command, raw()?).await,
        Command::Sim(command) => sim::run(*command).await,
        Command::Demo(command) => demo::run(command).await,
        Command::Doctor(command) => doctor::run(command, raw()?).await,
        Command::Status(command) => status::run(command, raw()?).await,
        Command::Why(command) => why::run(command, raw()?).await,
        Command::Top(command) => top::run(command, raw()?).await,
        Command::Watch(command) => watch::run(command, raw()?).await,
        Command::Clients(command) => clients::run(command, raw()?).await,
        Command::Alert(command) => alert::run(command, raw()?).await,
        Command::Config(command) => config::run(&command, &raw()?),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "sise", &mut script);
            output::raw(&script);
            Ok(0)
        }
    }
}

/// Returns the raw settings with the flags on top.
fn raw(file: Option<&PathBuf>, flags: &[String]) -> Result<RawSettings, Failure> {
    let mut raw = match file {
        Some(file) => RawSettings::of_process_with_file(file)?,
        None => RawSettings::of_process()?,
    };
    for flag in flags {
        let Some((name, value)) = flag.split_once('=') else {
            // The flag may hold a secret, so it is not repeated.
            return Err(Failure::usage(
                "--set: write --set SECTION.KEY=VALUE; `sise config` lists the settings",
            ));
        };
        let name = name.trim();
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let is_like_a_name = |c: char| c == '.' || c == '_' || c.is_ascii_lowercase();
            let shown = if name.chars().all(is_like_a_name) {
                name
            } else {
                "***"
            };
            let meant = similar::meant(name, KEYS.iter().map(|key| key.name));
            return Err(Failure::usage(format!(
                "--set {shown}: there is no such setting{meant}; `sise config` lists them"
            )));
        };
        raw.set(key.name, value);
    }
    Ok(raw)
}

/// Starts logging and returns the settings of a command.
fn settings(raw: &RawSettings) -> Result<Settings, Failure> {
    let settings = Settings::new(raw)?;
    logging::start(&settings)?;
    for stranger in raw.strangers() {
        tracing::warn!("{stranger}");
    }
    Ok(settings)
}

/// Returns the wiring for a command, by the settings.
fn wiring(raw: &RawSettings) -> Result<Wiring, Failure> {
    Ok(Wiring::new(settings(raw)?, clock::system())?)
}

/// Returns Redis, for commands that need the state of other processes.
fn redis(wiring: &Wiring) -> Result<Arc<RedisStore>, Failure> {
    wiring.redis.clone().ok_or_else(|| {
        Failure::usage(
            "store.url is memory, which other processes cannot see: set REDIS_URL to the Redis \
             that the daemon writes to",
        )
    })
}

/// Like [`wiring`], for a command that writes to the event log.
fn recorded(raw: &RawSettings) -> Result<(Wiring, EventWriter), Failure> {
    let settings = settings(raw)?;
    let clock = clock::system();
    let (event_queue, notes) = journal::event_queue(Arc::clone(&clock));
    let adapters = Adapters {
        recorder: Arc::new(event_queue),
        ..Adapters::new(&settings, clock)?
    };
    let wiring = Wiring::on(settings, adapters)?;
    let writer = wiring.writer(notes);
    Ok((wiring, writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
