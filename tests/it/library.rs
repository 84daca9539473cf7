//! Proves that a stranger's program reads prices through the public face: from Redis, else from
//! the broker in as few calls as can be, else the last close, and whatever of them is away.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeZone as _;
use sise::config::{RawSettings, Settings};
use sise::domain::{KrxTime, Seoul};
use sise::setup::Wiring;
use sise::sim::{Faults, Sim, SimOptions};
use sise::{ReadError, Reader, Reading, Source};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::redis::RedisServer;
use crate::support::world::{APP_KEY, APP_SECRET, World};
use crate::support::{PATIENCE, free_port, list, until};

/// A simulated broker inside the test, so that it can be asked what it has seen.
struct Broker {
    sim: Sim,
    url: String,
    stop: CancellationToken,
    serving: JoinSet<()>,
}

impl Broker {
    async fn start(options: SimOptions) -> Self {
        let sim = Sim::new(options, sise::clock::system()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        let (served, token) = (sim.clone(), stop.clone());
        serving.spawn(async move { served.serve(listener, token).await.unwrap() });
        Self {
            sim,
            url,
            stop,
            serving,
        }
    }

    fn calls(&self) -> u64 {
        self.sim.stats().calls
    }

    /// Ends it; nobody listens at its address any more.
    async fn end(&mut self) {
        self.stop.cancel();
        self.serving.join_next().await;
    }
}

/// Redis, a broker, and a place for state.
struct Place {
    redis: RedisServer,
    broker: Broker,
    home: TempDir,
}

impl Place {
    async fn new() -> Self {
        Self::with(SimOptions::default()).await
    }

    async fn with(options: SimOptions) -> Self {
        Self {
            redis: RedisServer::start().await,
            broker: Broker::start(options).await,
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// A reader for which it is always `time`.
    fn reader_at(&self, time: KrxTime) -> Reader {
        let mut raw = self.raw();
        raw.set("kis.app_key", APP_KEY);
        raw.set("kis.app_secret", APP_SECRET);
        reader_of(&raw, time)
    }

    fn reader(&self) -> Reader {
        self.reader_at(in_session())
    }

    fn raw(&self) -> RawSettings {
        let mut raw = RawSettings::unset();
        raw.set("store.url", self.redis.url());
        raw.set("kis.base_url", &self.broker.url);
        raw.set("state.directory", self.home.path().to_str().unwrap());
        // Time-outs of real life; a machine full of tests is slower than that.
        raw.set("store.connect_timeout", "2s");
        raw.set("store.response_timeout", "2s");
        raw
    }

    async fn life(&self, code: &str) -> i64 {
        self.redis.lives(&[format!("realtime:price:{code}")]).await[0]
    }
}

/// A reader by these settings, for which it is always `time`.
fn reader_of(raw: &RawSettings, time: KrxTime) -> Reader {
    let settings = Settings::new(raw).unwrap();
    let wiring = Wiring::new(settings, Arc::new(move || time)).unwrap();
    wiring.reader()
}

/// A Friday at ten.
fn in_session() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap()
}

/// The Saturday after.
fn out_of_session() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 21, 10, 0, 0).unwrap()
}

fn codes_of(readings: &[Reading]) -> Vec<&str> {
    readings
        .iter()
        .map(|reading| reading.quote.stock_code.as_str())
        .collect()
}

/// What a stranger writes: the lines of the README, with nothing but the crate's root.
async fn a_strangers_program(reader: sise::Reader) -> Result<usize, sise::ReadError> {
    let reading: Option<sise::Reading> = reader.price("005930").await?;
    let many: Vec<sise::Reading> = reader.prices(&["005930", "000660"]).await?;
    let reading = reading.unwrap();
    assert!(reading.quote.price > 0);
    assert!(reading.age < Duration::from_secs(3_600));
    assert_eq!(reading.source, sise::Source::Api);
    assert_eq!(many[0].source, sise::Source::Redis);
    Ok(many.len())
}

/// Says to this test program that it is the stranger.
const STRANGER: &str = "SISE_TEST_STRANGER";

