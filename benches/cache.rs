//! Overhead of the cache over the bare Redis client below it.
//!
//! `cargo bench --bench cache`
//!
//! Cache and bare client take turns within one loop, so that drift of the machine affects both
//! alike. The bare client has the same settings on its own connection. On reads it ignores the
//! bytes, while the cache decodes a value of eight fields. On writes it encodes the same values
//! with serde and, in a second pair, sends bytes that are ready. Limits: 1.15 times a GET, 1.2
//! times a pipeline of SETs with a life, and one load for ten thousand callers.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::Cmd;
use serde::{Deserialize, Serialize};
use sise::cache::{Cache, Cached, Life};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use support::{Figures, Limit, Outcome, PrivateRedis, verdict};

/// Rounds of each pair; every round gives one ratio.
const ROUNDS: usize = 9;

/// Values read one by one in a round.
const GETS: usize = 4_000;

/// Batches written in a round, and values per batch.
const SETS: usize = 60;
const BATCH: u64 = 1_000;

/// Callers that want one cold value at the same time.
const CALLERS: usize = 10_000;

/// Long enough that every caller comes while the load is under way.
const LOAD: Duration = Duration::from_millis(100);

/// The limits.
const LIMIT_GET: f64 = 1.15;
const LIMIT_SET: f64 = 1.2;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Position {
    account: String,
    code: String,
    name: String,
    shares: i64,
    price: i64,
    value: i64,
    is_open: bool,
    opened_at: chrono::DateTime<chrono::Utc>,
}

impl Cached for Position {
    type Id = u64;
    const KIND: &'static str = "position";
    const LIFE: Life = Life::of(Duration::from_secs(3_600)).jitter(10);
}

fn position(number: u64) -> Position {
    Position {
        account: format!("{number:08}-01"),
        code: "005930".to_owned(),
        name: "삼성전자".to_owned(),
        shares: 120,
        price: 72_000,
        value: 8_640_000,
        is_open: true,
        opened_at: chrono::DateTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + number),
    }
}

fn main() -> Outcome {
    support::run(measure)
}

async fn measure() -> Outcome {
    let redis = PrivateRedis::start().await?;
    let url = redis.url.clone();
    // Separate runtimes, so that nothing else runs on them.
    tokio::task::spawn_blocking(move || -> Outcome {
        let current = Builder::new_current_thread().enable_all().build()?;
        current.block_on(compare("current-thread runtime", &url))?;
        let many = Builder::new_multi_thread().enable_all().build()?;
        // On a worker thread, like the tasks of a program; `block_on` itself runs outside the
        // workers.
        many.block_on(async move {
            tokio::spawn(async move { compare("multi-thread runtime", &url).await }).await??;
            Ok(())
        })
    })
    .await??;
    callers(&redis.url).await
}

