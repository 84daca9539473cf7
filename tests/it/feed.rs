//! Proves the live feed from end to end: the program, a Redis, and a simulated broker that streams.
//! Trades reach Redis, whatever befalls the session it is there again, and prices that may have been
//! missed are asked for at once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::program::{Program, Running};
use crate::support::world::World;
use crate::support::{http, list, until};

/// Codes of the small list, all of which trade.
const CODES: usize = 60;

/// A daemon over a small list that sweeps seldom, so that what changes meanwhile is the feed's.
fn daemon(world: &World) -> Program {
    let codes = list::codes(CODES).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    world
        .fast_sise(&["run", "--always-open"])
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "60s")
        .set("SISE__WATCH__INTERVAL", "30s")
        .set("SISE__FEED__WRITE_INTERVAL", "50ms")
}

/// A world in which the first `watched` codes are watched.
async fn world(watched: usize, arguments: &[&str]) -> World {
    let all: Vec<&str> = ["--limit", "0"].iter().chain(arguments).copied().collect();
    let world = World::new(&all).await;
    watch(&world, &list::codes(watched)).await;
    world
}

async fn watch(world: &World, codes: &[String]) {
    let codes = codes.iter().map(String::as_str);
    let arguments: Vec<&str> = ["watch", "add", "mine"].into_iter().chain(codes).collect();
    world.sise(&arguments).run().await.exits(0);
}

/// What the broker says of its live feed.
fn feed(world: &World, name: &str) -> u64 {
    let address = world.broker.url();
    let answer = http::get(address.trim_start_matches("http://"), "/sim/stats").unwrap();
    let stats: Value = serde_json::from_str(&answer.body).unwrap();
    stats["feed"][name].as_u64().unwrap()
}

/// Lets something go wrong in the session that is open.
fn strike(world: &World, mishap: &str) {
    let address = world.broker.url();
    let address = address.trim_start_matches("http://");
    let answer = http::ask("POST", address, &format!("/sim/feed/{mishap}")).unwrap();
    assert_eq!(answer.status, 204);
}

async fn price(world: &World, code: &str) -> Option<Value> {
    world.redis.realtime().await.remove(code)
}

/// Waits until so many trades of a code were written one after the other.
async fn is_live(world: &World, code: &str, times: usize) -> Value {
    let mut seen = BTreeSet::new();
    until("trades of the code reach Redis", async || {
        let price = price(world, code).await?;
        if price["source"] == "kis.ws" {
            seen.insert(price["fetched_at"].to_string());
        }
        (seen.len() > times).then_some(price)
    })
    .await
}

/// Records that are no trades of this moment, and as what they are counted.
const ODDITIES: [(&str, &str); 4] = [
    ("expected", "expected_match"),
    ("block", "block_trade"),
    ("other_day", "other_day"),
    ("other_hour", "other_hour"),
];

#[tokio::test]
async fn what_is_no_trade_of_this_moment_is_counted_and_holds_nothing_up() {
    let world = world(1, &["--ticks", "20"]).await;
    let daemon = daemon(&world).start();
    let code = &list::codes(1)[0];
    is_live(&world, code, 2).await;
    for (mishap, reason) in ODDITIES {
        let name = format!("sise_feed_dropped_total{{reason=\"{reason}\"}}");
        assert!(metric(&daemon, &name).await < 0.5, "{reason}");
        strike(&world, mishap);
        until("the record is counted", async || {
            (metric(&daemon, &name).await > 0.5).then_some(())
        })
        .await;
        daemon.says(&[reason]).await;
        // The next trades are written, and each is within its own day.
        let price = is_live(&world, code, 3).await;
        let of = |name: &str| price[name].as_i64().unwrap();
        assert!(
            of("low") <= of("price") && of("price") <= of("high"),
            "{price}"
        );
        assert!(of("volume") < 100_000_000_000, "{price}");
    }
    stop(daemon).await;
}

/// Stops a daemon in order.
async fn stop(daemon: Running) {
    daemon.signal("INT");
    daemon.end().await.exits(130);
}

