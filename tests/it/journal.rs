//! Proves that what happens can be read afterwards: sweeps, skips, gaps, jumps of the clock and
//! changes of the lead stand in the journal, and `sise status` and `sise why` tell them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redis::AsyncCommands as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::faked_time::FakedTime;
use crate::support::program::{Outcome, Program, Running};
use crate::support::world::{APP_KEY, APP_SECRET, World};
use crate::support::{http, list, until};

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

async fn ask(world: &World, arguments: &[&str]) -> Outcome {
    world.sise(arguments).run().await.exits(0)
}

async fn ask_json(world: &World, arguments: &[&str]) -> Value {
    ask(world, &[arguments, &["--json"]].concat()).await.json()
}

/// Waits until a daemon has made so many sweeps.
async fn has_swept(daemon: &Running, count: usize) {
    until("sweeps are done", async || {
        (daemon.count(&["sweep done"]) >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_sweep_stands_in_the_journal_with_every_missing_code_and_its_reason() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world, &["--always-open"]);
    // The last one is a code that the broker does not know.
    let codes = list::codes(CODES - 1).join(",\n");
    world.file(
        "list.csv",
        &format!("code,market\n{codes},\n999999,KOSPI\n"),
    );
    let daemon = daemon.start();
    let sweep = world.redis.entry("sweep", |_| true).await;
    assert_eq!(sweep["universe"].as_u64(), Some(60), "{sweep}");
    assert_eq!(sweep["written"].as_u64(), Some(59), "{sweep}");
    assert!(sweep["calls"].as_u64().unwrap() >= 2, "{sweep}");
    assert_eq!(sweep["refused_calls"].as_u64(), Some(0), "{sweep}");
    assert!(sweep["elapsed_ms"].is_u64(), "{sweep}");
    assert_eq!(sweep["missing"][0]["reason"], "unknown", "{sweep}");
    assert_eq!(sweep["missing"][0]["codes"][0], "999999", "{sweep}");
    let token = world.redis.entry("token", |_| true).await;
    assert_eq!(token["change"], "issued", "{token}");
    let lead = world.redis.entry("lead", |_| true).await;
    assert_eq!(lead["change"], "taken", "{lead}");
    assert_eq!(lead["process"], sweep["process"]);

    // The code that has no price, in words and as JSON.
    let words = ask(&world, &["why", "999999"]).await.stdout;
    for part in [
        "never polled",
        "unknown to the broker",
        "no live price",
        "leads since",
    ] {
        assert!(words.contains(part), "'{part}' in:\n{words}");
    }
    let why = ask_json(&world, &["why", "999999"]).await;
    assert_eq!(why["state"], "not_polled", "{why}");
    assert_eq!(why["missed"]["reason"], "unknown", "{why}");

    // One that has: polled, and by which sweep.
    let code = &list::codes(1)[0];
    let why = ask_json(&world, &["why", code]).await;
    assert!(
        ["changed", "unchanged"].contains(&why["state"].as_str().unwrap()),
        "{why}"
    );
    assert_eq!(why["sweep"]["kind"], "sweep", "{why}");
    assert!(why["redis"]["life_ms"].as_u64().unwrap() > 60_000, "{why}");
    assert_eq!(why["leader"]["process"], sweep["process"], "{why}");

    daemon.signal("TERM");
    daemon.end().await.exits(143);
    let last = world
        .redis
        .entry("lead", |entry| entry["change"] == "given_back")
        .await;
    assert_eq!(last["process"], sweep["process"]);
    // Nothing leads, and why says so instead of failing.
    let why = ask(&world, &["why", code]).await.stdout;
    assert!(why.contains("no process leads"), "{why}");
}

#[tokio::test]
async fn three_states_of_a_code_are_kept_apart() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world, &["--always-open"]).start();
    let all: Vec<String> = list::codes(CODES);
    let mut connection = world.redis.connection().await;
    has_swept(&daemon, 3).await;
    let states = async || {
        let mut states = Vec::new();
        for code in &all {
            states.push(ask_json(&world, &["why", code]).await["state"].clone());
        }
        states
    };
    let seen = states().await;
    let live = ["changed", "unchanged", "halted", "untraded"];
    for state in &seen {
        assert!(live.contains(&state.as_str().unwrap()), "{seen:?}");
    }
    daemon.signal("TERM");
    daemon.end().await.exits(143);

    // The broker now gives zero for every code: the last price stays known, and why there is none.
    let broken = World::new(&["--limit", "0", "--zero", "1"]).await;
    // Else its prices would be those of another broker.
    world.redis.delete("sise:broker").await;
    let outcome = broken
        .sise(&["run", "--once", "--codes", &all[0]])
        .set("REDIS_URL", world.redis.url())
        .set("SISE__KIS__RATE_PER_SECOND", "2000")
        .run()
        .await;
    outcome.exits(3);
    let row: String = connection.hget("sise:ledger", &all[0]).await.unwrap();
    assert!(row.contains("refused"), "{row}");
    let words = ask(&world, &["why", &all[0]]).await.stdout;
    for part in [
        "not polled since",
        "why             refused",
        "last polled",
        "unchanged since",
    ] {
        assert!(words.contains(part), "'{part}' in:\n{words}");
    }
}

