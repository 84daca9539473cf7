use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::{TimeDelta, TimeZone as _};
use tokio::time::sleep;

use super::*;
use crate::domain::{Calling, KrxTime, Phase, Seoul, Status};
use crate::port::{Lead, StoreError, Tally};
use crate::store::MemoryStore;

/// A broker that knows even codes, and counts its calls.
struct Broker {
    calls: AtomicUsize,
    is_down: AtomicBool,
    latency: Duration,
}

#[async_trait]
impl QuoteSource for Broker {
    async fn quotes(&self, symbols: &[Symbol], _: Urgency) -> Answers {
        self.calls.fetch_add(1, Ordering::SeqCst);
        sleep(self.latency).await;
        let answer = |symbol: &Symbol| {
            let answer = if self.is_down.load(Ordering::SeqCst) {
                Answer::Failed(SourceError::Unavailable("connection refused".to_owned()))
            } else if symbol.as_str().ends_with(['0', '2', '4', '6', '8']) {
                Answer::Quote(Box::new(quote(*symbol, 2_000)))
            } else {
                Answer::Unknown
            };
            (*symbol, answer)
        };
        Answers {
            answers: symbols.iter().map(answer).collect(),
            tally: Tally::default(),
        }
    }

    fn calling(&self) -> Calling {
        Calling::Multi
    }
}

/// A store that can be switched off.
#[derive(Default)]
struct Store {
    memory: MemoryStore,
    is_down: AtomicBool,
}

impl Store {
    fn check(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            Err(StoreError::Failed {
                store: "test".to_owned(),
                trouble: "gone".to_owned(),
            })
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl PriceStore for Store {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<(), StoreError> {
        self.check()?;
        self.memory.write(quotes, shelf, lead).await
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.check()?;
        self.memory.realtime(symbols).await
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.check()?;
        self.memory.close(symbols).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check()
    }
}

struct World {
    broker: Arc<Broker>,
    store: Arc<Store>,
    reader: Reader,
}

fn noon() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap()
}

fn night() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 20, 23, 0, 0).unwrap()
}

fn world_at(now: KrxTime) -> World {
    let broker = Arc::new(Broker {
        calls: AtomicUsize::new(0),
        is_down: AtomicBool::new(false),
        latency: Duration::from_millis(270),
    });
    let store = Arc::new(Store::default());
    let start = Instant::now();
    let clock: Clock = Arc::new(move || now + TimeDelta::from_std(start.elapsed()).unwrap());
    let reader = Reader::new(Parts {
        store: store.clone(),
        source: Some(broker.clone()),
        calendar: Arc::new(ArcSwap::from_pointee(Calendar::shipped())),
        clock,
        ttl: Duration::from_secs(120),
    });
    World {
        broker,
        store,
        reader,
    }
}

fn quote(symbol: Symbol, price: i64) -> Quote {
    Quote {
        stock_code: symbol,
        stock_name: "회사".to_owned(),
        price,
        change: None,
        change_rate: None,
        volume: None,
        timestamp: noon().naive_local(),
        market: None,
        open: None,
        high: None,
        low: None,
        prev_close: None,
        value: None,
        venue: "KRX".into(),
        session: Phase::Regular,
        status: Status::Trading,
        source: "test".into(),
        fetched_at: noon(),
    }
}

impl World {
    fn calls(&self) -> usize {
        self.broker.calls.load(Ordering::SeqCst)
    }

    async fn keep(&self, code: &str, shelf: Shelf) {
        let quote = quote(code.parse().unwrap(), 1_000);
        self.store
            .memory
            .write(&[quote], shelf, None)
            .await
            .unwrap();
    }
}

const LIVE: Shelf = Shelf::Realtime(Duration::from_secs(120));

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
    // With the store down nothing that the first one learns can be looked up by the others.
    for store_is_down in [false, true] {
        let world = world_at(noon());
        world.store.is_down.store(store_is_down, Ordering::SeqCst);
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

#[tokio::test(start_paused = true)]
async fn an_unknown_code_is_remembered_for_half_a_minute() {
    let world = world_at(noon());
    assert_eq!(world.reader.price("000001").await.unwrap(), None);
    // Once more, because a short answer looks the same; then it is believed.
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
    world.store.is_down.store(true, Ordering::SeqCst);
    let reading = world.reader.price("005930").await.unwrap().unwrap();
    assert_eq!(reading.source, Source::Api);
}

#[tokio::test(start_paused = true)]
async fn the_close_answers_outside_the_session_only() {
    for (now, is_answered) in [(night(), true), (noon(), false)] {
        let world = world_at(now);
        world.keep("005930", Shelf::Close).await;
        world.broker.is_down.store(true, Ordering::SeqCst);
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
    world.broker.is_down.store(true, Ordering::SeqCst);
    let error = world
        .reader
        .prices(&["005930", "000660"])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("000660"), "{error}");
    let ReadError::Source { found, failed, .. } = error else {
        panic!("not an error of the source");
    };
    assert_eq!((found.len(), failed.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn bad_text_is_an_error_and_no_miss() {
    let world = world_at(noon());
    let error = world.reader.prices(&["005930", "5930"]).await.unwrap_err();
    assert!(matches!(error, ReadError::Code(_)), "{error}");
    assert_eq!(world.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_costs_a_caller_his_patience_and_no_more() {
    let world = world_at(noon());
    let slow = Arc::new(Broker {
        calls: AtomicUsize::new(0),
        is_down: AtomicBool::new(false),
        latency: Duration::from_secs(86_400),
    });
    let reader = Reader::new(Parts {
        store: world.store.clone(),
        source: Some(slow),
        calendar: Arc::new(ArcSwap::from_pointee(Calendar::shipped())),
        clock: Arc::new(noon),
        ttl: Duration::from_secs(120),
    });
    let start = Instant::now();
    let answer = reader.price("005930").await;
    assert!(answer.is_err() && start.elapsed() <= PATIENCE + Duration::from_millis(1));
}
