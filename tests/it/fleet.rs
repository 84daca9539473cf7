//! Proves that daemons with several app keys share each sweep through Redis: in proportion to
//! their rates, each code accounted for once, whoever is killed, frozen or loses its memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use redis::AsyncCommands as _;

use crate::support::cluster::Cluster;
use crate::support::program::{Program, Running};
use crate::support::simulated_broker::Stats;
use crate::support::world::World;
use crate::support::{http, until};

/// The list of the simulated broker, and the calls that it takes.
const CODES: u64 = 2_769;
const CALLS: u64 = 93;

/// The limit of the simulated broker, calls of a key in any second.
const MOST_IN_A_SECOND: u64 = 18;

/// A daemon whose app key ends in `key`, four letters.
fn daemon(world: &World, key: &str) -> Program {
    world
        .sise(&["run", "--always-open"])
        .set(
            "KIS_APP_KEY",
            format!("PSappkeyappkeyappkeyappkeyappkey{key}"),
        )
        .set(
            "SISE__STATE__DIRECTORY",
            world.path().join(key).to_string_lossy(),
        )
        .set("SISE__SWEEP__SHARED", "true")
        .set("SISE__SCHEDULE__INTERVAL", "10s")
}

/// As [`daemon`]; who died is missed after two seconds.
fn watchful(world: &World, key: &str) -> Program {
    daemon(world, key).set("SISE__SCHEDULE__LEASE", "2s")
}

/// The account of a sweep in the log.
#[derive(Debug)]
struct Sweep(BTreeMap<String, String>);

impl Sweep {
    fn number(&self, field: &str) -> u64 {
        self.0[field].parse().unwrap()
    }

    /// Asserts that every code was written.
    fn is_whole(&self) {
        assert_eq!(self.number("universe"), CODES, "{self:?}");
        assert_eq!(self.number("written"), CODES, "{self:?}");
    }
}

fn sweeps(daemon: &Running) -> Vec<Sweep> {
    let said = daemon.said();
    assert!(!said.contains("panicked"), "{said}");
    let fields = |line: &str| {
        let pairs = line.split_whitespace().filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Sweep(pairs.collect())
    };
    let lines = said.lines().filter(|line| line.contains("sweep done"));
    lines.map(fields).collect()
}

/// Waits until `daemon` has made so many sweeps; gives the last of them.
async fn has_swept(daemon: &Running, count: usize) -> Sweep {
    until("sweeps are done", async || {
        sweeps(daemon).into_iter().nth(count - 1)
    })
    .await
}

/// Waits until the daemon knows who leads.
async fn leads(daemon: &Running) {
    daemon.says(&["this process leads"]).await;
}
async fn follows(daemon: &Running) {
    daemon.says(&["another process leads"]).await;
}

/// Starts two daemons, so that the first one leads.
async fn start_two(first: Program, second: Program) -> [Running; 2] {
    let first = first.start();
    leads(&first).await;
    let second = second.start();
    follows(&second).await;
    [first, second]
}

/// Waits until each of the keys has made `count` calls since `before`.
async fn have_called(world: &World, keys: &[&str], before: &Stats, count: u64) -> Stats {
    until("each key makes calls", async || {
        let stats = world.broker.stats();
        let calls = |key: &&str| stats.calls_of(key) - before.calls_of(key);
        keys.iter().all(|key| calls(key) >= count).then_some(stats)
    })
    .await
}

/// Waits until the next sweep of `leader` has begun and `keys` are in the middle of it.
async fn is_in_the_middle(world: &World, leader: &Running, keys: &[&str]) {
    let done = sweeps(leader).len();
    has_swept(leader, done + 1).await;
    let before = world.broker.stats();
    have_called(world, keys, &before, 5).await;
}

/// Asserts that no key ever went over its rate.
fn keeps_to_its_rate(world: &World) {
    for (key, stats) in world.broker.stats().by_key {
        assert_eq!(stats.over_limit, 0, "{key}: {stats:?}");
        let most = stats.max_calls_per_second_window;
        assert!(most <= MOST_IN_A_SECOND, "{key}: {stats:?}");
    }
}

async fn is_whole_in_redis(world: &World) -> BTreeMap<String, String> {
    let realtime = world.redis.realtime().await;
    assert_eq!(realtime.len() as u64, CODES);
    let fetched_at = |(code, quote): (String, serde_json::Value)| {
        assert!(quote["price"].as_i64().unwrap() > 0, "{quote}");
        (code, quote["fetched_at"].as_str().unwrap().to_owned())
    };
    realtime.into_iter().map(fetched_at).collect()
}

