//! Verdicts of benchmarks against their limits: the rows of `docs/measured.md`.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;

use super::Outcome;

/// Names the file for the rows, one per line, if `scripts/bench` collects them.
const ROWS: &str = "SISE_BENCH_ROWS";

/// The limit of a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
    /// No limit.
    None,
}

impl Limit {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit, _) => figure <= limit,
            Self::AtLeast(limit, _) => figure >= limit,
            Self::None => true,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit, unit) => write!(f, "at most {limit}{unit}"),
            Self::AtLeast(limit, unit) => write!(f, "at least {limit}{unit}"),
            Self::None => write!(f, "none"),
        }
    }
}

/// Prints whether `figure` keeps to its limit; `shown` is its text.
pub(crate) fn verdict(what: &str, limit: Limit, figure: f64, shown: &str) -> Outcome {
    let verdict = match limit {
        Limit::None => "",
        _ if limit.holds(figure) => "holds",
        _ => "MISSED",
    };
    println!("  => {what}: {shown} (limit: {limit}) {verdict}");
    if let Ok(path) = std::env::var(ROWS) {
        let mut rows = OpenOptions::new().append(true).create(true).open(path)?;
        writeln!(rows, "| {what} | {limit} | {shown} | {verdict} |")?;
    }
    Ok(())
}
