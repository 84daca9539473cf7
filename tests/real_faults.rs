//! Real faults on real parts: a real redis-server is killed, frozen, emptied, filled and cut off,
//! real daemons are killed and paused in the middle of sweeps, while readers read all along. No
//! price is wrong, no read fails, no call is over the cap, and all comes back by itself.
//!
//! `cargo test --release --test real_faults -- --nocapture --test-threads=1` prints how long that
//! takes.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measured"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::DateTime;
use sise::{Reader, Status};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use support::program::{Program, Running};
use support::redis::RedisServer;
use support::silent_proxy::SilentProxy;
use support::world::{APP_KEY, APP_SECRET, World};
use support::{list, until};

/// Codes of the small list: three calls a sweep.
const CODES: usize = 90;

/// Codes that are read all along.
const READ: usize = 12;

/// A process that leads is followed within this time after it died.
const LEASE: &str = "3s";

/// What readers saw.
#[derive(Debug, Default)]
struct Seen {
    reads: u64,
    wrong: Vec<String>,
    failed: Vec<String>,
    slowest: Duration,
}

/// Redis, a broker whose prices stand still, two daemons, and readers.
struct Scene {
    world: World,
    address: String,
    prices: BTreeMap<String, i64>,
    daemons: Vec<Running>,
    homes: Vec<TempDir>,
    seen: Arc<Mutex<Seen>>,
    readers: JoinSet<()>,
}

/// A recorded day of one moment: every code at a price of its own.
fn still_day(folder: &std::path::Path) -> (String, BTreeMap<String, i64>) {
    let mut rows =
        "date,captured_at,committed_at,market,code,name,sector,close,change,change_pct,open,high,low,volume,amount,market_cap\n".to_owned();
    let mut prices = BTreeMap::new();
    for (place, code) in (0..).zip(list::codes(CODES)) {
        let price = 10_000 + 50 * place;
        rows += &format!(
            "2026-03-10,2026-03-10T10:00:00+09:00,2026-03-10T10:00:00+09:00,KOSPI,{code},이름,업종,{price},50,0.5,{price},{price},{price},1000,{},1000000\n",
            price * 1_000
        );
        prices.insert(code, price);
    }
    let path = folder.join("still.csv");
    std::fs::write(&path, rows).unwrap();
    (path.to_str().unwrap().to_owned(), prices)
}

impl Scene {
    async fn new() -> Self {
        let server = RedisServer::start().await;
        let address = server.url();
        Self::through(server, address).await
    }

    /// A scene whose daemons and readers reach `server` at `address`.
    async fn through(server: RedisServer, address: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (day, prices) = still_day(folder.path());
        let mut world = World::new(&["--replay", &day, "--speed", "0", "--latency", "20ms"]).await;
        world.redis = server;
        let mut scene = Self {
            address,
            world,
            prices,
            daemons: Vec::new(),
            homes: Vec::new(),
            seen: Arc::default(),
            readers: JoinSet::new(),
        };
        for _ in 0..2 {
            scene.start_daemon();
        }
        scene.complete_since(Instant::now()).await;
        scene.start_readers().await;
        scene
    }

    fn program(&self, home: &TempDir) -> Program {
        self.world
            .sise_in(home.path(), &["run", "--always-open"])
            .set("REDIS_URL", &self.address)
            .set("SISE__STORE__CONNECT_TIMEOUT", "250ms")
            .set("SISE__STORE__RESPONSE_TIMEOUT", "250ms")
            .set("SISE__UNIVERSE__SOURCE", "csv")
            .set("SISE__UNIVERSE__FILE", "list.csv")
            .set("SISE__SCHEDULE__INTERVAL", "1s")
            .set("SISE__SCHEDULE__LEASE", LEASE)
    }

    fn start_daemon(&mut self) {
        let home = tempfile::tempdir().unwrap();
        let codes = list::codes(CODES).join("\n");
        std::fs::write(home.path().join("list.csv"), format!("code\n{codes}\n")).unwrap();
        self.daemons.push(self.program(&home).start());
        self.homes.push(home);
    }

    async fn start_readers(&mut self) {
        let reader = self.reader().await;
        for task in 0..4 {
            let (reader, seen) = (reader.clone(), Arc::clone(&self.seen));
            let prices = self.prices.clone();
            self.readers.spawn(async move {
                let codes: Vec<&String> = prices.keys().take(READ).collect();
                for turn in task.. {
                    let code = codes[turn % codes.len()];
                    read(&reader, code, prices[code], &seen).await;
                    sleep(Duration::from_millis(7)).await;
                }
            });
        }
    }

