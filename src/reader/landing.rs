//! What a flight to the broker brings.

use std::collections::HashMap;

use sise_domain::{Quote, Source, Symbol};
use sise_port::{Answer, Answers, SourceError};

/// What one flight brought for one code.
#[derive(Debug, Clone)]
pub(super) enum Landing {
    /// A price, from the broker or, where another process asked for it, from the store.
    Quote(Box<Quote>, Source),
    /// The broker does not know the code.
    Unknown,
    /// The broker could not be asked, or its answer is no price.
    Failed(SourceError),
}

impl Landing {
    /// Whether asking once more may bring a price: a short answer looks like one that does not
    /// know the code, and a spoiled one may be whole the next time.
    pub(super) fn is_doubtful(&self) -> bool {
        matches!(
            self,
            Self::Unknown | Self::Failed(SourceError::Malformed(_))
        )
    }
}

/// Adds what the broker answered to `landings`.
pub(super) fn land(answers: Answers, landings: &mut HashMap<Symbol, Landing>) {
    for (symbol, answer) in answers.answers {
        let landing = match answer {
            // Whoever the source is: what is not above zero is no price.
            Answer::Quote(quote) if quote.price <= 0 => {
                Landing::Failed(SourceError::Malformed(format!("price {}", quote.price)))
            }
            Answer::Quote(quote) => Landing::Quote(quote, Source::Api),
            Answer::Unknown => Landing::Unknown,
            Answer::Refused(why) => Landing::Failed(SourceError::Malformed(why)),
            Answer::Failed(error) => Landing::Failed(error),
        };
        landings.insert(symbol, landing);
    }
}
