//! Write-through and write-behind: what the other side is given, and when.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sise::cache::{Behind, Cache, WriteBehind};
use tokio::time::sleep;

use crate::cache::{Article, Shelf, article, cache_at};
use crate::support::redis::RedisServer;

const SECOND: Duration = Duration::from_secs(1);

fn memory() -> Cache {
    Cache::builder().redis_url("memory").build().unwrap()
}

fn behind(every: u64, within: Duration, most: usize) -> Behind {
    Behind {
        every,
        within,
        most,
    }
}

async fn put(values: &WriteBehind<Article>, ids: std::ops::Range<u64>) {
    for id in ids {
        assert!(values.set(&id, article(&id.to_string())).await.unwrap());
    }
}

#[tokio::test]
async fn written_through_is_written_to_the_other_side_first() {
    let mut server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    cache.set(&7, &article("before")).await.unwrap();
    let fails = async { Err(io::Error::other("the base is away")) };
    assert!(
        cache
            .write_through(&7, &article("new"), fails)
            .await
            .is_err()
    );
    assert_eq!(cache.get::<Article>(&7).await, Some(article("before")));
    let saves = async {
        assert_eq!(cache.get::<Article>(&7).await, Some(article("before")));
        Ok::<_, io::Error>(())
    };
    assert!(
        cache
            .write_through(&7, &article("new"), saves)
            .await
            .unwrap()
    );
    assert_eq!(cache.get::<Article>(&7).await, Some(article("new")));
    server.kill().await;
    let saves = async { Ok::<_, io::Error>(()) };
    assert!(
        !cache
            .write_through(&7, &article("newer"), saves)
            .await
            .unwrap()
    );
}

