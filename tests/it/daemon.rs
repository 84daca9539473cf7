//! Proves that `sise run` keeps prices fresh while the market is open and only then, says why it
//! skips, outlives its store and its clock, tells its health, and ends when told to.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::faked_time::FakedTime;
use crate::support::program::{Program, Running};
use crate::support::world::World;
use crate::support::{http, list, until};

/// Calls that ask no price: once a day the broker's holidays are compared with the calendar.
const HOLIDAY_CALLS: u64 = 1;

/// Calls of one pass over the small list: the last leaves room for the indices. Out of session there is
/// one, for want of a close.
const PASS_CALLS: u64 = 3;

/// Codes of the small list.
const CODES: usize = 60;

/// `run` over a small list, every second.
fn daemon(world: &World, arguments: &[&str]) -> Program {
    let codes = list::codes(CODES).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    world
        .fast_sise(&[&["run"], arguments].concat())
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "1s")
}

/// Waits until `count` sweeps are done.
async fn has_swept(daemon: &Running, count: usize) {
    until("sweeps are done", async || {
        assert!(!daemon.said().contains("panicked"), "{}", daemon.said());
        (daemon.count(&["sweep done"]) >= count).then_some(())
    })
    .await;
}

/// Waits until all codes stand in Redis.
async fn is_complete(world: &World) {
    until("every code has a price in Redis", async || {
        (world.redis.realtime().await.len() == CODES).then_some(())
    })
    .await;
}

/// Waits for an answer of the health server.
async fn answers(address: &str, path: &str, status: u16) -> String {
    until("the health server answers", async || {
        let answer = http::get(address, path)?;
        (answer.status == status).then_some(answer.body)
    })
    .await
}

#[tokio::test]
async fn prices_are_kept_fresh() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world, &["--always-open"]).start();
    is_complete(&world).await;
    let fetched_at = async || {
        let realtime = world.redis.realtime().await;
        realtime[&list::codes(1)[0]]["fetched_at"].clone()
    };
    let first = fetched_at().await;
    until("the price is fetched again", async || {
        (fetched_at().await != first).then_some(())
    })
    .await;
    let keys: Vec<String> = list::codes(CODES)
        .iter()
        .map(|code| format!("realtime:price:{code}"))
        .collect();
    for life in world.redis.lives(&keys).await {
        assert!((60_000..=120_000).contains(&life), "{life} ms");
    }
    assert!(world.redis.close().await.is_empty());
    daemon.signal("TERM");
    let outcome = daemon.end().await.exits(143);
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    assert!(!outcome.stderr.contains('\u{1b}'), "{outcome:?}");
}

#[tokio::test]
async fn health_and_metrics_are_told() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world, &["--always-open"]).start();
    let address = daemon.health_address().await;
    answers(&address, "/live", 200).await;
    answers(&address, "/ready", 200).await;
    has_swept(&daemon, 2).await;
    let metrics = answers(&address, "/metrics", 200).await;
    for name in [
        "sise_universe_codes 60",
        "sise_coverage_ratio 1",
        "sise_fresh_ratio 1",
        "sise_price_age_seconds{percentile=\"99\"}",
        "sise_calls_total{outcome=\"ok\"}",
        "sise_limiter_wait_seconds_count",
        "sise_sweep_duration_seconds_count",
        "sise_sweeps_total",
        "sise_missing_codes{reason=\"not_reached\"} 0",
        "sise_next_run_timestamp_seconds",
    ] {
        assert!(metrics.contains(name), "{name} in:\n{metrics}");
    }
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap_or_default();
        assert!(line.is_empty() || value.parse::<f64>().is_ok(), "{line}");
    }
    daemon.signal("INT");
    daemon.end().await.exits(130);
}

/// Who watches for an increase needs to see the zero that it starts from.
#[tokio::test]
async fn every_metric_is_there_from_the_start() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world, &["--always-open"]).start();
    let address = daemon.health_address().await;
    answers(&address, "/ready", 200).await;
    let metrics = answers(&address, "/metrics", 200).await;
    for name in [
        "sise_reader_hits_total",
        "sise_reader_misses_total",
        "sise_store_errors_total",
        "sise_skipped_runs_total",
        "sise_calls_total",
    ] {
        let stands = |line: &str| line.starts_with(name);
        assert!(metrics.lines().any(stands), "{name} in:\n{metrics}");
    }
}

