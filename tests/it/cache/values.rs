//! Values: as they were, spread over their lives, and misses where anything is wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sise::cache::{Cache, CacheError, Cached, Life, State};

use crate::cache::{Article, article, cache_at};
use crate::support::redis::RedisServer;
use crate::support::until;

/// Another type under the same key, as after a change of the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Renamed {
    heading: String,
}

impl Cached for Renamed {
    type Id = u64;
    const KIND: &'static str = "article";
    const LIFE: Life = Life::FOREVER;
}

#[tokio::test]
async fn a_value_comes_back_as_it_was_and_its_time_is_rfc_3339() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
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
async fn a_thousand_keys_set_together_end_spread_over_their_window() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let ids: Vec<u64> = (0..1_000).collect();
    let one = article("one");
    let values: Vec<(&u64, &Article)> = ids.iter().map(|id| (id, &one)).collect();
    let life = Life::of(Duration::from_secs(1_000)).jitter(50);
    cache.set_many_for(&values, life).await.unwrap();
    let keys: Vec<String> = server.texts("*").await.into_keys().collect();
    let lives = server.lives(&keys).await;
    assert_eq!(lives.len(), 1_000);
    let (shortest, longest) = (lives.iter().min().unwrap(), lives.iter().max().unwrap());
    assert!((440_000..525_000).contains(shortest), "{shortest}");
    assert!((915_000..=1_000_000).contains(longest), "{longest}");
    let mut tenths = [0; 10];
    for life in &lives {
        tenths[usize::try_from((1_000_000 - life) / 50_000).unwrap().min(9)] += 1;
    }
    // A hundred each on average; ten is one standard deviation.
    assert!(
        tenths.iter().all(|tenth| (40..=160).contains(tenth)),
        "{tenths:?}"
    );
}

#[tokio::test]
async fn a_value_of_another_type_is_a_miss_or_an_error() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    cache.set(&7, &article("one")).await.unwrap();
    cache
        .set(
            &8,
            &Renamed {
                heading: "two".to_owned(),
            },
        )
        .await
        .unwrap();
    assert_eq!(cache.get::<Renamed>(&7).await, None);
    let error = cache.try_get::<Renamed>(&7).await.unwrap_err();
    assert!(
        matches!(&error, CacheError::Decode { key, .. } if key == "shop:test:article:7"),
        "{error}"
    );
    let many = cache.get_many::<Renamed>(&[&7, &8, &9]).await;
    assert_eq!(
        many.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, true, false]
    );
    assert!(cache.try_get_many::<Renamed>(&[&7, &8]).await.is_err());
    assert_eq!(cache.state(), State::Healthy, "the store is well");
    // Written over, it is one of this type.
    let loaded = cache.aside::<Renamed>(&7).or_load(|| async {
        Ok::<_, std::io::Error>(Some(Renamed {
            heading: "new".to_owned(),
        }))
    });
    assert_eq!(loaded.await.unwrap().value.unwrap().heading, "new");
    assert_eq!(cache.get::<Renamed>(&7).await.unwrap().heading, "new");
}

