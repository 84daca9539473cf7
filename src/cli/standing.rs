//! Special states of a price, shown beside it everywhere: no trading, or a daily limit reached.

use super::paint::Ink;
use sise_domain::{PriceLimit, Quote, Status};

/// What is special about a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Halted,
    Untraded,
    /// At the highest price allowed on the day.
    LimitUp,
    /// At the lowest price allowed on the day.
    LimitDown,
}

impl Standing {
    /// Returns the standing of a quote, or `None` if nothing is special.
    pub(super) fn of(quote: &Quote) -> Option<Self> {
        match (quote.status, quote.limit) {
            (Status::Halted, _) => Some(Self::Halted),
            (Status::Untraded, _) => Some(Self::Untraded),
            (Status::Trading, Some(PriceLimit::Upper)) => Some(Self::LimitUp),
            (Status::Trading, Some(PriceLimit::Lower)) => Some(Self::LimitDown),
            (Status::Trading, None) => None,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Halted => "halted",
            Self::Untraded => "untraded",
            Self::LimitUp => "limit up",
            Self::LimitDown => "limit down",
        }
    }

    pub(super) fn ink(self) -> Ink {
        match self {
            Self::Halted => Ink::Warning,
            Self::Untraded => Ink::Dim,
            Self::LimitUp => Ink::Rise,
            Self::LimitDown => Ink::Fall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;

    #[test]
    fn a_halt_outweighs_a_limit() {
        let at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 15, 2).unwrap();
        let said = |status, limit| {
            let quote = Quote::sample("005930".parse().unwrap(), 9_900, at);
            let quote = Quote {
                status,
                limit,
                ..quote
            };
            Standing::of(&quote).map(Standing::words)
        };
        for (status, limit, words) in [
            (Status::Trading, None, None),
            (Status::Trading, Some(PriceLimit::Upper), Some("limit up")),
            (Status::Trading, Some(PriceLimit::Lower), Some("limit down")),
            (Status::Halted, Some(PriceLimit::Upper), Some("halted")),
            (Status::Untraded, None, Some("untraded")),
        ] {
            assert_eq!(said(status, limit), words);
        }
    }
}
