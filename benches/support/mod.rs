//! Shared code of the benchmarks: processes that end with them, settings, and figures.

#![allow(dead_code, unused_imports, reason = "each benchmark uses a part of it")]

mod bare;
mod figures;
mod processes;
mod serving;
mod verdict;

use std::error::Error;
use std::future::Future;

use sise::config::{RawSettings, Settings};
use sise::domain::{Shipped, Symbol};
use sise::setup::Wiring;
use tokio::runtime::Builder;

pub(crate) use bare::bare;
pub(crate) use figures::{Figures, thousands};
pub(crate) use processes::{PrivateRedis, SimProcess, Usage, free_port, sise_command, terminate};
pub(crate) use serving::{Load, Server, quotes, write};
pub(crate) use verdict::{Limit, verdict};

/// The result of a benchmark; errors go to standard error.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Runs a benchmark on the same runtime as the `sise` program.
///
/// `cargo bench` passes `--bench`. `cargo test --all-targets` runs benchmarks too and does not pass
/// it; then nothing is measured.
pub(crate) fn run<F: Future<Output = Outcome>>(benchmark: impl FnOnce() -> F) -> Outcome {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(benchmark());
    runtime.shutdown_background();
    outcome
}

/// Returns the value after `name` on the command line, as in `cargo bench -- --name value`.
pub(crate) fn argument(name: &str) -> Option<String> {
    std::env::args()
        .skip_while(|argument| argument != name)
        .nth(1)
}

/// Whether `name` is on the command line.
pub(crate) fn flag(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}

/// Returns the whole market: every code of the shipped list.
pub(crate) fn whole_market() -> Vec<Symbol> {
    Shipped::get().universe().symbols().collect()
}

/// Creates the wiring of a program with `values` set and defaults for the rest. The environment is
/// ignored, so that figures do not depend on it.
pub(crate) fn wiring(values: &[(&'static str, &str)]) -> Outcome<Wiring> {
    let mut raw = RawSettings::unset();
    for (key, value) in values {
        raw.set(key, *value);
    }
    Ok(Wiring::new(Settings::new(&raw)?, sise::clock::system())?)
}
