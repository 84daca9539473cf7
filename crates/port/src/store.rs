//! Storage of prices.

use std::time::Duration;

use async_trait::async_trait;
use chrono::NaiveDate;

use super::Lead;
use sise_domain::{Index, IndexQuote, Quote, Symbol};

/// Groups of prices in a store (docs/prices.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// `realtime:price:<code>`: expires after a TTL.
    Realtime(Duration),
    /// `close:price:<code>`: kept until replaced.
    Close,
    /// The same keys, for the last known prices of a day whose close is missing.
    ///
    /// They are taken out of session, after the session of this day. They never replace a close of
    /// that day or a later one, and every such close replaces them, even if it was taken earlier.
    LastKnown(NaiveDate),
}

impl Shelf {
    /// Returns the day after whose session its prices are the last known.
    #[must_use]
    pub fn last_known_of(self) -> Option<NaiveDate> {
        match self {
            Self::LastKnown(day) => Some(day),
            Self::Realtime(_) | Self::Close => None,
        }
    }
}

/// Result of a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Indices of the quotes that were not written, because a newer price was stored; ascending.
    pub older: Vec<usize>,
}

impl Written {
    /// Returns those of `quotes`, the quotes of the write, that were written.
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

/// Storage of prices.
#[async_trait]
pub trait PriceStore: Send + Sync {
    /// Writes quotes in one round trip, except those for which a newer one is stored.
    ///
    /// [`Quote::is_outranked_by`] decides, whichever process wrote the stored price. Unreadable
    /// prices, and prices from the future by the store's clock, are replaced. With `lead`, the
    /// store accepts the quotes only while that lead is the last one granted
    /// ([`super::Leadership`]), so that a leader that was paused cannot overwrite later prices.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses; some of the quotes may have been
    /// written. It refuses quotes from the future.
    ///
    /// Returns [`StoreError::Superseded`] if the lead has ended. Then nothing was written or, in a
    /// cluster, nothing of a later leader was overwritten.
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<Written, StoreError>;

    /// Returns the live prices of `symbols`, in order, in one round trip.
    ///
    /// Values that are not price objects count as missing.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError>;

    /// Returns the last closes of `symbols`, in the same way.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError>;

    /// Returns the remaining lives of the live prices of `symbols`, in order.
    ///
    /// `None` if the price is missing or does not expire.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn lives(&self, symbols: &[Symbol]) -> Result<Vec<Option<Duration>>, StoreError>;

    /// Checks that the store answers.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Storage of index levels: `realtime:index:<name>`, `close:index:<name>`.
#[async_trait]
pub trait IndexStore: Send + Sync {
    /// Writes levels, except those for which a newer one is stored ([`PriceStore::write`]).
    ///
    /// With `lead`, only while that lead is the last one granted.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses, or if the lead has ended.
    async fn write_indices(
        &self,
        indices: &[IndexQuote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<(), StoreError>;

    /// Returns the live levels, in the order of [`Index::ALL`](sise_domain::Index::ALL).
    ///
    /// Values that are not index levels count as missing.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn indices(&self) -> Result<Vec<IndexQuote>, StoreError>;

    /// Returns the last closing levels, in the same way.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn closing_indices(&self) -> Result<Vec<IndexQuote>, StoreError>;

    /// Returns the live level of each index, or its last closing level if there is none.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn latest_indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        let (live, kept) = (self.indices().await?, self.closing_indices().await?);
        let latest = |index| {
            let of = |quotes: &[IndexQuote]| quotes.iter().find(|q| q.index == index).cloned();
            of(&live).or_else(|| of(&kept))
        };
        Ok(Index::ALL.into_iter().filter_map(latest).collect())
    }
}

/// Storage of a copy of the stock list, in addition to the disk.
#[async_trait]
pub trait CopyStore: Send + Sync {
    /// Returns the copy under `name`.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn load_copy(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Replaces the copy under `name`.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn save_copy(&self, name: &str, text: &str) -> Result<(), StoreError>;
}

/// Why a store operation failed. Readers treat all of these as a miss.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It answered, and refused for a known reason.
    #[error("the store at {store} failed: {trouble}: {mend}")]
    Refused {
        /// Which store: its address, without any secret.
        store: String,
        /// What it refused.
        trouble: String,
        /// How to fix it.
        mend: &'static str,
    },
    /// It is unreachable.
    #[error("the store at {store} failed: {trouble}")]
    Unreachable {
        /// Which store: its address, without any secret.
        store: String,
        /// What happened.
        trouble: String,
    },
    /// It did not answer in time; the operation may have been done.
    #[error("the store at {store} failed: no answer in time")]
    Late {
        /// Which store: its address, without any secret.
        store: String,
    },
    /// It failed in another way.
    #[error("the store at {store} failed: {trouble}")]
    Failed {
        /// Which store: its address, without any secret.
        store: String,
        /// What happened.
        trouble: String,
    },
    /// The prices in the store belong to another broker than that of this process.
    ///
    /// Nothing was written.
    #[error(
        "the prices in this Redis are those of {theirs}, written by {process}, but this process uses \
         {ours}: give it its own Redis or store.namespace, or stop the others and try again in \
         {seconds} s"
    )]
    OtherBroker {
        /// The broker of this process.
        ours: String,
        /// The broker whose prices are there.
        theirs: String,
        /// The process that last claimed the prices.
        process: String,
        /// Seconds until that claim ends if it is not renewed.
        seconds: u64,
    },
    /// The writer no longer leads; nothing newer was overwritten.
    #[error("another process leads now and writes the prices (lead {lead} has ended)")]
    Superseded {
        /// The lead of the write.
        lead: Lead,
    },
}
