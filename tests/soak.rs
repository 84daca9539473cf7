//! Proves that nothing grows under load and faults: memory, descriptors, threads, tasks, keys in
//! Redis and the time that a read takes are at the end what they were at the start.
//!
//! One round of faults as a test; `scripts/soak` runs it for as long as one likes. A program of its own,
//! as it measures itself too.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and this one prints what it measured"
)]

#[path = "it/support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sise::{ReadError, Reader};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::program::{Program, Running};
use crate::support::world::{APP_KEY, APP_SECRET, World};
use crate::support::{http, list, until};

/// How long it goes on, in seconds; one round where it is not set.
const SECONDS: &str = "SISE_SOAK_SECONDS";

/// Codes of the list: with a sweep every two seconds two thirds of what the broker allows.
const CODES: usize = 600;
/// Codes of a read, readers at once, and their rest between two reads.
const CODES_A_READ: usize = 20;
const READERS: usize = 4;
const REST: Duration = Duration::from_millis(10);

const LEASE: Duration = Duration::from_secs(2);

/// Reads are measured for so long, with no fault under way.
const WINDOW: Duration = Duration::from_secs(4);

/// Looks at the sizes in it.
const LOOKS: u32 = 16;

/// What each may be at the end: so many times what it was at the start, and so much more. An
/// allocator keeps what a fault once needed, so memory gets the most.
const MEMORY_KIB: (u64, u64) = (2, 8 * 1_024);
const DESCRIPTORS: (u64, u64) = (1, 12);
const THREADS: (u64, u64) = (1, 2);
const TASKS: (u64, u64) = (1, 12);
const KEYS: (u64, u64) = (1, 30);
/// The median of reads, microseconds. Not held against a short run, whose machine is full of tests.
const LATENCY: (u64, u64) = (5, 10_000);

/// What a process takes.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    memory_kib: u64,
    descriptors: u64,
    threads: u64,
    tasks: u64,
}

impl Size {
    fn lower_to(&mut self, other: &Self) {
        self.memory_kib = self.memory_kib.min(other.memory_kib);
        self.descriptors = self.descriptors.min(other.descriptors);
        self.threads = self.threads.min(other.threads);
        self.tasks = self.tasks.min(other.tasks);
    }

    fn of(process: u32, tasks: u64) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap()
                .split_whitespace()
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
        Self {
            memory_kib: number("VmRSS:"),
            descriptors: u64::try_from(descriptors.count()).unwrap(),
            threads: number("Threads:"),
            tasks,
        }
    }

    /// Of a daemon, which tells its tasks.
    fn of_daemon(daemon: &Running, address: &str) -> Self {
        let metrics = http::get(address, "/metrics").unwrap().body;
        let tasks = metrics
            .lines()
            .find_map(|line| line.strip_prefix("sise_tasks "));
        Self::of(daemon.process(), tasks.unwrap().parse().unwrap())
    }
}

/// What is measured at one time.
#[derive(Debug, Default)]
struct Sample {
    sizes: Vec<(&'static str, Size)>,
    keys: u64,
    /// Microseconds, ascending.
    reads: Vec<u64>,
}

impl Sample {
    fn quantile(&self, share: f64) -> u64 {
        let last = self.reads.len() - 1;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a short list"
        )]
        self.reads[(last as f64 * share) as usize]
    }
}

/// Reads as strangers' programs do, and what came of it.
#[derive(Default)]
struct Load {
    micros: Mutex<Vec<u64>>,
    failed: Mutex<Vec<String>>,
    codes_read: Mutex<u64>,
}

impl Load {
    fn take_reads(&self) -> Vec<u64> {
        let mut reads = std::mem::take(&mut *self.micros.lock().unwrap());
        reads.sort_unstable();
        reads
    }

    async fn read(self: Arc<Self>, reader: Reader, codes: Arc<Vec<String>>) {
        loop {
            let asked: Vec<&str> = (0..CODES_A_READ)
                .map(|_| codes[fastrand::usize(..codes.len())].as_str())
                .collect();
            let start = Instant::now();
            let readings = reader.prices(&asked).await;
            let micros = u64::try_from(start.elapsed().as_micros()).unwrap();
            self.micros.lock().unwrap().push(micros);
            let readings = match readings {
                Ok(readings) => readings,
                Err(ReadError::Source { found, source, .. }) => {
                    self.failed.lock().unwrap().push(source.to_string());
                    found
                }
                Err(error) => panic!("{error}"),
            };
            for reading in &readings {
                assert!(reading.quote.price > 0, "{reading:?}");
                assert!(asked.contains(&reading.quote.stock_code.as_str()));
            }
            *self.codes_read.lock().unwrap() += u64::try_from(readings.len()).unwrap();
            sleep(REST).await;
        }
    }
}

