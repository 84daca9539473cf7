//! Proves that watch lists are kept for all processes, that a daemon refreshes what is on them, and
//! what is read most, more often than the rest, and that both can be changed while it runs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use redis::AsyncCommands as _;
use serde_json::json;
use sise::cache::Cache;
use sise::port::{ReadCounter as _, WatchedCodes as _};
use sise::watch::{Reads, Watch, WatchLists};
use sise::{Reader, Symbol};

use crate::support::program::{Program, Running};
use crate::support::redis::RedisServer;
use crate::support::world::World;
use crate::support::{free_port, http, list, until};

/// Codes of the small list.
const CODES: usize = 60;

/// `run` over a small list, with passes over the watched codes every second.
fn daemon(world: &World, sweeps_every: &str) -> Program {
    let codes = list::codes(CODES).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    world
        .fast_sise(&["run", "--always-open"])
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", sweeps_every)
        .set("SISE__WATCH__INTERVAL", "1s")
        // What the passes do is seen where the live feed does nothing.
        .set("SISE__FEED__REGISTRATIONS", "0")
}

/// What sise keeps beside the prices.
fn cache(redis: &RedisServer) -> Cache {
    let cache = Cache::builder()
        .redis_url(&redis.url())
        .timeout(Duration::from_secs(5));
    cache.build().unwrap().with_namespace("sise")
}

fn symbols(codes: &[String]) -> Vec<Symbol> {
    codes.iter().map(|code| code.parse().unwrap()).collect()
}

async fn is_complete(world: &World) {
    until("every code has a price in Redis", async || {
        (world.redis.realtime().await.len() == CODES).then_some(())
    })
    .await;
}

async fn fetched_at(world: &World, code: &str) -> String {
    let realtime = world.redis.realtime().await;
    realtime[code]["fetched_at"].as_str().unwrap().to_owned()
}

/// Waits until the price of a code was fetched so many times more.
async fn is_refreshed(world: &World, code: &str, times: usize) {
    let mut seen = BTreeSet::from([fetched_at(world, code).await]);
    until("the price is fetched again", async || {
        seen.insert(fetched_at(world, code).await);
        (seen.len() > times).then_some(())
    })
    .await;
}

/// Waits until one code is refreshed again and again while the other is not, between two sweeps.
async fn is_refreshed_alone(world: &World, daemon: &Running, code: &str, other: &str) {
    until("one is refreshed, the other is not", async || {
        let sweeps = daemon.count(&["sweep done"]);
        let before = fetched_at(world, other).await;
        is_refreshed(world, code, 3).await;
        let after = fetched_at(world, other).await;
        // A sweep, once a minute, fetches all.
        (before == after || daemon.count(&["sweep done"]) == sweeps).then(|| {
            assert_eq!(before, after, "{other} is not watched");
        })
    })
    .await;
}

/// How often a code was read in all.
async fn reads(world: &World, code: &str) -> u64 {
    let mut connection = world.redis.connection().await;
    let total: Option<u64> = connection.hget("sise:counter:reads", code).await.unwrap();
    total.unwrap_or(0)
}

/// Waits until the daemon tells a metric.
async fn tells(address: &str, metric: &str) {
    until(metric, async || {
        let answer = http::get(address, "/metrics")?;
        answer.body.lines().any(|line| line == metric).then_some(())
    })
    .await;
}

