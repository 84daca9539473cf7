use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Returns the only reading of an answer.
fn one(answer: Result<Vec<Reading>, ReadError>) -> Reading {
    let mut readings = answer.unwrap();
    assert_eq!(readings.len(), 1);
    readings.remove(0)
}

fn seen(reading: &Reading) -> (i64, Source, bool) {
    (reading.quote.price, reading.source, reading.is_stale)
}

#[tokio::test(start_paused = true)]
async fn a_price_older_than_was_asked_for_is_a_miss() {
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    sleep(10 * SECOND).await;
    let reading = one(world.reader.ask(&["005930"]).max_age(10 * SECOND).await);
    assert_eq!(seen(&reading), (1_000, Source::Redis, false));
    assert_eq!(world.calls(), 0);
    let reading = one(world.reader.ask(&["005930"]).max_age(9 * SECOND).await);
    assert_eq!(seen(&reading), (2_000, Source::Api, false));
    // The fetched price is kept, also for callers that accept older ones.
    let reading = one(world.reader.ask(&["005930"]).max_age(9 * SECOND).await);
    assert_eq!(seen(&reading), (2_000, Source::Redis, false));
    assert_eq!(world.calls(), 1);
}

/// A value that another program wrote without an expiry: it stays there.
#[tokio::test(start_paused = true)]
async fn a_stuck_quote_is_not_shown_as_fresh() {
    let world = world_at(noon());
    world.keep("005930", FOR_EVER).await;
    sleep(2 * HOUR).await;
    // A caller that accepts an age of two hours gets it with its age.
    let reading = one(world.reader.ask(&["005930"]).max_age(2 * HOUR).await);
    assert_eq!(seen(&reading), (1_000, Source::Redis, false));
    assert_eq!(reading.age, 2 * HOUR);
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!(seen(&reading), (2_000, Source::Api, false));
    // The age that it claims may be wrong too.
    let from_the_future = Quote {
        fetched_at: (world.clock)() + TimeDelta::days(1),
        ..quote("005930", 1_000)
    };
    world.keep_quote(from_the_future, FOR_EVER).await;
    sleep(2 * SECOND).await;
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!(seen(&reading), (2_000, Source::Api, false));
}

/// A price written late, or by another clock, is not mistaken for one without an expiry.
#[tokio::test(start_paused = true)]
async fn a_price_is_believed_a_minute_longer_than_it_lives() {
    // No early refresh at night.
    let world = world_at(night());
    let kept = Quote {
        fetched_at: night(),
        ..quote("005930", 1_000)
    };
    world.keep_quote(kept, FOR_EVER).await;
    sleep(TTL + 59 * SECOND).await;
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!(seen(&reading), (1_000, Source::Redis, false));
    sleep(2 * SECOND).await;
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!(seen(&reading), (2_000, Source::Api, false));
}

