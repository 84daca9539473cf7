//! Reasons why a row of the broker yields no price.

use std::fmt;

use metrics::counter;

use sise_domain::Implausible;

/// Reason why a row of the broker yields no price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The row has no price; the text describes the price field.
    NoPrice(String),
    /// The row is for another code than the one requested.
    OtherCode(String),
    /// Two rows are for the same code but differ.
    Twice,
    /// The figures of the row are implausible.
    Implausible(Implausible),
}

impl Refusal {
    /// Returns the label used in metrics.
    fn slug(&self) -> &'static str {
        match self {
            Self::NoPrice(_) => "no_price",
            Self::OtherCode(_) => "other_code",
            Self::Twice => "twice",
            Self::Implausible(why) => why.slug(),
        }
    }

    /// Counts the refusal for the rows of `call`.
    pub(super) fn count(&self, call: &'static str) {
        counter!("sise_rows_refused_total", "call" => call, "reason" => self.slug()).increment(1);
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrice(what) => f.write_str(what),
            Self::OtherCode(code) => write!(f, "the broker's row is for another code, {code}"),
            Self::Twice => f.write_str("two rows of the broker are for the code but differ"),
            Self::Implausible(why) => write!(f, "implausible: {why}"),
        }
    }
}

impl From<Implausible> for Refusal {
    fn from(why: Implausible) -> Self {
        Self::Implausible(why)
    }
}
