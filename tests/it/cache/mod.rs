//! The cache service on a real Redis, and in memory where time must pass at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod aside;
mod behind;
mod counters;
mod faults;
mod lines;
mod rankings;
mod sessions;
mod values;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sise::cache::{BoxError, Cache, Cached, DurableCounts, Life, Sink};

/// Generous: a machine under load is no failure.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A cache as another process has one: it shares nothing but the store.
fn cache_at(url: &str) -> Cache {
    cache_within(url, TIMEOUT)
}

fn cache_within(url: &str, timeout: Duration) -> Cache {
    Cache::builder()
        .redis_url(url)
        .namespace("shop", "test")
        .timeout(timeout)
        .build()
        .unwrap()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Article {
    title: String,
    written_at: DateTime<Utc>,
}

impl Cached for Article {
    type Id = u64;
    const KIND: &'static str = "article";
    const LIFE: Life = Life::of(Duration::from_secs(600)).jitter(10);
}

fn article(title: &str) -> Article {
    Article {
        title: title.to_owned(),
        written_at: "2026-11-20T09:00:00.5+09:00".parse().unwrap(),
    }
}

/// A durable side that counts its calls, and fails when it is told to.
#[derive(Debug, Default)]
struct Durable {
    totals: Mutex<BTreeMap<String, u64>>,
    keeps: AtomicU64,
    fails: AtomicBool,
}

impl Durable {
    fn total(&self, name: &str) -> u64 {
        self.totals.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    fn trouble(&self) -> Result<(), BoxError> {
        match self.fails.load(Ordering::SeqCst) {
            true => Err("the disk is full".into()),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl DurableCounts for Durable {
    async fn load(&self, names: &[String]) -> Result<Vec<u64>, BoxError> {
        self.trouble()?;
        Ok(names.iter().map(|name| self.total(name)).collect())
    }

    async fn load_all(&self) -> Result<BTreeMap<String, u64>, BoxError> {
        self.trouble()?;
        Ok(self.totals.lock().unwrap().clone())
    }

    async fn keep(&self, totals: &[(String, u64)]) -> Result<(), BoxError> {
        self.keeps.fetch_add(1, Ordering::SeqCst);
        self.trouble()?;
        let mut held = self.totals.lock().unwrap();
        for (name, total) in totals {
            let held = held.entry(name.clone()).or_default();
            *held = (*held).max(*total);
        }
        Ok(())
    }

    async fn forget(&self, names: &[String]) -> Result<(), BoxError> {
        self.trouble()?;
        let mut held = self.totals.lock().unwrap();
        held.retain(|name, _| !names.contains(name));
        Ok(())
    }
}

/// The other side of a write-behind: remembers every batch, and fails when it is told to.
#[derive(Debug, Default)]
struct Shelf {
    batches: Mutex<Vec<Vec<(String, Article)>>>,
    tries: AtomicU64,
    fails: AtomicBool,
}

impl Shelf {
    fn sizes(&self) -> Vec<usize> {
        self.batches.lock().unwrap().iter().map(Vec::len).collect()
    }

    /// The titles by id, the last of each.
    fn titles(&self) -> BTreeMap<String, String> {
        let batches = self.batches.lock().unwrap();
        let written = batches.iter().flatten();
        written
            .map(|(id, article)| (id.clone(), article.title.clone()))
            .collect()
    }
}

#[async_trait]
impl Sink<Article> for Shelf {
    async fn write(&self, batch: &[(String, Article)]) -> Result<(), BoxError> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err("the other side is away".into());
        }
        self.batches.lock().unwrap().push(batch.to_vec());
        Ok(())
    }
}
