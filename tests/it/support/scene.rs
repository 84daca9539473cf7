//! A scene of real daemons and readers that faults are let loose on, and what readers saw of it.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::DateTime;
use sise::{Reader, Status};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::program::{Program, Running};
use super::redis::RedisServer;
use super::sentinel::SentinelSet;
use super::world::{APP_KEY, APP_SECRET, World};
use super::{list, until};

/// Codes of the small list: three calls a sweep.
const CODES: usize = 90;

/// Codes that go into one call.
const CODES_A_CALL: usize = 30;

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

/// A Redis whose price objects can be looked at, whatever it is made of.
pub(crate) trait Kept {
    /// The servers that have them, each once.
    fn servers(&self) -> Vec<&RedisServer>;
}

impl Kept for RedisServer {
    fn servers(&self) -> Vec<&RedisServer> {
        vec![self]
    }
}

impl Kept for Cluster {
    fn servers(&self) -> Vec<&RedisServer> {
        self.nodes.iter().collect()
    }
}

impl Kept for SentinelSet {
    fn servers(&self) -> Vec<&RedisServer> {
        vec![self.master()]
    }
}

/// Redis, a broker whose prices stand still, two daemons, and readers.
pub(crate) struct Scene<Redis> {
    pub(crate) redis: Redis,
    pub(crate) world: World,
    address: String,
    prices: BTreeMap<String, i64>,
    pub(crate) daemons: Vec<Running>,
    homes: Vec<TempDir>,
    seen: Arc<Mutex<Seen>>,
    readers: JoinSet<()>,
}

/// A recorded day of one moment: every code at a price of its own.
pub(crate) fn still_day(folder: &std::path::Path, codes: usize) -> (String, BTreeMap<String, i64>) {
    let mut rows =
        "date,captured_at,committed_at,market,code,name,sector,close,change,change_pct,open,high,low,volume,amount,market_cap\n".to_owned();
    let mut prices = BTreeMap::new();
    for (place, code) in (0..).zip(list::codes(codes)) {
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

impl Scene<RedisServer> {
    /// A scene on one server.
    pub(crate) async fn alone() -> Self {
        let server = RedisServer::start().await;
        let address = server.url();
        Self::new(server, address).await
    }
}

impl<Redis: Kept> Scene<Redis> {
    /// A scene whose daemons and readers reach `redis` at `address`.
    pub(crate) async fn new(redis: Redis, address: String) -> Self {
        Self::of(CODES, redis, address).await
    }

    /// As [`Scene::new`] with so many codes.
    pub(crate) async fn of(codes: usize, redis: Redis, address: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (day, prices) = still_day(folder.path(), codes);
        let world = World::new(&["--replay", &day, "--speed", "0", "--latency", "20ms"]).await;
        let mut scene = Self {
            redis,
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
        let codes = list::codes(self.prices.len()).join("\n");
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

    /// The price objects by code.
    pub(crate) async fn realtime(&self) -> BTreeMap<String, serde_json::Value> {
        let mut all = BTreeMap::new();
        for server in self.redis.servers() {
            all.extend(server.realtime().await);
        }
        all
    }

    /// Waits until every code stands in Redis with its price, fetched after `since`; says how long
    /// after that.
    pub(crate) async fn complete_since(&self, since: Instant) -> Duration {
        let start = chrono_now() - chrono::TimeDelta::from_std(since.elapsed()).unwrap();
        until("every code is fresh again", async || {
            let found = self.realtime().await;
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
            (found.values().filter(is_fresh).count() == self.prices.len()).then_some(())
        })
        .await;
        since.elapsed()
    }

    /// The daemon that leads.
    pub(crate) async fn leader(&self) -> usize {
        until("one leads", async || {
            let mut process: Option<String> = None;
            for server in self.redis.servers() {
                let mut connection = server.connection().await;
                let found = redis::cmd("HGET")
                    .arg("sise:{lead}:lease")
                    .arg("process")
                    .query_async(&mut connection)
                    .await;
                // The node of a cluster that does not have the slot refuses.
                process = process.or(found.unwrap_or_default());
            }
            let process = process?;
            self.daemons
                .iter()
                .position(|daemon| process.contains(&format!("-{}-", daemon.process())))
        })
        .await
    }

    /// Waits until a sweep is half done.
    pub(crate) async fn middle_of_a_sweep(&self) {
        let daemon = &self.daemons[self.leader().await];
        let sweeps = daemon.count(&["sweep done"]);
        until("a sweep begins", async || {
            (daemon.count(&["sweep done"]) > sweeps).then_some(())
        })
        .await;
        let calls = self.world.broker.stats().calls;
        let half = self.prices.len().div_ceil(CODES_A_CALL) / 2;
        self.world.broker.has_seen(calls + half.max(1) as u64).await;
    }

    /// Pauses the leader in a sweep for longer than its lease, and has it continue. What it had
    /// fetched before its pause must not come after what was fetched since. Says how long the
    /// prices took to be fresh without it.
    pub(crate) async fn pause_the_leader(&self) -> Duration {
        let leader = &self.daemons[self.leader().await];
        let calls = self.world.broker.stats().calls;
        self.world.broker.has_seen(calls + 1).await;
        leader.signal("STOP");
        let recovered = self.complete_since(Instant::now()).await;
        let newest = |found: BTreeMap<String, serde_json::Value>| {
            let at = |object: &serde_json::Value| object["fetched_at"].as_str().unwrap().to_owned();
            let pairs = found.into_iter();
            let pairs = pairs.map(|(code, object)| (code, at(&object)));
            pairs.collect::<BTreeMap<String, String>>()
        };
        let before = newest(self.realtime().await);
        leader.signal("CONT");
        leader.says(&["another process leads"]).await;
        for (code, at) in newest(self.realtime().await) {
            assert!(at >= before[&code], "{code}: {at} after {}", before[&code]);
        }
        recovered
    }

    /// Ends the scene and says what became of it.
    pub(crate) async fn end(mut self, what: &str, recovered: Duration) {
        until("enough is read to say something", async || {
            (self.seen.lock().unwrap().reads > 100).then_some(())
        })
        .await;
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