/// Where Redis is away is told after it came back.
#[tokio::test]
async fn what_happened_while_redis_was_away_is_told_when_it_is_back() {
    let mut world = World::new(&["--limit", "0"]).await;
    let daemon = daemon(&world, &["--always-open"])
        .set("SISE__SCHEDULE__LEASE", "60s")
        .start();
    has_swept(&daemon, 1).await;
    world.redis.kill().await;
    daemon.says(&["run skipped", "store"]).await;
    until("runs are skipped for some seconds", async || {
        let address = daemon.health_address().await;
        let metrics = http::get(&address, "/metrics")?.body;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("sise_skipped_runs_total{reason=\"store_away\"}"))?;
        let count: f64 = line.rsplit(' ').next()?.parse().ok()?;
        (count >= 3.0).then_some(())
    })
    .await;
    world.redis.start_again().await;
    let skip = world
        .redis
        .entry("skip", |entry| entry["reason"] == "store_away")
        .await;
    assert!(skip["times"].as_u64() >= Some(1), "{skip}");
    // One that was under way then wrote nothing, and is told too.
    world
        .redis
        .entry("sweep", |entry| entry["written"].as_u64() == Some(60))
        .await;
}

/// At ten times the speed of time a minute takes six seconds.
#[tokio::test]
async fn minutes_of_a_session_with_too_few_live_prices_are_a_gap() {
    let time = FakedTime::faster("2026-11-20 10:00:05", 10);
    let mut world = World::at(time, &["--limit", "0"]).await;
    let daemon = daemon(&world, &["--allow-gaps"])
        .set("SISE__STORE__TTL", "3s")
        .set("SISE__SCHEDULE__INTERVAL", "10s")
        .start();
    let mut connection = world.redis.connection().await;
    // Nobody swept from the open until now.
    let before = world
        .redis
        .entry("gap", |entry| entry["lowest"].is_null())
        .await;
    assert!(
        before["from"]
            .as_str()
            .unwrap()
            .starts_with("2026-11-20T09:00"),
        "{before}"
    );
    until("a minute is counted in full", async || {
        let minutes: Vec<(String, String)> = connection
            .hgetall("sise:coverage:2026-11-20")
            .await
            .unwrap();
        minutes
            .iter()
            .any(|(_, held)| held == "60/60")
            .then_some(())
    })
    .await;
    // The broker goes; the prices die after three seconds, half a minute of this world.
    world.broker.kill().await;
    let gap = world
        .redis
        .entry("gap", |entry| {
            entry["lowest"].as_f64() == Some(0.0) && entry["times"].as_u64() >= Some(2)
        })
        .await;
    daemon
        .says(&["gap: fewer than 90 % of the list have a live price"])
        .await;
    // Each process of such a world begins at its beginning, so the next ones need a later one.
    let later = FakedTime::from("2026-11-20 11:30:00");
    let from = gap["from"]
        .as_str()
        .unwrap()
        .get(11..16)
        .unwrap()
        .to_owned();
    let at = format!("2026-11-20T{from}:30");
    let asked = world.sise(&["why", "--at", &at]).at(&later).run().await;
    let words = asked.exits(0).stdout;
    for part in [
        "the session was open, regular",
        "gap ",
        "down to 0.0 % of the list live",
    ] {
        assert!(words.contains(part), "'{part}' in:\n{words}");
    }
    for (locale, mark) in [("C.UTF-8", '▁'), ("C", '_')] {
        let status = world
            .sise(&["status"])
            .at(&later)
            .set("LC_ALL", locale)
            .run()
            .await
            .exits(0);
        let strip = status
            .stdout
            .lines()
            .skip_while(|line| !line.starts_with("coverage"));
        let strip = strip.take(2).last().unwrap_or_default();
        assert!(strip.contains(mark), "{}", status.stdout);
        assert!(!status.stdout.contains('\u{1b}'), "{}", status.stdout);
    }
    let asked = world.sise(&["status", "--json"]).at(&later).run().await;
    let status = asked.exits(0).json();
    let gaps = status["coverage"]["gaps"].as_array().unwrap();
    assert!(gaps.len() >= 2, "{status}");
}