#[tokio::test]
async fn lists_are_kept_for_every_process() {
    let world = World::new(&[]).await;
    let watch =
        async |arguments: &[&str]| world.sise(&[&["watch"], arguments].concat()).run().await;
    watch(&["list"])
        .await
        .exits(0)
        .says(&["nothing is watched", "sise watch add"]);
    assert_eq!(watch(&["list", "--json"]).await.exits(0).json(), json!([]));

    let outcome = watch(&["add", "관심", "005930", "000660", "005930"])
        .await
        .exits(0);
    assert_eq!(outcome.stdout, "2 new on 관심, 2 in all\n");
    let outcome = watch(&["add", "관심", "005930"]).await.exits(0);
    assert_eq!(outcome.stdout, "0 new on 관심, 2 in all\n");
    watch(&["add", "second-1_a.b", "035420", "005930"])
        .await
        .exits(0);
    let outcome = watch(&["add", "strange", "999999"]).await.exits(0);
    outcome.says(&["not in the stock list", "999999"]);
    let lists = json!([
        { "name": "second-1_a.b", "codes": ["005930", "035420"] },
        { "name": "strange", "codes": ["999999"] },
        { "name": "관심", "codes": ["000660", "005930"] },
    ]);
    assert_eq!(watch(&["list", "--json"]).await.exits(0).json(), lists);
    let one = watch(&["list", "관심", "--json"]).await.exits(0).json();
    let wanted = json!([{ "name": "관심", "codes": ["000660", "005930"] }]);
    assert_eq!(one, wanted);
    let table = watch(&["list"]).await.exits(0).stdout;
    for shown in ["관심", "삼성전자", "KOSPI", "strange"] {
        assert!(table.contains(shown), "'{shown}' in:\n{table}");
    }
    // They stay until they are taken away.
    let keys: Vec<String> = world
        .redis
        .connection()
        .await
        .keys("sise:profile:*")
        .await
        .unwrap();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert_eq!(world.redis.lives(&keys).await, [-1; 4]);

    let outcome = watch(&["remove", "관심", "005930"]).await.exits(0);
    assert_eq!(outcome.stdout, "1 removed from 관심, 1 left\n");
    watch(&["remove", "관심", "005930", "000660"])
        .await
        .exits(3);
    watch(&["list", "관심"])
        .await
        .exits(3)
        .says(&["there is no watch list 관심"]);
    let outcome = watch(&["remove", "second-1_a.b"]).await.exits(0);
    assert_eq!(
        outcome.stdout,
        "removing second-1_a.b: 005930 035420\nsecond-1_a.b is removed\n"
    );
    watch(&["remove", "second-1_a.b"])
        .await
        .exits(3)
        .says(&["there is no watch list"]);
    let lists = watch(&["list", "--json"]).await.exits(0).json();
    let wanted = json!([{ "name": "strange", "codes": ["999999"] }]);
    assert_eq!(lists, wanted);
    let unknown = watch(&["list", "none", "--json"]).await.exits(3);
    assert_eq!(unknown.json(), json!([]));
}

#[tokio::test]
async fn what_is_no_list_is_refused_with_the_reason() {
    let world = World::new(&[]).await;
    let watch =
        async |arguments: &[&str]| world.sise(&[&["watch"], arguments].concat()).run().await;
    watch(&["add", "mine", "005930", "59300"])
        .await
        .exits(2)
        .says(&["59300"]);
    watch(&["add", "mine"]).await.exits(2);
    let long = "가".repeat(65);
    for name in ["a b", "", "a:b", "{a}", "a/b", &long] {
        for arguments in [["add", name, "005930"], ["remove", name, "005930"]] {
            watch(&arguments)
                .await
                .exits(2)
                .says(&["is not a valid name", "use 1 to 64 letters"]);
        }
        watch(&["remove", name]).await.exits(2);
    }
    assert_eq!(watch(&["list", "--json"]).await.exits(0).json(), json!([]));
    watch(&["add", &"가".repeat(64), "005930"]).await.exits(0);

    let lists = WatchLists::new(&cache(&world.redis));
    let now = (sise::clock::system())();
    let codes = symbols(&list::codes(501));
    assert_eq!(lists.add("full", &codes[..500], now).await.unwrap(), 500);
    let outcome = watch(&["add", "full", codes[500].as_str()]).await.exits(2);
    outcome.says(&["501 codes", "500 are kept at most"]);
    // What is on it already is no more.
    watch(&["add", "full", codes[0].as_str()]).await.exits(0);
    for number in 2..100 {
        lists
            .add(&format!("list-{number}"), &codes[..1], now)
            .await
            .unwrap();
    }
    let outcome = watch(&["add", "one-more", "005930"]).await.exits(2);
    outcome.says(&["100 watch lists already"]);
    watch(&["add", "list-50", "005930"]).await.exits(0);

    let away = format!("redis://127.0.0.1:{}", free_port());
    for arguments in [
        &["list"][..],
        &["add", "mine", "005930"],
        &["remove", "mine"],
    ] {
        let sise = || world.sise(&[&["watch"], arguments].concat());
        let outcome = sise().set("REDIS_URL", &away).run().await.exits(1);
        outcome.says(&["check that Redis runs there", "sise doctor"]);
        let outcome = sise().set("REDIS_URL", "memory").run().await.exits(2);
        outcome.says(&["store.url is memory", "REDIS_URL"]);
    }
}

