//! Results of flights to the broker.

use std::collections::HashMap;

use sise_domain::{Quote, Source, Symbol};
use sise_port::{Answer, Answers, SourceError};

/// Result of a flight for one code.
#[derive(Debug, Clone)]
pub(super) enum Fetched {
    /// A price from the broker, or from the store if another process asked for it.
    Quote(Box<Quote>, Source),
    /// The broker does not know the code.
    Unknown,
    /// The broker could not be asked, or its answer is not a price.
    Failed(SourceError),
}

impl Fetched {
    /// Returns whether asking once more may bring a price. A code missing from a short answer looks
    /// like an unknown one, and a spoiled answer may be whole the next time.
    pub(super) fn is_doubtful(&self) -> bool {
        matches!(
            self,
            Self::Unknown | Self::Failed(SourceError::Malformed(_))
        )
    }
}

/// Adds the broker's answers to `results`.
pub(super) fn finish(answers: Answers, results: &mut HashMap<Symbol, Fetched>) {
    for (symbol, answer) in answers.answers {
        let fetched = match answer {
            // Whatever the source: a price must be above zero.
            Answer::Quote(quote) if quote.price <= 0 => {
                Fetched::Failed(SourceError::Malformed(format!("price {}", quote.price)))
            }
            Answer::Quote(quote) => Fetched::Quote(quote, Source::Api),
            Answer::Unknown => Fetched::Unknown,
            Answer::Refused(why) => Fetched::Failed(SourceError::Malformed(why)),
            Answer::Failed(error) => Fetched::Failed(error),
        };
        results.insert(symbol, fetched);
    }
}