/// The environment of a process cannot be changed from inside, so this test starts itself anew,
/// in a clean one.
#[tokio::test]
async fn a_stranger_takes_a_reader_from_the_environment_or_builds_one() {
    if std::env::var_os(STRANGER).is_some() {
        let reader = sise::Reader::from_env().await.unwrap();
        assert_eq!(a_strangers_program(reader).await.unwrap(), 2);
        let variable = |name: &str| std::env::var(name).unwrap();
        let reader = sise::Reader::builder()
            .redis_url(&variable("REDIS_URL"))
            .namespace("built")
            .ttl(Duration::from_secs(30))
            .credentials(&variable("KIS_APP_KEY"), &variable("KIS_APP_SECRET"))
            .base_url(&variable("KIS_BASE_URL"))
            .rate_per_second(10.0)
            .build()
            .await
            .unwrap();
        assert_eq!(a_strangers_program(reader).await.unwrap(), 2);
        return;
    }
    let world = World::new(&[]).await;
    let name = "library::a_stranger_takes_a_reader_from_the_environment_or_builds_one";
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env_clear()
        .env(STRANGER, "1")
        .env("HOME", world.path())
        .env("REDIS_URL", world.redis.url())
        .env("KIS_BASE_URL", world.broker.url())
        .env("KIS_APP_KEY", APP_KEY)
        .env("KIS_APP_SECRET", APP_SECRET)
        .current_dir(world.path())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, child).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let keys: Vec<String> = world.redis.texts("*realtime*").await.into_keys().collect();
    let expected = [
        "built:realtime:price:000660",
        "built:realtime:price:005930",
        "realtime:price:000660",
        "realtime:price:005930",
    ];
    assert_eq!(keys, expected);
    let lives = world.redis.lives(&keys).await;
    assert!(lives[0] <= 30_000 && lives[2] > 30_000, "{lives:?}");
    // Both took the same token from the disk.
    assert_eq!(world.broker.stats().tokens_issued, 1);
    assert_eq!(world.broker.stats().calls, 4);
}

#[tokio::test]
async fn a_miss_is_asked_for_and_written_back() {
    let place = Place::new().await;
    let reader = place.reader();
    let first = reader.price("005930").await.unwrap().unwrap();
    assert_eq!(first.source, Source::Api);
    assert_eq!(first.quote.stock_name, "삼성전자");
    let life = place.life("005930").await;
    assert!((60_000..=120_000).contains(&life), "{life} ms");
    let second = reader.price("005930").await.unwrap().unwrap();
    assert_eq!(second.source, Source::Redis);
    assert_eq!(second.quote, first.quote);
    assert_eq!(place.broker.calls(), 1);
}

#[tokio::test]
async fn the_age_is_that_of_the_quote() {
    let place = Place::new().await;
    let now = in_session();
    place.reader().price("005930").await.unwrap().unwrap();
    let later = place.reader_at(now + chrono::TimeDelta::seconds(40));
    let reading = later.price("005930").await.unwrap().unwrap();
    assert_eq!(reading.source, Source::Redis);
    assert_eq!(reading.age, Duration::from_secs(40));
    let json = serde_json::to_value(&reading).unwrap();
    assert_eq!(json["age_ms"].as_u64(), Some(40_000));
    assert_eq!(json["source"].as_str(), Some("redis"));
    assert_eq!(json["price"].as_i64(), Some(reading.quote.price));
}

#[tokio::test]
async fn a_thousand_misses_on_one_code_make_one_call() {
    let place = Place::with(SimOptions {
        latency: Duration::from_millis(200),
        ..SimOptions::default()
    })
    .await;
    let reader = place.reader();
    let mut readers = JoinSet::new();
    for _ in 0..1_000 {
        let reader = reader.clone();
        readers.spawn(async move { reader.price("005930").await });
    }
    let mut prices = Vec::new();
    while let Some(answer) = readers.join_next().await {
        prices.push(answer.unwrap().unwrap().unwrap().quote.price);
    }
    assert_eq!(prices.len(), 1_000);
    prices.dedup();
    assert_eq!(prices.len(), 1);
    assert_eq!(place.broker.calls(), 1);
}

#[tokio::test]
async fn misses_are_asked_for_thirty_in_a_call_and_read_in_one_command() {
    let place = Place::new().await;
    let reader = place.reader();
    let codes = list::codes(61);
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let readings = reader.prices(&codes).await.unwrap();
    assert_eq!(codes_of(&readings), codes);
    assert!(readings.iter().all(|reading| reading.source == Source::Api));
    assert_eq!(place.broker.calls(), 3);
    let mut connection = place.redis.connection().await;
    let () = redis::cmd("CONFIG")
        .arg("RESETSTAT")
        .query_async(&mut connection)
        .await
        .unwrap();
    let readings = reader.prices(&codes).await.unwrap();
    assert_eq!(codes_of(&readings), codes);
    assert!(
        readings
            .iter()
            .all(|reading| reading.source == Source::Redis)
    );
    assert_eq!(place.broker.calls(), 3);
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(stats.contains("cmdstat_mget:calls=1,"), "{stats}");
}

