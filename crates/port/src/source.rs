//! A place that knows prices and may be asked only so often.

use async_trait::async_trait;

use sise_domain::{Ban, Calling, Denial, IndexQuote, Quote, Symbol, Urgency};

/// A place that knows prices and may be asked only so often.
#[async_trait]
pub trait QuoteSource: Send + Sync {
    /// Asks for `symbols` and accounts for every one of them exactly once.
    async fn quotes(&self, symbols: &[Symbol], urgency: Urgency) -> Answers;

    /// How the source asks at present.
    fn calling(&self) -> Calling;

    /// Places of a request for many codes that are best left free once in a pass, for the indices
    /// that then ride along; 0 where none do.
    fn places_for_indices(&self) -> usize {
        0
    }

    /// Waits until a request of this urgency would go out without standing in line behind another.
    ///
    /// # Errors
    ///
    /// Nothing can be asked for at present.
    async fn ready(&self, _urgency: Urgency) -> Result<(), SourceError> {
        Ok(())
    }
}

/// What became of the codes of one request.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// One answer for each code asked for.
    pub answers: Vec<(Symbol, Answer)>,
    /// Indices that rode along, where the request had room.
    pub indices: Vec<IndexQuote>,
    /// What it took.
    pub tally: Tally,
}

/// What became of one code.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A good price.
    Quote(Box<Quote>),
    /// The broker does not know the code.
    Unknown,
    /// The broker answered with something that is no price; the text says what.
    Refused(String),
    /// No answer was to be had.
    Failed(SourceError),
}

/// Calls spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls sent, repeats included.
    pub calls: u64,
    /// Calls that the broker refused for being over its limit.
    pub refused_calls: u64,
    /// Calls that repeated an earlier one.
    pub retries: u64,
}

impl Tally {
    /// Adds another tally to this one.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.refused_calls += other.refused_calls;
        self.retries += other.retries;
    }
}

/// Why a source gave no answer, sorted by what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Over the broker's rate limit.
    #[error("the broker refused the call as over its rate limit ({0})")]
    Throttled(String),
    /// The budget of calls is spent; nothing was asked.
    #[error("the budget of calls is spent: {0}")]
    Exhausted(String),
    /// The access token is dead.
    #[error("the broker does not accept the access token ({0})")]
    Unauthorized(String),
    /// Key, secret, account or address are not accepted. Asking again makes it worse.
    #[error("{0}")]
    Denied(Denial),
    /// They were not accepted a while ago, so nothing was asked.
    #[error("{0}")]
    Banned(Box<Ban>),
    /// This kind of call is not to be had on this account.
    #[error("the broker does not offer this call here ({0})")]
    Unsupported(String),
    /// The call itself is wrong; the same call will be refused again.
    #[error("the broker rejected the call ({0})")]
    Rejected(String),
    /// There is no way to the broker: nothing arrived there.
    #[error("the broker cannot be reached ({0})")]
    Unreachable(String),
    /// The broker or the way to it is in trouble.
    #[error("the broker cannot be reached ({0})")]
    Unavailable(String),
    /// The answer cannot be understood.
    #[error("the broker's answer cannot be read ({0})")]
    Malformed(String),
    /// The work was stopped before the call was made.
    #[error("stopped before it was asked for")]
    Stopped,
}

/// What to do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Ask again after a short pause; the limit was touched, nothing is broken.
    AskAgainSoon,
    /// Ask again after a growing pause.
    AskAgainLater,
    /// Get a new token, then ask again.
    RenewToken,
    /// Asking again is of no use.
    GiveUp,
}

impl SourceError {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Throttled(_) => Remedy::AskAgainSoon,
            Self::Unreachable(_) | Self::Unavailable(_) | Self::Malformed(_) => {
                Remedy::AskAgainLater
            }
            Self::Unauthorized(_) => Remedy::RenewToken,
            Self::Exhausted(_)
            | Self::Denied(_)
            | Self::Banned(_)
            | Self::Unsupported(_)
            | Self::Rejected(_)
            | Self::Stopped => Remedy::GiveUp,
        }
    }

    /// The same error in other words, where it holds words of the source.
    #[must_use]
    pub fn map_words(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Throttled(words) => Self::Throttled(change(words)),
            Self::Exhausted(words) => Self::Exhausted(change(words)),
            Self::Unauthorized(words) => Self::Unauthorized(change(words)),
            Self::Denied(Denial { kind, said }) => Self::Denied(Denial {
                kind,
                said: change(said),
            }),
            Self::Unsupported(words) => Self::Unsupported(change(words)),
            Self::Rejected(words) => Self::Rejected(change(words)),
            Self::Unreachable(words) => Self::Unreachable(change(words)),
            Self::Unavailable(words) => Self::Unavailable(change(words)),
            Self::Malformed(words) => Self::Malformed(change(words)),
            Self::Banned(_) | Self::Stopped => self,
        }
    }

    /// One word, for metrics.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Throttled(_) => "throttled",
            Self::Exhausted(_) => "exhausted",
            Self::Unauthorized(_) => "unauthorized",
            Self::Denied(_) => "denied",
            Self::Banned(_) => "banned",
            Self::Unsupported(_) => "unsupported",
            Self::Rejected(_) => "rejected",
            Self::Unreachable(_) | Self::Unavailable(_) => "unavailable",
            Self::Malformed(_) => "malformed",
            Self::Stopped => "stopped",
        }
    }
}