#[tokio::test]
async fn many_are_written_read_and_deleted_together() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let (one, two) = (article("one"), article("two"));
    cache.set_many(&[(&1, &one), (&2, &two)]).await.unwrap();
    let found = cache.try_get_many::<Article>(&[&2, &3, &1]).await.unwrap();
    assert_eq!(found, [Some(two), None, Some(one)]);
    assert!(
        cache
            .expire::<Article>(&1, Life::of(Duration::from_millis(100)))
            .await
            .unwrap()
    );
    until("it ends", async || {
        (!cache.exists::<Article>(&1).await).then_some(())
    })
    .await;
    assert!(!cache.expire::<Article>(&1, Article::LIFE).await.unwrap());
    let refused = cache.expire::<Article>(&2, Life::FOREVER).await;
    assert!(matches!(refused, Err(CacheError::Invalid(_))));
    assert_eq!(
        cache.delete_many::<Article>(&[&1, &2, &3]).await.unwrap(),
        1
    );
    assert!(cache.try_get_many::<Article>(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn without_redis_reads_are_misses_and_the_strict_forms_say_why() {
    let mut server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    cache.set(&1, &article("one")).await.unwrap();
    server.kill().await;
    assert_eq!(cache.get::<Article>(&1).await, None);
    assert_eq!(
        cache.get_many::<Article>(&[&1, &2, &3]).await,
        [None, None, None]
    );
    assert!(!cache.exists::<Article>(&1).await);
    assert!(!cache.sessions::<u8>().check("0123456789abcdef").await);
    assert_eq!(cache.sessions::<u8>().get("0123456789abcdef").await, None);
    let profiles = cache.profiles("watch");
    assert_eq!(
        profiles.get_bulk::<u8>("kim", &["a", "b"]).await,
        [None, None]
    );
    assert!(profiles.get_all::<u8>("kim").await.is_empty());
    let ranking = cache.ranking("gainers");
    assert_eq!(
        (ranking.get_rank("a").await, ranking.get_count().await),
        (None, 0)
    );
    assert!(ranking.get_rank_range(1, 10).await.is_empty());
    assert!(cache.try_get::<Article>(&1).await.is_err());
    assert!(cache.try_get_many::<Article>(&[&1]).await.is_err());
    assert!(cache.try_exists::<Article>(&1).await.is_err());
    assert!(cache.set(&1, &article("one")).await.is_err());
    assert!(cache.delete::<Article>(&1).await.is_err());
    assert!(
        cache
            .sessions::<u8>()
            .try_get("0123456789abcdef")
            .await
            .is_err()
    );
    assert!(profiles.try_get::<u8>("kim", "a").await.is_err());
    assert!(ranking.try_get_count().await.is_err());
    assert!(cache.check().await.is_err() && cache.info("").await.is_err());
    let loaded = cache.aside::<Article>(&1);
    let loaded = loaded.or_load(|| async { Ok::<_, std::io::Error>(Some(article("two"))) });
    assert_eq!(loaded.await.unwrap().value, Some(article("two")));
}

#[tokio::test]
async fn a_profile_is_read_field_by_field_or_whole() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let profiles = cache.profiles("watch");
    profiles.set("kim", "age", &7).await.unwrap();
    profiles
        .set_bulk("kim", &[("size", &1), ("weight", &2)])
        .await
        .unwrap();
    profiles.set("kim", "name", &"Kim").await.unwrap();
    assert_eq!(profiles.get::<u8>("kim", "age").await, Some(7));
    assert_eq!(profiles.get::<u8>("kim", "name").await, None);
    assert!(profiles.try_get::<u8>("kim", "name").await.is_err());
    let some = profiles
        .get_bulk::<u8>("kim", &["size", "name", "nothing", "age"])
        .await;
    assert_eq!(some, [Some(1), None, None, Some(7)]);
    assert_eq!(profiles.get_all::<u8>("kim").await.len(), 3);
    assert!(profiles.try_get_all::<u8>("kim").await.is_err());
    assert_eq!(
        profiles
            .try_get_all::<serde_json::Value>("kim")
            .await
            .unwrap()
            .len(),
        4
    );
    // A colon in a name of either does not make it another's.
    cache
        .profiles("watch:kim")
        .set("lee", "age", &8)
        .await
        .unwrap();
    assert_eq!(profiles.get::<u8>("kim:lee", "age").await, None);
    assert_eq!(
        profiles.remove("kim", &["age", "nothing"]).await.unwrap(),
        1
    );
    assert!(profiles.clear("kim").await.unwrap());
    assert!(!profiles.clear("kim").await.unwrap());
    assert!(profiles.get_all::<u8>("kim").await.is_empty());
}

/// How often the server ran a command.
async fn calls(server: &RedisServer, command: &str) -> u64 {
    let mut connection = server.connection().await;
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(&mut connection)
        .await
        .unwrap();
    let head = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&head));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn it_tells_of_the_store_and_counts_its_keys_by_scan_alone() {
    let server = RedisServer::start_with(
        &["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"],
        "",
    )
    .await;
    let cache = cache_at(&server.url());
    let one = article("one");
    let ids: Vec<u64> = (0..3_000).collect();
    let values: Vec<(&u64, &Article)> = ids.iter().map(|id| (id, &one)).collect();
    cache.set_many(&values).await.unwrap();
    cache.with_namespace("shop*").set(&1, &one).await.unwrap();
    let info = cache.info("article:").await.unwrap();
    assert_eq!(info.keys, 3_000);
    assert_eq!(
        cache.with_namespace("shop*").info("").await.unwrap().keys,
        1
    );
    assert_eq!(
        (info.store.maxmemory, info.store.maxmemory_policy.as_str()),
        (100 << 20, "allkeys-lru")
    );
    assert!(
        info.store.used_memory > 0 && info.store.version.contains('.'),
        "{info:?}"
    );
    assert_eq!(calls(&server, "keys").await, 0);
    assert!(calls(&server, "scan").await >= 4);
    assert!(cache.check().await.unwrap() > Duration::ZERO);
    assert!(calls(&server, "ping").await > 0);
}

#[tokio::test]
async fn what_became_of_the_operations_is_counted_and_begins_anew() {
    let mut server = RedisServer::start().await;
    let cache: Cache = cache_at(&server.url());
    cache.set(&1, &article("one")).await.unwrap();
    cache.get_many::<Article>(&[&1, &2, &3]).await;
    cache.get::<Article>(&1).await;
    let metrics = cache.metrics();
    assert_eq!(
        (metrics.operations, metrics.successes, metrics.failures),
        (3, 3, 0)
    );
    assert_eq!(
        (metrics.hits, metrics.misses, metrics.hit_ratio),
        (2, 2, Some(0.5))
    );
    assert!(metrics.mean_time > Duration::ZERO && metrics.mean_time <= metrics.longest_time);
    let last = metrics.last.unwrap();
    assert_eq!((last.name, last.is_done), ("get", true));
    // A store that answers and refuses, and one that is away.
    let mut connection = server.connection().await;
    let _: () = redis::cmd("LPUSH")
        .arg(&["shop:test:article:9", "x"])
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(cache.try_get::<Article>(&9).await.is_err());
    server.kill().await;
    assert_eq!(cache.get::<Article>(&1).await, None);
    let metrics = cache.metrics();
    assert_eq!((metrics.operations, metrics.failures), (5, 2));
    assert_eq!(
        (
            metrics.store_errors,
            metrics.connection_failures,
            metrics.timeouts
        ),
        (1, 1, 0)
    );
    assert_eq!((metrics.hits, metrics.misses), (2, 4));
    assert!(!metrics.last.unwrap().is_done);
    cache.reset_metrics();
    let metrics = cache.metrics();
    assert_eq!(
        (
            metrics.operations,
            metrics.misses,
            metrics.hit_ratio,
            metrics.last
        ),
        (0, 0, None, None)
    );
    assert_eq!(metrics.mean_time, Duration::ZERO);
}