/// Somebody who listens for the dead man's call, and answers with a status.
struct Listener {
    url: String,
    calls: Arc<AtomicU64>,
}

impl Listener {
    async fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ping/pingsecret", listener.local_addr().unwrap());
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4_096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                assert!(request[..length].starts_with(b"GET /ping/pingsecret HTTP/1.1"));
                counted.fetch_add(1, Ordering::SeqCst);
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, calls }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_good_sweep_is_heard_outside() {
    let world = World::new(&["--limit", "0"]).await;
    let listener = Listener::start("200 OK").await;
    let daemon = daemon(&world, &["--always-open"])
        .set("SISE__JOURNAL__PING_URL", &listener.url)
        // It leads nowhere, and no call to this machine goes over it: neither this nor the broker's.
        .set("http_proxy", "http://127.0.0.1:1")
        .set("HTTP_PROXY", "http://127.0.0.1:1")
        .set("ALL_PROXY", "http://127.0.0.1:1")
        .start();
    until("the call comes", async || {
        (listener.calls() >= 2).then_some(())
    })
    .await;
    daemon.signal("TERM");
    let outcome = daemon.end().await.exits(143);
    let sweeps = outcome.stderr.matches("sweep done").count() as u64;
    assert!(
        listener.calls() <= sweeps,
        "{} calls, {sweeps} sweeps",
        listener.calls()
    );
    assert!(!outcome.stderr.contains("pingsecret"), "{outcome:?}");
}

#[tokio::test]
async fn nothing_is_heard_outside_of_sessions_and_of_bad_sweeps() {
    let listener = Listener::start("200 OK").await;
    let closed = World::at(FakedTime::from("2026-11-21 10:00:00"), &["--limit", "0"]).await;
    let on_saturday = daemon(&closed, &[])
        .set("SISE__JOURNAL__PING_URL", &listener.url)
        .start();
    let bad = World::new(&["--limit", "0", "--zero", "1"]).await;
    let without_prices = daemon(&bad, &["--always-open"])
        .set("SISE__JOURNAL__PING_URL", &listener.url)
        .start();
    has_swept(&without_prices, 2).await;
    on_saturday.says(&["run skipped", "weekend"]).await;
    assert_eq!(listener.calls(), 0);
}

#[tokio::test]
async fn a_call_that_fails_is_said_once_and_holds_no_sweep() {
    let world = World::new(&["--limit", "0"]).await;
    let listener = Listener::start("503 Service Unavailable").await;
    let daemon = daemon(&world, &["--always-open"])
        .set("SISE__JOURNAL__PING_URL", &listener.url)
        .start();
    until("calls come", async || (listener.calls() >= 3).then_some(())).await;
    has_swept(&daemon, 4).await;
    let address = daemon.health_address().await;
    let metrics = http::get(&address, "/metrics").unwrap().body;
    assert!(
        !metrics.contains("sise_pings_total{outcome=\"failed\"} 0"),
        "{metrics}"
    );
    daemon.signal("TERM");
    let outcome = daemon.end().await.exits(143);
    assert_eq!(outcome.stderr.matches("journal.ping_url failed").count(), 1);
    assert!(outcome.stderr.contains("HTTP 503"), "{outcome:?}");
    assert!(!outcome.stderr.contains("pingsecret"), "{outcome:?}");
}

