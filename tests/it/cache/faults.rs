//! Redis that is away, killed or frozen under load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sise::cache::{Behind, Cache, CacheError, State};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cache::{Article, Durable, Shelf, article, cache_within};
use crate::support::redis::RedisServer;
use crate::support::{free_port, until};

/// Of an operation. Long enough for a machine full of tests to answer in.
const TIMEOUT: Duration = Duration::from_millis(500);

/// No operation takes longer than so many time-outs: one for a turn, one for the answer, and the
/// rest for a machine that is slow to give the word.
const TIMEOUTS: u32 = 8;

/// What became of the operations of many tasks.
#[derive(Default)]
struct Record {
    longest: Mutex<Duration>,
    hits: AtomicU64,
    misses: AtomicU64,
    written: AtomicU64,
    refused: AtomicU64,
    counted: AtomicU64,
}

impl Record {
    async fn timed<T>(&self, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.await;
        let mut longest = self.longest.lock().unwrap();
        *longest = longest.max(began.elapsed());
        done
    }
}

fn count(total: &AtomicU64) {
    total.fetch_add(1, Ordering::SeqCst);
}

/// Many tasks that read, write and count until they are told to stop.
struct Load {
    record: Arc<Record>,
    states: Arc<Mutex<Vec<State>>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Load {
    fn on(cache: &Cache, durable: &Arc<Durable>, shelf: &Arc<Shelf>) -> Self {
        let (record, states) = (
            Arc::<Record>::default(),
            Arc::<Mutex<Vec<State>>>::default(),
        );
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let views = cache.counters(
            "views",
            durable.clone(),
            Behind {
                every: 7,
                ..Behind::default()
            },
        );
        let values = Arc::new(cache.write_behind(shelf.clone(), Behind::default()));
        for task in 0..30_u64 {
            let (cache, record, stop) = (cache.clone(), Arc::clone(&record), stop.clone());
            let (views, values) = (views.clone(), Arc::clone(&values));
            tasks.spawn(async move {
                while !stop.is_cancelled() {
                    match record.timed(cache.get::<Article>(&task)).await {
                        Some(_) => count(&record.hits),
                        None => count(&record.misses),
                    }
                    match record.timed(cache.set(&task, &article("one"))).await {
                        Ok(()) => count(&record.written),
                        Err(_) => count(&record.refused),
                    }
                    record.timed(views.add("all", 1)).await.unwrap();
                    count(&record.counted);
                    record
                        .timed(values.set(&(task + 100), article("two")))
                        .await
                        .unwrap();
                    sleep(Duration::from_millis(2)).await;
                }
            });
        }
        let (cache, seen) = (cache.clone(), Arc::clone(&states));
        let ends = stop.clone();
        tasks.spawn(async move {
            let mut state = cache.state();
            while let Some(next) = ends.run_until_cancelled(cache.state_changed(state)).await {
                seen.lock().unwrap().push(next);
                state = next;
            }
        });
        Self {
            record,
            states,
            stop,
            tasks,
        }
    }

    /// Waits for a state, the way there being in this order.
    async fn goes_to(&self, cache: &Cache, state: State) {
        until(&format!("the cache is {state}"), async || {
            (cache.state() == state).then_some(())
        })
        .await;
    }

    async fn end(mut self) -> (Arc<Record>, Vec<State>) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        let states = self.states.lock().unwrap().clone();
        (self.record, states)
    }
}

/// That the states went the whole way round, each by a step that the rule knows.
fn went_round(states: &[State]) {
    let mut way = vec![State::Healthy];
    way.extend(states);
    for step in way.windows(2) {
        let is_known = !matches!(
            step,
            [State::Healthy, State::Failed] | [State::Failed, State::Degraded]
        );
        assert!(is_known && step[0] != step[1], "{states:?}");
    }
    let round = [State::Degraded, State::Failed, State::Healthy];
    assert!(states.windows(3).any(|part| part == round), "{states:?}");
}