/// One token a minute: whoever lost the last one waits for the next.
#[tokio::test]
async fn while_it_waits_for_a_token_it_lives_and_listens() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let world = World::new(&["--limit", "0"]).await;
        let once = world.sise(&["run", "--once", "--codes", "005930"]);
        once.run().await.exits(0);
        world.forget_token().await;
        let waiting = daemon(&world, &["--always-open"]).start();
        waiting.says(&["within the minute"]).await;
        let address = waiting.health_address().await;
        let live = http::get(&address, "/live").map(|answer| answer.status);
        let ready = http::get(&address, "/ready").map(|answer| answer.status);
        assert_eq!((live, ready), (Some(200), Some(503)));
        waiting.signal(signal);
        waiting.end().await.exits(code);
        assert_eq!(world.broker.stats().tokens_issued, 1);
    }
}

#[tokio::test]
async fn redis_may_come_later_than_the_daemon() {
    let mut world = World::new(&["--limit", "0"]).await;
    world.redis.kill().await;
    let store = format!("127.0.0.1:{}", world.redis.port());
    let daemon = daemon(&world, &["--always-open"]).start();
    daemon
        .says(&["WARN", &store, "starting all the same"])
        .await;
    daemon.says(&["run skipped", &store, "next run"]).await;
    let address = daemon.health_address().await;
    answers(&address, "/live", 200).await;
    let body = answers(&address, "/ready", 503).await;
    assert!(body.contains(&store), "{body}");
    assert!(body.contains("live price"), "{body}");
    // Calls are not spent on prices that cannot be kept.
    assert!(world.broker.stats().calls <= HOLIDAY_CALLS);
    world.redis.start_again().await;
    is_complete(&world).await;
    answers(&address, "/ready", 200).await;
}

#[tokio::test]
async fn redis_may_go_and_come_back() {
    let mut world = World::new(&["--limit", "0"]).await;
    let store = format!("127.0.0.1:{}", world.redis.port());
    let mut daemon = daemon(&world, &["--always-open"]).start();
    let address = daemon.health_address().await;
    answers(&address, "/ready", 200).await;
    world.redis.kill().await;
    let body = answers(&address, "/ready", 503).await;
    assert!(body.contains(&store), "{body}");
    answers(&address, "/live", 200).await;
    daemon.says(&["run skipped", &store]).await;
    let metrics = answers(&address, "/metrics", 200).await;
    assert!(
        metrics.contains("sise_skipped_runs_total{reason=\"store_away\"}"),
        "{metrics}"
    );
    assert!(metrics.contains("sise_store_errors_total"), "{metrics}");
    world.redis.start_again().await;
    is_complete(&world).await;
    answers(&address, "/ready", 200).await;
    assert!(daemon.runs());
}

#[tokio::test]
async fn redis_may_freeze_and_thaw() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world, &["--always-open"])
        .set("SISE__STORE__RESPONSE_TIMEOUT", "200ms")
        .start();
    let address = daemon.health_address().await;
    answers(&address, "/ready", 200).await;
    world.redis.freeze();
    answers(&address, "/ready", 503).await;
    answers(&address, "/live", 200).await;
    daemon.says(&["run skipped", "no answer in time"]).await;
    world.redis.thaw();
    answers(&address, "/ready", 200).await;
    is_complete(&world).await;
}

#[tokio::test]
async fn what_is_in_flight_does_not_hold_a_stop() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        // Answers would come after minutes; the harness waits less than that.
        let world = World::new(&["--limit", "0", "--slow", "1", "--slow-for", "10m"]).await;
        let daemon = daemon(&world, &["--always-open"])
            .set("SISE__KIS__TIMEOUT", "60s")
            .start();
        world.broker.has_seen(1).await;
        daemon.signal(signal);
        let outcome = daemon.end().await.exits(code);
        outcome.says(&["stopped=true", "not reached"]);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_with_a_remedy() {
    let world = World::new(&[]).await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap().to_string();
    let outcome = daemon(&world, &["--always-open"])
        .set("SISE__API__LISTEN", &address)
        .run()
        .await;
    outcome.exits(1).says(&[&address, "api.listen"]);
    let stats = world.broker.stats();
    assert_eq!((stats.calls, stats.token_requests), (0, 0));
}