    async fn reader(&mut self) -> Reader {
        let home = tempfile::tempdir().unwrap();
        let reader = Reader::builder()
            .redis_url(&self.address)
            .base_url(&self.world.broker.url())
            .credentials(APP_KEY, APP_SECRET)
            .state_directory(home.path())
            .build();
        self.homes.push(home);
        reader.await.unwrap()
    }

    /// Waits until every code stands in Redis with its price, fetched after `since`; says how long
    /// after that.
    async fn complete_since(&self, since: Instant) -> Duration {
        let start = chrono_now() - chrono::TimeDelta::from_std(since.elapsed()).unwrap();
        until("every code is fresh again", async || {
            let found = self.world.redis.realtime().await;
            for (code, object) in &found {
                assert_eq!(
                    object["price"].as_i64(),
                    Some(self.prices[code]),
                    "{object}"
                );
            }
            let is_fresh = |object: &&serde_json::Value| {
                let at = DateTime::parse_from_rfc3339(object["fetched_at"].as_str().unwrap());
                at.unwrap() > start
            };
            (found.values().filter(is_fresh).count() == CODES).then_some(())
        })
        .await;
        since.elapsed()
    }

    /// The daemon that leads.
    async fn leader(&self) -> usize {
        until("one leads", async || {
            let mut connection = self.world.redis.connection().await;
            let process: Option<String> = redis::cmd("HGET")
                .arg("sise:{lead}:lease")
                .arg("process")
                .query_async(&mut connection)
                .await
                .unwrap();
            let process = process?;
            self.daemons
                .iter()
                .position(|daemon| process.contains(&format!("-{}-", daemon.process())))
        })
        .await
    }

    /// Ends the scene and says what became of it.
    async fn end(mut self, what: &str, recovered: Duration) {
        self.readers.shutdown().await;
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        println!(
            "| {what} | {:.1} s | {} | {} | {} | {:.0} ms |",
            recovered.as_secs_f64(),
            seen.wrong.len(),
            seen.failed.len(),
            self.world.broker.stats().over_limit,
            seen.slowest.as_secs_f64() * 1_000.0
        );
        assert!(seen.reads > 100, "{seen:?}");
        assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
        assert!(seen.failed.is_empty(), "{:#?}", seen.failed);
        for daemon in &self.daemons {
            assert!(!daemon.said().contains("panicked"), "{}", daemon.said());
        }
        let stats = self.world.broker.stats();
        assert_eq!((stats.over_limit, stats.refused), (0, 0), "{stats:?}");
    }
}

fn chrono_now() -> DateTime<chrono::FixedOffset> {
    (sise::clock::system())().fixed_offset()
}

async fn read(reader: &Reader, code: &str, price: i64, seen: &Mutex<Seen>) {
    let start = Instant::now();
    let reading = reader.price(code).await;
    let took = start.elapsed();
    let mut seen = seen.lock().unwrap();
    seen.reads += 1;
    seen.slowest = seen.slowest.max(took);
    match reading {
        Ok(Some(reading)) => {
            let quote = &reading.quote;
            let is_right = quote.price == price
                && quote.stock_code.as_str() == code
                && quote.status == Status::Trading;
            if !is_right {
                seen.wrong.push(format!("{code}: {reading:?}"));
            }
        }
        Ok(None) => seen.failed.push(format!("{code}: no price")),
        Err(error) => seen.failed.push(format!("{code}: {error}")),
    }
}

/// Long enough that whoever waits for time-outs meets some.
const OUTAGE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn redis_is_killed_and_comes_back_empty() {
    let mut scene = Scene::new().await;
    scene.world.redis.kill().await;
    sleep(OUTAGE).await;
    scene.world.redis.start_again().await;
    let recovered = scene.complete_since(Instant::now()).await;
    scene
        .end("redis-server killed (-9), back empty after 3 s", recovered)
        .await;
}

#[tokio::test]
async fn redis_is_restarted_empty_at_once() {
    let mut scene = Scene::new().await;
    scene.world.redis.kill().await;
    scene.world.redis.start_again().await;
    let recovered = scene.complete_since(Instant::now()).await;
    scene.end("redis-server restarted empty", recovered).await;
}

