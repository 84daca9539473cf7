//! Proves that of several daemons one sweeps, that another one takes over when it dies or stops,
//! and that one that was paused does no harm; and that all of it can be read afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::program::{Outcome, Program, Running};
use crate::support::silent_proxy::SilentProxy;
use crate::support::world::{APP_KEY, World};
use crate::support::{http, list, until};

/// Codes of the small list.
const CODES: usize = 60;

/// Lease of the daemons, seconds.
const LEASE: u64 = 3;

fn daemon(world: &World) -> Program {
    let codes = list::codes(CODES).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    world
        .fast_sise(&["run", "--always-open"])
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "1s")
        .set("SISE__SCHEDULE__LEASE", format!("{LEASE}s"))
}

/// Two daemons, the leader first.
async fn two(world: &World) -> [Running; 2] {
    let leader = daemon(world).start();
    leader.says(&["this process leads"]).await;
    let standby = daemon(world).start();
    standby.says(&["another process leads: standing by"]).await;
    [leader, standby]
}

/// A leader and one that stands by, each with its own key; that of the leader is `key`, and its way
/// to the broker goes over `way`. Both reach the same broker at the same address, each by a proxy.
async fn two_keys(
    world: &World,
    homes: &[tempfile::TempDir; 2],
    key: &str,
    way: &str,
) -> [Running; 2] {
    let codes = list::codes(CODES).join("\n");
    let start = |home: &tempfile::TempDir, key: &str, way: &str| {
        std::fs::write(home.path().join("list.csv"), format!("code\n{codes}\n")).unwrap();
        world
            .sise_in(home.path(), &["run", "--always-open"])
            .set("SISE__KIS__RATE_PER_SECOND", "2000")
            .set("SISE__UNIVERSE__SOURCE", "csv")
            .set("SISE__UNIVERSE__FILE", "list.csv")
            .set("SISE__SCHEDULE__INTERVAL", "1s")
            .set("SISE__SCHEDULE__LEASE", format!("{LEASE}s"))
            .set("SISE__KIS__TIMEOUT", "500ms")
            .set("KIS_APP_KEY", key)
            .set("KIS_BASE_URL", "http://broker.test:9080")
            .set("http_proxy", way)
            .set("SISE__FEED__REGISTRATIONS", "0")
            .start()
    };
    let leader = start(&homes[0], key, way);
    leader.says(&["sweep done", "written=60"]).await;
    let standby = start(
        &homes[1],
        "the-key-of-the-one-that-stands-by",
        &world.broker.url(),
    );
    standby.says(&["another process leads: standing by"]).await;
    until("it is seen to stand by", async || {
        let status = status(world).await;
        let mut roles = roles(&status).into_values();
        roles.any(|role| role == "standing_by").then_some(())
    })
    .await;
    [leader, standby]
}

#[tokio::test]
async fn a_leader_whose_key_is_banned_leaves_the_lead_to_another_key() {
    let world = World::new(&["--limit", "0", "--ban", "1day"]).await;
    let homes = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let [leader, standby] = two_keys(&world, &homes, APP_KEY, &world.broker.url()).await;
    // Somebody else tries the leader's key with a wrong secret, and the broker bans the key.
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = world
        .sise_in(elsewhere.path(), &["get", "005930"])
        .set("REDIS_URL", "memory")
        .set("KIS_APP_SECRET", "another");
    stranger.run().await.exits(1).says(&["EGW00105"]);
    leader.says(&["the key is banned: leaving the lead"]).await;
    standby.says(&["this process leads"]).await;
    standby.says(&["sweep done", "written=60"]).await;
    leader.says(&["another process leads: standing by"]).await;
}

#[tokio::test]
async fn a_leader_that_alone_is_cut_off_from_the_broker_leaves_the_lead() {
    let world = World::new(&["--limit", "0"]).await;
    let homes = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let port = world
        .broker
        .url()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let proxy = SilentProxy::to(port).await;
    let way = format!("http://127.0.0.1:{}", proxy.port());
    let [leader, standby] = two_keys(&world, &homes, APP_KEY, &way).await;
    proxy.swallow();
    leader
        .says(&["is not reached from here: leaving the lead"])
        .await;
    standby.says(&["this process leads"]).await;
    standby.says(&["sweep done", "written=60"]).await;
    leader.says(&["another process leads: standing by"]).await;
}

