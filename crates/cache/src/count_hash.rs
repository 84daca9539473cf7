//! Totals in a hash of a store.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::counters::number;
use super::key::{COUNTER, beside, key};
use super::{BoxError, Cache, DurableCounts};

/// Totals in a hash of a store: another Redis that writes everything to disk, or the same one.
#[derive(Debug, Clone)]
pub struct HashCounts {
    cache: Cache,
    key: String,
}

impl HashCounts {
    /// Returns the totals named `name` in the store of `cache`.
    #[must_use]
    pub fn new(cache: &Cache, name: &str) -> Self {
        Self {
            key: beside(&cache.prefix, "durable", &key(&cache.prefix, COUNTER, name)),
            cache: cache.clone(),
        }
    }
}

#[async_trait]
impl DurableCounts for HashCounts {
    async fn load(&self, names: &[String]) -> Result<Vec<u64>, BoxError> {
        let found = self.cache.shared.store.fields(&self.key, names);
        let found = self.cache.run("fields", found).await?;
        let total = |found: Option<Vec<u8>>| found.and_then(|text| number(&text)).unwrap_or(0);
        Ok(found.into_iter().map(total).collect())
    }

    async fn load_all(&self) -> Result<BTreeMap<String, u64>, BoxError> {
        let found = self.cache.shared.store.all_fields(&self.key);
        let found = self.cache.run("all_fields", found).await?;
        let total = |(name, text): (String, Vec<u8>)| Some((name, number(&text)?));
        Ok(found.into_iter().filter_map(total).collect())
    }

    async fn keep(&self, totals: &[(String, u64)]) -> Result<(), BoxError> {
        let raised = self.cache.shared.store.raise(&self.key, totals);
        Ok(self.cache.run("raise", raised).await?)
    }

    async fn forget(&self, names: &[String]) -> Result<(), BoxError> {
        let deleted = self.cache.shared.store.delete_fields(&self.key, names);
        self.cache.run("delete_fields", deleted).await?;
        Ok(())
    }
}