/// A restart in the evening does not take the close again.
#[tokio::test]
async fn a_close_that_is_kept_is_known_after_a_restart() {
    let world = World::at(FakedTime::from("2026-11-20 15:35:00"), &["--limit", "0"]).await;
    let first = daemon(&world, &[]).start();
    first
        .says(&["the close of the day is kept", "codes=60"])
        .await;
    let sweep = world.redis.entry("sweep", |_| true).await;
    assert_eq!(sweep["close_of"], "2026-11-20", "{sweep}");
    until("it is kept in Redis", async || {
        let texts = world.redis.texts("sise:closed_on").await;
        (texts.values().next().map(String::as_str) == Some("2026-11-20 simulated")).then_some(())
    })
    .await;
    first.signal("KILL");
    drop(first);
    let calls = world.broker.stats().calls;
    let again = daemon(&world, &[])
        .set("SISE__SCHEDULE__LEASE", "1s")
        .start();
    again.says(&["the close of the day is kept already"]).await;
    again.says(&["run skipped", "after the close"]).await;
    assert_eq!(again.count(&["sweep done"]), 0);
    // The broker's holidays are asked once more, no price is.
    assert!(world.broker.stats().calls <= calls + 1);
}

/// A program of somebody else's, with sise as a library.
#[tokio::test]
async fn a_program_that_reads_is_seen_for_as_long_as_its_reader_lives() {
    let world = World::new(&["--limit", "0"]).await;
    let reader = sise::Reader::builder()
        .redis_url(&world.redis.url())
        .response_timeout(std::time::Duration::from_secs(2))
        .base_url(&world.broker.url())
        .credentials(APP_KEY, APP_SECRET)
        .state_directory(&world.path().join("state"))
        .build()
        .await
        .unwrap();
    let roles = async || {
        let status = ask_json(&world, &["status"]).await;
        let processes = status["processes"].as_array().unwrap().clone();
        let role = |process: Value| process["role"].as_str().unwrap().to_owned();
        processes.into_iter().map(role).collect::<Vec<String>>()
    };
    until("the reader is seen", async || {
        (roles().await == ["reader"]).then_some(())
    })
    .await;
    // A miss: it asks the broker, and needs a token for that.
    reader.price("005930").await.unwrap().unwrap();
    let token = world
        .redis
        .entry("token", |entry| entry["change"] == "issued")
        .await;
    assert!(token["process"].is_string(), "{token}");
    let other = reader.clone();
    drop(reader);
    other.price("005930").await.unwrap().unwrap();
    assert_eq!(roles().await, ["reader"]);
    drop(other);
    until("it is gone", async || {
        roles().await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_redis_status_and_why_say_how_to_mend_it() {
    let mut world = World::new(&[]).await;
    world.redis.kill().await;
    let store = format!("127.0.0.1:{}", world.redis.port());
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["why", "005930"],
        &["why", "--last-skip"],
        &["why", "--at", "00:00"],
    ] {
        let outcome = world.sise(arguments).run().await.exits(1);
        outcome.says(&[&store, "REDIS_URL", "sise doctor"]);
    }
    for arguments in [&["status"][..], &["why", "005930"]] {
        let outcome = world.sise(arguments).set("REDIS_URL", "memory").run().await;
        outcome.exits(2).says(&["REDIS_URL"]);
    }
    for arguments in [
        &["why"][..],
        &["why", "samsung"],
        &["why", "005930", "--last-skip"],
        &["why", "--at", "2100-01-01"],
    ] {
        world.sise(arguments).run().await.exits(2);
    }
}

#[tokio::test]
async fn an_empty_redis_is_told_as_such() {
    let world = World::new(&[]).await;
    let status = ask(&world, &["status"]).await.stdout;
    for part in [
        "no process leads",
        "none was seen lately",
        "none in the event log",
        "bans       none",
    ] {
        assert!(status.contains(part), "'{part}' in:\n{status}");
    }
    let words = ask(&world, &["why", "--last-skip"]).await.stdout;
    assert!(words.contains("no run was skipped"), "{words}");
    let at = ask(&world, &["why", "--at", "00:00"]).await.stdout;
    assert!(at.contains("none, as far as the event log goes"), "{at}");
    let outcome = world.sise(&["why", "005930"]).run().await.exits(3);
    assert!(
        outcome.stdout.contains("no sweep has asked for it"),
        "{outcome:?}"
    );
}
