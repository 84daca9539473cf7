//! The watched codes, which are refreshed more often than the rest.
//!
//! They are the codes on a watch list and the most read ones.

mod lists;
mod reads;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use sise_cache::{Cache, CacheError, CountError};
use sise_domain::{Heat, Symbol};
use sise_port::{StoreError, WatchedCodes};

pub use lists::{Listed, WatchLists, WatchListsError};
pub use reads::Reads;

/// Selects the codes on the watch lists and the most read of the rest.
pub struct Watch {
    lists: WatchLists,
    reads: Reads,
    /// The most read codes; `None` if they are not watched.
    heat: Option<Mutex<Warmth>>,
}

struct Warmth {
    heat: Heat,
    looked_at: Instant,
}

impl Watch {
    /// Creates a watch of the lists in `cache` and the `hottest` most read codes by `reads`.
    #[must_use]
    pub fn new(cache: &Cache, reads: Reads, hottest: usize) -> Self {
        let warmth = || {
            Mutex::new(Warmth {
                heat: Heat::new(hottest),
                looked_at: Instant::now(),
            })
        };
        Self {
            lists: WatchLists::new(cache),
            reads,
            heat: (hottest > 0).then(warmth),
        }
    }

    /// Returns the most read codes at present, without those that are `listed`.
    async fn hottest(&self, listed: &[Symbol]) -> Result<Vec<Symbol>, CountError> {
        let Some(heat) = &self.heat else {
            return Ok(Vec::new());
        };
        let totals = self.reads.totals().await?;
        // An update is a single step, so a poisoned lock is fine.
        let mut warmth = heat.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let elapsed = now - warmth.looked_at;
        warmth.looked_at = now;
        let listed = listed.iter().copied().collect();
        warmth.heat.look(totals, elapsed, &listed);
        Ok(warmth.heat.hottest().collect())
    }
}

#[async_trait]
impl WatchedCodes for Watch {
    async fn watched(&self) -> Result<Vec<Symbol>, StoreError> {
        let mut codes = self.lists.all_codes().await.map_err(|error| match error {
            WatchListsError::Cache(error) => store_error(error),
            error @ WatchListsError::Invalid(_) => failed(&error),
        })?;
        let hottest = self.hottest(&codes).await.map_err(|error| match error {
            CountError::Cache(error) => store_error(error),
            error @ (CountError::Durable(_) | CountError::Full(_)) => failed(&error),
        })?;
        codes.extend(hottest);
        Ok(codes)
    }
}

fn store_error(error: CacheError) -> StoreError {
    match error {
        CacheError::Store(error) => error,
        error => failed(&error),
    }
}

fn failed(error: &dyn fmt::Display) -> StoreError {
    StoreError::Failed {
        store: "the watch lists".to_owned(),
        trouble: error.to_string(),
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("lists", &self.lists)
            .field("has_heat", &self.heat.is_some())
            .finish_non_exhaustive()
    }
}
