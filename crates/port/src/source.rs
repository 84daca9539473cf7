//! Sources of prices with a limited rate of requests.

use async_trait::async_trait;

use sise_domain::{Ban, Calling, Denial, IndexQuote, Quote, Symbol, Urgency};

/// A source of prices with a limited rate of requests.
#[async_trait]
pub trait QuoteSource: Send + Sync {
    /// Requests prices of `symbols`. The result has exactly one answer for each.
    async fn quotes(&self, symbols: &[Symbol], urgency: Urgency) -> Answers;

    /// Returns how the source requests prices at present.
    fn calling(&self) -> Calling;

    /// Returns how many places of one request per sweep are best left free for indices.
    ///
    /// 0 if indices are not part of price requests.
    fn places_for_indices(&self) -> usize {
        0
    }

    /// Waits until a request of this urgency would be sent without queueing.
    ///
    /// # Errors
    ///
    /// Returns an error if no request is possible at present.
    async fn ready(&self, _urgency: Urgency) -> Result<(), SourceError> {
        Ok(())
    }
}

/// Results of a request.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// One answer for each requested code.
    pub answers: Vec<(Symbol, Answer)>,
    /// Indices that came along, if the request had room.
    pub indices: Vec<IndexQuote>,
    /// Calls it took.
    pub tally: Tally,
}

/// Result for one code.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A valid price.
    Quote(Box<Quote>),
    /// The broker does not know the code.
    Unknown,
    /// The broker's answer is not a valid price; the text says why.
    Refused(String),
    /// There was no answer.
    Failed(SourceError),
}

/// Number of calls made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls sent, repeats included.
    pub calls: u64,
    /// Calls that the broker refused for exceeding its limit.
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

/// Why a source gave no answer, classified by what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The broker's rate limit was exceeded.
    #[error("the broker refused the call for exceeding the rate limit ({0})")]
    Throttled(String),
    /// The call budget is used up; no call was made.
    #[error("the call budget is used up: {0}")]
    Exhausted(String),
    /// The access token is not valid.
    #[error("the broker does not accept the access token ({0})")]
    Unauthorized(String),
    /// Key, secret, account or address are not accepted. Asking again makes it worse.
    #[error("{0}")]
    Denied(Denial),
    /// They were not accepted a while ago, so no call was made.
    #[error("{0}")]
    Banned(Box<Ban>),
    /// This call is not available on this account.
    #[error("the broker does not offer this call here ({0})")]
    Unsupported(String),
    /// The call itself is wrong; repeating it is useless.
    #[error("the broker rejected the call ({0})")]
    Rejected(String),
    /// The broker is unreachable: nothing arrived there.
    #[error("the broker cannot be reached ({0})")]
    Unreachable(String),
    /// The broker or the connection to it has a problem.
    #[error("the broker cannot be reached ({0})")]
    Unavailable(String),
    /// The answer is not readable.
    #[error("the broker's answer cannot be read ({0})")]
    Malformed(String),
    /// The work was stopped before the call was made.
    #[error("stopped before the call was made")]
    Stopped,
}

/// How to react to an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Ask again after a short pause: the rate limit was hit, but nothing is broken.
    AskAgainSoon,
    /// Ask again after a growing pause.
    AskAgainLater,
    /// Get a new token, then ask again.
    RenewToken,
    /// Do not ask again.
    GiveUp,
}

impl SourceError {
    /// Returns how to react.
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

    /// Returns the same error with the broker's text changed, if it has such a text.
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

    /// Returns the label for metrics, in one word.
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
