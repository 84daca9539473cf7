//! Overhead of the reader over the bare Redis command below it.
//!
//! `cargo bench --bench reader`
//!
//! Reader and bare client take turns within one loop, so that drift of the machine affects both
//! alike. The bare client is the one that the reader uses, with the same settings on its own
//! connection, and ignores the bytes. Every phase and source that a price can have is measured.
//! Limits: 1.15 times a GET for one price, 1.3 times an MGET for the whole market, and one call for
//! a thousand misses at once.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod support;

use std::hint::black_box;
use std::time::Duration;

use chrono::TimeDelta;
use redis::Cmd;
use redis::aio::ConnectionManager;
use sise::Reader;
use sise::domain::{Phase, Quote, Urgency};
use sise::sim::{Sim, SimOptions};
use sise::sweep::Task;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use support::{Figures, Limit, Outcome, PrivateRedis, verdict};

/// Rounds of each pair; every round gives one ratio.
const ROUNDS: usize = 9;

/// Reads of one price in a round.
const LOOKS: usize = 1_500;

/// Reads of the whole market in a round.
const WHOLE_LOOKS: usize = 50;

/// Callers that miss at the same time.
const CALLERS: usize = 1_000;

/// Long enough that every caller comes while the call is under way.
const LATENCY: Duration = Duration::from_millis(100);

/// The limits.
const LIMIT_ONE: f64 = 1.15;
const LIMIT_WHOLE: f64 = 1.3;

fn main() -> Outcome {
    support::run(measure)
}

/// A simulated broker within this process.
struct Broker {
    sim: Sim,
    url: String,
    stop: CancellationToken,
}

