//! Counters: exact at once, and told to the durable side now and then.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use sise::cache::{
    Behind, BoxError, Cache, CountError, Counters, DurableCounts as _, FileCounts, HashCounts,
};
use tempfile::tempdir;
use tokio::time::{Instant, timeout};

use crate::cache::{Durable, cache_at, cache_within};
use crate::support::redis::RedisServer;
use crate::support::silent_proxy::SilentProxy;
use crate::support::until;

const SEVEN: Behind = Behind {
    every: 7,
    within: Duration::from_secs(60),
    most: 1_000,
};

fn counters(cache: &Cache, durable: &Arc<Durable>) -> Counters {
    cache.counters("views", durable.clone(), SEVEN)
}

#[tokio::test]
async fn a_hundred_views_make_at_most_sixteen_durable_writes() {
    let server = RedisServer::start().await;
    let durable = Arc::new(Durable::default());
    let views = counters(&cache_at(&server.url()), &durable);
    for _ in 0..100 {
        views.add("005930", 1).await.unwrap();
    }
    assert_eq!(views.try_get("005930").await.unwrap(), 100);
    views.flush().await.unwrap();
    let keeps = durable.keeps.load(Ordering::SeqCst);
    assert!((2..=16).contains(&keeps), "{keeps} writes");
    assert_eq!(durable.total("005930"), 100);
    assert_eq!(views.try_get("nobody").await.unwrap(), 0);
}

/// A durable side that does not answer until it is told to.
#[derive(Default)]
struct Slow {
    answers: tokio::sync::Notify,
    kept: Durable,
}

#[async_trait::async_trait]
impl sise::cache::DurableCounts for Slow {
    async fn load(&self, names: &[String]) -> Result<Vec<u64>, BoxError> {
        self.answers.notified().await;
        self.kept.load(names).await
    }

    async fn load_all(&self) -> Result<BTreeMap<String, u64>, BoxError> {
        self.kept.load_all().await
    }

    async fn keep(&self, totals: &[(String, u64)]) -> Result<(), BoxError> {
        self.kept.keep(totals).await
    }

