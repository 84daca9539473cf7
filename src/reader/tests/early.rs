use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
/// Time between two reads.
const OFTEN: Duration = Duration::from_millis(4);

/// Reads one code often for a time, and returns the readings that did not come from the store at
/// once.
async fn read_often(reader: &Reader, time: Duration) -> Vec<Reading> {
    let until = Instant::now() + time;
    let mut odd = Vec::new();
    while Instant::now() < until {
        let start = Instant::now();
        let reading = reader.price("005930").await.unwrap().unwrap();
        if reading.source != Source::Redis || start.elapsed() > Duration::ZERO {
            odd.push(reading);
        }
        sleep(OFTEN).await;
    }
    odd
}

#[tokio::test(start_paused = true)]
async fn a_code_that_is_read_often_never_dies_under_its_readers() {
    fastrand::seed(1);
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    let odd = read_often(&world.reader, 3 * TTL).await;
    assert_eq!(odd, []);
    // Early, but not often: about once per life.
    assert!((3..=4).contains(&world.calls()), "{}", world.calls());
}

#[tokio::test(start_paused = true)]
async fn all_processes_together_refresh_it_once() {
    fastrand::seed(2);
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    let readers = ["one", "two", "three", "four"].map(|name| world.process(name));
    let reads = readers.iter().map(|reader| read_often(reader, 3 * TTL));
    for odd in futures_util::future::join_all(reads).await {
        assert_eq!(odd, []);
    }
    assert!((3..=4).contains(&world.calls()), "{}", world.calls());
}

#[tokio::test(start_paused = true)]
async fn out_of_the_session_nothing_is_refreshed() {
    let world = world_at(night());
    let quote = Quote {
        fetched_at: night(),
        ..quote("005930", 1_000)
    };
    world.keep_quote(quote, LIVE).await;
    let odd = read_often(&world.reader, TTL.saturating_sub(10 * MILLISECOND)).await;
    assert_eq!((odd.len(), world.calls()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_code_that_nobody_reads_is_not_refreshed() {
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    world.keep("000660", LIVE).await;
    sleep(TTL.saturating_sub(5 * MILLISECOND)).await;
    fastrand::seed(3);
    read_often(&world.reader, 4 * MILLISECOND).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.calls(), 1);
    assert!(
        world
            .store
            .memory
            .realtime(&["000660".parse().unwrap()])
            .await
            .unwrap()[0]
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_broker_nothing_is_refreshed() {
    let world = world_at(noon());
    let reader = Reader::new(Parts {
        source: None,
        ..parts(&world.broker, &world.store, &world.clock, "onlooker")
    });
    world.keep("005930", FOR_EVER).await;
    sleep(TTL).await;
    assert!(reader.price("005930").await.unwrap().is_some());
    assert_eq!(reader.shared.in_flight.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_fails_is_not_stormed_by_early_refreshes() {
    fastrand::seed(4);
    let world = world_at(noon());
    // It is older than its life, so every reader would refresh it.
    world.keep("005930", FOR_EVER).await;
    sleep(TTL).await;
    world.broker.part.is(Mood::Down);
    let odd = read_often(&world.reader, Duration::from_secs(10)).await;
    assert_eq!(odd, []);
    assert!(world.calls() <= 10, "{}", world.calls());
}

#[tokio::test(start_paused = true)]
async fn whoever_misses_joins_an_early_refresh() {
    fastrand::seed(5);
    let world = world_at(noon());
    world.keep("005930", FOR_EVER).await;
    sleep(TTL).await;
    assert!(read_often(&world.reader, MILLISECOND).await.is_empty());
    let reader = world.reader.clone();
    let ask = reader.ask(&["005930"]).max_age(Duration::from_secs(1));
    assert_eq!(ask.await.unwrap()[0].quote.price, 2_000);
    assert_eq!(world.calls(), 1);
}
