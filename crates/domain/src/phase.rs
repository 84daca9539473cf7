//! Phases of a trading day, on the exchange and on NXT (contract chapter 7).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::KrxTime;

/// A phase of a trading day (contract chapter 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Orders are collected for the cross at the open.
    OpeningAuction,
    /// Continuous trading of the regular session.
    Regular,
    /// Orders are collected for the cross at the close. Part of the session, but not continuous.
    ClosingAuction,
    /// Trades at the closing price only.
    PostClosePrice,
    /// A cross every ten minutes; abolished in September 2026.
    SinglePrice,
    /// Continuous trading in the evening.
    AfterMarket,
    /// NXT's morning session.
    PreMarket,
    /// NXT's main session.
    Main,
    /// No phase.
    #[default]
    Closed,
}

impl Phase {
    /// Returns its name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpeningAuction => "opening-auction",
            Self::Regular => "regular",
            Self::ClosingAuction => "closing-auction",
            Self::PostClosePrice => "post-close-price",
            Self::SinglePrice => "single-price",
            Self::AfterMarket => "after-market",
            Self::PreMarket => "pre-market",
            Self::Main => "main",
            Self::Closed => "closed",
        }
    }

    /// Returns whether trading is continuous in this phase. Auctions are not continuous.
    #[must_use]
    pub fn is_continuous(self) -> bool {
        matches!(
            self,
            Self::Regular | Self::AfterMarket | Self::PreMarket | Self::Main
        )
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A trading venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Venue {
    /// The exchange.
    Krx,
    /// Nextrade, the alternative trading system.
    Nxt,
}

/// One phase of one day: from `start` until just before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The phase.
    pub phase: Phase,
    /// First instant.
    pub start: KrxTime,
    /// First instant after it.
    pub end: KrxTime,
}
