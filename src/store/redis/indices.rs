//! Levels of the indices in Redis, each under a key of its own.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use metrics::counter;
use redis::{Cmd, Script};

use super::RedisStore;
use crate::domain::{Index, IndexQuote};
use crate::port::{IndexStore, Lead, StoreError};

/// KEYS: the last lead, then the indices. ARGV: the lead of the writer, life in milliseconds, then
/// the objects. Returns whether it was the last lead.
static SET_AS_LEADER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        for i = 2, #KEYS do
          redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[2])
        end
        return 1",
    )
});

impl RedisStore {
    async fn set_indices(
        &self,
        objects: &[(String, Vec<u8>)],
        life: u64,
    ) -> Result<(), StoreError> {
        let set = |(key, json): &(String, Vec<u8>)| Cmd::pset_ex(key, json.as_slice(), life);
        let commands: Vec<Cmd> = objects.iter().map(set).collect();
        // Three keys on any slots of a cluster: one command each, all of them under way at once.
        try_join_all(commands.iter().map(|command| self.link.ask::<()>(command))).await?;
        Ok(())
    }

    async fn set_indices_as_leader(
        &self,
        objects: &[(String, Vec<u8>)],
        life: u64,
        lead: Lead,
    ) -> Result<(), StoreError> {
        let lead_key = self.lead_key();
        let keys = objects.iter().map(|(key, _)| key.as_str());
        let keys: Vec<&str> = std::iter::once(lead_key.as_str()).chain(keys).collect();
        let objects: Vec<&[u8]> = objects.iter().map(|(_, json)| json.as_slice()).collect();
        let leads: bool = self
            .link
            .eval(&SET_AS_LEADER, &keys, (lead.0, life, objects))
            .await?;
        if leads {
            Ok(())
        } else {
            Err(StoreError::Superseded { lead })
        }
    }
}

#[async_trait]
impl IndexStore for RedisStore {
    async fn write_indices(
        &self,
        indices: &[IndexQuote],
        life: Duration,
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
            objects.push((self.keys.index(quote.index), json));
        }
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        match lead {
            None => self.set_indices(&objects, life).await,
            Some(_) if self.link.is_cluster() => self.set_by_slot(&objects, life, lead).await,
            Some(lead) => self.set_indices_as_leader(&objects, life, lead).await,
        }
    }

    async fn indices(&self) -> Result<Vec<IndexQuote>, StoreError> {
        let command = |index: &Index| Cmd::get(self.keys.index(*index));
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
