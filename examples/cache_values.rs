//! Typed values: one and many, for a while, with jitter, and what a failure looks like.
//!
//!     REDIS_URL=redis://127.0.0.1:6379 cargo run --example cache_values
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sise::cache::{Cached, Life};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
    written_at: DateTime<Utc>,
}

// Under `notes:example:note:<id>`, for ten minutes, some for up to a minute less.
impl Cached for Note {
    type Id = str;
    const KIND: &'static str = "note";
    const LIFE: Life = Life::of(Duration::from_secs(600)).jitter(10);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = sise::cache_builder_from_env()?
        .namespace("notes", "example")
        .connect()
        .await?;
    println!("{cache:?} answers in {:?}", cache.check().await?);

    let note = Note {
        text: "buy milk".to_owned(),
        written_at: "2026-11-20T09:00:00+09:00".parse()?,
    };
    cache.set("monday", &note).await?;
    cache
        .set_for("tuesday", &note, Life::of(Duration::from_secs(5)))
        .await?;
    cache
        .set_many(&[("friday", &note), ("sunday", &note)])
        .await?;

    // A time goes as RFC 3339 and comes back as a time.
    assert_eq!(cache.get::<Note>("monday").await, Some(note));
    let week = cache
        .get_many::<Note>(&["monday", "wednesday", "friday"])
        .await;
    println!("there are {} of 3", week.iter().flatten().count());
    assert!(cache.exists::<Note>("sunday").await);
    assert!(
        cache
            .expire::<Note>("sunday", Life::of(Duration::from_secs(1)))
            .await?
    );

    // Nobody builds a key to invalidate: type and id say it.
    assert!(cache.delete::<Note>("monday").await?);
    assert_eq!(
        cache
            .delete_many::<Note>(&["tuesday", "friday", "none"])
            .await?,
        2
    );

    // `get` takes a failure for a miss; `try_get` says what failed.
    let missing = cache.try_get::<Note>("monday").await?;
    println!("after the deletion: {missing:?}");

    let info = cache.info("").await?;
    println!("server {}, {} keys of ours", info.store.version, info.keys);
    let metrics = cache.metrics();
    println!(
        "{} operations, {} hits, {} misses, {:?} on average",
        metrics.operations, metrics.hits, metrics.misses, metrics.mean_time
    );
    Ok(())
}