fn was_in_time(record: &Record) {
    let longest = *record.longest.lock().unwrap();
    assert!(
        longest < TIMEOUT * TIMEOUTS,
        "an operation took {longest:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_killed_under_load_and_comes_back_empty() {
    let mut server = RedisServer::start().await;
    let cache = cache_within(&server.url(), TIMEOUT);
    let (durable, shelf) = (Arc::<Durable>::default(), Arc::<Shelf>::default());
    let load = Load::on(&cache, &durable, &shelf);
    let record = Arc::clone(&load.record);
    let reaches = async |total: &AtomicU64, more: u64| {
        let goal = total.load(Ordering::SeqCst) + more;
        until("operations go on", async || {
            (total.load(Ordering::SeqCst) >= goal).then_some(())
        })
        .await;
    };
    reaches(&record.hits, 100).await;
    server.kill().await;
    load.goes_to(&cache, State::Failed).await;
    let (hits, written) = (
        record.hits.load(Ordering::SeqCst),
        record.written.load(Ordering::SeqCst),
    );
    reaches(&record.misses, 300).await;
    reaches(&record.refused, 300).await;
    assert_eq!(record.hits.load(Ordering::SeqCst), hits);
    assert_eq!(record.written.load(Ordering::SeqCst), written);
    assert!(matches!(
        cache.try_get::<Article>(&1).await,
        Err(CacheError::Down { .. })
    ));
    assert!(cache.metrics().connection_failures > 0);
    let known = durable.total("all");
    server.start_again().await;
    load.goes_to(&cache, State::Healthy).await;
    reaches(&record.hits, 100).await;
    let (record, states) = load.end().await;
    went_round(&states);
    was_in_time(&record);
    let views = cache.counters("views", durable.clone(), Behind::default());
    let counted = record.counted.load(Ordering::SeqCst);
    // The increments that waited are told by their own handle.
    until("the waiting ones are counted", async || {
        (views.try_get("all").await.ok()? > known).then_some(())
    })
    .await;
    assert!(views.try_get("all").await.unwrap() <= counted);
    // What was written behind never needed Redis.
    until("all is written behind", async || {
        (shelf.titles().len() == 30).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_frozen_under_load_and_no_increment_is_lost_or_counted_twice() {
    let server = RedisServer::start().await;
    let cache = cache_within(&server.url(), TIMEOUT);
    let (durable, shelf) = (Arc::<Durable>::default(), Arc::<Shelf>::default());
    let load = Load::on(&cache, &durable, &shelf);
    until("it reads", async || {
        (load.record.hits.load(Ordering::SeqCst) > 100).then_some(())
    })
    .await;
    server.freeze();
    load.goes_to(&cache, State::Failed).await;
    let refused = load.record.refused.load(Ordering::SeqCst);
    until("writes are refused at once", async || {
        (load.record.refused.load(Ordering::SeqCst) > refused + 300).then_some(())
    })
    .await;
    assert!(cache.metrics().timeouts > 0);
    server.thaw();
    load.goes_to(&cache, State::Healthy).await;
    let hits = load.record.hits.load(Ordering::SeqCst);
    until("it reads", async || {
        (load.record.hits.load(Ordering::SeqCst) > hits + 100).then_some(())
    })
    .await;
    let (record, states) = load.end().await;
    went_round(&states);
    was_in_time(&record);
    // Those counters are gone with their tasks, all they held having been sent while they lived.
    let views = cache.counters("views", durable, Behind::default());
    let counted = record.counted.load(Ordering::SeqCst);
    until("all are counted", async || {
        let total = views.try_get("all").await.ok()?;
        assert!(total <= counted, "{total} of {counted}");
        (total == counted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_start_without_redis_tries_three_times_and_finds_it_later() {
    let port = free_port();
    let builder = Cache::builder().redis_url(&format!("redis://127.0.0.1:{port}"));
    let began = Instant::now();
    let cache = builder.timeout(TIMEOUT).connect().await.unwrap();
    // Two pauses, of 50 and of 100 ms at least.
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_eq!(cache.state(), State::Failed);
    assert_eq!(cache.get::<Article>(&1).await, None);
    assert!(cache.set(&1, &article("one")).await.is_err());
    every_read_misses(&cache).await;
    assert!(cache.connect().await.is_err());
    let mut server = tokio::process::Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("it is found", async || {
        (cache.state() == State::Healthy).then_some(())
    })
    .await;
    cache.set(&1, &article("one")).await.unwrap();
    assert_eq!(cache.get::<Article>(&1).await, Some(article("one")));
    cache.connect().await.unwrap();
    crate::support::end(&mut server);
}

/// Each read as a miss, and each strict one as a failure.
async fn every_read_misses(cache: &Cache) {
    let token = "0123456789abcdef";
    assert_eq!(cache.get_many::<Article>(&[&1, &2]).await, [None, None]);
    assert!(cache.try_get_many::<Article>(&[&1, &2]).await.is_err());
    assert!(!cache.exists::<Article>(&1).await);
    assert!(cache.try_exists::<Article>(&1).await.is_err());
    let sessions = cache.sessions::<u32>();
    assert_eq!(sessions.get(token).await, None);
    assert!(sessions.try_get(token).await.is_err());
    assert!(!sessions.check(token).await);
    assert!(sessions.try_check(token).await.is_err());
    assert_eq!(sessions.of_user("kim").await, []);
    assert!(sessions.try_of_user("kim").await.is_err());
    let profiles = cache.profiles("settings");
    assert_eq!(profiles.get::<u32>("kim", "rows").await, None);
    assert!(profiles.try_get::<u32>("kim", "rows").await.is_err());
    let fields = profiles.get_bulk::<u32>("kim", &["rows", "dark"]).await;
    assert_eq!(fields, [None, None]);
    assert!(
        profiles
            .try_get_bulk::<u32>("kim", &["rows"])
            .await
            .is_err()
    );
    assert!(profiles.get_all::<u32>("kim").await.is_empty());
    assert!(profiles.try_get_all::<u32>("kim").await.is_err());
    let ranking = cache.ranking("points");
    assert_eq!(ranking.get_rank("kim").await, None);
    assert!(ranking.try_get_rank("kim").await.is_err());
    assert_eq!(ranking.get_rank_range(1, 10).await, []);
    assert!(ranking.try_get_rank_range(1, 10).await.is_err());
    assert_eq!(ranking.get_lowest(0, 10).await, []);
    assert!(ranking.try_get_lowest(0, 10).await.is_err());
    assert_eq!(ranking.get_count().await, 0);
    assert!(ranking.try_get_count().await.is_err());
    let views = cache.counters("views", Arc::<Durable>::default(), Behind::default());
    assert_eq!(views.get("all").await, 0);
    assert!(views.try_get("all").await.is_err());
    assert!(views.all().await.is_empty());
    assert!(views.try_all().await.is_err());
    let values = cache.write_behind::<Article>(Arc::<Shelf>::default(), Behind::default());
    assert_eq!(values.get(&1).await, None);
    assert!(values.try_get(&1).await.is_err());
}

#[tokio::test]
async fn a_write_to_a_frozen_redis_takes_one_time_out_and_leaves_nothing_old() {
    let server = RedisServer::start().await;
    let cache = cache_within(&server.url(), TIMEOUT * 4);
    cache.set(&7, &article("old")).await.unwrap();
    server.freeze();
    let began = Instant::now();
    let saves = async { Ok::<_, std::io::Error>(()) };
    let written = cache.write_through(&7, &article("new"), saves).await;
    assert!(!written.unwrap());
    assert!(began.elapsed() < TIMEOUT * 7, "{:?}", began.elapsed());
    server.thaw();
    until("the old one is gone", async || {
        let found = cache.try_get::<Article>(&7).await.ok()?;
        (found != Some(article("old"))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_key_that_is_refused_again_and_again_takes_nobody_else_along() {
    let server = RedisServer::start().await;
    let cache = cache_within(&server.url(), TIMEOUT * 10);
    let mut connection = server.connection().await;
    let poisoned = ["article:9", "x"];
    let _: () = redis::cmd("LPUSH")
        .arg(&poisoned)
        .query_async(&mut connection)
        .await
        .unwrap();
    let until_then = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until_then {
        assert!(
            cache
                .with_namespace("")
                .try_get::<Article>(&9)
                .await
                .is_err()
        );
        assert_ne!(cache.state(), State::Failed);
    }
    until("it is well again", async || {
        (cache.state() == State::Healthy).then_some(())
    })
    .await;
}
