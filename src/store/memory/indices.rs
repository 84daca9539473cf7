//! Levels of the indices in memory.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use crate::domain::{Index, IndexQuote};
use crate::port::{Change, IndexStore, Lead, StoreError};

#[async_trait]
impl IndexStore for MemoryStore {
    async fn write_indices(
        &self,
        indices: &[IndexQuote],
        life: Duration,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        let now = Instant::now();
        let dies_at = now + life;
        let mut shelves = self.change();
        if let Some(lead) = lead
            && shelves.last_lead() != Some(lead)
        {
            return Err(StoreError::Superseded { lead });
        }
        let mut written = Vec::with_capacity(indices.len());
        for quote in indices {
            let quote = quote.clone().as_stored();
            let held = shelves.indices.get(&quote.index);
            let stands = |held: &&(IndexQuote, Instant)| held.1 > now;
            if held
                .filter(stands)
                .is_some_and(|(held, _)| quote.fetched_at < held.fetched_at)
            {
                continue;
            }
            written.push(quote.clone());
            shelves.indices.insert(quote.index, (quote, dies_at));
        }
        drop(shelves);
        if !written.is_empty() {
            self.tell_written(Change::Indices(written));
        }
        Ok(())
    }

    async fn indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        let now = Instant::now();
        Ok(self.read(|shelves| {
            let live = |index| {
                let (quote, dies_at) = shelves.indices.get(&index)?;
                (*dies_at > now).then(|| quote.clone())
            };
            Index::ALL.into_iter().filter_map(live).collect()
        }))
    }
}
