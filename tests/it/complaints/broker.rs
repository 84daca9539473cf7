//! Limits, bans, tokens, and a broker or a Redis that is gone for a moment.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until};

use super::{CODES, MovedTime, WHOLE_SWEEP, daemon, number, says_again};
use crate::support::program::Running;
use crate::support::silent_proxy::SilentProxy;
use crate::support::world::World;
use crate::support::{http, list, until};

#[tokio::test]
async fn sweeps_that_trip_egw00201_and_retry_for_ever() {
    // A broker that refuses every call: the pass ends, with each call repeated six times at most.
    let world = World::new(&["--limit", "0", "--refuse", "1"]).await;
    let codes = list::codes(CODES).join(",");
    let once = ["run", "--once", "--json", "--codes", &codes];
    let report = world.fast_sise(&once).run().await.exits(3).json();
    let calls = number(&report, "calls");
    assert_eq!(world.broker.stats().calls, calls);
    assert_eq!((calls, number(&report, "refused_calls")), (14, 14));
    let missing = report["missing"].as_array().unwrap();
    assert_eq!(missing.len(), CODES);
    for missing in missing {
        assert_eq!(missing["reason"], "not_reached", "{missing}");
        assert!(missing["detail"].as_str().unwrap().contains("EGW00201"));
    }
    drop(world);

    // A broker that allows 3 calls a second where 15 were thought allowed: the rate goes down to
    // what is allowed, the pass is whole, and refusals stay far below what brings a ban.
    let mut world = World::new(&["--limit", "3", "--ban", "1h"]).await;
    world.broker.is_stricter();
    let codes = list::codes(897).join(",");
    let once = ["run", "--once", "--json", "--codes", &codes];
    let report = world.sise(&once).run().await.exits(0).json();
    assert_eq!(number(&report, "written"), 897);
    let stats = world.broker.stats();
    assert_eq!(stats.ok, 30);
    assert!((1..=30).contains(&stats.over_limit), "{stats:?}");
    assert_eq!(stats.calls_while_banned, 0, "{stats:?}");
}

#[tokio::test]
async fn a_retry_storm_that_turns_a_one_day_ban_into_many() {
    let time = MovedTime::at("2026-11-17 10:00:00");
    let arguments = ["--limit", "0", "--app-secret", "right", "--ban", "1day"];
    let world = World::at(time.faked(), &arguments).await;
    let homes = [0; 3].map(|_| tempfile::tempdir().unwrap());
    let start = |home| daemon(&world, home, &["--always-open"]);
    // The wrong secret is refused once; the broker bans the key for a day.
    start(&homes[0]).run().await.exits(2).says(&["EGW00105"]);
    let asked_once = || {
        let stats = world.broker.stats();
        let calls = (stats.token_requests, stats.calls, stats.calls_while_banned);
        assert_eq!(calls, (1, 0, 0), "{stats:?}");
    };
    asked_once();
    // A service manager starts it again and again, on other machines too; people try by hand.
    for home in &homes {
        for _ in 0..2 {
            let daemon = start(home).start();
            daemon
                .says(&["WARN", "the app key is banned", "EGW00105"])
                .await;
            let skipped = ["run skipped", "reason=\"banned\"", "2026-11-17 10:01:"];
            until("runs are skipped", async || {
                (daemon.count(&skipped) >= 2).then_some(())
            })
            .await;
            daemon.signal("TERM");
            daemon.end().await.exits(143);
        }
        let by_hand = |arguments: &[&str]| world.sise_in(home.path(), arguments);
        let get = by_hand(&["get", "005930"]).run().await.exits(1);
        get.says(&["EGW00105", "nothing is asked until"]);
        let once = by_hand(&["run", "--once", "--codes", "005930"]).run().await;
        once.exits(2).says(&["EGW00105", "sise doctor"]);
    }
    asked_once();
    // Neither an empty Redis nor an empty disk makes it forget.
    world.redis.delete("sise:*").await;
    let refused = world
        .sise_in(homes[0].path(), &["get", "005930"])
        .run()
        .await;
    refused.exits(1).says(&["nothing is asked until"]);
    std::fs::remove_dir_all(homes[1].path().join("state")).unwrap();
    let refused = world
        .sise_in(homes[1].path(), &["get", "005930"])
        .run()
        .await;
    refused.exits(1).says(&["nothing is asked until"]);
    asked_once();
    // When its own ban is over, one call of all processes tries, and the next ban is longer.
    let daemons: Vec<Running> = homes.iter().map(|home| start(home).start()).collect();
    for daemon in &daemons {
        daemon.says(&["the app key is banned"]).await;
    }
    time.set("2026-11-17 10:01:30");
    let longer = until("one process is refused again", async || {
        let refused = |daemon: &&Running| daemon.count(&["ERROR", "2 times in a row"]) == 1;
        daemons.iter().find(refused)
    })
    .await;
    longer.says(&["run skipped", "2026-11-17 10:05:"]).await;
    for home in &homes {
        let get = world.sise_in(home.path(), &["get", "005930"]).run().await;
        get.exits(1)
            .says(&["2 times in a row", "2026-11-17 10:05:"]);
    }
    for daemon in &daemons {
        says_again(daemon, 2, &["run skipped"]).await;
    }
    let stats = world.broker.stats();
    assert_eq!((stats.token_requests, stats.calls), (2, 0), "{stats:?}");
    // The right secret is none that was refused: it is tried at once.
    drop(daemons);
    time.set("2026-11-19 12:00:00");
    let mended = start(&homes[0]).set("KIS_APP_SECRET", "right").start();
    says_again(&mended, 1, &WHOLE_SWEEP).await;
    assert_eq!(world.broker.stats().token_requests, 3);
}

