use tokio::time::{sleep, timeout};

use tokio::task::JoinSet;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_hit_says_its_age_and_costs_no_call() {
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    sleep(Duration::from_secs(7)).await;
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!(
        (reading.quote.price, reading.source),
        (1_000, Source::Redis)
    );
    assert_eq!(reading.age, Duration::from_secs(7));
    assert_eq!(world.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_miss_is_asked_for_and_written_back_with_its_life() {
    let world = world_at(noon());
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!((reading.quote.price, reading.source), (2_000, Source::Api));
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!((reading.source, world.calls()), (Source::Redis, 1));
    sleep(Duration::from_secs(121)).await;
    world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!(world.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_misses_on_one_code_make_one_call() {
    // With the store down, the other readers cannot look up what the first one learns.
    for store_is_down in [false, true] {
        let world = world_at(noon());
        let mood = if store_is_down {
            Mood::Down
        } else {
            Mood::Well
        };
        world.store.part.is(mood);
        let readers = (0..1_000).map(|place| {
            let reader = world.reader.clone();
            async move {
                // Some come while the call is under way, some just after it.
                sleep(Duration::from_millis(place)).await;
                reader.price("005930").await
            }
        });
        for answer in futures_util::future::join_all(readers).await {
            assert_eq!(answer.unwrap().unwrap().quote.price, 2_000);
        }
        assert_eq!(world.calls(), 1, "store down: {store_is_down}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_does_not_take_the_answer_along() {
    let world = world_at(noon());
    let first = timeout(Duration::from_millis(50), world.reader.price("005930")).await;
    assert!(first.is_err());
    assert!(world.reader.price("005930").await.unwrap().is_some());
    assert_eq!(world.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_keep_their_order_and_miss_in_calls_of_thirty() {
    let world = world_at(noon());
    let codes: Vec<String> = (0..100)
        .map(|number| format!("{:06}", number * 2))
        .collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    world.keep(codes[7], LIVE).await;
    let readings = world.reader.prices(&codes).await.unwrap();
    let answered: Vec<&str> = readings
        .iter()
        .map(|r| r.quote.stock_code.as_str())
        .collect();
    assert_eq!(answered, codes);
    assert_eq!(readings[7].source, Source::Redis);
    assert_eq!(world.calls(), 4);
}

/// Each caller asks for another code while calls are slow, as if the shared budget is unreachable.
#[tokio::test(start_paused = true)]
async fn many_who_miss_one_code_each_share_their_calls() {
    let world = world_paced(noon(), 3.0);
    let mut callers = JoinSet::new();
    for number in 0..200 {
        let reader = world.reader.clone();
        let code = format!("{:06}", number * 2);
        callers.spawn(async move {
            sleep(Duration::from_millis(number * 15)).await;
            let asked = Instant::now();
            let reading = reader.price(&code).await.unwrap();
            assert_eq!(reading.unwrap().quote.stock_code.as_str(), code);
            asked.elapsed()
        });
    }
    let longest = callers.join_all().await.into_iter().max().unwrap();
    assert!(longest < Duration::from_millis(1_300), "{longest:?}");
    assert!(world.calls() <= 12, "{} calls", world.calls());
}

/// The first caller flies at once. Those that come while its call goes out share the next one.
#[tokio::test(start_paused = true)]
async fn callers_of_one_moment_share_a_call() {
    let world = world_at(noon());
    let mut callers = JoinSet::new();
    for (number, code) in ["005930", "000660", "000270", "005380"]
        .into_iter()
        .enumerate()
    {
        let reader = world.reader.clone();
        callers.spawn(async move {
            sleep(Duration::from_millis(u64::try_from(number).unwrap())).await;
            reader.price(code).await.unwrap().unwrap()
        });
    }
    callers.join_all().await;
    assert_eq!(world.calls(), 2);
    // A list that fills its calls waits for no other codes.
    let codes: Vec<String> = (1..=60)
        .map(|number| format!("{:06}", number * 2))
        .collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let start = Instant::now();
    world.reader.prices(&codes).await.unwrap();
    assert!(
        start.elapsed() < Duration::from_millis(275),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_code_is_remembered_for_half_a_minute() {
    let world = world_at(noon());
    assert_eq!(world.reader.price("000001").await.unwrap(), None);
    // Asked once more, because a short answer looks the same. Then it is believed.
    assert_eq!(world.calls(), 2);
    sleep(Duration::from_secs(29)).await;
    assert_eq!(world.reader.price("000001").await.unwrap(), None);
    assert_eq!(world.calls(), 2);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.reader.price("000001").await.unwrap(), None);
    assert_eq!(world.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_a_miss_and_never_an_error() {
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    world.store.part.is(Mood::Down);
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!(reading.source, Source::Api);
}

#[tokio::test(start_paused = true)]
async fn the_close_answers_outside_the_session_only() {
    for (now, is_answered) in [(night(), true), (noon(), false)] {
        let world = world_at(now);
        world.keep("005930", Shelf::Close).await;
        world.broker.part.is(Mood::Down);
        let answer = world.reader.price("005930").await;
        if is_answered {
            let reading = answer.unwrap().unwrap();
            assert_eq!(
                (reading.quote.price, reading.source),
                (1_000, Source::Close)
            );
        } else {
            assert!(matches!(answer, Err(ReadError::Source { .. })));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_for_some_loses_nothing_of_the_others() {
    let world = world_at(noon());
    world.keep("005930", LIVE).await;
    world.broker.part.is(Mood::Down);
    let error = world
        .reader
        .prices(&["005930", "000660"])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("000660"), "{error}");
    let ReadError::Source { found, failed, .. } = &error else {
        panic!("not an error of the source");
    };
    assert_eq!((found.len(), failed.len()), (1, 1));
    let mut error = error;
    assert_eq!(error.take_found()[0].quote.stock_code.as_str(), "005930");
    assert_eq!(error.take_found(), []);
}

#[tokio::test(start_paused = true)]
async fn bad_text_is_an_error_and_no_miss() {
    let world = world_at(noon());
    let error = world.reader.prices(&["005930", "5930"]).await.unwrap_err();
    assert!(matches!(error, ReadError::Code(_)), "{error}");
    assert_eq!(world.calls(), 0);
}
