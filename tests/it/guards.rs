//! Proves that a broker that is away is left alone and found again, that a ban is lifted by a person
//! at once, and that a broker that changes its fields is noticed and harms no price.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use sise::{ReadError, Reader};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::faked_time::FakedTime;
use crate::support::program::{Program, Running};
use crate::support::world::{APP_KEY, APP_SECRET, World};
use crate::support::{http, list, until};

/// Codes of the small list: two calls a sweep.
const CODES: usize = 60;

/// `run` over a small list, every second.
fn daemon(world: &World) -> Program {
    let codes = list::codes(CODES).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    world
        .fast_sise(&["run", "--always-open"])
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "1s")
}

async fn says_again(daemon: &Running, count: usize, parts: &[&str]) {
    let before = daemon.count(parts);
    until(&format!("{parts:?}"), async || {
        (daemon.count(parts) >= before + count).then_some(())
    })
    .await;
}

async fn metric(address: &str, name: &str) -> f64 {
    let metrics = http::get(address, "/metrics").unwrap().body;
    let line = metrics.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in:\n{metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// A port where a broker should be: a token is had there, every other call is cut off, and counted.
async fn closed_door() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let knocks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&knocks);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4_096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            if !request[..length].starts_with(b"POST /oauth2/tokenP") {
                counted.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let token = r#"{"access_token":"a-token","token_type":"Bearer","expires_in":86400}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{token}",
                token.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, knocks)
}

#[tokio::test]
async fn a_broker_that_is_away_is_left_alone() {
    let world = World::new(&["--limit", "0"]).await;
    let (address, knocks) = closed_door().await;
    let daemon = daemon(&world).set("KIS_BASE_URL", &address).start();
    daemon.says(&["WARN", "calls to the broker stop"]).await;
    let health = daemon.health_address().await;
    until("some trials fail", async || {
        (daemon.count(&["WARN", "the broker does not answer"]) >= 4).then_some(())
    })
    .await;
    until("sweeps end", async || {
        (daemon.count(&["not reached", "has not answered for"]) >= 3).then_some(())
    })
    .await;
    assert!(metric(&health, "sise_breaker_state").await > 0.0);
    assert!(metric(&health, "sise_breaker_openings_total").await >= 1.0);
    // What opened it, and then one call a trial; the client may knock twice for one.
    let trials = daemon.count(&["one call tries"]);
    let knocks = knocks.load(Ordering::SeqCst);
    assert!(
        knocks <= 2 * (5 + 32 + trials),
        "{knocks} for {trials} trials"
    );
}

#[tokio::test]
async fn readers_are_told_at_once_while_the_broker_is_away() {
    let world = World::new(&["--limit", "0"]).await;
    let (address, knocks) = closed_door().await;
    let reader = Reader::builder()
        .redis_url(&world.redis.url())
        .credentials(APP_KEY, APP_SECRET)
        .base_url(&address)
        .state_directory(world.path())
        .build()
        .await
        .unwrap();
    let codes = list::codes(CODES);
    let said = until("a reader is told", async || {
        for code in &codes {
            let Err(ReadError::Source { source, .. }) = reader.price(code).await else {
                panic!("there is no price of {code}");
            };
            let said = source.to_string();
            if said.contains("has not answered for") {
                return Some(said);
            }
        }
        None
    })
    .await;
    assert!(said.contains("tried again in"), "{said}");
    // Then nobody knocks for a reader, but for one trial now and then.
    let before = knocks.load(Ordering::SeqCst);
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    assert!(reader.prices(&codes).await.is_err());
    assert!(knocks.load(Ordering::SeqCst) <= before + 2);
}

/// Waits until a command line shows a text.
async fn shows(world: &World, arguments: &[&str], text: &str) {
    until(text, async || {
        let outcome = world.sise(arguments).run().await;
        outcome.stdout.contains(text).then_some(())
    })
    .await;
}

