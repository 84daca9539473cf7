//! Write-through and write-behind: the durable side first, or a little later and in batches.
//!
//!     REDIS_URL=redis://127.0.0.1:6379 cargo run --example cache_writes
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sise::cache::{Behind, BoxError, Cached, Life, Sink};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Position {
    shares: i64,
}

impl Cached for Position {
    type Id = str;
    const KIND: &'static str = "position";
    const LIFE: Life = Life::of(Duration::from_secs(3_600));
}

/// Stands for a database that would rather have many at once.
struct Database;

#[async_trait]
impl Sink<Position> for Database {
    async fn write(&self, batch: &[(String, Position)]) -> Result<(), BoxError> {
        println!("the database takes {} at once", batch.len());
        Ok(())
    }
}

async fn save(_: &Position) -> Result<(), io::Error> {
    println!("the database takes one");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = sise::cache_builder_from_env()?
        .namespace("desk", "example")
        .connect()
        .await?;

    let position = Position { shares: 10 };
    let is_cached = cache
        .write_through("005930", &position, save(&position))
        .await?;
    assert!(is_cached && cache.get::<Position>("005930").await == Some(position));

    // Every hundred, after five seconds, and at the end; ten thousand may wait.
    let behind = cache.write_behind(Arc::new(Database), Behind::default());
    for shares in 0..250 {
        // Of one id the last is written.
        behind.set("000660", Position { shares }).await?;
        behind
            .set(&format!("{shares:06}"), Position { shares })
            .await?;
    }
    assert_eq!(behind.get("000660").await, Some(Position { shares: 249 }));
    behind.close().await?;
    Ok(())
}
