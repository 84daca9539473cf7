//! What the reader costs over the bare Redis command that it rests on.
//!
//! `cargo bench --bench reader`
//!
//! Reader and bare client take turns within one loop, so that drift of the machine hits both
//! alike. The bare client is the one that the reader uses, with the same settings on a connection
//! of its own, and does not look into the bytes. Limits: 1.15 times a GET for one price, 1.3
//! times an MGET for the whole market, and one call for a thousand misses at once.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod support;

use std::hint::black_box;
use std::time::Duration;

use redis::Cmd;
use sise::Reader;
use sise::domain::Urgency;
use sise::sim::{Sim, SimOptions};
use sise::sweep::Task;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use support::{Figures, Outcome, PrivateRedis};

/// Rounds of each pair; every round gives one ratio.
const ROUNDS: usize = 9;

/// Looks for one price in a round.
const LOOKS: usize = 4_000;

/// Looks for the whole market in a round.
const WHOLE_LOOKS: usize = 150;

/// Callers that miss at the same time.
const CALLERS: usize = 1_000;

/// Long enough that every caller comes while the call is under way.
const LATENCY: Duration = Duration::from_millis(100);

/// What is measured against.
const LIMIT_ONE: f64 = 1.15;
const LIMIT_WHOLE: f64 = 1.3;

fn main() -> Outcome {
    support::run(measure)
}

/// A simulated broker within this process.
struct Broker {
    sim: Sim,
    url: String,
    stop: CancellationToken,
}

