//! A stream of trades.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use sise_domain::{Quote, Symbol};

/// A place that tells every trade of some codes as it happens.
#[async_trait]
pub trait TickSource: Send + Sync {
    /// Streams the trades of `wanted` to `told` until `stop`, through as many sessions as it takes.
    /// While nothing is wanted there is no session. What finds no room in `told` is dropped, and a
    /// gap says so as soon as there is room.
    async fn stream(
        &self,
        wanted: watch::Receiver<Arc<[Symbol]>>,
        told: mpsc::Sender<Told>,
        stop: CancellationToken,
    );
}

/// What a stream tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A trade, with the figures of the day until then.
    Tick(Box<Quote>),
    /// Trades may have been missed.
    Gap(Gap),
    /// These codes are registered now, and no others.
    Registered(Arc<[Symbol]>),
    /// No more codes than these fit, whatever was thought.
    Full(usize),
    /// This code is not streamed before the next session.
    Refused(Symbol),
}

/// Codes of which trades may have been missed: whoever follows them needs to ask for their prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Which codes.
    pub codes: Arc<[Symbol]>,
    /// What happened.
    pub reason: GapReason,
}

/// Why trades may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapReason {
    /// The session ended; there are no trades until there is another.
    Lost,
    /// The codes are registered again, after a session ended.
    Resumed,
    /// A message could not be read.
    Unreadable,
    /// They came faster than they were taken.
    Overflow,
    /// A trade told of no price, or of one that cannot be.
    Refused,
}

impl GapReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Lost,
        Self::Resumed,
        Self::Unreadable,
        Self::Overflow,
        Self::Refused,
    ];

    /// One word, for metrics.
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
            Self::Resumed => "the session was away for a while",
            Self::Unreadable => "a message could not be read",
            Self::Overflow => "trades came faster than they were taken",
            Self::Refused => "a trade told of no price that can be",
        })
    }
}