/// A counter of batches.
async fn batches(daemon: &Running, which: &str, outcome: &str) -> u64 {
    let address = daemon.health_address().await;
    let metrics = http::get(&address, "/metrics").unwrap().body;
    let name = format!("sise_{which}_batches_total{{outcome=\"{outcome}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    value
        .unwrap_or_else(|| panic!("{name}in:\n{metrics}"))
        .parse()
        .unwrap()
}

/// Calls of each key in `count` whole sweeps of a leader, all of them at work.
async fn calls_in_sweeps(world: &World, leader: &Running, keys: &[&str], count: u64) -> Vec<u64> {
    let start = world.broker.stats();
    have_called(world, keys, &start, 1).await;
    let done = sweeps(leader).len();
    has_swept(leader, done + 1).await;
    let before = world.broker.stats();
    let first = done + 1;
    let last = first + usize::try_from(count).unwrap();
    has_swept(leader, last).await;
    let after = world.broker.stats();
    for sweep in &sweeps(leader)[first..last] {
        sweep.is_whole();
        assert_eq!(sweep.number("calls"), CALLS, "{sweep:?}");
        assert_eq!(sweep.number("refused_calls"), 0, "{sweep:?}");
    }
    let calls: Vec<u64> = keys
        .iter()
        .map(|key| after.calls_of(key) - before.calls_of(key))
        .collect();
    let all: u64 = calls.iter().sum();
    // A sweep that is owed begins while this looks.
    let slack = 2 * MOST_IN_A_SECOND;
    assert!(all.abs_diff(count * CALLS) <= slack, "{calls:?}");
    calls
}

#[tokio::test]
async fn two_keys_share_the_whole_market_and_so_do_three() {
    let world = World::new(&["--latency", "100ms"]).await;
    let [first, second] = start_two(daemon(&world, "0001"), daemon(&world, "0002")).await;
    let calls = calls_in_sweeps(&world, &first, &["0001", "0002"], 2).await;
    let all: u64 = calls.iter().sum();
    // About a half each; a machine full of tests is not fair.
    assert!(calls.iter().all(|calls| calls * 10 >= all * 3), "{calls:?}");
    let third = daemon(&world, "0003").start();
    follows(&third).await;
    let calls = calls_in_sweeps(&world, &first, &["0001", "0002", "0003"], 2).await;
    let all: u64 = calls.iter().sum();
    assert!(calls.iter().all(|calls| calls * 10 >= all * 2), "{calls:?}");
    is_whole_in_redis(&world).await;
    // Prices are written by the leader alone, and each batch was asked for once.
    assert!(sweeps(&second).is_empty() && sweeps(&third).is_empty());
    assert_eq!(batches(&first, "posted", "lost").await, 0);
    keeps_to_its_rate(&world);
    for daemon in [third, second, first] {
        daemon.signal("TERM");
        daemon.end().await.exits(143);
    }
}

#[tokio::test]
async fn a_slow_key_takes_its_part_and_no_more() {
    let world = World::new(&["--latency", "100ms"]).await;
    let slow = daemon(&world, "slow").set("SISE__KIS__RATE_PER_SECOND", "2.5");
    let [fast, _slow] = start_two(daemon(&world, "fast"), slow).await;
    let calls = calls_in_sweeps(&world, &fast, &["fast", "slow"], 2).await;
    // One to six.
    let (all, slow_calls) = (calls[0] + calls[1], calls[1]);
    assert!((all / 20..=all / 4).contains(&slow_calls), "{calls:?}");
    assert!(slow_calls >= 4, "{calls:?}");
    let stats = world.broker.stats();
    assert!(
        stats.by_key["slow"].max_calls_per_second_window <= 4,
        "{stats:?}"
    );
    keeps_to_its_rate(&world);
}

/// Where it leads, a key that could not keep the list alive alone has the others for that.
#[tokio::test]
async fn a_set_up_that_only_the_fleet_keeps_alive_is_no_reason_to_refuse() {
    let world = World::new(&[]).await;
    let slow = || daemon(&world, "slow").set("SISE__KIS__RATE_PER_SECOND", "0.5");
    let alone = slow().set("SISE__SWEEP__SHARED", "false").run().await;
    alone.exits(2).says(&["cannot keep", "What works"]);
    let shared = slow().start();
    shared.says(&["WARN", "cannot keep", "sweep.shared"]).await;
    leads(&shared).await;
    let fast = daemon(&world, "fast").start();
    follows(&fast).await;
    let sweep = has_swept(&shared, 1).await;
    sweep.is_whole();
    let stats = world.broker.stats();
    assert!(stats.calls_of("fast") > stats.calls_of("slow"), "{stats:?}");
}

#[tokio::test]
async fn what_a_killed_worker_had_comes_back() {
    let world = World::new(&["--latency", "500ms"]).await;
    let [leader, worker] = start_two(watchful(&world, "0001"), watchful(&world, "0002")).await;
    is_in_the_middle(&world, &leader, &["0001", "0002"]).await;
    let done = sweeps(&leader).len();
    worker.signal("KILL");
    assert_eq!(worker.end().await.code, None);
    for sweep in done + 1..=done + 2 {
        has_swept(&leader, sweep).await.is_whole();
    }
    // By the group, not by the leader's own doing.
    assert!(batches(&leader, "taken", "taken_over").await >= 1);
    assert_eq!(batches(&leader, "posted", "lost").await, 0);
    is_whole_in_redis(&world).await;
    keeps_to_its_rate(&world);
}

#[tokio::test]
async fn what_a_frozen_worker_hands_in_late_changes_nothing() {
    let world = World::new(&["--latency", "500ms"]).await;
    let [leader, worker] = start_two(watchful(&world, "0001"), watchful(&world, "0002")).await;
    is_in_the_middle(&world, &leader, &["0001", "0002"]).await;
    let done = sweeps(&leader).len();
    worker.signal("STOP");
    for sweep in done + 1..=done + 2 {
        has_swept(&leader, sweep).await.is_whole();
    }
    assert!(batches(&leader, "taken", "taken_over").await >= 1);
    let before = is_whole_in_redis(&world).await;
    worker.signal("CONT");
    until("it hands in what nobody waits for", async || {
        (batches(&worker, "taken", "late").await >= 1).then_some(())
    })
    .await;
    for (code, fetched_at) in is_whole_in_redis(&world).await {
        assert!(fetched_at >= before[&code], "{code}");
    }
    // And takes its part again.
    let stats = world.broker.stats();
    have_called(&world, &["0002"], &stats, 20).await;
    let done = sweeps(&leader).len();
    has_swept(&leader, done + 1).await.is_whole();
    keeps_to_its_rate(&world);
}

#[tokio::test]
async fn after_the_leader_is_killed_the_next_ones_sweep_is_whole() {
    let world = World::new(&["--latency", "500ms"]).await;
    let leader = watchful(&world, "0001").start();
    leads(&leader).await;
    let others = [watchful(&world, "0002"), watchful(&world, "0003")].map(Program::start);
    for other in &others {
        follows(other).await;
    }
    is_in_the_middle(&world, &leader, &["0001", "0002", "0003"]).await;
    leader.signal("KILL");
    assert_eq!(leader.end().await.code, None);
    let next = until("another one leads", async || {
        let mut others = others.iter();
        others.find(|other| other.count(&["this process leads"]) > 0)
    })
    .await;
    let before = world.broker.stats();
    for count in 1..=2 {
        has_swept(next, count).await.is_whole();
    }
    have_called(&world, &["0002", "0003"], &before, 20).await;
    is_whole_in_redis(&world).await;
    keeps_to_its_rate(&world);
}

/// Several daemons with the same key gain nothing and break nothing.
#[tokio::test]
async fn daemons_of_one_key_share_its_rate() {
    let world = World::new(&["--latency", "100ms"]).await;
    let [leader, other] = start_two(daemon(&world, "same"), daemon(&world, "same")).await;
    let done = sweeps(&leader).len();
    for sweep in done + 1..=done + 2 {
        has_swept(&leader, sweep).await.is_whole();
    }
    assert!(batches(&other, "taken", "done").await >= 1);
    let stats = world.broker.stats();
    assert_eq!((stats.over_limit, stats.tokens_issued), (0, 1));
}

#[tokio::test]
async fn a_cluster_carries_the_work_too() {
    let world = World::new(&["--latency", "100ms"]).await;
    let cluster = Cluster::start().await;
    let on_cluster = |key| daemon(&world, key).set("REDIS_URL", cluster.url());
    let [first, _second] = start_two(on_cluster("0001"), on_cluster("0002")).await;
    let calls = calls_in_sweeps(&world, &first, &["0001", "0002"], 2).await;
    let all: u64 = calls.iter().sum();
    assert!(calls.iter().all(|calls| calls * 10 >= all * 3), "{calls:?}");
    assert_eq!(batches(&first, "posted", "lost").await, 0);
    keeps_to_its_rate(&world);
}

#[tokio::test]
async fn one_key_alone_pays_nothing_for_it() {
    let world = World::new(&["--limit", "0"]).await;
    let keys_and_connections = async || {
        let mut connection = world.redis.connection().await;
        let keys: Vec<String> = connection.keys("sise:{work}*").await.unwrap();
        let clients: String = redis::cmd("CLIENT")
            .arg("LIST")
            .query_async(&mut connection)
            .await
            .unwrap();
        // One of them is the test's own.
        (keys.len(), clients.lines().count() - 1)
    };
    let alone = daemon(&world, "0001").set("SISE__SWEEP__SHARED", "false");
    let alone = alone.start();
    has_swept(&alone, 1).await.is_whole();
    // For readers, for sweeps, and one that hears what changes.
    assert_eq!(keys_and_connections().await, (0, 3));
    alone.signal("TERM");
    alone.end().await.exits(143);
    let shared = daemon(&world, "0001").start();
    has_swept(&shared, 1).await.is_whole();
    let (keys, connections) = keys_and_connections().await;
    assert!(keys >= 1 && connections == 5, "{keys} {connections}");
}

#[tokio::test]
async fn work_cannot_be_shared_without_redis() {
    let world = World::new(&[]).await;
    let outcome = daemon(&world, "0001").set("REDIS_URL", "memory").run();
    let outcome = outcome.await.exits(2);
    outcome.says(&["sweep.shared", "store.url"]);
}