async fn metric(daemon: &Running, name: &str) -> f64 {
    let address = daemon.health_address().await;
    let answer = http::get(&address, "/metrics").unwrap();
    let line = answer.body.lines().find(|line| {
        let value = line.strip_prefix(name);
        value.is_some_and(|value| value.starts_with(' '))
    });
    let value = line.and_then(|line| line.rsplit(' ').next());
    value
        .unwrap_or_else(|| panic!("{name} is not told"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn trades_of_watched_codes_reach_redis_as_they_happen() {
    let world = world(3, &["--ticks", "20"]).await;
    let daemon = daemon(&world).start();
    for code in list::codes(3) {
        let price = is_live(&world, &code, 5).await;
        let figures = [
            "price",
            "open",
            "high",
            "low",
            "volume",
            "value",
            "base_price",
        ];
        for figure in figures {
            assert!(price[figure].as_i64().unwrap() > 0, "{price}");
        }
        assert_eq!(
            (&price["session"].is_string(), &price["status"]),
            (&true, &"trading".into())
        );
        assert!(!price["stock_name"].as_str().unwrap().is_empty());
    }
    let other = &list::codes(4)[3];
    until("the rest is swept", async || {
        (price(&world, other).await?["source"] == "kis.multi").then_some(())
    })
    .await;
    assert_eq!(feed(&world, "registrations"), 3);
    assert!(metric(&daemon, "sise_feed_ticks_total").await > 15.0);
    assert!(metric(&daemon, "sise_feed_written_total").await > 15.0);
    assert_eq!(metric(&daemon, "sise_feed_connected").await, 1.0);
    assert_eq!(metric(&daemon, "sise_feed_registrations").await, 3.0);
    until("the status tells of it", async || {
        let status = world.sise(&["status"]).run().await;
        status.stdout.contains("3 codes streamed").then_some(())
    })
    .await;
    stop(daemon).await;
    until("the session is closed in order", async || {
        (feed(&world, "sessions") == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn trades_and_answers_of_the_broker_agree() {
    let folder = tempfile::tempdir().unwrap();
    let (day, prices) = crate::support::scene::still_day(folder.path(), CODES);
    let arguments = [
        "--replay",
        &day,
        "--speed",
        "0",
        "--fields",
        "46",
        "--records",
        "9",
    ];
    let world = world(20, &arguments).await;
    let daemon = daemon(&world).start();
    for code in list::codes(20) {
        let price = is_live(&world, &code, 1).await;
        assert_eq!(price["price"].as_i64(), Some(prices[&code]), "{price}");
        // Trades happen now, whatever day is replayed.
        let day = |name: &str| price[name].as_str().unwrap().get(..10).map(str::to_owned);
        assert_eq!(day("timestamp"), day("fetched_at"), "{price}");
    }
    assert_eq!(
        metric(&daemon, r#"sise_feed_gaps_total{reason="unreadable"}"#).await,
        0.0
    );
    stop(daemon).await;
}

#[tokio::test]
async fn encrypted_frames_are_read() {
    let world = world(2, &["--encrypted"]).await;
    let daemon = daemon(&world).start();
    is_live(&world, &list::codes(1)[0], 2).await;
    assert_eq!(
        metric(&daemon, r#"sise_feed_dropped_total{reason="cipher"}"#).await,
        0.0
    );
    stop(daemon).await;
}

#[tokio::test]
async fn whatever_ends_a_session_another_follows_and_the_prices_are_asked_for() {
    let world = world(3, &["--ticks", "10"]).await;
    let daemon = daemon(&world).start();
    let code = &list::codes(1)[0];
    for (round, mishap) in (1..).zip(["drop", "close"]) {
        is_live(&world, code, 2).await;
        let before = feed(&world, "connections");
        strike(&world, mishap);
        until("a new session", async || {
            (feed(&world, "connections") > before).then_some(())
        })
        .await;
        until("all is registered again", async || {
            (feed(&world, "registrations") == 3).then_some(())
        })
        .await;
        let gap = |reason: &str| format!(r#"sise_feed_gaps_total{{reason="{reason}"}}"#);
        until("both gaps are told", async || {
            let lost = metric(&daemon, &gap("lost")).await;
            let resumed = metric(&daemon, &gap("resumed")).await;
            (lost >= f64::from(round) && resumed >= f64::from(round)).then_some(())
        })
        .await;
        until("the prices are asked for", async || {
            let sweeps = metric(&daemon, "sise_feed_gap_sweeps_total").await;
            (sweeps >= f64::from(round) * 2.0).then_some(())
        })
        .await;
        is_live(&world, code, 2).await;
    }
    assert!(feed(&world, "max_connections_per_minute") <= 7);
    assert_eq!(feed(&world, "refused"), 0, "no session was locked out");
    stop(daemon).await;
}

#[tokio::test]
async fn frames_that_cannot_be_read_are_dropped_and_their_prices_asked_for() {
    let world = world(3, &["--ticks", "10"]).await;
    let daemon = daemon(&world).start();
    let code = &list::codes(1)[0];
    for mishap in ["truncated", "miscounted"] {
        is_live(&world, code, 2).await;
        let gaps = r#"sise_feed_gaps_total{reason="unreadable"}"#;
        let (before, sweeps) = (
            metric(&daemon, gaps).await,
            metric(&daemon, "sise_feed_gap_sweeps_total").await,
        );
        strike(&world, mishap);
        until("the gap is told and the prices are asked for", async || {
            let told = metric(&daemon, gaps).await > before;
            let swept = metric(&daemon, "sise_feed_gap_sweeps_total").await > sweeps;
            (told && swept).then_some(())
        })
        .await;
    }
    assert_eq!(feed(&world, "connections"), 1, "the session went on");
    stop(daemon).await;
}

#[tokio::test]
async fn no_more_codes_are_registered_than_there_is_room_for() {
    let world = world(50, &["--registrations", "5", "--ticks", "5"]).await;
    let daemon = daemon(&world).start();
    daemon.says(&["takes no more registrations"]).await;
    is_live(&world, &list::codes(1)[0], 2).await;
    assert_eq!(feed(&world, "max_registrations"), 5);
    // Those without a place are refreshed by their passes all the same.
    let last = &list::codes(50)[49];
    until("the rest has prices", async || {
        price(&world, last).await.map(drop)
    })
    .await;
    stop(daemon).await;
}

#[tokio::test]
async fn by_default_there_are_41_and_none_where_none_is_wanted() {
    let world = world(50, &[]).await;
    let daemon_with = daemon(&world).start();
    until("all places are taken", async || {
        (feed(&world, "registrations") == 41).then_some(())
    })
    .await;
    stop(daemon_with).await;
    assert_eq!(feed(&world, "refused"), 0);
    let connections = feed(&world, "connections");
    let without = daemon(&world).set("SISE__FEED__REGISTRATIONS", "0").start();
    without.says(&["sweep done"]).await;
    stop(without).await;
    assert_eq!(feed(&world, "connections"), connections);
}

#[tokio::test]
async fn a_session_that_lingers_is_waited_out_with_a_warning() {
    let world = world(2, &["--linger", "10m", "--ticks", "10"]).await;
    let daemon = daemon(&world).start();
    is_live(&world, &list::codes(1)[0], 2).await;
    strike(&world, "drop");
    daemon
        .says(&["WARN", "another session has the app key"])
        .await;
    let refusals = metric(&daemon, r#"sise_feed_refusals_total{code="OPSP8996"}"#).await;
    assert_eq!((refusals, feed(&world, "connections")), (1.0, 2));
    stop(daemon).await;
}

#[tokio::test]
async fn only_the_leader_streams_and_the_next_one_takes_over() {
    let world = world(2, &["--ticks", "10"]).await;
    let first = daemon(&world).set("SISE__SCHEDULE__LEASE", "3s").start();
    is_live(&world, &list::codes(1)[0], 2).await;
    let home = tempfile::tempdir().unwrap();
    let codes = list::codes(CODES).join("\n");
    std::fs::write(home.path().join("list.csv"), format!("code\n{codes}\n")).unwrap();
    let second = world
        .sise_in(home.path(), &["run", "--always-open"])
        .set("SISE__KIS__RATE_PER_SECOND", "2000")
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__LEASE", "3s")
        .start();
    second.says(&["standing by"]).await;
    assert_eq!(feed(&world, "connections"), 1);
    stop(first).await;
    until("the next one streams", async || {
        (feed(&world, "connections") == 2 && feed(&world, "registrations") == 2).then_some(())
    })
    .await;
    assert_eq!(
        feed(&world, "refused"),
        0,
        "the session was free when it came"
    );
    stop(second).await;
}

#[tokio::test]
async fn the_simulated_feed_may_go_wrong_all_the_time() {
    let arguments = [
        "--ticks",
        "50",
        "--feed-truncated",
        "0.1",
        "--feed-miscounted",
        "0.1",
        "--pingpong",
        "200ms",
    ];
    let world = world(5, &arguments).await;
    let daemon = daemon(&world).start();
    for code in list::codes(5) {
        is_live(&world, &code, 5).await;
    }
    until("much went wrong", async || {
        (feed(&world, "mishaps") > 20).then_some(())
    })
    .await;
    assert_eq!(feed(&world, "connections"), 1, "PINGPONGs are answered");
    tokio::time::timeout(
        Duration::from_secs(60),
        is_live(&world, &list::codes(1)[0], 5),
    )
    .await
    .unwrap();
    stop(daemon).await;
}

#[tokio::test]
async fn indices_come_with_the_sweep() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world).start();
    for name in ["KOSPI", "KOSDAQ", "KOSPI200"] {
        let key = format!("realtime:index:{name}");
        let index = until("the index is kept", async || {
            world.redis.texts(&key).await.remove(&key)
        })
        .await;
        let index: Value = serde_json::from_str(&index).unwrap();
        assert_eq!(index["index"], name);
        assert!(index["level"].as_f64().unwrap() > 0.0, "{index}");
        assert_eq!(index["source"], "kis.multi");
    }
    // Two full calls leave no room for them, so there is a third.
    daemon.says(&["sweep done"]).await;
    assert_eq!(world.broker.stats().calls, 3);
    stop(daemon).await;
}
