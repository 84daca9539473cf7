//! Codes outside the universe, of which there is no end.

use super::*;

/// Calls of a sweep over the whole universe.
const SWEEP: usize = 93;

fn reader_of(world: &World) -> Reader {
    let parts = parts(&world.broker, &world.store, &world.clock, "flooded");
    Reader::new(Parts {
        unlisted_interval: Rate::new(15.0, 2).part(UNLISTED_SHARE),
        ..parts
    })
}

/// Returns five hundred unknown codes, different for each number.
fn nobodys(number: usize) -> Vec<String> {
    let codes = number * 500..(number + 1) * 500;
    codes
        .map(|code| format!("{:05}Z", code % 100_000))
        .collect()
}

/// Asks for unknown codes without end, in as many requests at once as are possible.
fn flood(reader: &Reader) -> tokio::task::JoinHandle<()> {
    let reader = reader.clone();
    tokio::spawn(async move {
        for number in 0.. {
            let reader = reader.clone();
            tokio::spawn(async move {
                let codes = nobodys(number);
                let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
                let _ = reader.prices(&codes).await;
            });
            sleep(Duration::from_millis(100)).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_codes_takes_a_fifth_of_the_rate_at_most() {
    let world = world_paced(noon(), 15.0);
    let reader = reader_of(&world);
    let flooding = flood(&reader);
    sleep(Duration::from_secs(30)).await;
    let start = Instant::now();
    for _ in 0..SWEEP {
        world.broker.pacer.pass(Urgency::Sweep).await.unwrap();
    }
    let took = start.elapsed().as_secs_f64();
    // 6.2 s alone; with the quarter of the rate that readers are guaranteed it would be 31 s.
    assert!((6.0..8.5).contains(&took), "{took}");
    let calls = world.calls();
    sleep(Duration::from_secs(10)).await;
    let calls = world.calls() - calls;
    assert!((25..=31).contains(&calls), "{calls} calls in 10 s");
    flooding.abort();
}

#[tokio::test(start_paused = true)]
async fn in_a_flood_of_unknown_codes_a_listed_one_is_answered_at_once() {
    let world = world_paced(noon(), 15.0);
    let reader = reader_of(&world);
    let flooding = flood(&reader);
    sleep(Duration::from_secs(30)).await;
    for code in ["005930", "000660", "035720"] {
        let start = Instant::now();
        let reading = reader.price(code).await.unwrap().unwrap();
        assert_eq!(reading.source, Source::Api);
        let took = start.elapsed();
        assert!(took < Duration::from_millis(800), "{took:?}");
    }
    flooding.abort();
}

#[tokio::test(start_paused = true)]
async fn a_code_of_no_list_is_answered_and_what_nobody_waits_for_is_not_asked() {
    let world = world_paced(noon(), 15.0);
    let reader = reader_of(&world);
    let reading = reader.price("69500A").await.unwrap();
    assert!(reading.is_none(), "the broker knows even codes alone");
    let start = Instant::now();
    assert!(reader.price("069502").await.unwrap().is_some());
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    let before = world.calls();
    let codes = nobodys(7);
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    // Two calls go out in that time, and each is repeated before its codes count as unknown.
    let impatient = reader.ask(&codes).within(Duration::from_millis(500));
    assert!(impatient.await.is_err());
    sleep(Duration::from_secs(60)).await;
    let calls = world.calls() - before;
    assert!(
        (2..=4).contains(&calls),
        "{calls} calls for what nobody waits for"
    );
}
