//! A test world for readers: a store and a broker that fail, hang or lie, several processes, and a
//! clock that tests move.

mod early;
mod reads;
mod sharing;
mod staleness;
mod unkept;
mod unlisted;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use async_trait::async_trait;
use chrono::{TimeDelta, TimeZone as _};
use tokio::time::{Instant, sleep};

use super::*;
use sise_domain::{Calling, Caps, KrxTime, Listing, Quote, Seoul, Shipped, Source, Symbol};
use sise_pace::{LocalBudget, Pacer, Rate};
use sise_port::{
    Answer, Answers, Claim, Landed, Lead, Shelf, SourceError, StoreError, Tally, Urgency, Written,
};
use sise_store::MemoryStore;

/// Behaviour of an outside system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Down,
    /// It takes requests and never answers.
    Hangs,
    /// It answers with prices of zero.
    Zero,
    /// Its code panics before a call.
    Panics,
}

/// An outside system with a mood that can be changed, and a count of requests.
struct Part {
    mood: Mutex<Mood>,
    asked: AtomicUsize,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            mood: Mutex::new(Mood::Well),
            asked: AtomicUsize::new(0),
        }
    }
}

impl Part {
    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    fn count(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn ask(&self) -> Mood {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mood = self.mood();
        if mood == Mood::Hangs {
            std::future::pending::<()>().await;
        }
        mood
    }
}

/// A broker that knows even codes only.
struct Broker {
    part: Part,
    latency: Mutex<Duration>,
    clock: Clock,
    pacer: Pacer,
}

#[async_trait]
impl QuoteSource for Broker {
    async fn quotes(&self, symbols: &[Symbol], urgency: Urgency) -> Answers {
        self.pacer.pass(urgency).await.unwrap();
        let mood = self.part.ask().await;
        let latency = *self.latency.lock().unwrap();
        sleep(latency).await;
        let fetched_at = (self.clock)();
        let quote = |symbol: &Symbol, price| Quote {
            fetched_at,
            ..quote(symbol.as_str(), price)
        };
        let answer = |symbol: &Symbol| {
            let is_even = symbol.as_str().ends_with(['0', '2', '4', '6', '8']);
            let answer = match mood {
                Mood::Down => {
                    Answer::Failed(SourceError::Unavailable("connection refused".to_owned()))
                }
                Mood::Zero => Answer::Quote(Box::new(quote(symbol, 0))),
                _ if is_even => Answer::Quote(Box::new(quote(symbol, 2_000))),
                _ => Answer::Unknown,
            };
            (*symbol, answer)
        };
        Answers {
            answers: symbols.iter().map(answer).collect(),
            tally: Tally::default(),
            indices: Vec::new(),
        }
    }

    fn calling(&self) -> Calling {
        Calling::Multi
    }

    async fn ready(&self, urgency: Urgency) -> Result<(), SourceError> {
        assert_ne!(self.part.mood(), Mood::Panics);
        self.pacer.until_nobody_waits(urgency).await;
        Ok(())
    }
}

/// A store that all processes share.
#[derive(Default)]
struct Store {
    memory: MemoryStore,
    part: Part,
    pings: Part,
    /// Why it refuses to write prices.
    refusal: Mutex<Option<fn() -> StoreError>>,
}

impl Store {
    async fn check(&self) -> Result<(), StoreError> {
        match self.part.ask().await {
            Mood::Down => Err(StoreError::Failed {
                store: "test".to_owned(),
                trouble: "gone".to_owned(),
            }),
            Mood::Well | Mood::Hangs | Mood::Zero | Mood::Panics => Ok(()),
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
    ) -> Result<Written, StoreError> {
        self.check().await?;
        if let Some(refusal) = *self.refusal.lock().unwrap() {
            return Err(refusal());
        }
        self.memory.write(quotes, shelf, lead).await
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.check().await?;
        self.memory.realtime(symbols).await
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.check().await?;
        self.memory.close(symbols).await
    }

    async fn lives(&self, symbols: &[Symbol]) -> Result<Vec<Option<Duration>>, StoreError> {
        self.check().await?;
        self.memory.lives(symbols).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.pings.ask().await;
        self.check().await
    }
}

#[async_trait]
impl Flights for Store {
    async fn claim(
        &self,
        process: &str,
        symbols: &[Symbol],
        life: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        self.check().await?;
        self.memory.claim(process, symbols, life).await
    }

