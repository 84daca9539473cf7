//! Why a row of the broker is no price.

use std::fmt;

use metrics::counter;

use sise_domain::Implausible;

/// Why a row of the broker is no price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no price in it; what stands there instead.
    NoPrice(String),
    /// It names another code than the one that was asked for.
    OtherCode(String),
    /// Two rows name the code, and differ.
    Twice,
    /// Its figures cannot be.
    Implausible(Implausible),
}

impl Refusal {
    /// One word, for metrics.
    fn slug(&self) -> &'static str {
        match self {
            Self::NoPrice(_) => "no_price",
            Self::OtherCode(_) => "other_code",
            Self::Twice => "twice",
            Self::Implausible(why) => why.slug(),
        }
    }

    /// Counts it, among the rows of `call`.
    pub(super) fn count(&self, call: &'static str) {
        counter!("sise_rows_refused_total", "call" => call, "reason" => self.slug()).increment(1);
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrice(what) => f.write_str(what),
            Self::OtherCode(code) => write!(f, "the broker's row is of another code, {code}"),
            Self::Twice => f.write_str("two rows of the broker name the code, and differ"),
            Self::Implausible(why) => write!(f, "implausible: {why}"),
        }
    }
}

impl From<Implausible> for Refusal {
    fn from(why: Implausible) -> Self {
        Self::Implausible(why)
    }
}
