//! Cache-aside: one load for all who want it, and nothing old put back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use sise::cache::{Cache, Cached, Life, LoadError, Loaded, Origin, Parts, State};
use sise::clock;
use sise::store::MemoryStore;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::cache::{Article, article, cache_at};
use crate::support::redis::RedisServer;
use crate::support::until;

const SECOND: Duration = Duration::from_secs(1);

fn memory() -> Cache {
    let cache = Cache::builder().redis_url("memory");
    cache.namespace("shop", "test").build().unwrap()
}

async fn brings(title: &str) -> Result<Option<Article>, io::Error> {
    Ok(Some(article(title)))
}

async fn nothing() -> Result<Option<Article>, io::Error> {
    Ok(None)
}

async fn fails() -> Result<Option<Article>, io::Error> {
    Err(io::Error::other("the base is away"))
}

fn title(loaded: Result<Loaded<Article>, LoadError>) -> (Option<String>, Origin) {
    let loaded = loaded.unwrap();
    (loaded.value.map(|article| article.title), loaded.origin)
}

fn some(title: &str, origin: Origin) -> (Option<String>, Origin) {
    (Some(title.to_owned()), origin)
}

#[tokio::test]
async fn ten_thousand_who_want_one_cold_value_make_one_load() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let loads = Arc::new(AtomicU32::new(0));
    let read = |cache: Cache| {
        let loads = Arc::clone(&loads);
        tokio::spawn(async move {
            let load = || async {
                loads.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(50)).await;
                brings("one").await
            };
            cache.aside::<Article>(&7).or_load(load).await.unwrap()
        })
    };
    let readers = (0..10_000).map(|_| read(cache.clone()));
    for loaded in join_all(readers).await {
        assert_eq!(loaded.unwrap().value, Some(article("one")));
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    let again = cache.aside::<Article>(&7).or_load(nothing).await;
    assert_eq!(title(again), some("one", Origin::Cache));
    // The claim is gone, and so is everything but the value.
    assert_eq!(server.texts("*").await.len(), 1);
}

#[tokio::test]
async fn two_processes_make_one_load() {
    let server = RedisServer::start().await;
    let caches = [cache_at(&server.url()), cache_at(&server.url())];
    let loads = AtomicU32::new(0);
    let read = |cache: Cache| {
        let loads = &loads;
        async move {
            let load = || async {
                loads.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(300)).await;
                brings("one").await
            };
            cache.aside::<Article>(&7).or_load(load).await.unwrap()
        }
    };
    let readers = (0..100).map(|number| read(caches[number % 2].clone()));
    for loaded in join_all(readers).await {
        assert_eq!(loaded.value, Some(article("one")));
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_is_shared_by_all_who_wait_and_not_kept() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let loads = AtomicU32::new(0);
    let read = || async {
        let load = || async {
            loads.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_millis(50)).await;
            fails().await
        };
        cache.aside::<Article>(&7).or_load(load).await
    };
    for outcome in join_all((0..100).map(|_| read())).await {
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains("the base is away"), "{error}");
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    assert!(server.texts("*").await.is_empty(), "claim or error stays");
    // The store did nothing wrong.
    assert_eq!(
        (cache.state(), cache.metrics().failures),
        (State::Healthy, 0)
    );
    let after = cache.aside::<Article>(&7).or_load(|| brings("one")).await;
    assert_eq!(title(after), some("one", Origin::Loader));
}

#[tokio::test(start_paused = true)]
async fn that_there_is_none_is_remembered_for_as_long_as_the_caller_says() {
    let cache = memory();
    let none = (None, Origin::Loader);
    // Without a time the loader is asked every time.
    for _ in 0..2 {
        assert_eq!(
            title(cache.aside::<Article>(&7).or_load(nothing).await),
            none
        );
    }
    let missing = || cache.aside::<Article>(&7).missing_for(10 * SECOND);
    assert_eq!(title(missing().or_load(nothing).await), none);
    sleep(9 * SECOND).await;
    let known = missing().or_load(|| brings("one")).await;
    assert_eq!(title(known), (None, Origin::Cache));
    assert_eq!(cache.try_get::<Article>(&7).await.unwrap(), None);
    assert!(!cache.exists::<Article>(&7).await);
    assert!(!cache.expire::<Article>(&7, Article::LIFE).await.unwrap());
    sleep(2 * SECOND).await;
    let after = missing().or_load(|| brings("one")).await;
    assert_eq!(title(after), some("one", Origin::Loader));
    // What is deleted is not known to be missing either.
    cache.delete::<Article>(&7).await.unwrap();
    missing().or_load(nothing).await.unwrap();
    cache.delete::<Article>(&7).await.unwrap();
    let after = missing().or_load(|| brings("two")).await;
    assert_eq!(title(after), some("two", Origin::Loader));
}