/// Measures both pairs on the current runtime.
async fn compare(runtime: &str, redis_url: &str) -> Outcome {
    let cache = Cache::builder().redis_url(redis_url).connect().await?;
    let mut bare = support::bare(redis_url)?;
    let positions: Vec<Position> = (0..BATCH).map(position).collect();
    let numbers: Vec<u64> = (0..BATCH).collect();
    let values: Vec<(&u64, &Position)> = numbers.iter().zip(&positions).collect();
    cache.set_many(&values).await?;

    let get = Cmd::get("position:7");
    let mut gets = Pair::default();
    for round in 0..=ROUNDS {
        let (mut by_cache, mut by_bare) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..GETS {
            let began = Instant::now();
            black_box(cache.try_get::<Position>(&7).await?);
            by_cache += began.elapsed();
            let began = Instant::now();
            let bytes: Option<Vec<u8>> = get.query_async(&mut bare).await?;
            black_box(bytes);
            by_bare += began.elapsed();
        }
        // The first round is a warm-up.
        if round > 0 {
            gets.add(by_cache, by_bare, GETS);
        }
    }
    gets.say(
        runtime,
        "one typed value",
        "GET",
        Limit::AtMost(LIMIT_GET, "x"),
    )?;

    let encoded = positions.iter().map(serde_json::to_vec);
    let encoded = encoded.collect::<Result<Vec<_>, _>>()?;
    let keys: Vec<String> = numbers.iter().map(|n| format!("position:{n}")).collect();
    let (mut sets, mut bytes_alone) = (Pair::default(), Pair::default());
    for round in 0..=ROUNDS {
        let [mut by_cache, mut by_bare, mut by_bytes] = [Duration::ZERO; 3];
        for _ in 0..SETS {
            let began = Instant::now();
            cache.set_many(&values).await?;
            by_cache += began.elapsed();
            let began = Instant::now();
            let mut pipeline = redis::pipe();
            for (number, position) in &values {
                let bytes = serde_json::to_vec(position)?;
                let key = format!("position:{number}");
                pipeline.pset_ex(key, bytes, 3_600_000).ignore();
            }
            let () = pipeline.query_async(&mut bare).await?;
            by_bare += began.elapsed();
            let began = Instant::now();
            let mut pipeline = redis::pipe();
            for (key, bytes) in keys.iter().zip(&encoded) {
                pipeline.pset_ex(key, bytes.as_slice(), 3_600_000).ignore();
            }
            let () = pipeline.query_async(&mut bare).await?;
            by_bytes += began.elapsed();
        }
        if round > 0 {
            sets.add(by_cache, by_bare, SETS);
            bytes_alone.add(by_cache, by_bytes, SETS);
        }
    }
    let limit = Limit::AtMost(LIMIT_SET, "x");
    sets.say(runtime, "1,000 typed values", "serde and SET", limit)?;
    let by_bytes = "SET of bytes that are ready";
    bytes_alone.say(runtime, "1,000 typed values", by_bytes, Limit::None)?;
    Ok(())
}

/// Times of one job done in both ways.
#[derive(Default)]
struct Pair {
    cache: Figures,
    bare: Figures,
    ratio: Figures,
}

impl Pair {
    fn add(&mut self, by_cache: Duration, by_bare: Duration, count: usize) {
        let each = 1e6 / u32::try_from(count).map_or(f64::NAN, f64::from);
        self.cache.add(by_cache.as_secs_f64() * each);
        self.bare.add(by_bare.as_secs_f64() * each);
        self.ratio
            .add(by_cache.as_secs_f64() / by_bare.as_secs_f64());
    }

    fn say(&self, runtime: &str, what: &str, bare: &str, limit: Limit) -> Outcome {
        println!(
            "{runtime}: {what}: cache {} us, {bare} {} us",
            self.cache.spread(1),
            self.bare.spread(1)
        );
        verdict(
            &format!("cache, {what} against {bare}, {runtime}"),
            limit,
            self.ratio.median(),
            &format!("{}x", self.ratio.spread(2)),
        )
    }
}

/// Measures ten thousand callers of one cold value.
async fn callers(redis_url: &str) -> Outcome {
    let cache = Cache::builder().redis_url(redis_url).connect().await?;
    let cold = 1_000_000;
    let loads = Arc::new(AtomicU32::new(0));
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (cache, loads) = (cache.clone(), Arc::clone(&loads));
        callers.spawn(async move {
            let load = || async {
                loads.fetch_add(1, Ordering::Relaxed);
                sleep(LOAD).await;
                Ok::<_, std::io::Error>(Some(position(cold)))
            };
            let loaded = cache.aside::<Position>(&cold).or_load(load).await;
            loaded.map(|loaded| loaded.value.is_some())
        });
    }
    let mut served = 0;
    while let Some(caller) = callers.join_next().await {
        served += usize::from(caller??);
    }
    let all = began.elapsed().as_secs_f64() * 1e3;
    let loads = loads.load(Ordering::Relaxed);
    verdict(
        &format!("`get_or_set`, {served} callers of one cold value: loads"),
        Limit::AtMost(1.0, ""),
        f64::from(loads),
        &format!(
            "{loads}, all served after {all:.0} ms, of which {} ms were the load",
            LOAD.as_millis()
        ),
    )
}