/// Any number may run on one machine without a setting.
#[tokio::test]
async fn where_the_usual_port_is_taken_the_next_free_one_serves() {
    let world = World::new(&["--limit", "0"]).await;
    // If that fails, another program has it.
    let _held = TcpListener::bind("127.0.0.1:8787").await;
    let usual = |program: Program| program.unset("SISE__API__LISTEN").start();
    let running = [
        usual(daemon(&world, &["--always-open"])),
        usual(daemon(&world, &["--always-open"])),
        usual(world.sise(&["serve"])),
    ];
    let mut addresses = Vec::new();
    for program in &running {
        let address = program.health_address().await;
        let taken = ["WARN", "127.0.0.1:8787 is taken", &address, "api.listen"];
        program.says(&taken).await;
        answers(&address, "/live", 200).await;
        addresses.push(address);
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), running.len(), "{addresses:?}");
    // What was asked for is served there or nowhere, be it the usual one.
    for arguments in [&["run", "--always-open"][..], &["serve"]] {
        let asked_for = world
            .sise(arguments)
            .set("SISE__API__LISTEN", "127.0.0.1:8787");
        let outcome = asked_for.run().await.exits(1);
        outcome.says(&["cannot listen on 127.0.0.1:8787", "api.listen"]);
    }
}

#[tokio::test]
async fn a_set_up_that_cannot_keep_its_codes_alive_is_refused() {
    let world = World::new(&["--mode", "paper"]).await;
    let paper = |arguments: &[&str]| {
        let arguments = [&["run", "--always-open"], arguments].concat();
        // A batch is written when its last code has come.
        let program = world.sise(&arguments).set("SISE__SWEEP__BATCH_SIZE", "1");
        program.set("KIS_ENV", "paper")
    };
    let outcome = paper(&[]).run().await.exits(2);
    let outcome = outcome.says(&["2,769 codes", "store.ttl", "--allow-gaps"]);
    assert!(outcome.stderr.contains("What works"), "{outcome:?}");
    let stats = world.broker.stats();
    assert_eq!((stats.calls, stats.token_requests), (0, 0));
    let daemon = paper(&["--allow-gaps"]).start();
    daemon.says(&["WARN", "cannot keep", "--allow-gaps"]).await;
    until("a price is there", async || {
        (!world.redis.realtime().await.is_empty()).then_some(())
    })
    .await;
    // Nothing is asked for that paper accounts lack.
    assert_eq!(world.broker.stats().rejected, 0);
    daemon.signal("TERM");
    daemon.end().await.exits(143);
}

#[tokio::test]
async fn a_wrong_secret_ends_the_daemon_before_it_begins() {
    let world = World::new(&["--app-secret", "another"]).await;
    let outcome = daemon(&world, &["--always-open"]).run().await;
    outcome.exits(2).says(&["KIS_APP_SECRET"]);
    assert!(world.broker.stats().token_requests <= 2);
}

#[tokio::test]
async fn every_run_on_a_weekend_is_skipped_with_a_line() {
    let world = World::at(FakedTime::from("2026-11-21 10:00:00"), &["--limit", "0"]).await;
    let daemon = daemon(&world, &[]).start();
    let skipped = ["run skipped", "weekend", "2026-11-23 09:00:00 KST"];
    until("three runs are skipped", async || {
        (daemon.count(&skipped) >= 3).then_some(())
    })
    .await;
    assert_eq!(daemon.count(&["run skipped"]), daemon.count(&skipped));
    let address = daemon.health_address().await;
    // Nothing fresh is expected at this hour.
    answers(&address, "/ready", 200).await;
    let metrics = answers(&address, "/metrics", 200).await;
    assert!(
        metrics.contains("sise_skipped_runs_total{reason=\"weekend\"}"),
        "{metrics}"
    );
    // 2026-11-23 09:00:00 in Seoul.
    assert!(
        metrics.contains("sise_next_run_timestamp_seconds 1795392000"),
        "{metrics}"
    );
    assert!(world.broker.stats().calls <= HOLIDAY_CALLS + PASS_CALLS);
    daemon.signal("TERM");
    daemon.end().await.exits(143);
}

