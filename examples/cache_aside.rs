//! Cache-aside: loaded once for all who ask, remembered when there is none, and standing in when the
//! loader fails.
//!
//!     REDIS_URL=redis://127.0.0.1:6379 cargo run --example cache_aside
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use sise::cache::{Cached, Life, Origin};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Article {
    title: String,
}

impl Cached for Article {
    type Id = u64;
    const KIND: &'static str = "article";
    const LIFE: Life = Life::of(Duration::from_secs(600)).jitter(10);
}

static LOADS: AtomicU32 = AtomicU32::new(0);

/// Stands for a database.
async fn find(id: u64) -> Result<Option<Article>, io::Error> {
    LOADS.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(20)).await;
    match id {
        7 => Ok(Some(Article {
            title: "Seven".to_owned(),
        })),
        _ => Ok(None),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = sise::cache_builder_from_env()?
        .namespace("blog", "example")
        .connect()
        .await?;
    cache.delete_many::<Article>(&[&7, &8]).await?;

    // A thousand readers of one cold value, one load.
    let read = || cache.get_or_set(&7, || find(7));
    let all = join_all((0..1_000).map(|_| read())).await;
    let found = all.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert!(found.iter().all(Option::is_some));
    println!(
        "{} readers, {} load",
        found.len(),
        LOADS.load(Ordering::Relaxed)
    );
    assert_eq!(LOADS.load(Ordering::Relaxed), 1);

    // That there is none is remembered too, for as long as you say.
    for _ in 0..2 {
        let aside = cache
            .aside::<Article>(&8)
            .missing_for(Duration::from_secs(30));
        assert_eq!(aside.or_load(|| find(8)).await?.value, None);
    }
    assert_eq!(LOADS.load(Ordering::Relaxed), 2);

    // A value that has ended stands in while the loader fails, and says so.
    let short = Life::of(Duration::from_millis(200));
    let aside = || {
        cache
            .aside::<Article>(&7)
            .life(short)
            .stale_if_error(Duration::from_secs(60))
    };
    cache.delete::<Article>(&7).await?;
    aside().or_load(|| find(7)).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let broken = || async { Err::<Option<Article>, _>(io::Error::other("the database is away")) };
    let stale = aside().or_load(broken).await?;
    assert_eq!(stale.origin, Origin::Stale);
    println!("{:?} from {:?}", stale.value, stale.origin);
    Ok(())
}