#[tokio::test(start_paused = true)]
async fn an_ended_value_stands_in_for_a_loader_that_fails_and_says_so() {
    let cache = memory();
    let read = || {
        let aside = cache.aside::<Article>(&7).life(Life::of(10 * SECOND));
        aside.stale_if_error(60 * SECOND)
    };
    assert!(
        read().or_load(fails).await.is_err(),
        "nothing stands in yet"
    );
    read().or_load(|| brings("one")).await.unwrap();
    sleep(11 * SECOND).await;
    assert_eq!(
        title(read().or_load(fails).await),
        some("one", Origin::Stale)
    );
    let strict = cache.aside::<Article>(&7).or_load(fails).await;
    assert!(strict.is_err(), "who did not allow it is not given it");
    let late = read().within(SECOND).or_load(|| async {
        sleep(5 * SECOND).await;
        brings("late").await
    });
    assert_eq!(title(late.await), some("one", Origin::Stale));
    sleep(60 * SECOND).await;
    assert!(read().or_load(fails).await.is_err(), "it is too old");
}

#[tokio::test(start_paused = true)]
async fn a_time_without_an_end_is_a_long_one() {
    let cache = memory();
    let forever = Life::of(Duration::MAX);
    let read = || {
        let aside = cache.aside::<Article>(&7).life(forever);
        aside
            .stale_if_error(Duration::MAX)
            .missing_for(Duration::MAX)
            .within(Duration::MAX)
    };
    let loaded = read().or_load(|| brings("one")).await;
    assert_eq!(title(loaded), some("one", Origin::Loader));
    cache.set_for(&8, &article("two"), forever).await.unwrap();
    assert!(cache.expire::<Article>(&8, forever).await.unwrap());
    let sessions = cache.sessions::<u8>().life(Duration::MAX).sliding();
    sessions.set("0123456789abcdef", "kim", 1).await.unwrap();
    sleep(1_000 * SECOND).await;
    assert!(sessions.check("0123456789abcdef").await);
    assert!(cache.exists::<Article>(&7).await && cache.exists::<Article>(&8).await);
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_or_is_known_to_be_gone_stands_in_for_nothing() {
    let cache = memory();
    let read = || {
        let aside = cache.aside::<Article>(&7).life(Life::of(10 * SECOND));
        aside.stale_if_error(60 * SECOND)
    };
    read().or_load(|| brings("one")).await.unwrap();
    cache.delete::<Article>(&7).await.unwrap();
    assert!(read().or_load(fails).await.is_err());
    for missing in [Duration::ZERO, 5 * SECOND] {
        read().or_load(|| brings("one")).await.unwrap();
        sleep(11 * SECOND).await;
        let gone = read().missing_for(missing).or_load(nothing).await;
        assert_eq!(title(gone).0, None);
        sleep(6 * SECOND).await;
        assert!(
            read().or_load(fails).await.is_err(),
            "one that is gone came back"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_read_often_is_loaded_before_it_ends() {
    let cache = memory();
    let loads = AtomicU32::new(0);
    let read = || async {
        let aside = cache.aside::<Article>(&7).life(Life::of(10 * SECOND));
        let load = || async {
            loads.fetch_add(1, Ordering::SeqCst);
            sleep(SECOND / 5).await;
            brings("one").await
        };
        aside.or_load(load).await.unwrap().origin
    };
    read().await;
    // A minute of fifty readers every 50 ms. Where the value died under them, all would wait for
    // one load.
    for round in 0..1_200 {
        let origins = join_all((0..50).map(|_| read()));
        let next = sleep(SECOND / 20);
        let (origins, ()) = tokio::join!(origins, next);
        let loaded = origins.iter().filter(|origin| **origin != Origin::Cache);
        assert!(loaded.count() <= 1, "it died in round {round}");
    }
    let loads = loads.load(Ordering::SeqCst);
    assert!((6..40).contains(&loads), "{loads} loads");
}

/// Who finds a value near its end that another process loads anew already does not wait for it.
#[tokio::test(start_paused = true)]
async fn a_value_that_lives_is_given_at_once_while_another_process_loads_it_anew() {
    let store = Arc::new(MemoryStore::default());
    let [one, other] = ["one", "other"].map(|process| {
        Cache::new(Parts {
            store: store.clone(),
            process: process.to_owned(),
            clock: clock::system(),
            timeout: SECOND,
            namespace: String::new(),
        })
    });
    one.set_for(&7, &article("old"), Life::of(10 * SECOND))
        .await
        .unwrap();
    sleep(Duration::from_millis(9_990)).await;
    let slow = || async {
        sleep(5 * SECOND).await;
        brings("new").await
    };
    // Fifty throws of a die that nearly always says yes.
    let loads = async {
        let reads = (0..50).map(|_| one.aside::<Article>(&7).or_load(slow));
        join_all(reads).await
    };
    let reads = async {
        tokio::task::yield_now().await;
        let began = Instant::now();
        for _ in 0..50 {
            let read = other.aside::<Article>(&7).or_load(|| brings("second"));
            assert_eq!(title(read.await), some("old", Origin::Cache));
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    };
    let (loaded, ()) = tokio::join!(loads, reads);
    let loaded = loaded.into_iter().map(|loaded| title(loaded).1);
    assert_eq!(loaded.filter(|origin| *origin == Origin::Loader).count(), 1);
    assert_eq!(one.get::<Article>(&7).await, Some(article("new")));
}

/// A load that waits to be let go.
#[derive(Default)]
struct Gate {
    began: Notify,
    go: Notify,
}

impl Gate {
    async fn load(&self, title: &str) -> Result<Option<Article>, io::Error> {
        self.began.notify_one();
        self.go.notified().await;
        brings(title).await
    }
}

#[tokio::test]
async fn a_load_that_began_before_a_change_puts_nothing_back() {
    let server = RedisServer::start().await;
    let (cache, other) = (cache_at(&server.url()), cache_at(&server.url()));
    let gate = Gate::default();
    for changer in [&cache, &other] {
        let load = cache.aside::<Article>(&7).or_load(|| gate.load("old"));
        let change = async {
            gate.began.notified().await;
            changer.delete::<Article>(&7).await.unwrap();
            // Who wants it from now on does not join the load from before.
            let after = changer.aside::<Article>(&7).or_load(|| brings("new")).await;
            assert_eq!(title(after), some("new", Origin::Loader));
            gate.go.notify_one();
        };
        let (loaded, ()) = tokio::join!(load, change);
        // Who asked before the change is answered as of before.
        assert_eq!(title(loaded), some("old", Origin::Loader));
        assert_eq!(cache.get::<Article>(&7).await, Some(article("new")));
        cache.delete::<Article>(&7).await.unwrap();
        // What was set meanwhile stays too.
        let load = cache.aside::<Article>(&7).or_load(|| gate.load("old"));
        let change = async {
            gate.began.notified().await;
            changer.set(&7, &article("set")).await.unwrap();
            gate.go.notify_one();
        };
        tokio::join!(load, change).0.unwrap();
        assert_eq!(cache.get::<Article>(&7).await, Some(article("set")));
        cache.delete::<Article>(&7).await.unwrap();
        // And a loader that found nothing deletes nothing that was set meanwhile.
        let load = cache.aside::<Article>(&7).or_load(|| async {
            gate.load("old").await?;
            nothing().await
        });
        let change = async {
            gate.began.notified().await;
            changer.set(&7, &article("set")).await.unwrap();
            gate.go.notify_one();
        };
        tokio::join!(load, change).0.unwrap();
        assert_eq!(cache.get::<Article>(&7).await, Some(article("set")));
        cache.delete::<Article>(&7).await.unwrap();
    }
}

#[tokio::test]
async fn a_load_whose_caller_gave_up_is_taken_over_here_and_elsewhere() {
    let server = RedisServer::start().await;
    let (cache, other) = (cache_at(&server.url()), cache_at(&server.url()));
    for next in [&cache, &other] {
        let gate = Gate::default();
        let mut gives_up = Box::pin(cache.aside::<Article>(&7).or_load(|| gate.load("never")));
        tokio::select! {
            _ = &mut gives_up => panic!("it landed"),
            () = gate.began.notified() => {}
        }
        let mut waits = Box::pin(next.aside::<Article>(&7).or_load(|| brings("one")));
        tokio::select! {
            _ = &mut gives_up => panic!("it landed"),
            _ = &mut waits => panic!("two loads at once"),
            () = sleep(Duration::from_millis(300)) => {}
        }
        drop(gives_up);
        let loaded = waits.await;
        assert_eq!(title(loaded), some("one", Origin::Loader));
        assert_eq!(cache.get::<Article>(&7).await, Some(article("one")));
        until("no claim stays", async || {
            server.texts("*flight*").await.is_empty().then_some(())
        })
        .await;
        cache.delete::<Article>(&7).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_ends_within_its_time_and_the_next_begins_anew() {
    let cache = memory();
    let never = || std::future::pending::<Result<Option<Article>, io::Error>>();
    let late = cache
        .aside::<Article>(&7)
        .within(SECOND)
        .or_load(never)
        .await;
    assert!(matches!(late, Err(LoadError::Late { within }) if within == SECOND));
    let next = cache.aside::<Article>(&7).or_load(|| brings("one")).await;
    assert_eq!(title(next), some("one", Origin::Loader));
}