/// Two daemons: one that lives from start to end, and one that is killed now and then.
struct Scene {
    world: World,
    steady: Running,
    steady_address: String,
    other: Running,
}

fn daemon(world: &World) -> Program {
    world
        .sise(&["run", "--always-open"])
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "2s")
        .set("SISE__SCHEDULE__LEASE", format!("{}s", LEASE.as_secs()))
        .set("SISE__STORE__CONNECT_TIMEOUT", "500ms")
        .set("SISE__STORE__RESPONSE_TIMEOUT", "500ms")
        .set(
            "SISE__LOG__LEVEL",
            "warn,sise::leadership=info,sise::api=info,sise::daemon=info",
        )
}

impl Scene {
    async fn new() -> Self {
        let world = World::new(&[
            "--latency",
            "20ms",
            "--refuse",
            "0.01",
            "--http-500",
            "0.01",
            "--garbage",
            "0.01",
            "--reset",
            "0.01",
            "--slow",
            "0.003",
            "--slow-for",
            "2s",
            "--missing-fields",
            "0.05",
            "--short",
            "0.02",
            "--zero",
            "0.001",
        ])
        .await;
        world.file(
            "list.csv",
            &format!("code\n{}\n", list::codes(CODES).join("\n")),
        );
        // The daemons did not ask for the token that dies first, so that they may ask for the next.
        world
            .sise(&["run", "--once", "--codes", "005930"])
            .run()
            .await;
        let steady = daemon(&world).start();
        let steady_address = steady.health_address().await;
        let other = daemon(&world).start();
        Self {
            world,
            steady,
            steady_address,
            other,
        }
    }

    async fn leader(&self) -> Option<String> {
        let mut connection = self.world.redis.connection().await;
        let mut command = redis::cmd("HGET");
        command.arg(&["sise:{lead}:lease", "process"]);
        command.query_async(&mut connection).await.unwrap()
    }

    async fn leads(&self, daemon: &Running, why: &str) {
        let part = format!("-{}-", daemon.process());
        until(why, async || {
            self.leader().await.filter(|leader| leader.contains(&part))
        })
        .await;
    }

    /// Waits until every code was written after now.
    async fn is_well(&self, why: &str) -> Duration {
        let start = Instant::now();
        self.world.redis.delete("realtime:price:*").await;
        until(why, async || {
            // A code now and then has no price in a sweep; readers ask for it.
            let written = self.world.redis.realtime().await.len();
            (written >= CODES - 5).then_some(())
        })
        .await;
        start.elapsed()
    }

    /// One fault after the other, each until all is well again.
    async fn fault(&mut self, number: usize) -> &'static str {
        match number % 5 {
            0 => {
                self.world.broker.kill_tokens();
                "all tokens killed"
            }
            1 => {
                self.world.redis.freeze();
                sleep(Duration::from_secs(2)).await;
                self.world.redis.thaw();
                "Redis frozen for 2 s"
            }
            2 => {
                self.world.redis.kill().await;
                sleep(Duration::from_secs(1)).await;
                self.world.redis.start_again().await;
                "Redis killed, back empty after 1 s"
            }
            3 => {
                self.steady.signal("STOP");
                self.leads(&self.other, "the other takes the lead").await;
                self.steady.signal("CONT");
                "leader frozen until another led"
            }
            _ => {
                self.leads(&self.other, "the other leads").await;
                self.other.signal("KILL");
                self.leads(&self.steady, "the steady one takes the lead")
                    .await;
                self.other = daemon(&self.world).start();
                "leader killed and started again"
            }
        }
    }

    fn sizes(&self) -> Vec<(&'static str, Size)> {
        let own = Handle::current().metrics().num_alive_tasks();
        let own = Size::of(std::process::id(), u64::try_from(own).unwrap());
        let daemon = Size::of_daemon(&self.steady, &self.steady_address);
        vec![("daemon", daemon), ("readers", own)]
    }

    async fn sample(&self, load: &Load) -> Sample {
        load.take_reads();
        // The least of several looks: what a sweep under way takes is given back after it.
        let mut sizes = self.sizes();
        for _ in 0..LOOKS {
            sleep(WINDOW / LOOKS).await;
            for ((_, least), (_, size)) in sizes.iter_mut().zip(self.sizes()) {
                least.lower_to(&size);
            }
        }
        let reads = load.take_reads();
        let mut connection = self.world.redis.connection().await;
        let keys = redis::cmd("DBSIZE").query_async(&mut connection).await;
        Sample {
            sizes,
            keys: keys.unwrap(),
            reads,
        }
    }
}