#[tokio::test]
async fn redis_is_frozen() {
    let scene = Scene::new().await;
    scene.world.redis.freeze();
    sleep(OUTAGE).await;
    scene.world.redis.thaw();
    let recovered = scene.complete_since(Instant::now()).await;
    scene
        .end("redis-server frozen (SIGSTOP) for 3 s", recovered)
        .await;
}

#[tokio::test]
async fn redis_is_out_of_memory() {
    let scene = Scene::new().await;
    let mut connection = scene.world.redis.connection().await;
    let mut set = async |value: &str| {
        let _: () = redis::cmd("CONFIG")
            .arg(&["SET", "maxmemory", value])
            .query_async(&mut connection)
            .await
            .unwrap();
    };
    set("1").await;
    sleep(OUTAGE).await;
    set("0").await;
    let recovered = scene.complete_since(Instant::now()).await;
    scene
        .end("redis-server out of memory (noeviction) for 3 s", recovered)
        .await;
}

async fn behind_a_proxy(what: &str, spoil: impl AsyncFnOnce(&SilentProxy)) {
    let server = RedisServer::start().await;
    let proxy = SilentProxy::to(server.port()).await;
    // The test itself looks at the server behind the proxy.
    let scene = Scene::through(server, proxy.url()).await;
    spoil(&proxy).await;
    proxy.pass();
    let recovered = scene.complete_since(Instant::now()).await;
    scene.end(what, recovered).await;
}

#[tokio::test]
async fn the_way_to_redis_swallows_everything() {
    behind_a_proxy("bytes swallowed on open sockets for 3 s", async |proxy| {
        proxy.swallow();
        sleep(OUTAGE).await;
    })
    .await;
}

#[tokio::test]
async fn the_way_to_redis_is_slow() {
    behind_a_proxy("200 ms late each way for 3 s", async |proxy| {
        proxy.delay(Duration::from_millis(200));
        sleep(OUTAGE).await;
    })
    .await;
}

#[tokio::test]
async fn the_way_to_redis_is_cut_again_and_again() {
    behind_a_proxy("every connection cut each 100 ms for 3 s", async |proxy| {
        for _ in 0..30 {
            proxy.cut();
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_leader_is_killed_in_the_middle_of_a_sweep() {
    let mut scene = Scene::new().await;
    let leader = scene.leader().await;
    let calls = scene.world.broker.stats().calls;
    scene.world.broker.has_seen(calls + 1).await;
    scene.daemons[leader].signal("KILL");
    let recovered = scene.complete_since(Instant::now()).await;
    scene.daemons.remove(leader);
    scene
        .end("leader killed (-9) in a sweep, lease 3 s", recovered)
        .await;
}

#[tokio::test]
async fn the_leader_stops_in_order() {
    let mut scene = Scene::new().await;
    let leader = scene.leader().await;
    let stopped = Instant::now();
    scene.daemons[leader].signal("TERM");
    let recovered = scene.complete_since(stopped).await;
    scene.daemons.remove(leader).end().await.exits(143);
    scene
        .end("leader stopped in order (SIGTERM)", recovered)
        .await;
}

#[tokio::test]
async fn the_leader_is_paused_longer_than_its_lease() {
    let scene = Scene::new().await;
    let leader = scene.leader().await;
    let calls = scene.world.broker.stats().calls;
    scene.world.broker.has_seen(calls + 1).await;
    scene.daemons[leader].signal("STOP");
    let recovered = scene.complete_since(Instant::now()).await;
    let newest = |found: &BTreeMap<String, serde_json::Value>| -> BTreeMap<String, String> {
        let at = |object: &serde_json::Value| object["fetched_at"].as_str().unwrap().to_owned();
        found
            .iter()
            .map(|(code, object)| (code.clone(), at(object)))
            .collect()
    };
    let before = newest(&scene.world.redis.realtime().await);
    scene.daemons[leader].signal("CONT");
    scene.daemons[leader].says(&["another process leads"]).await;
    // What it had fetched before its pause must not come after what was fetched since.
    for (code, at) in newest(&scene.world.redis.realtime().await) {
        assert!(at >= before[&code], "{code}: {at} after {}", before[&code]);
    }
    scene
        .end(
            "leader paused (SIGSTOP) beyond its lease, then continued",
            recovered,
        )
        .await;
}