impl Broker {
    async fn start(options: SimOptions) -> Outcome<Self> {
        let sim = Sim::new(options, sise::clock::system())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        let (serving, stopped) = (sim.clone(), stop.clone());
        tokio::spawn(async move { serving.serve(listener, stopped).await });
        Ok(Self { sim, url, stop })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn measure() -> Outcome {
    let redis = PrivateRedis::start().await?;
    fill(&redis.url).await?;
    let url = redis.url.clone();
    // Separate runtimes, so that nothing else runs on them.
    tokio::task::spawn_blocking(move || -> Outcome {
        let current = Builder::new_current_thread().enable_all().build()?;
        current.block_on(compare("current-thread runtime", &url))?;
        let many = Builder::new_multi_thread().enable_all().build()?;
        // On a worker thread, like the tasks of a program; `block_on` itself runs outside the
        // workers.
        many.block_on(async move {
            tokio::spawn(async move { compare("multi-thread runtime", &url).await }).await?
        })
    })
    .await??;
    misses(&redis.url).await
}

/// Writes the prices of a whole market to Redis with a sweep.
async fn fill(redis_url: &str) -> Outcome {
    let broker = Broker::start(SimOptions {
        calls_per_second: Some(0),
        ..SimOptions::default()
    })
    .await?;
    let state = tempfile::tempdir()?;
    let wiring = support::wiring(&[
        ("kis.base_url", &broker.url),
        ("kis.app_key", "bench"),
        ("kis.app_secret", "bench"),
        ("kis.rate_per_second", "100000"),
        ("store.url", redis_url),
        ("store.ttl", "1day"),
        ("state.directory", &state.path().display().to_string()),
    ])?;
    let task = Task {
        symbols: support::whole_market(),
        kept: None,
        deadline: Duration::from_secs(60),
        urgency: Urgency::Sweep,
    };
    let sweeper = wiring.sweeper(None).ok_or("no sweeper")?;
    let report = sweeper.sweep(&task, &|_| {}, &broker.stop).await;
    if report.written != report.universe {
        return Err(format!("not every price is there: {report:?}").into());
    }
    Ok(())
}

/// Possible prices in Redis: a phase, a source, and how the times are spread.
#[derive(Debug, Clone, Copy)]
struct Stock {
    name: &'static str,
    session: Phase,
    source: &'static str,
    /// Whether each price has a different second.
    is_spread: bool,
    /// Whether another program wrote only the seven fields of the contract.
    is_others: bool,
}

impl Stock {
    const fn new(name: &'static str, session: Phase, source: &'static str) -> Self {
        Self {
            name,
            session,
            source,
            is_spread: false,
            is_others: false,
        }
    }

    /// The fields that another program writes.
    const SEVEN: [&str; 7] = [
        "stock_code",
        "stock_name",
        "price",
        "change",
        "change_rate",
        "volume",
        "timestamp",
    ];

    /// Writes every price to Redis in this form.
    async fn fill(self, prices: &[Quote], redis: &mut ConnectionManager) -> Outcome {
        let now = (sise::clock::system())();
        let mut set = redis::pipe();
        for (place, price) in (0..).zip(prices) {
            let back = if self.is_spread { place % 60 } else { 0 };
            let fetched_at = now - TimeDelta::milliseconds(back * 1_001);
            let price = Quote {
                session: self.session,
                source: self.source.into(),
                fetched_at,
                timestamp: fetched_at.naive_local(),
                ..price.clone()
            };
            let mut object = serde_json::to_value(price.as_stored())?;
            if self.is_others
                && let Some(members) = object.as_object_mut()
            {
                members.retain(|name, _| Self::SEVEN.contains(&name.as_str()));
            }
            let code = prices
                .get(usize::try_from(place)?)
                .ok_or("no price")?
                .stock_code;
            // As sise writes it: the fields in the order of the contract.
            let text = match self.is_others {
                true => object.to_string(),
                false => serde_json::to_string(&serde_json::from_value::<Quote>(object)?)?,
            };
            set.set_ex(format!("realtime:price:{code}"), text, 3_600)
                .ignore();
        }
        Ok(set.query_async(redis).await?)
    }
}

/// Returns every phase and source that a price can have.
fn stocks() -> Vec<Stock> {
    let multi = Quote::MULTI_PRICE;
    vec![
        Stock::new("regular session, multi-price call", Phase::Regular, multi),
        Stock::new(
            "closing auction, multi-price call",
            Phase::ClosingAuction,
            multi,
        ),
        Stock::new("post-close, multi-price call", Phase::PostClosePrice, multi),
        Stock::new("after-market, multi-price call", Phase::AfterMarket, multi),
        Stock::new(
            "closed, single-price call",
            Phase::Closed,
            Quote::SINGLE_PRICE,
        ),
        Stock {
            is_spread: true,
            ..Stock::new(
                "regular session, live feed",
                Phase::Regular,
                Quote::LIVE_FEED,
            )
        },
        Stock {
            is_spread: true,
            is_others: true,
            ..Stock::new(
                "another program, seven fields",
                Phase::Regular,
                Quote::OTHER_PROGRAM,
            )
        },
    ]
}

/// Measures both pairs on the current runtime, for each of `stocks`.
async fn compare(runtime: &str, redis_url: &str) -> Outcome {
    let reader = Reader::builder().redis_url(redis_url).build().await?;
    let mut bare = support::bare(redis_url)?;
    let symbols = support::whole_market();
    let codes: Vec<&str> = symbols.iter().map(|symbol| symbol.as_str()).collect();
    let keys: Vec<String> = codes
        .iter()
        .map(|code| format!("realtime:price:{code}"))
        .collect();
    let prices = reader.prices(&codes).await?;
    let prices: Vec<Quote> = prices.into_iter().map(|price| *price.quote).collect();
    for stock in stocks() {
        stock.fill(&prices, &mut bare).await?;
        println!("{runtime}, {}", stock.name);
        let mut table = Table::default();
        for round in 0..=ROUNDS {
            let mut pair = Pair::default();
            for (look, (code, key)) in codes.iter().zip(&keys).cycle().take(LOOKS).enumerate() {
                for is_reader in in_turn(look) {
                    let start = Instant::now();
                    if is_reader {
                        let reading = reader.price(code).await?.ok_or("a miss")?;
                        pair.reader.add(start.elapsed().as_secs_f64() * 1e6);
                        black_box(reading);
                    } else {
                        let bytes: Option<Vec<u8>> = Cmd::get(key).query_async(&mut bare).await?;
                        pair.bare.add(start.elapsed().as_secs_f64() * 1e6);
                        black_box(bytes.ok_or("a miss")?);
                    }
                }
            }
            table.add(round, &pair);
        }
        let what = format!(
            "reader, one price against a bare GET, {}, {runtime}",
            stock.name
        );
        table.judge(&what, LIMIT_ONE)?;

        let mut table = Table::default();
        for round in 0..=ROUNDS {
            let mut pair = Pair::default();
            for look in 0..WHOLE_LOOKS {
                for is_reader in in_turn(look) {
                    let start = Instant::now();
                    if is_reader {
                        let readings = reader.prices(&codes).await?;
                        pair.reader.add(start.elapsed().as_secs_f64() * 1e6);
                        assert_eq!(black_box(readings).len(), codes.len());
                    } else {
                        let bytes: Vec<Option<Vec<u8>>> =
                            Cmd::mget(&keys).query_async(&mut bare).await?;
                        pair.bare.add(start.elapsed().as_secs_f64() * 1e6);
                        assert_eq!(black_box(bytes).len(), codes.len());
                    }
                }
            }
            table.add(round, &pair);
        }
        let what = format!(
            "reader, whole list against a bare MGET, {}, {runtime}",
            stock.name
        );
        table.judge(&what, LIMIT_WHOLE)?;
    }
    Ok(())
}

/// Returns who goes first: it alternates, because the second one finds warmer caches.
fn in_turn(look: usize) -> [bool; 2] {
    let reader_first = look.is_multiple_of(2);
    [reader_first, !reader_first]
}

/// The samples of one round.
#[derive(Default)]
struct Pair {
    reader: Figures,
    bare: Figures,
}

/// The rounds of one pair.
#[derive(Default)]
struct Table {
    reader: Figures,
    reader_late: Figures,
    bare: Figures,
    bare_late: Figures,
    ratio: Figures,
}

impl Table {
    fn add(&mut self, round: usize, pair: &Pair) {
        // The first round connects and warms up.
        if round == 0 {
            return;
        }
        self.reader.add(pair.reader.median());
        self.reader_late.add(pair.reader.quantile(0.99));
        self.bare.add(pair.bare.median());
        self.bare_late.add(pair.bare.quantile(0.99));
        self.ratio.add(pair.reader.median() / pair.bare.median());
    }

    fn judge(&self, what: &str, limit: f64) -> Outcome {
        println!(
            "    reader p50 {} us, p99 {:.0} us",
            self.reader.spread(1),
            self.reader_late.median()
        );
        println!(
            "    bare   p50 {} us, p99 {:.0} us",
            self.bare.spread(1),
            self.bare_late.median()
        );
        let ratio = self.ratio.median();
        let shown = format!("{}x", self.ratio.spread(2));
        verdict(what, Limit::AtMost(limit, "x"), ratio, &shown)
    }
}

/// Counts the calls for a thousand callers that miss the same code at once.
async fn misses(redis_url: &str) -> Outcome {
    let broker = Broker::start(SimOptions {
        latency: LATENCY,
        ..SimOptions::default()
    })
    .await?;
    let reader = Reader::builder()
        .redis_url(redis_url)
        .namespace("misses")
        .base_url(&broker.url)
        .credentials("bench", "bench")
        .build()
        .await?;
    println!("{CALLERS} callers miss one code at once");
    let mut calls = Figures::default();
    let mut waits = Figures::default();
    for symbol in support::whole_market().into_iter().take(ROUNDS) {
        let before = broker.sim.stats().calls;
        let start = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let reader = reader.clone();
            callers.spawn(async move { reader.price(symbol.as_str()).await });
        }
        while let Some(reading) = callers.join_next().await {
            reading??.ok_or("no price")?;
        }
        waits.add(start.elapsed().as_secs_f64() * 1e3);
        let made = broker.sim.stats().calls - before;
        calls.add(f64::from(u32::try_from(made)?));
    }
    verdict(
        "1,000 callers miss one code at once: calls",
        Limit::AtMost(1.0, ""),
        calls.most(),
        &format!(
            "{}, all answered after {} ms, of which {} ms at the broker",
            calls.spread(0),
            waits.spread(1),
            LATENCY.as_millis()
        ),
    )
}