#[tokio::test]
async fn holidays_and_late_openings_are_known() {
    for (time, why, next) in [
        ("2026-12-25 10:00:00", "holiday", "2026-12-28 09:00:00 KST"),
        ("2026-12-31 10:00:00", "year-end", "2027-01-04 10:00:00 KST"),
        // The day of the university entrance exam.
        (
            "2026-11-19 09:30:00",
            "before the open",
            "2026-11-19 10:00:00 KST",
        ),
        // The first trading day of a year.
        (
            "2027-01-04 09:30:00",
            "before the open",
            "2027-01-04 10:00:00 KST",
        ),
    ] {
        let world = World::at(FakedTime::from(time), &["--limit", "0"]).await;
        let daemon = daemon(&world, &[]).start();
        daemon.says(&["run skipped", why, next]).await;
        assert!(world.broker.stats().calls <= HOLIDAY_CALLS + PASS_CALLS);
    }
}

#[tokio::test]
async fn the_late_close_of_the_exam_day_is_kept() {
    let world = World::at(FakedTime::from("2026-11-19 16:10:00"), &["--limit", "0"]).await;
    let daemon = daemon(&world, &[]).start();
    has_swept(&daemon, 1).await;
    let realtime = world.redis.realtime().await;
    assert_eq!(realtime.len(), CODES);
    for quote in realtime.values() {
        assert_eq!(quote["session"].as_str(), Some("regular"), "{quote}");
    }
}

#[tokio::test]
async fn work_begins_at_the_open() {
    let time = FakedTime::from("2026-11-20 08:59:56");
    let world = World::at(time, &["--limit", "0"]).await;
    let daemon = daemon(&world, &[]).start();
    daemon
        .says(&["run skipped", "before the open", "2026-11-20 09:00:00 KST"])
        .await;
    is_complete(&world).await;
    for quote in world.redis.realtime().await.values() {
        let timestamp = quote["timestamp"].as_str().unwrap();
        assert!(timestamp >= "2026-11-20T09:00:00", "{quote}");
    }
}

/// The first tick of the cron loop may come right after the start, and counts all the same.
#[tokio::test]
async fn a_start_just_before_the_open_misses_nothing() {
    let world = World::at(FakedTime::from("2026-11-20 08:59:56"), &["--limit", "0"]).await;
    let daemon = daemon(&world, &[])
        .set("SISE__SCHEDULE__INTERVAL", "60s")
        .start();
    daemon.says(&["run skipped", "before the open"]).await;
    is_complete(&world).await;
    for quote in world.redis.realtime().await.values() {
        let timestamp = quote["timestamp"].as_str().unwrap();
        assert!(timestamp < "2026-11-20T09:00:50", "{quote}");
    }
}

/// A closure is announced while the daemon runs, and the file for it was not there before.
#[tokio::test]
async fn a_calendar_file_that_appears_is_read_in_the_morning() {
    let time = FakedTime::faster("2026-11-20 08:19:40", 10);
    let world = World::at(time, &["--limit", "0"]).await;
    let daemon = daemon(&world, &[]).start();
    daemon.says(&["run skipped", "before the open"]).await;
    std::fs::create_dir(world.path().join("config")).unwrap();
    world.file(
        "config/calendar.csv",
        "date,kind,open,close,note\n2026-11-20,closed,,,closed by decree\n",
    );
    daemon
        .says(&["stock list not reloaded", "no trading today"])
        .await;
    daemon
        .says(&["run skipped", "closed by decree", "2026-11-23"])
        .await;
}

#[tokio::test]
async fn the_close_is_taken_once_when_it_is_final() {
    let time = FakedTime::faster("2026-11-20 15:29:30", 10);
    let world = World::at(time, &["--limit", "0"]).await;
    let daemon = daemon(&world, &[]).start();
    is_complete(&world).await;
    assert!(world.redis.close().await.is_empty());
    daemon.says(&["run skipped", "not final yet"]).await;
    daemon.says(&["the close of the day is kept"]).await;
    let close = world.redis.close().await;
    assert_eq!(close.len(), CODES);
    for quote in close.values() {
        let timestamp = quote["timestamp"].as_str().unwrap();
        assert!(timestamp >= "2026-11-20T15:31:00", "{quote}");
        assert!(quote["price"].as_i64().unwrap() > 0, "{quote}");
    }
    let keys: Vec<String> = close.keys().map(|c| format!("close:price:{c}")).collect();
    assert!(
        world
            .redis
            .lives(&keys)
            .await
            .iter()
            .all(|life| *life == -1)
    );
    // Then it is quiet until Monday.
    daemon
        .says(&["run skipped", "after the close", "2026-11-23 09:00:00 KST"])
        .await;
    let calls = world.broker.stats().calls;
    let skipped = daemon.count(&["after the close"]);
    until("more runs are skipped", async || {
        (daemon.count(&["after the close"]) >= skipped + 3).then_some(())
    })
    .await;
    assert_eq!(world.broker.stats().calls, calls);
    assert_eq!(daemon.count(&["the close of the day is kept"]), 1);
}