    async fn forget(&self, names: &[String]) -> Result<(), BoxError> {
        self.kept.forget(names).await
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_durable_side_that_is_slow_and_every_increment_counts() {
    let cache = cache_within("memory", Duration::from_secs(1));
    let slow = Arc::new(Slow::default());
    let views = cache.counters("views", slow.clone(), SEVEN);
    for _ in 0..3 {
        let began = Instant::now();
        views.add("005930", 1).await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(1));
    }
    let began = Instant::now();
    assert_eq!(views.get("005930").await, 3);
    assert!(began.elapsed() <= Duration::from_secs(2));
    slow.answers.notify_one();
    until("it is counted", async || {
        (views.try_get("005930").await.ok()? == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_several_processes_count_at_once_is_summed_exactly() {
    let server = RedisServer::start().await;
    let durable = Arc::new(Durable::default());
    let caches = [(); 3].map(|()| cache_at(&server.url()));
    // Two of one process too.
    let handles: Vec<Counters> = caches
        .iter()
        .chain(&caches)
        .map(|cache| counters(cache, &durable))
        .collect();
    let count = |views: Counters| {
        tokio::spawn(async move {
            for number in 0_u64..200 {
                let other = (number % 10).to_string();
                views
                    .add_many(&[("all", 1), (&other, number), ("all", 1)])
                    .await
                    .unwrap();
            }
        })
    };
    // Of each handle four tasks.
    let tasks = handles
        .iter()
        .cycle()
        .take(24)
        .map(|views| count(views.clone()));
    for done in join_all(tasks).await {
        done.unwrap();
    }
    for views in &handles {
        assert_eq!(views.try_get("all").await.unwrap(), 24 * 400);
        views.flush().await.unwrap();
    }
    let all = handles[0].try_all().await.unwrap();
    let by_ten = |ten: u64| (0..200).filter(|number| number % 10 == ten).sum::<u64>();
    for ten in 0..10 {
        assert_eq!(all[&ten.to_string()], 24 * by_ten(ten));
    }
    assert_eq!(durable.total("all"), 24 * 400);
}

#[tokio::test]
async fn an_increment_counts_once_also_where_its_answer_was_lost() {
    let server = RedisServer::start().await;
    let proxy = SilentProxy::to(server.port()).await;
    let durable = Arc::new(Durable::default());
    let views = counters(
        &cache_within(&proxy.url(), Duration::from_millis(300)),
        &durable,
    );
    let others = counters(&cache_at(&server.url()), &durable);
    let mut sum = 0;
    for round in 1..=5 {
        views.add("a", round).await.unwrap();
        sum += round;
        until("the store knows", async || {
            views.try_get("a").await.ok().filter(|total| *total == sum)
        })
        .await;
        // It comes so late that its caller has gone: Redis has counted, and nobody knows.
        proxy.delay(Duration::from_millis(500));
        views.add("a", 10).await.unwrap();
        others.add("a", 100).await.unwrap();
        sum += 110;
        until("Redis has counted", async || {
            (others.try_get("a").await.unwrap() == sum).then_some(())
        })
        .await;
        proxy.pass();
        views.add("a", 1).await.unwrap();
        sum += 1;
        // And what is sent into the void.
        proxy.swallow();
        views.add("a", 1_000).await.unwrap();
        proxy.pass();
        sum += 1_000;
        until("all is counted", async || {
            let total = others.try_get("a").await.unwrap();
            assert!(total <= sum, "counted twice: {total} for {sum}");
            (total == sum).then_some(())
        })
        .await;
    }
    views.close().await.unwrap();
    assert_eq!(durable.total("a"), sum);
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_nothing_uncounted() {
    let server = RedisServer::start().await;
    let durable = Arc::new(Durable::default());
    let views = counters(&cache_at(&server.url()), &durable);
    let others = counters(&cache_at(&server.url()), &durable);
    for micros in 0..200 {
        // Dropped at its first wait, or somewhere on the way.
        let _ = timeout(Duration::from_micros(micros * 10), views.add("a", 1)).await;
    }
    // Nobody asks these counters for anything any more.
    until("all are counted", async || {
        (others.try_get("a").await.unwrap() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn increments_wait_while_redis_is_away_and_come_by_themselves() {
    let mut server = RedisServer::start().await;
    let durable = Arc::new(Durable::default());
    let few = Behind { most: 3, ..SEVEN };
    let views = cache_at(&server.url()).counters("views", durable.clone(), few);
    views.add("a", 10).await.unwrap();
    views.flush().await.unwrap();
    server.kill().await;
    views.add("a", 1).await.unwrap();
    views
        .add_many(&[("b", 2), ("c", 3), ("a", 1)])
        .await
        .unwrap();
    let refused = views.add_many(&[("a", 1), ("d", 1)]).await.unwrap_err();
    assert_eq!(refused.waiting, 3);
    views.add("a", 1).await.unwrap();
    assert!(views.try_get("a").await.is_err());
    assert_eq!(
        (
            views.get("a").await,
            views.get("c").await,
            views.get("x").await
        ),
        (13, 3, 0)
    );
    // It comes back empty, and goes on from what the durable side knew.
    server.start_again().await;
    let others = counters(&cache_at(&server.url()), &durable);
    until("they are counted", async || {
        let totals = others.try_all().await.unwrap();
        (totals.get("a") == Some(&13) && totals.get("c") == Some(&3)).then_some(())
    })
    .await;
    views.add("d", 1).await.unwrap();
    assert_eq!(views.try_all().await.unwrap().len(), 4);
}

#[tokio::test]
async fn after_redis_came_back_empty_counters_go_on_from_the_durable_side() {
    let mut server = RedisServer::start().await;
    let durable = Arc::new(Durable::default());
    let views = counters(&cache_at(&server.url()), &durable);
    let others = counters(&cache_at(&server.url()), &durable);
    for _ in 0..20 {
        views.add("a", 1).await.unwrap();
        others.add("b", 1).await.unwrap();
    }
    until("the durable side was told", async || {
        (durable.total("a") >= 14 && durable.total("b") >= 14).then_some(())
    })
    .await;
    server.kill().await;
    server.start_again().await;
    until("it answers", async || views.try_get("a").await.ok()).await;
    // What waits in this process to be told is known too.
    assert_eq!(views.try_get("a").await.unwrap(), 20);
    assert!((14..=20).contains(&views.try_get("b").await.unwrap()));
    views.add("a", 1).await.unwrap();
    views.add("b", 1).await.unwrap();
    assert_eq!(views.try_get("a").await.unwrap(), 21);
    assert!((15..=21).contains(&views.try_get("b").await.unwrap()));
    // Where the durable side is away too, nothing begins with nothing.
    server.delete("*").await;
    durable.fail(true);
    assert!(matches!(
        views.try_get("a").await,
        Err(CountError::Durable(_))
    ));
    views.add("a", 1).await.unwrap();
    durable.fail(false);
    until("it is counted", async || {
        (views.try_get("a").await.ok() == Some(22)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_counter_that_is_removed_begins_with_nothing() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let views = cache.counters("views", Arc::new(HashCounts::new(&cache, "views")), SEVEN);
    views.add_many(&[("a", 5), ("b", 50)]).await.unwrap();
    views.remove(&["a", "nobody"]).await.unwrap();
    assert_eq!(views.try_get("a").await.unwrap(), 0);
    assert_eq!(views.waiting(), 0);
    views.add("a", 1).await.unwrap();
    assert_eq!(views.try_get("a").await.unwrap(), 1);
    views.flush().await.unwrap();
    let totals = HashCounts::new(&cache, "views").load_all().await.unwrap();
    assert_eq!((totals["a"], totals["b"]), (1, 50));
    // As many as there are names: totals of more than one batch.
    let names: Vec<String> = (0..900).map(|name| format!("n{name}")).collect();
    let many: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 2)).collect();
    views.add_many(&many).await.unwrap();
    assert_eq!(views.try_all().await.unwrap().len(), 902);
    assert_eq!(views.try_get("n899").await.unwrap(), 2);
    // The highest number is no poison for the others.
    views.add_many(&[("a", u64::MAX), ("b", 1)]).await.unwrap();
    views.add("a", u64::MAX).await.unwrap();
    assert_eq!(views.try_get("a").await.unwrap(), i64::MAX.unsigned_abs());
    assert_eq!(views.try_get("b").await.unwrap(), 51);
    views.close().await.unwrap();
}

const FILE: &str = "SISE_TEST_COUNTS_FILE";
const REDIS: &str = "SISE_TEST_COUNTS_REDIS";

/// Counts until it is killed. No test by itself: the next one starts it as a process.
#[tokio::test]
#[ignore = "started as a process by the test of a kill"]
async fn a_process_that_counts() {
    let (Ok(file), Ok(redis)) = (std::env::var(FILE), std::env::var(REDIS)) else {
        return;
    };
    let durable = Arc::new(FileCounts::open(Path::new(&file)).unwrap());
    let views = cache_at(&redis).counters("views", durable, SEVEN);
    loop {
        views.add_many(&[("a", 1), ("b", 2)]).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_killed_process_counted_is_in_redis_and_its_file_is_whole() {
    let server = RedisServer::start().await;
    let folder = tempdir().unwrap();
    let file = folder.path().join("counts");
    let cache = cache_at(&server.url());
    let durable = Arc::new(Durable::default());
    let watching = counters(&cache, &durable);
    for round in 1_u64..=3 {
        let before = watching.try_get("a").await.unwrap();
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "cache::counters::a_process_that_counts",
            ])
            .env(FILE, &file)
            .env(REDIS, server.url())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        until("it counts", async || {
            (watching.try_get("a").await.unwrap() > before + 50 * round).then_some(())
        })
        .await;
        child.kill().await.unwrap();
        let counted = watching.try_get("a").await.unwrap();
        let kept = Arc::new(FileCounts::open(&file).unwrap());
        let totals = kept.load_all().await.unwrap();
        assert!(
            totals["a"] > before && totals["a"] <= counted,
            "{totals:?} of {counted}"
        );
        // The next increment tells the file of all.
        let views = cache.counters("views", kept.clone(), SEVEN);
        views.add("a", 1).await.unwrap();
        views.close().await.unwrap();
        let totals = kept.load_all().await.unwrap();
        assert_eq!(totals["a"], counted + 1);
    }
}