#[tokio::test]
async fn one_processs_new_token_killing_the_others() {
    // Of this broker's tokens the last one alone is good.
    let time = MovedTime::at("2026-11-17 10:00:00");
    let world = World::at(time.faked(), &["--single-token"]).await;
    let homes = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let codes = list::codes(300).join(",");
    let pass = |home: &TempDir| {
        world
            .sise_in(home.path(), &["run", "--once", "--json", "--codes", &codes])
            .set("SISE__SWEEP__BATCH_SIZE", "5")
            .start()
    };
    let first = pass(&homes[0]);
    world.broker.has_seen(10).await;
    // Seven hours later a process that knows of no token gets another one.
    world.redis.delete("sise:token:*").await;
    time.set("2026-11-17 17:00:00");
    let second = pass(&homes[1]);
    for running in [first, second] {
        let report = running.end().await.exits(0).json();
        assert_eq!(number(&report, "written"), 300);
    }
    // The first took over what the second got; it did not ask for one that kills it.
    let stats = world.broker.stats();
    assert_eq!(stats.tokens_issued, 2, "{stats:?}");
}

#[tokio::test]
async fn a_daemon_that_never_renewed_its_token_and_did_nothing_all_day() {
    // A Tuesday. Tokens live for 24 hours.
    let time = MovedTime::at("2026-11-17 10:00:00");
    let world = World::at(time.faked(), &["--limit", "0"]).await;
    let home = tempfile::tempdir().unwrap();
    let daemon = daemon(&world, &home, &[]).start();
    says_again(&daemon, 2, &WHOLE_SWEEP).await;
    assert_eq!(world.broker.stats().tokens_issued, 1);
    // Wednesday, some minutes before it ends: it is renewed while the old one lives.
    time.set("2026-11-18 09:54:00");
    says_again(&daemon, 2, &WHOLE_SWEEP).await;
    assert_eq!(world.broker.stats().tokens_issued, 2);
    time.set("2026-11-18 10:30:00");
    says_again(&daemon, 2, &WHOLE_SWEEP).await;
    let stats = world.broker.stats();
    assert_eq!(
        (stats.tokens_issued, stats.unauthorized),
        (2, 0),
        "{stats:?}"
    );
    // Thursday, exam day with its late open: the machine slept past the token's end.
    time.set("2026-11-19 11:00:00");
    says_again(&daemon, 2, &WHOLE_SWEEP).await;
    // The broker ends tokens whenever it likes; another may be asked for once a minute.
    time.set("2026-11-19 11:02:00");
    world.broker.kill_tokens();
    says_again(&daemon, 2, &WHOLE_SWEEP).await;
    assert_eq!(world.broker.stats().tokens_issued, 4);
    for quote in world.redis.realtime().await.values() {
        let timestamp = quote["timestamp"].as_str().unwrap();
        assert!(timestamp.starts_with("2026-11-19T11:0"), "{quote}");
    }
}

/// How long the way to the broker, or to Redis, is gone.
const BLIP: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_three_second_blip_that_left_data_dead_for_eight_hours() {
    let world = World::new(&["--limit", "0"]).await;
    let way = SilentProxy::to(world.broker.port()).await;
    let home = tempfile::tempdir().unwrap();
    let daemon = daemon(&world, &home, &["--always-open"])
        .set("KIS_BASE_URL", format!("http://127.0.0.1:{}", way.port()))
        .set("SISE__KIS__TIMEOUT", "300ms")
        .set("SISE__SWEEP__BATCH_SIZE", "5")
        // Caps that nobody reaches must not stop anybody.
        .set("SISE__KIS__CALLS_PER_MINUTE", "100000")
        .set("SISE__KIS__CALLS_PER_DAY", "10000000")
        .start();
    says_again(&daemon, 2, &WHOLE_SWEEP).await;
    let address = daemon.health_address().await;
    // Every price is newer than this.
    let is_fresh = async |since: &str| {
        until("every price is fresh again", async || {
            let realtime = world.redis.realtime().await;
            let is_new = |quote: &Value| quote["fetched_at"].as_str().unwrap() > since;
            (realtime.len() == CODES && realtime.values().all(is_new)).then_some(())
        })
        .await;
    };
    let now = || (sise::clock::system())().to_rfc3339();
    let over = Instant::now() + BLIP;
    way.swallow();
    daemon.says(&["WARN", "calls to the broker stop"]).await;
    sleep_until(over).await;
    // Prices live for two minutes: not one is gone.
    assert_eq!(world.redis.realtime().await.len(), CODES);
    way.pass();
    is_fresh(&now()).await;
    daemon.says(&["INFO", "the broker answers again"]).await;
    let metrics = http::get(&address, "/metrics").unwrap().body;
    assert!(metrics.contains("sise_breaker_state 0"), "{metrics}");
    let over = Instant::now() + BLIP;
    world.redis.freeze();
    sleep_until(over).await;
    world.redis.thaw();
    is_fresh(&now()).await;
}