#[tokio::test]
async fn a_daemon_refreshes_what_is_watched_and_hears_of_changes() {
    let world = World::new(&["--limit", "0"]).await;
    let codes = list::codes(CODES);
    let [first, second, other] = [&codes[3], &codes[40], &codes[7]];
    let running = daemon(&world, "1m").start();
    is_complete(&world).await;
    let watch = async |arguments: &[&str]| {
        let outcome = world.sise(&[&["watch"], arguments].concat()).run().await;
        outcome.exits(0)
    };
    watch(&["add", "관심", first, second]).await;
    is_refreshed(&world, first, 2).await;
    is_refreshed_alone(&world, &running, first, other).await;
    is_refreshed_alone(&world, &running, second, other).await;
    let status = until("it is told what is watched", async || {
        let status = world.sise(&["status"]).run().await.exits(0).stdout;
        status
            .contains("\nwatched    2 codes every 1s, last refreshed ")
            .then_some(status)
    })
    .await;
    assert_eq!(status.matches("watched").count(), 1, "{status}");
    let status = world
        .sise(&["status", "--json"])
        .run()
        .await
        .exits(0)
        .json();
    let watched = &status["processes"][0]["watched"];
    assert_eq!(
        (&watched["codes"], &watched["interval_ms"]),
        (&json!(2), &json!(1_000))
    );
    assert!(watched["refreshed_at"].is_string(), "{watched}");

    watch(&["remove", "관심", first]).await;
    // A pass may have been under way.
    is_refreshed(&world, second, 2).await;
    is_refreshed_alone(&world, &running, second, first).await;
    running.signal("TERM");
    running.end().await.exits(143);
    let running = daemon(&world, "1m").start();
    is_refreshed_alone(&world, &running, second, first).await;
    watch(&["remove", "관심"]).await;
    until("it is told that nothing is watched", async || {
        let status = world.sise(&["status"]).run().await.exits(0).stdout;
        (!status.contains("watched")).then_some(())
    })
    .await;
}

/// A program that reads what a daemon wrote.
async fn reader(world: &World) -> Reader {
    let reader = Reader::builder()
        .redis_url(&world.redis.url())
        .response_timeout(Duration::from_secs(5))
        .state_directory(world.path());
    reader.build().await.unwrap()
}