/// Prints and judges one quantity.
fn judge(what: &str, start: u64, end: u64, (times, more): (u64, u64), grown: &mut Vec<String>) {
    let most = start * times + more;
    println!("{what:<24} {start:>10} {end:>10}   at most {most}");
    if end > most {
        grown.push(format!(
            "{what}: {start} at the start, {end} at the end, at most {most}"
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_grows_under_load_and_faults() {
    let seconds = std::env::var(SECONDS)
        .ok()
        .map(|text| text.parse::<u64>().unwrap());
    let mut scene = Scene::new().await;
    scene.is_well("the first sweep").await;
    let reader = Reader::builder()
        .redis_url(&scene.world.redis.url())
        .credentials(APP_KEY, APP_SECRET)
        .base_url(&scene.world.broker.url())
        .state_directory(&scene.world.path().join("state"))
        .response_timeout(Duration::from_millis(500))
        .build()
        .await
        .unwrap();
    let load = Arc::new(Load::default());
    let codes = Arc::new(list::codes(CODES));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(Arc::clone(&load).read(reader.clone(), Arc::clone(&codes)));
    }
    // Buffers fill and pools open in the first moments of load.
    sleep(WINDOW).await;
    let start = scene.sample(&load).await;
    let began = Instant::now();
    let mut round = 0;
    loop {
        let what = scene.fault(round).await;
        let whole = scene.is_well(what).await;
        round += 1;
        println!(
            "{:>6} s  {what}: all codes written {:.1} s later",
            began.elapsed().as_secs(),
            whole.as_secs_f64()
        );
        let is_over = began.elapsed() > Duration::from_secs(seconds.unwrap_or(0));
        if round % 5 == 0 && is_over {
            break;
        }
    }
    let failed_under_faults = std::mem::take(&mut *load.failed.lock().unwrap());
    let end = scene.sample(&load).await;
    assert!(readers.try_join_next().is_none(), "a reader ended");
    let mut grown = Vec::new();
    println!("{:<24} {:>10} {:>10}", "", "start", "end");
    for ((name, before), (_, after)) in start.sizes.iter().zip(&end.sizes) {
        let mut judge = |what: &str, size: fn(&Size) -> u64, bound| {
            judge(
                &format!("{name}: {what}"),
                size(before),
                size(after),
                bound,
                &mut grown,
            );
        };
        judge("memory, KiB", |size| size.memory_kib, MEMORY_KIB);
        judge("descriptors", |size| size.descriptors, DESCRIPTORS);
        judge("threads", |size| size.threads, THREADS);
        judge("tasks", |size| size.tasks, TASKS);
    }
    judge("keys in Redis", start.keys, end.keys, KEYS, &mut grown);
    let bound = if seconds.is_some() {
        LATENCY
    } else {
        (1, u64::MAX / 2)
    };
    judge(
        "read p50, us",
        start.quantile(0.5),
        end.quantile(0.5),
        bound,
        &mut grown,
    );
    println!(
        "{:<24} {:>10} {:>10}",
        "read p99, us",
        start.quantile(0.99),
        end.quantile(0.99)
    );
    println!(
        "{:<24} {:>10} {:>10}",
        "reads a second",
        start.reads.len() as u64 / WINDOW.as_secs(),
        end.reads.len() as u64 / WINDOW.as_secs()
    );
    println!(
        "{round} faults, {} prices read, {} reads with a code that nobody could say; broker: {:?}",
        load.codes_read.lock().unwrap(),
        failed_under_faults.len(),
        scene.world.broker.stats()
    );
    let failed = load.failed.lock().unwrap();
    assert!(
        failed.is_empty(),
        "reads fail though no fault is under way: {failed:?}"
    );
    assert!(grown.is_empty(), "{grown:#?}");
    for daemon in [&scene.steady, &scene.other] {
        assert!(!daemon.said().contains("panicked"), "{}", daemon.said());
    }
}