impl Broker {
    async fn start(options: SimOptions) -> Outcome<Self> {
        let sim = Sim::new(options, sise::clock::system())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        let (serving, stopped) = (sim.clone(), stop.clone());
        tokio::spawn(async move { serving.serve(listener, stopped).await });
        Ok(Self { sim, url, stop })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn measure() -> Outcome {
    let redis = PrivateRedis::start().await?;
    fill(&redis.url).await?;
    let url = redis.url.clone();
    // Runtimes of their own, so that nothing else is on them.
    tokio::task::spawn_blocking(move || -> Outcome {
        let current = Builder::new_current_thread().enable_all().build()?;
        current.block_on(compare("current-thread runtime", &url))?;
        let many = Builder::new_multi_thread().enable_all().build()?;
        // On a worker, as a program's tasks are; `block_on` itself runs beside the workers.
        many.block_on(async move {
            tokio::spawn(async move { compare("multi-thread runtime", &url).await }).await?
        })
    })
    .await??;
    misses(&redis.url).await
}

/// Puts the prices of a whole market into Redis, by a sweep.
async fn fill(redis_url: &str) -> Outcome {
    let broker = Broker::start(SimOptions {
        calls_per_second: Some(0),
        ..SimOptions::default()
    })
    .await?;
    let state = tempfile::tempdir()?;
    let parts = support::parts(&[
        ("kis.base_url", &broker.url),
        ("kis.app_key", "bench"),
        ("kis.app_secret", "bench"),
        ("kis.rate_per_second", "100000"),
        ("store.url", redis_url),
        ("store.ttl", "1day"),
        ("state.directory", &state.path().display().to_string()),
    ])?;
    let task = Task {
        symbols: support::whole_market(),
        close_window: None,
        deadline: Duration::from_secs(60),
        urgency: Urgency::Sweep,
    };
    let sweeper = parts.sweeper(None).ok_or("no sweeper")?;
    let report = sweeper.sweep(&task, &|_| {}, &broker.stop).await;
    if report.written != report.universe {
        return Err(format!("not every price is there: {report:?}").into());
    }
    Ok(())
}

/// Both pairs on the runtime that this runs on.
async fn compare(runtime: &str, redis_url: &str) -> Outcome {
    let reader = Reader::builder().redis_url(redis_url).build().await?;
    let mut bare = support::bare(redis_url)?;
    let symbols = support::whole_market();
    let codes: Vec<&str> = symbols.iter().map(|symbol| symbol.as_str()).collect();
    let keys: Vec<String> = codes
        .iter()
        .map(|code| format!("realtime:price:{code}"))
        .collect();
    println!("{runtime}");

    let mut table = Table::default();
    for round in 0..=ROUNDS {
        let mut pair = Pair::default();
        for (look, (code, key)) in codes.iter().zip(&keys).cycle().take(LOOKS).enumerate() {
            for is_reader in in_turn(look) {
                let start = Instant::now();
                if is_reader {
                    let reading = reader.price(code).await?.ok_or("a miss")?;
                    pair.reader.add(start.elapsed().as_secs_f64() * 1e6);
                    black_box(reading);
                } else {
                    let bytes: Option<Vec<u8>> = Cmd::get(key).query_async(&mut bare).await?;
                    pair.bare.add(start.elapsed().as_secs_f64() * 1e6);
                    black_box(bytes.ok_or("a miss")?);
                }
            }
        }
        table.add(round, &pair);
    }
    table.print("one price, us", "GET", LIMIT_ONE);

    let mut table = Table::default();
    for round in 0..=ROUNDS {
        let mut pair = Pair::default();
        for look in 0..WHOLE_LOOKS {
            for is_reader in in_turn(look) {
                let start = Instant::now();
                if is_reader {
                    let readings = reader.prices(&codes).await?;
                    pair.reader.add(start.elapsed().as_secs_f64() * 1e6);
                    assert_eq!(black_box(readings).len(), codes.len());
                } else {
                    let bytes: Vec<Option<Vec<u8>>> =
                        Cmd::mget(&keys).query_async(&mut bare).await?;
                    pair.bare.add(start.elapsed().as_secs_f64() * 1e6);
                    assert_eq!(black_box(bytes).len(), codes.len());
                }
            }
        }
        table.add(round, &pair);
    }
    table.print("whole market, us", "MGET", LIMIT_WHOLE);
    Ok(())
}

/// Who goes first changes with every look: the second finds warmer caches.
fn in_turn(look: usize) -> [bool; 2] {
    let reader_first = look.is_multiple_of(2);
    [reader_first, !reader_first]
}

/// The samples of one round.
#[derive(Default)]
struct Pair {
    reader: Figures,
    bare: Figures,
}

/// The rounds of one pair.
#[derive(Default)]
struct Table {
    reader: Figures,
    reader_late: Figures,
    bare: Figures,
    bare_late: Figures,
    ratio: Figures,
}

impl Table {
    fn add(&mut self, round: usize, pair: &Pair) {
        // The first round connects and warms up.
        if round == 0 {
            return;
        }
        self.reader.add(pair.reader.median());
        self.reader_late.add(pair.reader.quantile(0.99));
        self.bare.add(pair.bare.median());
        self.bare_late.add(pair.bare.quantile(0.99));
        self.ratio.add(pair.reader.median() / pair.bare.median());
    }

    fn print(&self, what: &str, command: &str, limit: f64) {
        println!("  {what}");
        println!(
            "    reader p50 {}, p99 {:.0}",
            self.reader.spread(1),
            self.reader_late.median()
        );
        println!(
            "    {command:6} p50 {}, p99 {:.0}",
            self.bare.spread(1),
            self.bare_late.median()
        );
        println!("    ratio  p50 {} (limit {limit})", self.ratio.spread(3));
    }
}

/// How many calls a thousand callers make who miss the same code at once.
async fn misses(redis_url: &str) -> Outcome {
    let broker = Broker::start(SimOptions {
        latency: LATENCY,
        ..SimOptions::default()
    })
    .await?;
    let reader = Reader::builder()
        .redis_url(redis_url)
        .namespace("misses")
        .base_url(&broker.url)
        .credentials("bench", "bench")
        .build()
        .await?;
    println!("{CALLERS} callers miss one code at once");
    let mut calls = Figures::default();
    let mut waits = Figures::default();
    for symbol in support::whole_market().into_iter().take(ROUNDS) {
        let before = broker.sim.stats().calls;
        let start = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let reader = reader.clone();
            callers.spawn(async move { reader.price(symbol.as_str()).await });
        }
        while let Some(reading) = callers.join_next().await {
            reading??.ok_or("no price")?;
        }
        waits.add(start.elapsed().as_secs_f64() * 1e3);
        let made = broker.sim.stats().calls - before;
        calls.add(f64::from(u32::try_from(made)?));
    }
    println!("  calls {} (limit 1)", calls.spread(0));
    println!(
        "  all answered after {} ms, with {} ms at the broker",
        waits.spread(1),
        LATENCY.as_millis()
    );
    Ok(())
}