#[tokio::test]
async fn what_is_read_most_joins_the_watched_codes() {
    let world = World::new(&["--limit", "0"]).await;
    let codes = list::codes(CODES);
    let [hot, other] = [&codes[11], &codes[12]];
    let running = daemon(&world, "1m")
        .set("SISE__WATCH__HOTTEST", "1")
        .start();
    let address = running.health_address().await;
    is_complete(&world).await;
    let (one, another) = (reader(&world).await, reader(&world).await);
    let mut made = 0;
    until("the daemon watches what is read", async || {
        for reader in [&one, &another] {
            reader.price(hot).await.unwrap().unwrap();
        }
        world.sise(&["get", hot]).run().await.exits(0);
        made += 3;
        let answer = http::get(&address, "/metrics")?;
        answer
            .body
            .contains("\nsise_watched_codes 1\n")
            .then_some(())
    })
    .await;
    one.price(other).await.unwrap().unwrap();
    is_refreshed_alone(&world, &running, hot, other).await;
    // What several processes read adds up.
    until("all reads are told", async || {
        (reads(&world, hot).await == made).then_some(())
    })
    .await;
    until("this one too", async || {
        (reads(&world, other).await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn reads_are_counted_and_nothing_joins_where_nobody_wants_it() {
    let world = World::new(&["--limit", "0"]).await;
    let codes = list::codes(CODES);
    let running = daemon(&world, "1s").start();
    let address = running.health_address().await;
    is_complete(&world).await;
    let reader = reader(&world).await;
    for _ in 0..200 {
        reader.price(&codes[0]).await.unwrap().unwrap();
    }
    until("the reads are told", async || {
        (reads(&world, &codes[0]).await == 200).then_some(())
    })
    .await;
    let sweeps = running.count(&["sweep done"]);
    until("some more sweeps are done", async || {
        (running.count(&["sweep done"]) > sweeps + 4).then_some(())
    })
    .await;
    tells(&address, "sise_watched_codes 0").await;
    tells(&address, "sise_watched_passes_total 0").await;
}

#[tokio::test]
async fn who_reads_the_whole_market_is_not_counted() {
    let world = World::new(&[]).await;
    let codes = list::codes(101);
    let get = async |codes: &[String]| {
        let codes = codes.iter().map(String::as_str);
        let arguments: Vec<&str> = std::iter::once("get").chain(codes).collect();
        let get = world
            .sise(&arguments)
            .unset("KIS_APP_KEY")
            .unset("KIS_APP_SECRET");
        get.run().await.exits(3);
    };
    get(&codes).await;
    assert_eq!(reads(&world, &codes[0]).await, 0);
    get(&codes[1..]).await;
    get(&codes[100..]).await;
    assert_eq!(reads(&world, &codes[0]).await, 0);
    assert_eq!(reads(&world, &codes[1]).await, 1);
    assert_eq!(reads(&world, &codes[100]).await, 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_read_no_more_leaves_the_watched_codes() {
    const LOOK: Duration = Duration::from_secs(10);
    let cache = Cache::builder().redis_url("memory").build().unwrap();
    let codes = symbols(&list::codes(4));
    let (reads, lists) = (Reads::new(&cache), WatchLists::new(&cache));
    let watch = Watch::new(&cache, reads.clone(), 1);
    let cold = Watch::new(&cache, reads.clone(), 0);
    let now = (sise::clock::system())();
    lists.add("mine", &codes[2..], now).await.unwrap();
    assert_eq!(watch.watched().await.unwrap(), codes[2..]);
    // One of the list is read most, which takes no place; of the others one joins.
    for _ in 0..60 {
        reads.note(&codes[..2]);
        reads.note(&codes[1..3]);
        reads.note(&codes[2..3]);
    }
    reads.tell().await;
    tokio::time::advance(LOOK).await;
    let with_hot = [codes[2], codes[3], codes[1]];
    assert_eq!(watch.watched().await.unwrap(), with_hot);
    assert_eq!(cold.watched().await.unwrap(), codes[2..]);
    let mut looks = 0;
    while watch.watched().await.unwrap() == with_hot {
        tokio::time::advance(LOOK).await;
        looks += 1;
        assert!(looks < 180, "it never leaves");
    }
    assert_eq!(watch.watched().await.unwrap(), codes[2..]);
    assert!(looks > 12, "after {looks} looks, it was read a lot");
    for _ in 0..600 {
        reads.note(&codes[2..3]);
    }
    reads.tell().await;
    tokio::time::advance(LOOK).await;
    assert_eq!(watch.watched().await.unwrap(), codes[2..]);
}
