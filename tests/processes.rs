//! Proves that processes of one app key share the broker's limit and its token: many real
//! processes, one Redis, one simulated broker that counts.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use tempfile::TempDir;

use support::program::Program;
use support::redis::RedisServer;
use support::world::World;
use support::{http, list, until};

/// Folders of their own, as on machines of their own.
fn homes(count: usize) -> Vec<TempDir> {
    (0..count).map(|_| tempfile::tempdir().unwrap()).collect()
}

fn once(world: &World, home: &TempDir, codes: &[String]) -> Program {
    let codes = codes.join(",");
    world.sise_in(home.path(), &["run", "--once", "--json", "--codes", &codes])
}

/// However many start at once, and though none finds a token on its disk: the broker is asked for
/// one token, once, and all work with it.
#[tokio::test]
async fn many_that_start_at_once_have_one_token_issued() {
    let world = World::new(&["--latency", "50ms"]).await;
    let homes = homes(8);
    let running: Vec<_> = homes
        .iter()
        .map(|home| once(&world, home, &list::codes(30)).start())
        .collect();
    for process in running {
        process.end().await.exits(0);
    }
    let stats = world.broker.stats();
    assert_eq!(
        (stats.token_requests, stats.tokens_issued),
        (1, 1),
        "{stats:?}"
    );
    assert_eq!((stats.unauthorized, stats.refused), (0, 0), "{stats:?}");
}

/// The broker allows 18 calls in any second; four processes with 15 a second each would make 60.
#[tokio::test]
async fn together_they_keep_to_the_brokers_limit() {
    let world = World::new(&["--latency", "30ms"]).await;
    let homes = homes(4);
    let codes = list::codes(450);
    let running: Vec<_> = homes
        .iter()
        .map(|home| once(&world, home, &codes).start())
        .collect();
    for process in running {
        let report = process.end().await.exits(0).json();
        assert_eq!(report["written"].as_u64(), Some(450), "{report}");
        assert_eq!(report["refused_calls"].as_u64(), Some(0), "{report}");
    }
    let stats = world.broker.stats();
    assert_eq!((stats.refused, stats.over_limit), (0, 0), "{stats:?}");
    assert!(stats.max_calls_per_second_window <= 18, "{stats:?}");
}

/// A paper account allows one call a second.
#[tokio::test]
async fn together_they_keep_to_the_limit_of_a_paper_account() {
    let world = World::new(&["--mode", "paper"]).await;
    let homes = homes(3);
    let running: Vec<_> = homes
        .iter()
        .map(|home| {
            once(&world, home, &list::codes(2))
                .set("KIS_ENV", "paper")
                .start()
        })
        .collect();
    for process in running {
        process.end().await.exits(0);
    }
    let stats = world.broker.stats();
    assert_eq!((stats.refused, stats.over_limit), (0, 0), "{stats:?}");
    assert!(stats.max_calls_per_second_window <= 1, "{stats:?}");
}

/// Redis dies while four processes are at it: each keeps to its own share, and says so.
#[tokio::test]
async fn without_redis_each_keeps_to_its_share() {
    let mut world = World::new(&["--latency", "30ms"]).await;
    let homes = homes(4);
    let codes = list::codes(900);
    let running: Vec<_> = homes
        .iter()
        .map(|home| {
            once(&world, home, &codes)
                .set("SISE__SWEEP__BATCH_SIZE", "10")
                .start()
        })
        .collect();
    world.broker.has_seen(20).await;
    world.redis.kill().await;
    for process in &running {
        process
            .says(&["the shared rate budget is away", "its own share"])
            .await;
    }
    let before = world.broker.stats().calls;
    world.broker.has_seen(before + 20).await;
    world.redis.start_again().await;
    for process in &running {
        process
            .says(&["the shared rate budget answers again"])
            .await;
    }
    let before = world.broker.stats().calls;
    world.broker.has_seen(before + 20).await;
    for process in &running {
        process.signal("TERM");
    }
    for process in running {
        process.end().await.exits(143);
    }
    let stats = world.broker.stats();
    assert_eq!((stats.refused, stats.over_limit), (0, 0), "{stats:?}");
}

/// The token dies in the middle: one process has another issued, the rest take that.
#[tokio::test]
async fn a_token_that_dies_is_replaced_once_for_all() {
    let world = World::new(&["--latency", "30ms"]).await;
    let homes = homes(3);
    let codes = list::codes(600);
    let running: Vec<_> = homes
        .iter()
        .map(|home| once(&world, home, &codes).start())
        .collect();
    world.broker.has_seen(15).await;
    world.broker.kill_tokens();
    for process in running {
        let report = process.end().await.exits(0).json();
        assert_eq!(report["written"].as_u64(), Some(600), "{report}");
    }
    let stats = world.broker.stats();
    assert_eq!(
        (stats.tokens_issued, stats.token_requests),
        (2, 2),
        "{stats:?}"
    );
}

/// Real and paper never mix: the same Redis, the same key, another environment, another token.
#[tokio::test]
async fn real_and_paper_have_tokens_of_their_own() {
    let world = World::new(&[]).await;
    let paper = support::simulated_broker::SimulatedBroker::start(&["--mode", "paper"]).await;
    once(&world, &world.home, &list::codes(1))
        .run()
        .await
        .exits(0);
    let on_paper = once(&world, &world.home, &list::codes(1))
        .set("KIS_ENV", "paper")
        .set("KIS_BASE_URL", paper.url());
    on_paper.run().await.exits(0);
    assert_eq!(paper.stats().tokens_issued, 1);
    assert_eq!(world.broker.stats().tokens_issued, 1);
    until("both are kept", async || {
        let mut connection = world.redis.connection().await;
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg("sise:token:*")
            .query_async(&mut connection)
            .await
            .unwrap();
        let tokens = keys.iter().filter(|key| !key.contains("claim")).count();
        (tokens == 2).then_some(())
    })
    .await;
}

/// Redis is full, or evicts what it was told a moment ago: it keeps neither claim nor token.
#[tokio::test]
async fn a_redis_that_keeps_nothing_has_no_token_asked_for_twice_a_minute() {
    for policy in ["noeviction", "allkeys-random"] {
        let mut world = World::new(&["--limit", "0"]).await;
        let asks = ["--maxmemory", "1", "--maxmemory-policy", policy];
        world.redis = RedisServer::start_with(&asks, "").await;
        let server = world.sise(&["serve"]).start();
        let address = server.health_address().await;
        let price = |code: &str| http::get(&address, &format!("/v1/prices/{code}"));
        let codes = list::codes(2);
        assert_eq!(price(&codes[0]).unwrap().status, 200, "{policy}");
        // This broker would give another token at once, and is not asked.
        world.broker.kill_tokens();
        price(&codes[1]);
        let stats = world.broker.stats();
        assert_eq!(
            (stats.token_requests, stats.unauthorized),
            (1, 1),
            "{policy} {stats:?}"
        );
        server.signal("TERM");
        server.end().await.exits(143);
    }
}