#[tokio::test]
async fn hits_and_misses_come_in_the_order_asked_for() {
    let place = Place::new().await;
    let reader = place.reader();
    reader.price("000660").await.unwrap();
    let asked = ["005930", "000660", "999998", "035720", "000660"];
    let readings = reader.prices(&asked).await.unwrap();
    assert_eq!(
        codes_of(&readings),
        ["005930", "000660", "035720", "000660"]
    );
    assert_eq!(readings[0].source, Source::Api);
    assert_eq!(readings[1].source, Source::Redis);
    assert!(reader.prices(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unknown_code_is_remembered() {
    let place = Place::new().await;
    let reader = place.reader();
    assert_eq!(reader.price("999998").await.unwrap(), None);
    let calls = place.broker.calls();
    for _ in 0..5 {
        assert_eq!(reader.price("999998").await.unwrap(), None);
        assert!(reader.prices(&["999998"]).await.unwrap().is_empty());
    }
    assert_eq!(place.broker.calls(), calls);
    assert!(place.redis.realtime().await.is_empty());
}

#[tokio::test]
async fn a_text_that_is_no_code_is_an_error() {
    let place = Place::new().await;
    let reader = place.reader();
    for text in ["", "5930", "00593a", "0059300", "삼성전자", "005930 "] {
        let error = reader.price(text).await.unwrap_err();
        assert!(matches!(error, ReadError::Code(_)), "{error}");
        let error = reader.prices(&["005930", text]).await.unwrap_err();
        assert!(matches!(error, ReadError::Code(_)), "{error}");
    }
    assert_eq!(place.broker.calls(), 0);
}

#[tokio::test]
async fn a_dead_store_is_a_miss() {
    let mut place = Place::new().await;
    let reader = place.reader();
    reader.price("005930").await.unwrap();
    place.redis.kill().await;
    let reading = reader.price("000660").await.unwrap().unwrap();
    assert_eq!(reading.source, Source::Api);
    place.redis.start_again().await;
    until("prices are kept again", async || {
        reader.price("035720").await.unwrap();
        (place.redis.realtime().await.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_no_price_is_asked_for_anew() {
    let place = Place::new().await;
    let mut connection = place.redis.connection().await;
    let () = redis::cmd("SET")
        .arg(&["realtime:price:005930", "{\"price\":0}"])
        .query_async(&mut connection)
        .await
        .unwrap();
    let reading = place.reader().price("005930").await.unwrap().unwrap();
    assert_eq!(reading.source, Source::Api);
    let kept = place.redis.realtime().await;
    assert_eq!(kept["005930"]["price"].as_i64(), Some(reading.quote.price));
}

/// Leaves nothing in Redis but closes.
async fn keep_closes_only(place: &Place, codes: &[&str]) {
    place.reader().prices(codes).await.unwrap();
    let mut connection = place.redis.connection().await;
    for code in codes {
        let names = [
            format!("realtime:price:{code}"),
            format!("close:price:{code}"),
        ];
        let () = redis::cmd("RENAME")
            .arg(&names)
            .query_async(&mut connection)
            .await
            .unwrap();
        let () = redis::cmd("PERSIST")
            .arg(&names[1])
            .query_async(&mut connection)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn out_of_the_session_the_last_close_is_better_than_nothing() {
    let mut place = Place::new().await;
    keep_closes_only(&place, &["005930"]).await;
    // The broker first, as long as it answers.
    let asked = place.reader_at(out_of_session());
    let reading = asked.price("005930").await.unwrap().unwrap();
    assert_eq!(reading.source, Source::Api);
    let mut connection = place.redis.connection().await;
    let () = redis::cmd("DEL")
        .arg("realtime:price:005930")
        .query_async(&mut connection)
        .await
        .unwrap();
    place.broker.end().await;
    let closed = place.reader_at(out_of_session());
    let reading = closed.price("005930").await.unwrap().unwrap();
    assert_eq!(reading.source, Source::Close);
    assert_eq!(reading.age, Duration::from_secs(24 * 3_600));
    // In the session an old close would be a lie.
    let open = place.reader();
    let error = open.price("005930").await.unwrap_err();
    assert!(matches!(error, ReadError::Source { .. }), "{error}");
}

#[tokio::test]
async fn an_error_carries_what_was_found() {
    let mut place = Place::new().await;
    let reader = place.reader();
    reader.price("005930").await.unwrap();
    place.broker.end().await;
    let asked = ["005930", "000660"];
    let error = reader.prices(&asked).await.unwrap_err();
    let ReadError::Source { failed, found, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(failed[0].as_str(), "000660");
    assert_eq!(codes_of(&found), ["005930"]);
}

#[tokio::test]
async fn where_nobody_can_be_asked_there_is_an_error_and_not_nothing() {
    let mut place = Place::new().await;
    let reader = place.reader_at(out_of_session());
    place.redis.kill().await;
    place.broker.end().await;
    let error = reader.price("005930").await.unwrap_err();
    assert!(error.to_string().contains("005930"), "{error}");
    for secret in [APP_KEY, APP_SECRET] {
        assert!(!format!("{error:?} {reader:?}").contains(secret));
    }
}

#[tokio::test]
async fn without_credentials_a_miss_is_a_miss() {
    let place = Place::new().await;
    place.reader().price("005930").await.unwrap();
    let reader = reader_of(&place.raw(), in_session());
    assert_eq!(reader.price("000660").await.unwrap(), None);
    let reading = reader.price("005930").await.unwrap().unwrap();
    assert_eq!(reading.source, Source::Redis);
}

#[tokio::test]
async fn memory_serves_where_there_is_no_redis() {
    let place = Place::new().await;
    let mut raw = place.raw();
    raw.set("store.url", "memory");
    raw.set("kis.app_key", APP_KEY);
    raw.set("kis.app_secret", APP_SECRET);
    let reader = reader_of(&raw, in_session());
    for source in [Source::Api, Source::Redis] {
        let reading = reader.price("005930").await.unwrap().unwrap();
        assert_eq!(reading.source, source);
    }
    assert_eq!(place.broker.calls(), 1);
}

#[tokio::test]
async fn a_caller_who_gives_up_takes_nobody_along() {
    let place = Place::with(SimOptions {
        latency: Duration::from_millis(500),
        ..SimOptions::default()
    })
    .await;
    let reader = place.reader();
    let impatient = {
        let reader = reader.clone();
        tokio::spawn(async move { reader.price("005930").await })
    };
    until("the call is under way", async || {
        (place.broker.calls() == 1).then_some(())
    })
    .await;
    let patient = {
        let reader = reader.clone();
        tokio::spawn(async move { reader.price("005930").await })
    };
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    let reading = patient.await.unwrap().unwrap().unwrap();
    assert_eq!(reading.source, Source::Api);
    assert_eq!(place.broker.calls(), 1);
    assert_eq!(place.redis.realtime().await.len(), 1);
}

#[tokio::test]
async fn a_price_of_zero_is_an_error_and_never_a_price() {
    let place = Place::with(SimOptions {
        faults: Faults {
            zero: 1.0,
            ..Faults::default()
        },
        ..SimOptions::default()
    })
    .await;
    let answer = place.reader().price("005930").await;
    assert!(answer.is_err(), "{answer:?}");
    assert!(place.redis.realtime().await.is_empty());
}

#[tokio::test]
async fn a_broker_that_stumbles_is_asked_again() {
    let place = Place::with(SimOptions {
        faults: Faults {
            http_500: 0.1,
            refuse: 0.2,
            ..Faults::default()
        },
        seed: 3,
        ..SimOptions::default()
    })
    .await;
    let codes = list::codes(60);
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let readings = place.reader().prices(&codes).await.unwrap();
    assert_eq!(codes_of(&readings), codes);
}

#[tokio::test]
async fn a_builder_refuses_what_cannot_be() {
    for builder in [
        Reader::builder().redis_url("http://127.0.0.1"),
        Reader::builder().ttl(Duration::ZERO),
        Reader::builder().rate_per_second(0.0),
        Reader::builder().namespace("a b"),
        Reader::builder().base_url("nowhere"),
        Reader::builder().credentials("a\nb", "c"),
    ] {
        let shown = format!("{builder:?}");
        assert!(builder.build().await.is_err(), "{shown}");
    }
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    assert!(Reader::builder().redis_url(&nobody).build().await.is_ok());
}
