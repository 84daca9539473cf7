//! Counters: exact at once, on the disk a little later.
//!
//!     REDIS_URL=redis://127.0.0.1:6379 cargo run --example cache_counters
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use sise::cache::{Behind, FileCounts};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = sise::cache_builder_from_env()?
        .namespace("blog", "example")
        .connect()
        .await?;
    let folder = std::env::temp_dir().join(format!("sise-example-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("views");

    // The file is told every seventh view of an article, and after five seconds at the latest.
    let behind = Behind {
        every: 7,
        within: Duration::from_secs(5),
        ..Behind::default()
    };
    let views = cache.counters("views", Arc::new(FileCounts::open(&file)?), behind);
    views.remove(&["article-7"]).await?;
    for _ in 0..100 {
        views.add("article-7", 1).await?;
    }
    assert_eq!(views.get("article-7").await, 100);
    views.close().await?;

    let lines = std::fs::read_to_string(&file)?;
    println!(
        "100 views, {} lines in the file, the last {:?}",
        lines.lines().count(),
        lines.lines().last()
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
