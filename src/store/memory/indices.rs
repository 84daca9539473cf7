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
        let dies_at = Instant::now() + life;
        let mut shelves = self.change();
        if let Some(lead) = lead
            && shelves.last_lead() != Some(lead)
        {
            return Err(StoreError::Superseded { lead });
        }
        for quote in indices {
            let quote = quote.clone().as_stored();
            shelves.indices.insert(quote.index, (quote, dies_at));
        }
        drop(shelves);
        let written = indices.iter().cloned().map(IndexQuote::as_stored).collect();
        self.tell_written(Change::Indices(written));
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