#[tokio::test]
async fn daemons_that_sweep_different_things_are_told_so() {
    let world = World::new(&["--limit", "0"]).await;
    let [one, other] = two(&world).await;
    let codes = list::codes(CODES - 1).join("\n");
    world.file("fewer.csv", &format!("code\n{codes}\n"));
    let fewer = daemon(&world).set("SISE__UNIVERSE__FILE", "fewer.csv");
    let fewer = fewer.start();
    let differ = [
        "real account's list list.csv",
        "real account's list fewer.csv",
    ];
    let words = [&["sweeps on one Redis differ: "][..], &differ].concat();
    fewer.says(&words).await;
    let shown = |outcome: Outcome, words: &[&str]| {
        let shown = outcome.stdout;
        for word in words {
            assert!(shown.contains(word), "{word} in: {shown}");
        }
    };
    shown(world.sise(&["status"]).run().await.exits(0), &words);
    fewer.signal("TERM");
    fewer.end().await.exits(143);
    let doctor = |account, list| {
        let doctor = world.sise(&["doctor"]).set("KIS_ENV", account);
        let doctor = doctor.set("SISE__UNIVERSE__SOURCE", "csv");
        doctor.set("SISE__UNIVERSE__FILE", list).run()
    };
    let well = doctor("real", "list.csv").await.exits(0);
    shown(well, &["2 on this Redis, all with the same list"]);
    shown(doctor("real", "fewer.csv").await.exits(0), &words);
    // Of another account are other prices: they are not mixed.
    let paper = daemon(&world).set("KIS_ENV", "paper").run().await;
    let apart = ["(real account)", "(paper account)", "store.namespace"];
    paper.exits(2).says(&apart);
    shown(
        doctor("paper", "list.csv").await.exits(1),
        &["(real account), which"],
    );
    for daemon in [one, other] {
        assert_eq!(daemon.count(&["differ"]), 0);
    }
}

async fn status(world: &World) -> Value {
    let status = world.sise(&["status", "--json"]).run().await;
    status.exits(0).json()
}

/// The roles of the processes on the roster by their number.
fn roles(status: &Value) -> BTreeMap<u64, String> {
    let processes = status["processes"].as_array().unwrap();
    let role = |process: &Value| {
        let role = process["role"].as_str().unwrap().to_owned();
        (process["pid"].as_u64().unwrap(), role)
    };
    processes.iter().map(role).collect()
}

/// Waits until the status shows these roles.
async fn shows(world: &World, expected: &[(&Running, &str)]) -> Value {
    let expected: BTreeMap<u64, String> = expected
        .iter()
        .map(|(daemon, role)| (daemon.process().into(), (*role).to_owned()))
        .collect();
    until("the status shows who does what", async || {
        let status = status(world).await;
        (roles(&status) == expected).then_some(status)
    })
    .await
}

/// The changes of the lead in the journal: what, and by whom.
async fn changes(world: &World) -> Vec<(String, String)> {
    let mut connection = world.redis.connection().await;
    let written: Vec<(String, Vec<String>)> = redis::cmd("XRANGE")
        .arg(&["sise:journal", "-", "+"])
        .query_async(&mut connection)
        .await
        .unwrap();
    let entries = written
        .iter()
        .map(|(_, fields)| serde_json::from_str::<Value>(&fields[1]).unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    entries
        .filter(|entry| entry["kind"] == "lead")
        .map(|entry| (text(&entry["change"]), text(&entry["process"])))
        .collect()
}

#[tokio::test]
async fn one_leads_one_stands_by_and_both_are_ready() {
    let world = World::new(&["--limit", "0"]).await;
    let [leader, standby] = two(&world).await;
    let status = shows(&world, &[(&leader, "leading"), (&standby, "standing_by")]).await;
    assert_eq!(
        status["leader"]["process"],
        process_of(&status, &leader)["process"]
    );
    for process in status["processes"].as_array().unwrap() {
        assert_eq!(process["rate"], "shared", "{status}");
        assert_eq!(process["key"].as_str().map(str::len), Some(16), "{status}");
        assert!(!process["doing"].as_str().unwrap().is_empty(), "{status}");
    }
    assert_eq!(status["rates"][0]["share"].as_f64(), Some(1.0), "{status}");
    // What the screen, the page and other programs need beside the words.
    let calls = &status["calls"];
    assert!(calls["today"].as_u64().unwrap() >= 1, "{status}");
    assert!(calls["last_minute"].as_u64() <= calls["today"].as_u64());
    assert!(calls["limit_per_second"].as_f64().unwrap() > 0.0);
    assert!(status["ages_ms"]["p50"].is_u64(), "{status}");
    assert!(status["ages_ms"]["p50"].as_u64() <= status["ages_ms"]["max"].as_u64());
    assert!(status["next_run"].as_str().unwrap().ends_with("+09:00"));
    assert!(status["idle"].is_null(), "{status}");
    let name = status["leader"]["process"].as_str().unwrap();
    for (daemon, words) in [
        (&leader, "this process leads since".to_owned()),
        (&standby, format!("standing by; {name} leads since")),
    ] {
        let address = daemon.health_address().await;
        let body = until("it is ready", async || {
            let answer = http::get(&address, "/ready")?;
            (answer.status == 200).then_some(answer.body)
        })
        .await;
        assert!(body.contains(&words), "{body}");
    }
    // The one that stands by has written nothing.
    assert_eq!(standby.count(&["sweep done"]), 0);
}

fn process_of<'a>(status: &'a Value, daemon: &Running) -> &'a Value {
    let processes = status["processes"].as_array().unwrap();
    let pid = u64::from(daemon.process());
    let is_its = |process: &&Value| process["pid"].as_u64() == Some(pid);
    processes.iter().find(is_its).unwrap()
}

