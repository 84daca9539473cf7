//! What the services need of the outside: narrow traits, and errors that say what to do next.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{Calling, Quote, Symbol, Universe};

/// Who asks. Readers' misses go before sweeps wherever calls queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody waits for the answer.
    Reader,
    /// A pass over the list.
    Sweep,
}

/// A place that knows prices and may be asked only so often.
#[async_trait]
pub trait QuoteSource: Send + Sync {
    /// Asks for `symbols` and accounts for every one of them exactly once.
    async fn quotes(&self, symbols: &[Symbol], urgency: Urgency) -> Answers;

    /// How the source asks at present.
    fn calling(&self) -> Calling;
}

/// What became of the codes of one request.
#[derive(Debug, Default)]
pub struct Answers {
    /// One answer for each code asked for.
    pub answers: Vec<(Symbol, Answer)>,
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
    /// The access token is dead.
    #[error("the broker does not accept the access token ({0})")]
    Unauthorized(String),
    /// Key, secret or account are not accepted. Asking again makes it worse.
    #[error("the broker does not accept the credentials ({0})")]
    Denied(String),
    /// This kind of call is not to be had on this account.
    #[error("the broker does not offer this call here ({0})")]
    Unsupported(String),
    /// The call itself is wrong; the same call will be refused again.
    #[error("the broker rejected the call ({0})")]
    Rejected(String),
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
            Self::Unavailable(_) | Self::Malformed(_) => Remedy::AskAgainLater,
            Self::Unauthorized(_) => Remedy::RenewToken,
            Self::Denied(_) | Self::Unsupported(_) | Self::Rejected(_) | Self::Stopped => {
                Remedy::GiveUp
            }
        }
    }

    /// One word, for metrics.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Throttled(_) => "throttled",
            Self::Unauthorized(_) => "unauthorized",
            Self::Denied(_) => "denied",
            Self::Unsupported(_) => "unsupported",
            Self::Rejected(_) => "rejected",
            Self::Unavailable(_) => "unavailable",
            Self::Malformed(_) => "malformed",
            Self::Stopped => "stopped",
        }
    }
}

/// The two shelves of prices in a store (design chapter 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// `realtime:price:<code>`: lives for a TTL.
    Realtime(Duration),
    /// `close:price:<code>`: stays until replaced.
    Close,
}

/// Where prices are kept.
#[async_trait]
pub trait PriceStore: Send + Sync {
    /// Writes quotes, all in one round trip.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused; some of the quotes may have been written.
    async fn write(&self, quotes: &[Quote], shelf: Shelf) -> Result<(), StoreError>;

    /// Reads the live prices of `symbols`, in their order, in one round trip. What is there but
    /// is no price object counts as not there.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError>;

    /// Reads the last closes of `symbols`, in the same way.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError>;

    /// Whether the store answers.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Where a copy of the stock list is kept beside the disk.
#[async_trait]
pub trait CopyStore: Send + Sync {
    /// The copy under `name`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn load_copy(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Replaces the copy under `name`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn save_copy(&self, name: &str, text: &str) -> Result<(), StoreError>;
}

/// A store that cannot be reached, or that refused. Readers take it for a miss.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct StoreError {
    /// Which store: its address, without any secret.
    pub store: String,
    /// What happened.
    pub trouble: String,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store at {} failed: {}", self.store, self.trouble)
    }
}

/// A place that has a stock list.
#[async_trait]
pub trait ListSource: Send + Sync {
    /// What it is called in settings and messages.
    fn name(&self) -> &'static str;

    /// The whole list, whatever the groups.
    ///
    /// # Errors
    ///
    /// There is no list, or it is broken; the text names file, record and byte.
    async fn list(&self) -> Result<Universe, ListError>;
}

/// A stock list that cannot be had: the words for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ListError(pub String);
