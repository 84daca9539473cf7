//! Streams of trades.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use sise_domain::{Quote, Symbol};

/// A source that reports every trade of some codes as it happens.
#[async_trait]
pub trait TickSource: Send + Sync {
    /// Streams the trades of `wanted` to `told` until `stop`, over as many sessions as it takes.
    ///
    /// While `wanted` is empty there is no session. If `told` is full, trades are dropped, and a
    /// gap is sent as soon as there is room.
    async fn stream(
        &self,
        wanted: watch::Receiver<Arc<[Symbol]>>,
        told: mpsc::Sender<Told>,
        stop: CancellationToken,
    );
}

/// A message of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A trade, with the figures of the day up to it.
    Tick(Box<Quote>),
    /// Trades may have been missed.
    Gap(Gap),
    /// Exactly these codes are registered now.
    Registered(Arc<[Symbol]>),
    /// The feed accepts no more codes than these, whatever was assumed.
    Full(usize),
    /// This code is not streamed in the current session.
    Refused(Symbol),
}

/// Codes for which trades may have been missed. Consumers should request their prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The codes.
    pub codes: Arc<[Symbol]>,
    /// The reason.
    pub reason: GapReason,
}

/// Why trades may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapReason {
    /// The session ended; there are no trades until the next one.
    Lost,
    /// The codes are registered again after a session ended.
    Resumed,
    /// A message could not be read.
    Unreadable,
    /// Trades came faster than they were processed.
    Overflow,
    /// A trade had no price, or an impossible one.
    Refused,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::Lost,
        Self::Resumed,
        Self::Unreadable,
        Self::Overflow,
        Self::Refused,
    ];

    /// Returns the label for metrics, in one word.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Resumed => "resumed",
            Self::Unreadable => "unreadable",
            Self::Overflow => "overflow",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "the session ended",
            Self::Resumed => "the session was interrupted",
            Self::Unreadable => "a message could not be read",
            Self::Overflow => "trades came faster than they were processed",
            Self::Refused => "a trade had no plausible price",
        })
    }
}