#[tokio::test]
async fn a_leader_that_is_killed_is_followed_within_its_lease() {
    let world = World::new(&["--limit", "0"]).await;
    let [leader, standby] = two(&world).await;
    let status = shows(&world, &[(&leader, "leading"), (&standby, "standing_by")]).await;
    let dead = process_of(&status, &leader)["process"]
        .as_str()
        .unwrap()
        .to_owned();
    let heir = process_of(&status, &standby)["process"]
        .as_str()
        .unwrap()
        .to_owned();
    leader.signal("KILL");
    let killed = Instant::now();
    standby.says(&["this process leads"]).await;
    let took = killed.elapsed();
    // The promise is the lease; the rest is for a machine under load.
    assert!(took < Duration::from_secs(LEASE * 3), "{took:?}");
    println!(
        "another one leads {:.2} s after the kill",
        took.as_secs_f64()
    );
    standby.says(&["sweep done"]).await;
    let expected = [("taken".to_owned(), dead), ("taken".to_owned(), heir)];
    until("the change is in the journal", async || {
        (changes(&world).await == expected).then_some(())
    })
    .await;
    drop(leader);
    shows(&world, &[(&standby, "leading")]).await;
    let address = standby.health_address().await;
    until("the heir is ready", async || {
        (http::get(&address, "/ready")?.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_stops_in_order_is_followed_within_a_second() {
    let world = World::new(&["--limit", "0"]).await;
    let leader = daemon(&world).set("SISE__SCHEDULE__LEASE", "60s").start();
    leader.says(&["this process leads"]).await;
    let standby = daemon(&world).set("SISE__SCHEDULE__LEASE", "60s").start();
    standby.says(&["another process leads: standing by"]).await;
    leader.signal("TERM");
    let stopped = Instant::now();
    standby.says(&["this process leads"]).await;
    let took = stopped.elapsed();
    assert!(
        took < Duration::from_secs(10),
        "its lease of a minute is not waited for: {took:?}"
    );
    leader.end().await.exits(143);
    until("both changes are in the journal", async || {
        let changes = changes(&world).await;
        let what: Vec<&str> = changes.iter().map(|(what, _)| what.as_str()).collect();
        (what == ["taken", "given_back", "taken"]).then_some(())
    })
    .await;
    shows(&world, &[(&standby, "leading")]).await;
}

#[tokio::test]
async fn a_leader_that_was_paused_overwrites_nothing_newer() {
    let world = World::new(&["--limit", "0", "--latency", "300ms"]).await;
    let [first, second] = two(&world).await;
    first.says(&["sweep done"]).await;
    // In the middle of a sweep: calls are out, their answers wait for it.
    let before = world.broker.stats().calls;
    world.broker.has_seen(before + 1).await;
    first.signal("STOP");
    second.says(&["this process leads"]).await;
    until("the new leader sweeps for some seconds", async || {
        (second.count(&["sweep done"]) >= 5).then_some(())
    })
    .await;
    let newest = fetched(&world).await;
    assert_eq!(newest.len(), CODES);
    first.signal("CONT");
    first.says(&["another process leads: standing by"]).await;
    first.says(&["this process did not run for"]).await;
    let mut held = newest;
    let sweeps = second.count(&["sweep done"]);
    until("the new leader goes on", async || {
        let now = fetched(&world).await;
        for (code, fetched_at) in &now {
            let before = &held[code];
            assert!(
                fetched_at >= before,
                "{code} went back from {before} to {fetched_at}"
            );
        }
        held = now;
        (second.count(&["sweep done"]) >= sweeps + 3).then_some(())
    })
    .await;
    let status = shows(&world, &[(&first, "standing_by"), (&second, "leading")]).await;
    assert_eq!(
        status["leader"]["process"],
        process_of(&status, &second)["process"]
    );
    // What the paused one did is told: it lost the lead, and its clock says for how long it stood.
    let lost = until("the loss is in the journal", async || {
        let changes = changes(&world).await;
        changes.into_iter().find(|(what, _)| what == "lost")
    })
    .await;
    assert_eq!(
        lost.1,
        process_of(&status, &first)["process"].as_str().unwrap()
    );
}

/// When each live price was fetched.
async fn fetched(world: &World) -> BTreeMap<String, String> {
    let realtime = world.redis.realtime().await;
    let fetched_at = |quote: &Value| quote["fetched_at"].as_str().unwrap().to_owned();
    realtime
        .iter()
        .map(|(code, quote)| (code.clone(), fetched_at(quote)))
        .collect()
}
