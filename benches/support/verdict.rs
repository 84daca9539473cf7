//! What a benchmark found, held against its limit: the rows of `docs/measured.md`.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;

use super::Outcome;

/// Where the rows go, one a line, if `scripts/bench` asks for them.
const ROWS: &str = "SISE_BENCH_ROWS";

/// What a figure may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
    /// It stands for itself.
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

/// Says whether `figure` keeps to its limit; `shown` is how a person reads it.
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
