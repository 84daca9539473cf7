//! Why a look-up failed.

use std::time::Duration;

use sise_domain::{Reading, Symbol, SymbolError};
use sise_port::SourceError;

/// Why a look-up failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The text is no stock code.
    #[error(transparent)]
    Code(#[from] SymbolError),
    /// Neither the store nor the broker could say; whether there is a price is not known.
    #[error("no price of {} could be had: {source}", list(failed))]
    Source {
        /// The codes without an answer.
        failed: Vec<Symbol>,
        /// What was found for the others, in the order asked for.
        found: Vec<Reading>,
        /// Why.
        source: SourceError,
    },
    /// The time that the caller gave was over first; whether there is a price is not known.
    #[error(
        "no price of {} could be had within {}",
        list(failed),
        humantime::format_duration(*within)
    )]
    Late {
        /// The codes without an answer.
        failed: Vec<Symbol>,
        /// What was found for the others, in the order asked for.
        found: Vec<Reading>,
        /// The time that was given.
        within: Duration,
    },
}

impl ReadError {
    /// The codes of which it is not known whether there is a price.
    #[must_use]
    pub fn failed(&self) -> &[Symbol] {
        match self {
            Self::Code(_) => &[],
            Self::Source { failed, .. } | Self::Late { failed, .. } => failed,
        }
    }

    /// Why, without naming the codes.
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

    /// Takes out what was found for the other codes, in the order asked for.
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
