use futures_util::future::join_all;
use tokio::time::timeout;

use super::*;

/// Callers spread over a third of a second: some come while the call is under way, some after it.
async fn callers(readers: &[Reader], code: &'static str) -> Vec<Option<Reading>> {
    let callers = (0..1_000_u64).zip(readers.iter().cycle());
    let reads = callers.map(|(place, reader)| async move {
        sleep(Duration::from_micros(333 * place)).await;
        reader.price(code).await.unwrap()
    });
    join_all(reads).await
}

#[tokio::test(start_paused = true)]
async fn a_thousand_misses_in_many_processes_make_one_call() {
    let world = world_at(noon());
    let readers = ["one", "two", "three", "four"].map(|name| world.process(name));
    for reading in callers(&readers, "005930").await {
        assert_eq!(reading.unwrap().quote.price, 2_000);
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_code_unknown_to_the_broker_is_so_for_all_processes() {
    let world = world_at(noon());
    let readers = ["one", "two", "three"].map(|name| world.process(name));
    let is_unknown = |readings: Vec<_>| readings.iter().all(Option::is_none);
    assert!(is_unknown(callers(&readers, "000001").await));
    // Asked once more, because a short answer looks the same.
    assert_eq!(world.calls(), 2);
    sleep(Duration::from_secs(28)).await;
    let late = world.process("late");
    assert_eq!(late.price("000001").await.unwrap(), None);
    assert_eq!(world.calls(), 2);
    // A process that learned it late forgets it at the same time as the others.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(late.price("000001").await.unwrap(), None);
    assert_eq!(world.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn two_processes_share_the_codes_of_a_whole_list() {
    let world = world_at(noon());
    let codes: Vec<String> = (0..120)
        .map(|number| format!("{:06}", number * 2))
        .collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let readers = ["one", "two"].map(|name| world.process(name));
    let reads = readers.iter().map(|reader| reader.prices(&codes));
    for readings in join_all(reads).await {
        let readings = readings.unwrap();
        let answered = readings.iter().map(|r| r.quote.stock_code.as_str());
        assert!(answered.eq(codes.iter().copied()));
    }
    assert_eq!(world.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_fetched_comes_from_redis() {
    let world = world_at(noon());
    let other = world.process("other");
    let (first, second) = tokio::join!(world.reader.price("005930"), other.price("005930"));
    let mut sources = [first, second].map(|answer| answer.unwrap().unwrap().source);
    sources.sort_by_key(|source| source.as_str());
    assert_eq!(sources, [Source::Api, Source::Redis]);
    // A process that found the price there leaves no claim behind.
    sleep(Duration::from_millis(1)).await;
    let symbols = ["005930".parse().unwrap()];
    let life = Duration::from_secs(1);
    let claims = world.store.memory.claim("third", &symbols, life).await;
    assert_eq!(claims.unwrap(), [Claim::Own]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_leaves_its_codes_to_the_others() {
    let world = world_at(noon());
    let symbols = ["005930".parse().unwrap()];
    let life = Duration::from_secs(3);
    world.store.claim("dead", &symbols, life).await.unwrap();
    let start = Instant::now();
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!((reading.source, world.calls()), (Source::Api, 1));
    let waited = start.elapsed();
    assert!(waited >= life, "{waited:?}");
    assert!(waited <= life + Duration::from_millis(320), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_not_made_twice() {
    let world = world_at(noon());
    // Longer than an unrenewed claim lives.
    world.latency(Duration::from_secs(7));
    let readers = ["one", "two"].map(|name| world.process(name));
    for reading in callers(&readers, "005930").await {
        assert!(reading.is_some());
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_one_process_is_not_that_of_the_others() {
    let world = world_at(noon());
    world.broker.part.is(Mood::Down);
    assert!(world.reader.price("005930").await.is_err());
    // The failure may concern that process alone: another key, another way to the broker.
    world.broker.part.is(Mood::Well);
    let other = world.process("other");
    assert!(other.price("005930").await.unwrap().is_some());
    assert_eq!(world.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_for_one_process_does_not_for_ever_for_the_others() {
    let world = world_at(noon());
    world.broker.part.is(Mood::Hangs);
    let stuck = world.reader.ask(&["005930"]).within(Duration::from_secs(1));
    assert!(matches!(stuck.await, Err(ReadError::Late { .. })));
    world.broker.part.is(Mood::Well);
    let other = world.process("other");
    let patient = other.ask(&["005930"]).within(Duration::from_secs(20));
    assert_eq!(patient.await.unwrap().len(), 1);
    assert_eq!(world.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_another_process_for_a_minute_is_told_so() {
    let world = world_at(noon());
    let symbols = ["005930".parse().unwrap()];
    let life = Duration::from_secs(600);
    world.store.claim("stuck", &symbols, life).await.unwrap();
    let patient = world.reader.ask(&["005930"]).within(life);
    let error = patient.await.unwrap_err().to_string();
    assert!(
        error.contains("another process is asking for it"),
        "{error}"
    );
    assert_eq!(world.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_redis_every_process_asks_for_itself() {
    let world = world_at(noon());
    world.store.part.is(Mood::Down);
    let readers = ["one", "two", "three"].map(|name| world.process(name));
    for reading in callers(&readers, "005930").await {
        assert_eq!(reading.unwrap().source, Source::Api);
    }
    assert_eq!(world.calls(), 3);
}

/// Redis becomes unreachable between the look and the claim.
#[tokio::test(start_paused = true)]
async fn claims_that_cannot_be_made_stop_nobody() {
    let world = world_at(noon());
    world.latency(Duration::from_secs(1));
    let symbols = ["005930".parse().unwrap()];
    let life = Duration::from_secs(600);
    world.store.claim("other", &symbols, life).await.unwrap();
    let reader = world.reader.clone();
    let read = tokio::spawn(async move { reader.price("005930").await });
    sleep(Duration::from_millis(100)).await;
    world.store.part.is(Mood::Down);
    let reading = read.await.unwrap().unwrap().unwrap();
    assert_eq!((reading.source, world.calls()), (Source::Api, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hit_costs_one_look_and_a_miss_three() {
    let world = world_at(noon());
    let asked = || world.store.part.count();
    world.reader.price("005930").await.unwrap();
    // Look, claim, look again; write, release the claim.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(asked(), 5);
    world.reader.price("005930").await.unwrap();
    assert_eq!(asked(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_alone_claims_nothing() {
    let world = world_at(noon());
    let alone = Reader::new(Parts {
        flights: None,
        ..parts(&world.broker, &world.store, &world.clock, "alone")
    });
    assert!(alone.price("005930").await.unwrap().is_some());
    // Look and write.
    assert_eq!((world.calls(), world.store.part.count()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_has_a_bound() {
    let world = world_at(noon());
    world.latency(Duration::from_secs(5));
    let codes: Vec<String> = (0..9_000)
        .map(|number| format!("{:06}", number * 2))
        .collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let error = world.reader.prices(&codes).await.unwrap_err();
    let ReadError::Source { failed, found, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((found.len(), failed.len()), (8_192, 9_000 - 8_192));
    // Landed flights make room.
    sleep(Duration::from_secs(2)).await;
    let rest = &codes[8_192..];
    assert_eq!(world.reader.prices(rest).await.unwrap().len(), rest.len());
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_walks_away_leaves_the_call_to_the_others() {
    let world = world_at(noon());
    let other = world.process("other");
    let first = timeout(Duration::from_millis(50), world.reader.price("005930")).await;
    assert!(first.is_err());
    assert!(other.price("005930").await.unwrap().is_some());
    assert_eq!(world.calls(), 1);
}

/// A program may end when it has its answer; the others can find what it learned by then.
#[tokio::test(start_paused = true)]
async fn whoever_has_his_answer_leaves_nothing_claimed() {
    let world = world_at(noon());
    world.reader.prices(&["005930", "000001"]).await.unwrap();
    let symbols = ["005930", "000001"].map(|code| code.parse().unwrap());
    let life = Duration::from_secs(1);
    let claims = world.store.memory.claim("other", &symbols, life).await;
    let claims = claims.unwrap();
    assert_eq!(claims[0], Claim::Own);
    assert!(matches!(claims[1], Claim::Unknown(_)), "{claims:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_that_dies_is_followed_by_another() {
    let world = world_at(noon());
    world.broker.part.is(Mood::Panics);
    let error = world.reader.price("000010").await.unwrap_err();
    assert!(matches!(error, ReadError::Source { .. }), "{error}");
    world.broker.part.is(Mood::Well);
    assert!(world.reader.price("000010").await.unwrap().is_some());
    assert_eq!(world.calls(), 1);
}
