//! The cache service on a real Redis.
#![expect(clippy::unwrap_used, reason = "a test that fails is a panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use sise::cache::{Cache, Cached, Life, Origin};
use support::redis::RedisServer;

/// Generous: a machine under load is no failure.
const TIMEOUT: Duration = Duration::from_secs(5);

fn cache(server: &RedisServer) -> Cache {
    Cache::builder()
        .redis_url(&server.url())
        .namespace("shop", "test")
        .timeout(TIMEOUT)
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

#[tokio::test]
async fn a_value_comes_back_as_it_was_and_its_time_is_rfc_3339() {
    let server = RedisServer::start().await;
    let cache = cache(&server);
    assert_eq!(cache.try_get::<Article>(&7).await.unwrap(), None);
    cache.set(&7, &article("one")).await.unwrap();
    assert_eq!(cache.get::<Article>(&7).await, Some(article("one")));
    let texts = server.texts("*").await;
    let (key, text) = texts.first_key_value().unwrap();
    assert_eq!(key, "shop:test:article:7");
    assert!(text.contains("\"2026-11-20T00:00:00.500Z\""), "{text}");
    assert!(cache.exists::<Article>(&7).await);
    assert!(cache.delete::<Article>(&7).await.unwrap());
    assert!(!cache.exists::<Article>(&7).await);
    assert!(!cache.delete::<Article>(&7).await.unwrap());
}

#[tokio::test]
async fn ten_thousand_who_want_one_cold_value_make_one_load() {
    let server = RedisServer::start().await;
    let cache = cache(&server);
    let loads = Arc::new(AtomicU32::new(0));
    let read = |cache: Cache| {
        let loads = Arc::clone(&loads);
        tokio::spawn(async move {
            let load = || async {
                loads.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok::<_, std::io::Error>(Some(article("one")))
            };
            cache.aside::<Article>(&7).or_load(load).await.unwrap()
        })
    };
    let readers = (0..10_000).map(|_| read(cache.clone()));
    for loaded in join_all(readers).await {
        assert_eq!(loaded.unwrap().value, Some(article("one")));
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    let again = cache.aside::<Article>(&7);
    let again = again
        .or_load(|| async { Ok::<_, std::io::Error>(None) })
        .await;
    assert_eq!(again.unwrap().origin, Origin::Cache);
}
