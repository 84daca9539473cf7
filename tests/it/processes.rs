//! Proves that processes of one app key share the broker's limit and its token: many real
//! processes, one Redis, one simulated broker that counts.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::program::Program;
use crate::support::redis::RedisServer;
use crate::support::simulated_broker::SimulatedBroker;
use crate::support::world::World;
use crate::support::{http, list, until};

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
            .says(&["the shared rate budget is unreachable", "its own share"])
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

/// Real and paper never mix: the same Redis, the same key, another environment, another token, and no
/// price of the one over those of the other.
#[tokio::test]
async fn real_and_paper_have_tokens_of_their_own() {
    let world = World::new(&[]).await;
    let paper = SimulatedBroker::start(&["--mode", "paper"]).await;
    once(&world, &world.home, &list::codes(1))
        .run()
        .await
        .exits(0);
    let on_paper = once(&world, &world.home, &list::codes(1))
        .set("KIS_ENV", "paper")
        .set("KIS_BASE_URL", paper.url());
    let mixed = on_paper.run().await.exits(2);
    mixed.says(&["(real account)", "(paper account)", "store.namespace"]);
    assert_eq!(paper.stats().tokens_issued, 1);
    assert_eq!(paper.stats().calls, 0);
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

/// The prices that stand, by code.
async fn prices(world: &World) -> Vec<(String, i64, String)> {
    let realtime = world.redis.realtime().await.into_iter();
    let price = |(code, quote): (String, Value)| {
        let fetched_at = quote["fetched_at"].as_str().unwrap().to_owned();
        (code, quote["price"].as_i64().unwrap(), fetched_at)
    };
    realtime.map(price).collect()
}

/// Live prices stand, and somebody starts a second broker, a simulated one, on the same Redis.
#[tokio::test]
async fn prices_of_another_broker_are_not_written_over() {
    let world = World::new(&["--limit", "0"]).await;
    let other = SimulatedBroker::start(&["--limit", "0", "--seed", "9"]).await;
    let codes = list::codes(30);
    once(&world, &world.home, &codes).run().await.exits(0);
    let before = prices(&world).await;
    assert_eq!(before.len(), 30);
    let home = tempfile::tempdir().unwrap();
    let elsewhere = |program: Program| {
        program
            .set("KIS_BASE_URL", other.url())
            .set("KIS_MASTER_URL", other.url())
    };
    let (ours, theirs) = (other.url(), world.broker.url());
    let said = [
        "the prices in this Redis are those of",
        &theirs,
        &ours,
        "store.namespace",
    ];

    let refused = elsewhere(once(&world, &home, &codes)).run().await;
    refused.exits(2).says(&said);
    // Its token is at hand now, so that nothing was heard of the broker yet.
    let again = elsewhere(once(&world, &home, &codes)).run().await;
    again.exits(2).says(&said);
    let daemon = world.sise_in(home.path(), &["run", "--always-open"]);
    elsewhere(daemon).run().await.exits(2).says(&said);
    // A reader is answered, and writes nothing back.
    let get = ["get", &codes[0], "--max-age", "0s", "--json"];
    let reading = elsewhere(world.sise_in(home.path(), &get)).run().await;
    let reading = &reading.exits(0).json()[0];
    assert_eq!(
        (&reading["source"], &reading["simulated"]),
        (&json!("api"), &json!(true))
    );
    let doctor = elsewhere(world.sise_in(home.path(), &["doctor"]))
        .run()
        .await;
    let doctor = doctor.exits(1);
    assert!(
        doctor.stdout.contains("`sise run` would be refused"),
        "{}",
        doctor.stdout
    );
    assert_eq!(other.stats().ok, 2, "the reader and the doctor asked");
    assert_eq!(prices(&world).await, before);

    // Beside them, under a name of its own, it may.
    let beside = elsewhere(once(&world, &home, &codes)).set("SISE__STORE__NAMESPACE", "trial");
    beside.run().await.exits(0);
    assert_eq!(prices(&world).await, before);
    // And where they have gone.
    world.redis.delete("realtime:price:*").await;
    world.redis.delete("sise:broker").await;
    elsewhere(once(&world, &home, &codes)).run().await.exits(0);
    assert_eq!(prices(&world).await.len(), 30);
    let back = once(&world, &world.home, &codes).run().await;
    back.exits(2).says(&[&ours]);
}

/// The record of whose prices they are ends with them, and is kept while a daemon is there.
#[tokio::test]
async fn a_daemon_holds_its_brokers_prices_and_another_broker_follows_when_it_has_gone() {
    let world = World::new(&["--limit", "0"]).await;
    let other = SimulatedBroker::start(&["--limit", "0"]).await;
    let codes = list::codes(30).join(",");
    // Nothing is written after the close of a day: it is there, and that is enough.
    let daemon = world
        .fast_sise(&["run", "--always-open"])
        .set("SISE__STORE__TTL", "8s")
        .set("SISE__SCHEDULE__INTERVAL", "2s");
    let daemon = daemon.start();
    daemon.says(&["sweep done"]).await;
    daemon.says(&["is a simulated broker"]).await;
    let again = || {
        let once = world.fast_sise(&["run", "--once", "--codes", &codes]);
        once.set("KIS_BASE_URL", other.url()).run()
    };
    again().await.exits(2).says(&[&world.broker.url()]);
    daemon.signal("TERM");
    daemon.end().await.exits(143);
    until("another broker's prices can be written", async || {
        (again().await.code == Some(0)).then_some(())
    })
    .await;
}

/// Whatever shows a price of a simulated broker says so.
#[tokio::test]
async fn simulated_prices_say_so_wherever_they_are_shown() {
    let world = World::new(&["--limit", "0"]).await;
    world.fast_sise(&["run", "--once"]).run().await.exits(0);
    for quote in world.redis.realtime().await.values() {
        assert_eq!(quote["simulated"], true, "{quote}");
    }
    for index in world.redis.texts("realtime:index:*").await.values() {
        assert!(index.contains("\"simulated\":true"), "{index}");
    }
    let shown = async |arguments: &[&str], words: &str| {
        let outcome = world.sise(arguments).run().await;
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(said.contains(words), "{words} in {arguments:?}: {said}");
    };
    shown(&["get", "005930"], "redis, simulated").await;
    shown(&["get", "005930"], "these prices are simulated").await;
    shown(&["get", "005930", "--json"], "\"simulated\":true").await;
    shown(&["top", "gainers"], "these prices are simulated").await;
    shown(&["top", "gainers", "--json"], "\"simulated\":true").await;
    shown(&["status"], "these prices are simulated").await;
    shown(&["status"], "the simulated broker at").await;
    shown(&["status", "--json"], "\"simulated\":true").await;
    shown(&["why", "005930"], "given by a simulated broker").await;
    shown(&["doctor"], "is a simulated broker").await;
    let add = "alert add all --codes 005930 --price-above 2";
    let add: Vec<&str> = add.split(' ').collect();
    world.sise(&add).run().await;
    shown(&["alert", "test", "all"], ", simulated").await;
    shown(&["alert", "test", "all"], "these prices are simulated").await;
}
