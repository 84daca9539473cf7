//! The `sise` program: runs the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    sise::cli::run()
}