    async fn land(&self, process: &str, landed: &[(Symbol, Landed)]) -> Result<(), StoreError> {
        self.check().await?;
        self.memory.land(process, landed).await
    }
}

struct World {
    broker: Arc<Broker>,
    store: Arc<Store>,
    clock: Clock,
    /// Reader of the first process.
    reader: Reader,
}

fn noon() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap()
}

fn night() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 20, 23, 0, 0).unwrap()
}

const TTL: Duration = Duration::from_secs(120);
const LIVE: Shelf = Shelf::Realtime(TTL);
/// Life of a key that another program left.
const FOR_EVER: Shelf = Shelf::Realtime(Duration::from_secs(86_400));

fn world_at(now: KrxTime) -> World {
    world_paced(now, 20_000.0)
}

/// Creates a world with a broker that takes `per_second` calls a second.
fn world_paced(now: KrxTime, per_second: f64) -> World {
    let start = Instant::now();
    let clock: Clock = Arc::new(move || now + TimeDelta::from_std(start.elapsed()).unwrap());
    let broker = Arc::new(Broker {
        part: Part::default(),
        latency: Mutex::new(Duration::from_millis(270)),
        clock: Arc::clone(&clock),
        pacer: pacer(&clock, per_second),
    });
    let store = Arc::new(Store::default());
    let reader = Reader::new(parts(&broker, &store, &clock, "first"));
    World {
        broker,
        store,
        clock,
        reader,
    }
}

fn pacer(clock: &Clock, per_second: f64) -> Pacer {
    let caps = Caps {
        per_second,
        per_minute: None,
        per_day: None,
        late: std::time::Duration::ZERO,
    };
    let budget = Arc::new(LocalBudget::new(caps, Arc::clone(clock)));
    Pacer::new(budget, None, Rate::new(per_second, 20))
}

fn parts(broker: &Arc<Broker>, store: &Arc<Store>, clock: &Clock, process: &str) -> Parts {
    Parts {
        reads: None,
        store: store.clone(),
        source: Some(broker.clone()),
        flights: Some(store.clone()),
        process: process.to_owned(),
        calendar: Arc::new(ArcSwap::from_pointee(Calendar::shipped())),
        clock: Arc::clone(clock),
        ttl: TTL,
        universe: Arc::new(ArcSwap::new(list())),
        unlisted_interval: Duration::ZERO,
    }
}

/// The universe that ships with sise, and all codes of five digits.
fn list() -> Arc<Universe> {
    static LIST: LazyLock<Arc<Universe>> = LazyLock::new(|| {
        let shipped = Shipped::get().universe();
        let shipped = shipped.listings().to_vec();
        let example = shipped[0].clone();
        let invented = (0..20_000).map(move |number| Listing {
            code: format!("{number:06}").parse().unwrap(),
            ..example.clone()
        });
        Arc::new(Universe::new(None, shipped.into_iter().chain(invented)))
    });
    Arc::clone(&LIST)
}

fn quote(code: &str, price: i64) -> Quote {
    Quote::sample(code.parse().unwrap(), price, noon())
}

impl World {
    /// Creates the reader of another process.
    fn process(&self, name: &str) -> Reader {
        Reader::new(parts(&self.broker, &self.store, &self.clock, name))
    }

    fn calls(&self) -> usize {
        self.broker.part.count()
    }

    fn latency(&self, latency: Duration) {
        *self.broker.latency.lock().unwrap() = latency;
    }

    /// Writes a price of 1,000 won to the store, fetched at noon.
    async fn keep(&self, code: &str, shelf: Shelf) {
        self.keep_quote(quote(code, 1_000), shelf).await;
    }

    async fn keep_quote(&self, quote: Quote, shelf: Shelf) {
        let quotes = [quote];
        self.store.memory.write(&quotes, shelf, None).await.unwrap();
    }

    /// Makes the store lose its live prices.
    async fn lose_prices(&self, code: &str) {
        let gone = Shelf::Realtime(Duration::ZERO);
        let newest = Quote {
            fetched_at: (self.clock)(),
            ..quote(code, 1)
        };
        self.keep_quote(newest, gone).await;
    }
}