#[tokio::test]
async fn a_close_that_the_store_has_lost_is_taken_once_more() {
    let time = FakedTime::faster("2026-11-20 15:31:30", 10);
    let world = World::at(time, &["--limit", "0"]).await;
    let daemon = daemon(&world, &[]).start();
    daemon.says(&["the close of the day is kept"]).await;
    let mut connection = world.redis.connection().await;
    let flush = redis::cmd("FLUSHALL").query_async(&mut connection).await;
    let () = flush.unwrap();
    daemon
        .says(&["the store has lost the close of the day"])
        .await;
    until("it is kept again", async || {
        (world.redis.close().await.len() == CODES).then_some(())
    })
    .await;
}

/// Installed in the evening: one pass brings what is shown until the next close, and says so.
#[tokio::test]
async fn who_starts_out_of_session_without_a_close_keeps_the_last_known_prices() {
    let time = FakedTime::from("2026-11-20 17:38:00");
    let world = World::at(time, &["--limit", "0"]).await;
    let evening = daemon(&world, &[]).start();
    let known = ["kept as the last known ones", "day=2026-11-20", "codes=60"];
    evening.says(&known).await;
    evening
        .says(&["run skipped", "after the close", "2026-11-23 09:00:00 KST"])
        .await;
    let close = world.redis.close().await;
    assert_eq!(close.len(), CODES);
    for quote in close.values() {
        assert_eq!(quote["session"], "after-market", "{quote}");
        assert_eq!(quote["last_known_of"], "2026-11-20", "{quote}");
    }
    for index in ["KOSPI", "KOSDAQ", "KOSPI200"] {
        let texts = world.redis.texts(&format!("close:index:{index}")).await;
        assert!(format!("{texts:?}").contains("after-market"), "{texts:?}");
    }
    let status = world.sise(&["status"]).run().await.exits(0);
    let words =
        "none of 2026-11-20 was taken: the last known prices stand in, taken at 2026-11-20 17:38:";
    assert!(status.stdout.contains(words), "{status:?}");
    let address = evening.health_address().await;
    let levels = answers(&address, "/v1/indices", 200).await;
    assert_eq!(levels.matches("\"index\":").count(), 3, "{levels}");
    until("the page is told what is shown", async || {
        let market = http::get(&address, "/v1/market")?.body;
        market
            .contains("\"reason\":\"after the close\"")
            .then_some(())
    })
    .await;
    // Another one finds it done.
    evening.signal("TERM");
    evening.end().await.exits(143);
    let calls = world.broker.stats().calls;
    let again = daemon(&world, &[]).start();
    again.says(&["run skipped", "after the close"]).await;
    assert!(world.broker.stats().calls <= calls + HOLIDAY_CALLS);
    assert_eq!(again.count(&["last known"]), 0);
}

/// Some rows are refused pass after pass: the day is ranked with what is there, and those alone are
/// asked for again.
#[tokio::test]
async fn what_is_missing_of_the_close_alone_is_asked_for_again() {
    let time = FakedTime::faster("2026-11-20 15:31:30", 10);
    let world = World::at(time, &["--limit", "0", "--zero", "0.6"]).await;
    let daemon = daemon(&world, &[])
        .set("SISE__JOURNAL__GAP_BELOW", "0.2")
        .start();
    let incomplete = "the close of the day is kept but for these";
    daemon
        .says(&[incomplete, "asked for again until 16:00"])
        .await;
    let mut connection = world.redis.connection().await;
    until("the day is ranked before its close is whole", async || {
        let ranked: u64 = redis::cmd("ZCARD")
            .arg("close:rank:volume")
            .query_async(&mut connection)
            .await
            .unwrap();
        (ranked > 0).then_some(())
    })
    .await;
    until("the close is whole", async || {
        (world.redis.close().await.len() == CODES).then_some(())
    })
    .await;
    daemon
        .says(&["the close of the day is kept", "codes=60"])
        .await;
    // The whole list was asked for once.
    assert_eq!(daemon.count(&["sweep done", "universe=60"]), 1);
    assert!(daemon.count(&["sweep done"]) > 1);
    until("the ranking is whole", async || {
        let ranked: usize = redis::cmd("ZCARD")
            .arg("close:rank:volume")
            .query_async(&mut connection)
            .await
            .unwrap();
        (ranked == CODES).then_some(())
    })
    .await;
}

