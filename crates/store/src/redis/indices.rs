//! Index levels in Redis, each under its own key.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use metrics::counter;
use redis::Cmd;

use super::RedisStore;
use super::prices::{life, marked};
use crate::keys::Keys;
use sise_domain::{Index, IndexQuote};
use sise_port::{IndexStore, Lead, Shelf, StoreError};

#[async_trait]
impl IndexStore for RedisStore {
    async fn write_indices(
        &self,
        indices: &[IndexQuote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        if indices.is_empty() {
            return Ok(());
        }
        let mut objects = Vec::with_capacity(indices.len());
        for quote in indices {
            let json = serde_json::to_vec(quote).map_err(|error| StoreError::Failed {
                store: self.link.address().to_owned(),
                trouble: format!("{} cannot be encoded: {error}", quote.index),
            })?;
            let key = match shelf {
                Shelf::Realtime(_) => self.keys.index(quote.index),
                Shelf::Close | Shelf::LastKnown(_) => self.keys.closing_index(quote.index),
            };
            objects.push((key, marked(json, shelf)));
        }
        let put = self.put(&objects, life(shelf), "indices", lead);
        put.await.map(drop)
    }

    async fn indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        self.read_indices(Keys::index).await
    }

    async fn closing_indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        self.read_indices(Keys::closing_index).await
    }
}

impl RedisStore {
    /// Reads the levels under the keys that `name` returns.
    async fn read_indices(
        &self,
        name: impl Fn(&Keys, Index) -> String,
    ) -> Result<Vec<IndexQuote>, StoreError> {
        let command = |index: &Index| Cmd::get(name(&self.keys, *index));
        let commands: Vec<Cmd> = Index::ALL.iter().map(command).collect();
        let asked = commands
            .iter()
            .map(|command| self.link.ask_own::<Option<Vec<u8>>>(command));
        let found = Index::ALL.into_iter().zip(try_join_all(asked).await?);
        let read = |(index, json): (Index, Option<Vec<u8>>)| {
            let quote = serde_json::from_slice::<IndexQuote>(&json?);
            let quote = quote
                .ok()
                .filter(|quote| quote.index == index && quote.level > 0.0);
            if quote.is_none() {
                counter!("sise_store_unreadable_total").increment(1);
            }
            quote
        };
        Ok(found.filter_map(read).collect())
    }
}