/// A person's trial lifts a ban at once, and the daemon goes on by itself.
#[tokio::test]
async fn the_doctor_lifts_a_ban() {
    let folder = tempfile::tempdir().unwrap();
    let offset = folder.path().join("offset");
    std::fs::write(&offset, FakedTime::to("2026-11-17 10:00:00")).unwrap();
    let world = World::at(
        FakedTime::of_file(&offset),
        &["--limit", "0", "--ban", "20s"],
    )
    .await;
    let daemon = daemon(&world).start();
    let health = daemon.health_address().await;
    says_again(&daemon, 2, &["sweep done", "written=60"]).await;
    // Somebody else tries the same key with a wrong secret; the broker bans the key for that.
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = world
        .sise_in(elsewhere.path(), &["get", "005935"])
        .set("REDIS_URL", "memory")
        .set("KIS_APP_SECRET", "another");
    stranger.run().await.exits(1).says(&["EGW00105"]);
    daemon.says(&["ERROR", "EGW00003", "sise doctor"]).await;
    daemon.says(&["run skipped", "reason=\"banned\""]).await;
    shows(&world, &["status"], "the broker bans key and secret of").await;
    assert!(metric(&health, "sise_ban_until_timestamp_seconds").await > 0.0);
    assert!(metric(&health, "sise_bans_total{kind=\"access\"}").await >= 1.0);
    let ready = http::get(&health, "/ready").unwrap();
    assert!(
        ready.body.contains("nothing is asked until"),
        "{}",
        ready.body
    );
    let diagnose = async |code: i32| {
        let doctor = world.sise(&["doctor", "--json"]).run().await;
        let checks = doctor.exits(code).json();
        let mut checks = checks.as_array().unwrap().clone().into_iter();
        checks.find(|check| check["name"] == "ban").unwrap()
    };
    // Too early: one call is made all the same, and the ban stays.
    let before = world.broker.stats().calls_while_banned;
    let check: Value = diagnose(1).await;
    assert_eq!(check["verdict"], "fail", "{check}");
    assert!(check["found"].as_str().unwrap().contains("in vain"));
    assert_eq!(world.broker.stats().calls_while_banned, before + 1);
    // The broker's ban is over, ours is not.
    std::fs::write(&offset, FakedTime::to("2026-11-17 10:00:40")).unwrap();
    says_again(&daemon, 2, &["run skipped", "reason=\"banned\""]).await;
    let check: Value = diagnose(0).await;
    assert_eq!(check["verdict"], "ok", "{check}");
    assert!(check["found"].as_str().unwrap().contains("lifted"));
    daemon.says(&["another process found the ban lifted"]).await;
    shows(&world, &["status"], "bans       none").await;
    let then = ["why", "--at", "10:00:30"];
    shows(&world, &then, "the broker bans key and secret of").await;
    says_again(&daemon, 2, &["sweep done", "written=60"]).await;
    assert_eq!(
        metric(&health, "sise_ban_until_timestamp_seconds").await,
        0.0
    );
    assert_eq!(world.broker.stats().calls_while_banned, before + 1);
}

#[tokio::test]
async fn fields_that_change_are_named_and_spoil_no_price() {
    let faults = ["--unknown-fields", "1", "--renamed-fields", "1"];
    let world = World::new(&[&["--limit", "0"], &faults[..]].concat()).await;
    let daemon = daemon(&world).start();
    let health = daemon.health_address().await;
    says_again(&daemon, 3, &["sweep done", "written=60"]).await;
    // Once for each, not for each answer.
    let unknown = ["WARN", "not as documented", "nxt_trad_psbl_yn", "'x'"];
    assert_eq!(daemon.count(&unknown), 1, "{}", daemon.said());
    assert!(daemon.count(&["seems to be named", "_new now"]) >= 1);
    let drift = |kind: &str| format!("sise_schema_drift_fields{{call=\"multi\",kind=\"{kind}\"}}");
    assert_eq!(metric(&health, &drift("unknown")).await, 1.0);
    assert!(metric(&health, &drift("renamed")).await >= 1.0);
    let doctor = world.sise(&["doctor", "--json"]).run().await.exits(0);
    let checks = doctor.json();
    let mut checks = checks.as_array().unwrap().iter();
    let fields = checks.find(|check| check["name"] == "fields").unwrap();
    assert_eq!(fields["verdict"], "warn", "{fields}");
    let found = fields["found"].as_str().unwrap();
    assert!(
        found.contains("nxt_trad_psbl_yn is not documented, such as 'x'"),
        "{found}"
    );
}