/// An earlier process whose clock was wrong took prices of the session for the close.
#[tokio::test]
async fn a_close_that_was_taken_too_early_is_taken_anew() {
    let time = FakedTime::faster("2026-11-20 15:29:30", 10);
    let world = World::at(time, &["--limit", "0"]).await;
    let mut connection = world.redis.connection().await;
    let mark = redis::cmd("SET")
        .arg("sise:closed_on")
        .arg("2026-11-20")
        .query_async(&mut connection)
        .await;
    let () = mark.unwrap();
    let daemon = daemon(&world, &[]).start();
    daemon.says(&["a clock was wrong"]).await;
    daemon
        .says(&["the close of the day is kept", "codes"])
        .await;
    assert_eq!(world.redis.close().await.len(), CODES);
}

#[tokio::test]
async fn the_list_is_loaded_anew_in_the_morning() {
    let time = FakedTime::faster("2026-11-20 08:19:40", 10);
    let world = World::at(time, &["--limit", "0"]).await;
    let daemon = daemon(&world, &[]).start();
    daemon.says(&["run skipped"]).await;
    world.file(
        "list.csv",
        &format!("code\n{}\n", list::codes(CODES + 1).join("\n")),
    );
    daemon.says(&["stock list loaded", "codes=61"]).await;
}

#[tokio::test]
async fn a_sweep_that_is_still_going_is_never_doubled() {
    let world = World::new(&["--limit", "0", "--latency", "2s"]).await;
    let daemon = daemon(&world, &["--always-open"]).start();
    daemon.says(&["run skipped", "previous run"]).await;
    has_swept(&daemon, 2).await;
    // Three calls a sweep, the last with the indices; a sweep may be under way.
    let calls = world.broker.stats().calls;
    let sweeps = daemon.count(&["sweep done"]) as u64;
    let most = (sweeps + 1) * 3 + HOLIDAY_CALLS;
    assert!(calls <= most, "{calls} calls, {sweeps} sweeps");
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_brings_no_burst() {
    let world = World::new(&["--limit", "0"]).await;
    let offset = world.file("offset", "+0");
    let daemon = daemon(&world, &["--always-open"])
        .at(&FakedTime::of_file(&offset))
        .start();
    has_swept(&daemon, 2).await;
    let start = Instant::now();
    let before = daemon.count(&["sweep done"]);
    world.file("offset", "+3600");
    has_swept(&daemon, before + 5).await;
    let sweeps = daemon.count(&["sweep done"]) - before;
    // One a second, and not the 3,600 that were missed.
    let due = usize::try_from(start.elapsed().as_secs()).unwrap() + 4;
    assert!(sweeps <= due, "{sweeps} sweeps where {due} were due");
    let realtime = world.redis.realtime().await;
    assert_eq!(realtime.len(), CODES);
}

#[tokio::test]
async fn a_clock_that_is_set_back_brings_no_pause() {
    let world = World::new(&["--limit", "0"]).await;
    let offset = world.file("offset", "+0");
    let daemon = daemon(&world, &["--always-open"])
        .at(&FakedTime::of_file(&offset))
        .start();
    has_swept(&daemon, 2).await;
    let before = daemon.count(&["sweep done"]);
    world.file("offset", "-3600");
    has_swept(&daemon, before + 2).await;
}

#[tokio::test]
async fn a_broker_that_is_away_is_waited_for() {
    let mut world = World::new(&["--limit", "0"]).await;
    world.broker.kill().await;
    let mut daemon = daemon(&world, &["--always-open"]).start();
    let address = daemon.health_address().await;
    daemon.says(&["WARN", "no access token yet"]).await;
    let body = answers(&address, "/ready", 503).await;
    assert!(body.contains("token"), "{body}");
    daemon
        .says(&["codes without a new price: not reached"])
        .await;
    assert!(daemon.runs());
    daemon.signal("TERM");
    daemon.end().await.exits(143);
}

#[tokio::test]
async fn logs_can_be_json() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world, &["--always-open"])
        .set("SISE__LOG__FORMAT", "json")
        .start();
    daemon.says(&["sweep done"]).await;
    daemon.signal("TERM");
    let outcome = daemon.end().await.exits(143);
    for line in outcome.stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string(), "{line}");
    }
}