#[tokio::test(start_paused = true)]
async fn the_other_side_is_given_batches_by_number_and_by_time() {
    let cache = memory();
    let shelf = Arc::new(Shelf::default());
    let values = cache.write_behind(shelf.clone(), behind(10, 5 * SECOND, 100));
    put(&values, 0..9).await;
    sleep(4 * SECOND).await;
    assert!(shelf.sizes().is_empty() && values.waiting() == 9);
    assert_eq!(values.get(&3).await, Some(article("3")));
    put(&values, 9..10).await;
    sleep(SECOND / 10).await;
    assert_eq!((shelf.sizes(), values.waiting()), (vec![10], 0));
    put(&values, 0..3).await;
    sleep(4 * SECOND).await;
    assert_eq!(shelf.sizes(), [10]);
    sleep(2 * SECOND).await;
    assert_eq!((shelf.sizes(), values.waiting()), (vec![10, 3], 0));
    values.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_one_id_the_last_is_written_also_after_a_failure() {
    let cache = memory();
    let shelf = Arc::new(Shelf::default());
    let values = cache.write_behind(shelf.clone(), behind(100, SECOND, 100));
    values.set(&7, article("one")).await.unwrap();
    values.set(&7, article("two")).await.unwrap();
    shelf.fails.store(true, Ordering::SeqCst);
    sleep(5 * SECOND).await;
    let tries = shelf.tries.load(Ordering::SeqCst);
    assert!((2..20).contains(&tries), "{tries} tries");
    assert!(values.flush().await.is_err());
    values.set(&7, article("three")).await.unwrap();
    assert_eq!(values.get(&7).await, Some(article("three")));
    assert_eq!((values.waiting(), shelf.sizes()), (1, vec![]));
    shelf.fails.store(false, Ordering::SeqCst);
    values.flush().await.unwrap();
    assert_eq!((shelf.sizes(), values.waiting()), (vec![1], 0));
    assert_eq!(shelf.titles()["7"], "three");
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_allowed_and_the_rest_is_refused() {
    let cache = memory();
    let shelf = Arc::new(Shelf::default());
    shelf.fails.store(true, Ordering::SeqCst);
    let values = cache.write_behind(shelf.clone(), behind(5, SECOND, 20));
    put(&values, 0..20).await;
    let refused = values.set(&20, article("20")).await.unwrap_err();
    assert_eq!(refused.waiting, 20);
    assert_eq!(cache.get::<Article>(&20).await, None, "it was not taken");
    // One that waits already is taken in its place.
    values.set(&7, article("newer")).await.unwrap();
    sleep(10 * SECOND).await;
    assert!(values.set(&20, article("20")).await.is_err());
    assert_eq!(values.waiting(), 20);
    shelf.fails.store(false, Ordering::SeqCst);
    values.close().await.unwrap();
    let titles = shelf.titles();
    assert_eq!((titles.len(), titles["7"].as_str()), (20, "newer"));
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_waits_is_written_or_said_to_be_lost() {
    let cache = memory();
    let shelf = Arc::new(Shelf::default());
    let values = cache.write_behind(shelf.clone(), Behind::default());
    put(&values, 0..50).await;
    values.close().await.unwrap();
    assert_eq!(shelf.sizes(), [50]);
    let values = cache.write_behind(shelf.clone(), Behind::default());
    put(&values, 0..50).await;
    shelf.fails.store(true, Ordering::SeqCst);
    assert_eq!(values.close().await.unwrap_err().count, 50);
    // Dropped without an end, it is written all the same.
    shelf.fails.store(false, Ordering::SeqCst);
    let values = cache.write_behind(shelf.clone(), Behind::default());
    put(&values, 50..60).await;
    drop(values);
    sleep(SECOND).await;
    assert_eq!(shelf.sizes(), [50, 10]);
}

#[tokio::test]
async fn without_redis_values_wait_to_be_written_all_the_same() {
    let mut server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let shelf = Arc::new(Shelf::default());
    let values = cache.write_behind(shelf.clone(), Behind::default());
    assert!(values.set(&7, article("one")).await.unwrap());
    server.kill().await;
    assert!(!values.set(&7, article("two")).await.unwrap());
    assert_eq!(values.get(&7).await, Some(article("two")));
    values.close().await.unwrap();
    assert_eq!(shelf.titles()["7"], "two");
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_a_write_is_given_what_was_written() {
    let cache = memory();
    let values = cache.write_behind(Arc::new(Shelf::default()), Behind::default());
    let brings = |title: &'static str| {
        let brings = async move {
            sleep(SECOND).await;
            Ok::<_, io::Error>(Some(article(title)))
        };
        cache.get_or_set::<Article, _, _, _>(&7, || brings)
    };
    for way in ["set", "set_many", "through", "behind"] {
        cache.delete::<Article>(&7).await.unwrap();
        let write = async {
            sleep(SECOND / 2).await;
            let new = article("new");
            match way {
                "set" => cache.set(&7, &new).await.unwrap(),
                "set_many" => cache.set_many(&[(&7, &new)]).await.unwrap(),
                "through" => {
                    let saves = async { Ok::<_, io::Error>(()) };
                    assert!(cache.write_through(&7, &new, saves).await.unwrap());
                }
                _ => assert!(values.set(&7, new).await.unwrap()),
            }
            brings("newer").await.unwrap()
        };
        let (_, after) = tokio::join!(brings("old"), write);
        assert_eq!(after, Some(article("new")), "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_older_stands_in_for_what_the_other_side_has() {
    let cache = memory();
    let values = cache.write_behind(Arc::new(Shelf::default()), Behind::default());
    for is_through in [true, false] {
        let read = || cache.aside::<Article>(&7).stale_if_error(10_000 * SECOND);
        let brings = || async { Ok::<_, io::Error>(Some(article("old"))) };
        read().or_load(brings).await.unwrap();
        if is_through {
            let saves = async { Ok::<_, io::Error>(()) };
            let written = cache.write_through(&7, &article("new"), saves).await;
            assert!(written.unwrap());
        } else {
            assert!(values.set(&7, article("new")).await.unwrap());
        }
        assert_eq!(cache.get::<Article>(&7).await, Some(article("new")));
        sleep(601 * SECOND).await;
        let fails = || async { Err::<Option<Article>, _>(io::Error::other("away")) };
        assert!(read().or_load(fails).await.is_err());
    }
}
