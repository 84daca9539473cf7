//! Errors of a look-up.

use std::time::Duration;

use sise_domain::{Reading, Symbol, SymbolError};
use sise_port::SourceError;

/// Why a look-up failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The text is not a stock code.
    #[error(transparent)]
    Code(#[from] SymbolError),
    /// Neither the store nor the broker gave an answer. Whether there is a price is unknown.
    #[error("could not get a price for {}: {source}", list(failed))]
    Source {
        /// The codes without an answer.
        failed: Vec<Symbol>,
        /// What was found for the others, in the order asked for.
        found: Vec<Reading>,
        /// The reason.
        source: SourceError,
    },
    /// The caller's time ran out first. Whether there is a price is unknown.
    #[error(
        "could not get a price for {} within {}",
        list(failed),
        humantime::format_duration(*within)
    )]
    Late {
        /// The codes without an answer.
        failed: Vec<Symbol>,
        /// What was found for the others, in the order asked for.
        found: Vec<Reading>,
        /// The caller's time.
        within: Duration,
    },
}

impl ReadError {
    /// Returns the codes for which it is unknown whether there is a price.
    #[must_use]
    pub fn failed(&self) -> &[Symbol] {
        match self {
            Self::Code(_) => &[],
            Self::Source { failed, .. } | Self::Late { failed, .. } => failed,
        }
    }

    /// Returns the reason, without the codes.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Code(error) => error.to_string(),
            Self::Source { source, .. } => source.to_string(),
            Self::Late { within, .. } => {
                format!("no answer within {}", humantime::format_duration(*within))
            }
        }
    }

    /// Takes out the prices found for the other codes, in the order asked for.
    pub fn take_found(&mut self) -> Vec<Reading> {
        match self {
            Self::Code(_) => Vec::new(),
            Self::Source { found, .. } | Self::Late { found, .. } => std::mem::take(found),
        }
    }
}

fn list(symbols: &[Symbol]) -> String {
    let shown: Vec<&str> = symbols.iter().take(5).map(Symbol::as_str).collect();
    let more = symbols.len().saturating_sub(shown.len());
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
