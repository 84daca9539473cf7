//! Where prices are kept.

use std::time::Duration;

use async_trait::async_trait;
use chrono::NaiveDate;

use super::Lead;
use sise_domain::{Index, IndexQuote, Quote, Symbol};

/// The shelves of prices in a store (docs/prices.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// `realtime:price:<code>`: lives for a TTL.
    Realtime(Duration),
    /// `close:price:<code>`: stays until replaced.
    Close,
    /// The same keys, for prices taken out of session after that of this day, whose close is not
    /// there: they take the place of no close of that day or later, and give way to every such one,
    /// even if it was taken before them.
    LastKnown(NaiveDate),
}

impl Shelf {
    /// After the session of which day its prices are the last known ones.
    #[must_use]
    pub fn last_known_of(self) -> Option<NaiveDate> {
        match self {
            Self::LastKnown(day) => Some(day),
            Self::Realtime(_) | Self::Close => None,
        }
    }
}

/// What became of the quotes of a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The places, in order, of those that were not written: a newer price of their code stands.
    pub older: Vec<usize>,
}

impl Written {
    /// Those of `quotes`, which are those of the write, that were written.
    #[must_use]
    pub fn taken(&self, quotes: Vec<Quote>) -> Vec<Quote> {
        if self.older.is_empty() {
            return quotes;
        }
        let places = quotes.into_iter().enumerate();
        let taken = places.filter(|(place, _)| self.older.binary_search(place).is_err());
        taken.map(|(_, quote)| quote).collect()
    }
}

/// Where prices are kept.
#[async_trait]
pub trait PriceStore: Send + Sync {
    /// Writes quotes, all in one round trip, each unless a newer one stands in its place
    /// ([`Quote::is_outranked_by`]), whoever wrote that. What cannot be read, and what is from the
    /// future by the store's clock, does not stand in the way. With `lead` the store takes them
    /// only while that lead is the last one given ([`super::Leadership`]): a leader that was paused
    /// cannot overwrite what came after it.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused; some of the quotes may have been written. It refuses
    /// quotes from the future. Or the lead has ended; then none was, or, in a cluster, none over
    /// what a later leader wrote.
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<Written, StoreError>;

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

    /// The lives that the live prices of `symbols` have left, in their order; `None` for one that is
    /// not there or stands without an end.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn lives(&self, symbols: &[Symbol]) -> Result<Vec<Option<Duration>>, StoreError>;

    /// Whether the store answers.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Where the levels of the indices are kept: `realtime:index:<name>`, `close:index:<name>`.
#[async_trait]
pub trait IndexStore: Send + Sync {
    /// Writes levels, each unless a newer one stands, as with prices ([`PriceStore::write`]); with
    /// `lead` only while that lead is the last one given.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused, or the lead has ended.
    async fn write_indices(
        &self,
        indices: &[IndexQuote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<(), StoreError>;

    /// The levels that live, in the order of [`Index::ALL`](sise_domain::Index::ALL). What stands
    /// there and is none counts as not there.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn indices(&self) -> Result<Vec<IndexQuote>, StoreError>;

    /// The levels that were kept last, in the same way.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn closing_indices(&self) -> Result<Vec<IndexQuote>, StoreError>;

    /// Of each index the level that lives, else the one that was kept last.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or refused.
    async fn latest_indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        let (live, kept) = (self.indices().await?, self.closing_indices().await?);
        let latest = |index| {
            let of = |quotes: &[IndexQuote]| quotes.iter().find(|q| q.index == index).cloned();
            of(&live).or_else(|| of(&kept))
        };
        Ok(Index::ALL.into_iter().filter_map(latest).collect())
    }
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

/// Why a store did not do it. Readers take any of it for a miss.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It answers, and refuses for a reason that is known.
    #[error("the store at {store} failed: {trouble}: {mend}")]
    Refused {
        /// Which store: its address, without any secret.
        store: String,
        /// What it refused.
        trouble: String,
        /// What to do.
        mend: &'static str,
    },
    /// There is no way to it.
    #[error("the store at {store} failed: {trouble}")]
    Unreachable {
        /// Which store: its address, without any secret.
        store: String,
        /// What happened.
        trouble: String,
    },
    /// It did not answer in time; what was asked for may have been done.
    #[error("the store at {store} failed: no answer in time")]
    Late {
        /// Which store: its address, without any secret.
        store: String,
    },
    /// It failed otherwise.
    #[error("the store at {store} failed: {trouble}")]
    Failed {
        /// Which store: its address, without any secret.
        store: String,
        /// What happened.
        trouble: String,
    },
    /// The prices in the store are of another broker than the one that this process asks; nothing was
    /// written.
    #[error(
        "the prices in this Redis are those of {theirs}, which {process} writes; this process asks \
         {ours}: give it a Redis or a store.namespace of its own, or end the others and try again in \
         {seconds} s"
    )]
    OtherBroker {
        /// The broker of this process.
        ours: String,
        /// The broker whose prices are there.
        theirs: String,
        /// The process that said so last.
        process: String,
        /// When that is over, if it ends now.
        seconds: u64,
    },
    /// The writer is not the leader any more; nothing newer was overwritten.
    #[error("another process leads now and writes the prices (lead {lead} has ended)")]
    Superseded {
        /// The number that the write carried.
        lead: Lead,
    },
}
