//! The whole market, and several keys that share it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{WHOLE_SWEEP, daemon, number, says_again};
use crate::support::program::{Program, Running};
use crate::support::simulated_broker::Stats;
use crate::support::world::World;
use crate::support::{list, until};

/// The codes of a list of readings, in its order.
fn codes_of(readings: &Value) -> Vec<&str> {
    let readings = readings.as_array().unwrap().iter();
    readings
        .map(|reading| reading["stock_code"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_whole_market_cut_to_200_codes_in_silence() {
    let world = World::new(&["--limit", "0"]).await;
    let every_code = list::every_code();
    let asked: Vec<&str> = every_code.iter().map(String::as_str).collect();
    let get = || {
        let arguments = [&["get", "--json", "--within", "1m"], &asked[..]].concat();
        world.fast_sise(&arguments).run()
    };
    // A reader gets all it asks for, in this order, from the broker and from Redis.
    for source in ["api", "redis"] {
        let readings = get().await.exits(0).json();
        assert_eq!(codes_of(&readings), asked);
        for reading in readings.as_array().unwrap() {
            assert!(reading["price"].as_i64().unwrap() > 0, "{reading}");
            assert_eq!(reading["source"], source, "{reading}");
        }
        assert_eq!(world.redis.realtime().await.len(), asked.len());
    }
    world.redis.delete("realtime:*").await;
    // A daemon sweeps all of them.
    let write = |codes: &[String]| world.file("list.csv", &format!("code\n{}\n", codes.join("\n")));
    let start = || {
        let daemon = daemon(&world, &world.home, &["--always-open"]);
        write(&every_code);
        daemon
    };
    let whole = ["sweep done", "universe=2769", "written=2769"];
    let first = start().start();
    says_again(&first, 1, &whole).await;
    assert_eq!(world.redis.realtime().await.len(), asked.len());
    first.signal("TERM");
    first.end().await.exits(143);
    // The list comes back cut: said, and not believed.
    let again = start();
    write(&list::codes(200));
    let again = again.start();
    again.says(&["WARN", "refused", "200 codes", "2769"]).await;
    says_again(&again, 1, &whole).await;
    drop(again);
    // A broker that leaves codes out of every answer: each of them has a price or is named.
    let world = World::new(&["--limit", "0", "--short", "1"]).await;
    let once = world.fast_sise(&["run", "--once", "--json"]);
    let once = once.set("SISE__UNIVERSE__SOURCE", "shipped").run().await;
    let report = once.json();
    let missing = report["missing"].as_array().unwrap();
    let missing = missing.iter().map(|one| one["code"].as_str().unwrap());
    let missing: BTreeSet<String> = missing.map(str::to_owned).collect();
    once.exits(if missing.is_empty() { 0 } else { 3 });
    assert_eq!(number(&report, "universe"), 2_769);
    let held: BTreeSet<String> = world.redis.realtime().await.into_keys().collect();
    assert_eq!(number(&report, "written"), held.len() as u64);
    assert!(held.is_disjoint(&missing));
    let all: BTreeSet<String> = every_code.into_iter().collect();
    assert_eq!(held.union(&missing).cloned().collect::<BTreeSet<_>>(), all);
}

/// Calls of each of two keys.
fn calls(stats: &Stats) -> [u64; 2] {
    ["0001", "0002"].map(|key| stats.calls_of(key))
}

/// Waits until both keys have made so many more calls.
async fn both_call(world: &World, count: u64) {
    let before = calls(&world.broker.stats());
    until("both keys make calls", async || {
        let now = calls(&world.broker.stats());
        let both = now.iter().zip(before);
        let mut both = both.map(|(now, before)| now - before);
        both.all(|calls| calls >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_stops_consuming_for_ever_after_redis_was_reset() {
    let mut world = World::new(&["--latency", "50ms"]).await;
    let homes = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let worker = |(home, key): (&tempfile::TempDir, &str)| {
        daemon(&world, home, &["--always-open"])
            .set(
                "KIS_APP_KEY",
                format!("PSappkeyappkeyappkeyappkeyappkey{key}"),
            )
            // Thirty batches a sweep, about a second for both.
            .set("SISE__KIS__RATE_PER_SECOND", "15")
            .set("SISE__SWEEP__BATCH_SIZE", "2")
            .set("SISE__SWEEP__SHARED", "true")
            .set("SISE__SCHEDULE__INTERVAL", "3s")
            .set("SISE__SCHEDULE__LEASE", "2s")
    };
    let daemons = homes.iter().zip(["0001", "0002"]);
    let daemons: Vec<Running> = daemons.map(worker).map(Program::start).collect();
    let swept = || -> usize { daemons.iter().map(|one| one.count(&WHOLE_SWEEP)).sum() };
    let sweep_again = async |count: usize| {
        let before = swept();
        until("whole sweeps are done", async || {
            (swept() >= before + count).then_some(())
        })
        .await;
    };
    for when_idle in [true, false] {
        for is_killed in [false, true] {
            both_call(&world, 5).await;
            if when_idle {
                // They wait for work.
                sweep_again(1).await;
            }
            if is_killed {
                world.redis.kill().await;
                world.redis.start_again().await;
            } else {
                let mut connection = world.redis.connection().await;
                let flush = redis::cmd("FLUSHALL");
                let () = flush.query_async(&mut connection).await.unwrap();
            }
            // Both take work again, sweep after sweep.
            for _ in 0..2 {
                both_call(&world, 5).await;
                sweep_again(1).await;
            }
            until("every code stands in Redis", async || {
                (world.redis.realtime().await.len() == super::CODES).then_some(())
            })
            .await;
        }
    }
    for daemon in daemons {
        daemon.signal("TERM");
        let outcome = daemon.end().await.exits(143);
        assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    }
}
