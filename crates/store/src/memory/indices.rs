//! Index levels in memory.

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use sise_domain::outrank::Taken;
use sise_domain::{Index, IndexQuote};
use sise_port::{Change, IndexStore, Lead, Shelf, StoreError};

#[async_trait]
impl IndexStore for MemoryStore {
    async fn write_indices(
        &self,
        indices: &[IndexQuote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        let now = Instant::now();
        let mut shelves = self.change();
        if let Some(lead) = lead
            && shelves.last_lead() != Some(lead)
        {
            return Err(StoreError::Superseded { lead });
        }
        let mut written = Vec::with_capacity(indices.len());
        for quote in indices {
            let quote = quote.clone().as_stored();
            let index = quote.index;
            let taken = Taken {
                at: quote.fetched_at,
                last_known_of: shelf.last_known_of(),
                simulated: quote.simulated,
            };
            let is_outranked = match shelf {
                Shelf::Realtime(_) => {
                    let held = shelves.indices.get(&index);
                    held.is_some_and(|(held, dies_at)| {
                        *dies_at > now && quote.fetched_at < held.fetched_at
                    })
                }
                Shelf::Close | Shelf::LastKnown(_) => {
                    let held = shelves.closing_indices.get(&index);
                    held.is_some_and(|(_, held)| taken.is_outranked_by(*held))
                }
            };
            if is_outranked {
                continue;
            }
            written.push(quote.clone());
            match shelf {
                Shelf::Realtime(life) => {
                    shelves.indices.insert(index, (quote, now + life));
                }
                Shelf::Close | Shelf::LastKnown(_) => {
                    shelves.closing_indices.insert(index, (quote, taken));
                }
            }
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

    async fn closing_indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        Ok(self.read(|shelves| {
            let kept = |index| shelves.closing_indices.get(&index).map(|(quote, _)| quote);
            let kept = Index::ALL.into_iter().filter_map(kept);
            kept.cloned().collect()
        }))
    }
}