#[tokio::test(start_paused = true)]
async fn clocks_may_differ_a_little() {
    let world = world_at(noon());
    let ahead = Quote {
        fetched_at: (world.clock)() + TimeDelta::seconds(30),
        ..quote("005930", 1_000)
    };
    world.keep_quote(ahead, LIVE).await;
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!(
        (reading.age, reading.source),
        (Duration::ZERO, Source::Redis)
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_lives_is_as_old_as_its_life_says_where_clocks_are_apart() {
    for apart in [-9 * 3_600, -240, 240, 9 * 3_600] {
        let world = world_at(noon());
        let by_another_clock = Quote {
            fetched_at: (world.clock)() + TimeDelta::seconds(apart),
            ..quote("005930", 1_000)
        };
        world.keep_quote(by_another_clock, LIVE).await;
        sleep(5 * SECOND).await;
        for age in [5 * SECOND, Duration::MAX] {
            let reading = one(world.reader.ask(&["005930"]).max_age(age).await);
            assert_eq!(seen(&reading), (1_000, Source::Redis, false), "{apart}");
            assert_eq!(reading.age, 5 * SECOND, "{apart}");
        }
        let reading = one(world.reader.ask(&["005930"]).await);
        assert_eq!(seen(&reading), (1_000, Source::Redis, false), "{apart}");
        assert_eq!(world.calls(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_price_as_of_now_is_asked_for_once_by_all_who_want_it() {
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    sleep(SECOND).await;
    let other = world.process("other");
    let mut reads = Vec::new();
    for reader in [&world.reader, &other].into_iter().cycle().take(100) {
        reads.push(
            reader
                .ask(&["005930"])
                .max_age(Duration::ZERO)
                .into_future(),
        );
    }
    for answer in futures_util::future::join_all(reads).await {
        assert_eq!(one(answer).quote.price, 2_000);
    }
    assert_eq!(world.calls(), 1);
    // A price that landed a moment ago is no longer current.
    sleep(Duration::from_millis(5)).await;
    let reading = one(world.reader.ask(&["005930"]).max_age(Duration::ZERO).await);
    assert_eq!((reading.source, world.calls()), (Source::Api, 2));
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_brings_what_is_too_old_for_one_is_flown_anew() {
    let world = world_at(noon());
    let symbols = ["005930".parse().unwrap()];
    // Another process holds the code, and writes a price of five seconds ago.
    world.store.claim("other", &symbols, HOUR).await.unwrap();
    let reader = world.reader.clone();
    let easy = tokio::spawn(async move { reader.price("005930").await.unwrap().unwrap() });
    sleep(SECOND).await;
    let reader = world.reader.clone();
    let strict = tokio::spawn(async move {
        let ask = reader.ask(&["005930"]);
        one(ask.max_age(Duration::from_millis(500)).await)
    });
    sleep(4 * SECOND).await;
    let old = Quote {
        fetched_at: (world.clock)() - TimeDelta::seconds(5),
        ..quote("005930", 1_000)
    };
    world.keep_quote(old, LIVE).await;
    world
        .store
        .land("other", &[(symbols[0], Landed::Done)])
        .await
        .unwrap();
    assert_eq!(seen(&easy.await.unwrap()), (1_000, Source::Redis, false));
    assert_eq!(seen(&strict.await.unwrap()), (2_000, Source::Api, false));
    assert_eq!(world.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_older_price_stands_in_where_that_is_allowed_and_says_so() {
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    sleep(30 * SECOND).await;
    world.broker.part.is(Mood::Down);
    let ask = || world.reader.ask(&["005930"]).max_age(10 * SECOND);
    assert!(matches!(ask().await, Err(ReadError::Source { .. })));
    assert!(ask().allow_stale(29 * SECOND).await.is_err());
    let reading = one(ask().allow_stale(31 * SECOND).await);
    assert_eq!(seen(&reading), (1_000, Source::Redis, true));
    let json = serde_json::to_value(&reading).unwrap();
    assert_eq!(
        (&json["stale"], &json["source"]),
        (&true.into(), &"redis".into())
    );
    assert_eq!(json["age_ms"], 30_270);
}

#[tokio::test(start_paused = true)]
async fn what_this_process_saw_last_stands_in_when_redis_lost_it() {
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    world.broker.part.is(Mood::Down);
    let ask = || world.reader.ask(&["005930"]).allow_stale(60 * SECOND);
    // A fresh price does not become stale because staleness is allowed.
    assert_eq!(seen(&one(ask().await)), (1_000, Source::Redis, false));
    sleep(20 * SECOND).await;
    for mood in [Mood::Well, Mood::Down] {
        world.lose_prices("005930").await;
        world.store.part.is(mood);
        let reading = one(ask().await);
        assert_eq!(seen(&reading), (1_000, Source::Memory, true));
        assert!(reading.age >= 20 * SECOND);
        assert!(world.reader.price("005930").await.is_err());
    }
    sleep(60 * SECOND).await;
    assert!(ask().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_last_close_stands_in_within_the_session_and_is_no_stand_in_out_of_it() {
    for (now, is_stale) in [(noon(), true), (night(), false)] {
        let world = world_at(now);
        world.keep("005930", Shelf::Close).await;
        world.broker.part.is(Mood::Down);
        let reading = one(world.reader.ask(&["005930"]).allow_stale(24 * HOUR).await);
        assert_eq!(seen(&reading), (1_000, Source::Close, is_stale));
    }
    // If the caller gives an age, it applies to the close at night too.
    let world = world_at(night());
    world.keep("005930", Shelf::Close).await;
    world.broker.part.is(Mood::Down);
    let ask = || world.reader.ask(&["005930"]).max_age(HOUR);
    assert!(ask().await.is_err());
    let reading = one(ask().allow_stale(24 * HOUR).await);
    assert_eq!(seen(&reading), (1_000, Source::Close, true));
}

#[tokio::test(start_paused = true)]
async fn the_youngest_stands_in() {
    let world = world_at(noon());
    let at = |seconds, price| Quote {
        fetched_at: noon() + TimeDelta::seconds(seconds),
        ..quote("005930", price)
    };
    world.keep_quote(at(0, 1), Shelf::Close).await;
    world.keep_quote(at(20, 2), LIVE).await;
    sleep(20 * SECOND).await;
    let ask = || {
        world
            .reader
            .ask(&["005930"])
            .max_age(SECOND)
            .allow_stale(HOUR)
    };
    ask().await.unwrap();
    world.lose_prices("005930").await;
    world.keep_quote(at(10, 3), LIVE).await;
    world.broker.part.is(Mood::Down);
    sleep(5 * SECOND).await;
    assert_eq!(seen(&one(ask().await)), (2, Source::Memory, true));
}

#[tokio::test(start_paused = true)]
async fn nothing_stands_in_for_a_code_that_the_broker_does_not_know() {
    let world = world_at(noon());
    world.keep("000001", LIVE).await;
    let ask = || world.reader.ask(&["000001"]).allow_stale(HOUR);
    assert_eq!(ask().await.unwrap().len(), 1);
    world.lose_prices("000001").await;
    assert_eq!(ask().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn without_a_broker_an_older_price_stands_in_too() {
    let world = world_at(noon());
    let reader = Reader::new(Parts {
        source: None,
        ..parts(&world.broker, &world.store, &world.clock, "reading only")
    });
    world.keep("005930", LIVE).await;
    let ask = || reader.ask(&["005930"]).max_age(SECOND);
    sleep(10 * SECOND).await;
    assert_eq!(ask().await.unwrap(), []);
    let reading = one(ask().allow_stale(HOUR).await);
    assert_eq!(seen(&reading), (1_000, Source::Redis, true));
}

#[tokio::test(start_paused = true)]
async fn a_read_ends_in_its_time_whatever_hangs() {
    const TIME: Duration = Duration::from_millis(300);
    let moods = [Mood::Well, Mood::Down, Mood::Hangs];
    for (store, broker) in moods.into_iter().flat_map(|s| moods.map(|b| (s, b))) {
        let world = world_at(noon());
        world
            .reader
            .ask(&["005930"])
            .allow_stale(HOUR)
            .await
            .unwrap();
        world.lose_prices("005930").await;
        sleep(2 * SECOND).await;
        world.store.part.is(store);
        world.broker.part.is(broker);
        let start = Instant::now();
        let answer = world.reader.ask(&["005930"]).within(TIME).await;
        assert!(start.elapsed() <= TIME, "{store:?} {broker:?}");
        assert_eq!(answer.is_ok(), broker == Mood::Well && store != Mood::Hangs);
        if store == Mood::Hangs || broker == Mood::Hangs {
            let error = answer.unwrap_err();
            assert!(matches!(error, ReadError::Late { .. }), "{error}");
            assert!(error.to_string().contains("005930"), "{error}");
            assert!(error.to_string().contains("300ms"), "{error}");
        }
        // A caller that accepts an old price gets it in the same time.
        sleep(2 * SECOND).await;
        let start = Instant::now();
        let ask = world.reader.ask(&["005930"]).within(TIME);
        let reading = one(ask.allow_stale(HOUR).await);
        assert!(start.elapsed() <= TIME, "{store:?} {broker:?}");
        assert_eq!(reading.is_stale, reading.source == Source::Memory);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_without_a_time_has_ten_seconds() {
    for (store, broker) in [(Mood::Hangs, Mood::Well), (Mood::Well, Mood::Hangs)] {
        let world = world_at(noon());
        world.store.part.is(store);
        world.broker.part.is(broker);
        let start = Instant::now();
        assert!(world.reader.price("005930").await.is_err());
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_leaves_time_for_the_close() {
    let world = world_at(night());
    world.keep("005930", Shelf::Close).await;
    world.broker.part.is(Mood::Hangs);
    let reading = one(world.reader.ask(&["005930"]).within(SECOND).await);
    assert_eq!(seen(&reading), (1_000, Source::Close, false));
}

#[tokio::test(start_paused = true)]
async fn times_without_end_are_none() {
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    let ask = world.reader.ask(&["005930"]).max_age(Duration::MAX);
    let reading = one(ask.allow_stale(Duration::MAX).within(Duration::MAX).await);
    assert_eq!(seen(&reading), (1_000, Source::Redis, false));
}

/// A store replaces a connection that swallows everything after requests without an answer in time.
/// Callers that never wait that long must not keep it from finding out.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_probed_when_callers_give_up() {
    let world = world_at(noon());
    world.store.part.is(Mood::Hangs);
    for _ in 0..10 {
        let impatient = tokio::time::timeout(SECOND, world.reader.price("005930"));
        assert!(impatient.await.is_err());
        let ask = world.reader.ask(&["005930"]).within(SECOND);
        assert!(ask.await.is_err());
    }
    assert_eq!(world.store.pings.count(), 1, "one probe at a time");
}

/// A price of 0 that triggers a stop-loss must not come from anywhere.
#[tokio::test(start_paused = true)]
async fn a_price_of_zero_is_returned_from_nowhere() {
    for price in [0, -1] {
        for shelf in [FOR_EVER, Shelf::Close] {
            for now in [noon(), noon() + TimeDelta::seconds(5), night()] {
                let world = world_at(now);
                world.keep_quote(quote("005930", price), shelf).await;
                zero_is_no_price(&world).await;
            }
        }
    }
}

async fn zero_is_no_price(world: &World) {
    world.broker.part.is(Mood::Zero);
    let answer = world.reader.price("005930").await;
    assert!(
        matches!(answer, Err(ReadError::Source { .. })),
        "{answer:?}"
    );
    let ask = world.reader.ask(&["005930"]).allow_stale(24 * HOUR);
    assert!(ask.await.is_err());
    // Nor from the price that another process left.
    let symbols = ["005930".parse().unwrap()];
    sleep(2 * SECOND).await;
    world.broker.part.is(Mood::Well);
    world.store.claim("other", &symbols, SECOND).await.unwrap();
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!(seen(&reading), (2_000, Source::Api, false));
}
