//! Proves that readers hold under load and under faults: many processes that miss one code make one
//! call, a read ends in its time though Redis and the broker hang, and no price is shown for what it
//! is not.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, TimeZone as _};
use futures_util::future::{Either, select};
use serde_json::{Value, json};
use sise::config::{RawSettings, Settings};
use sise::domain::Seoul;
use sise::setup::Wiring;
use sise::{ReadError, Reader, Reading, Source};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::program::Program;
use crate::support::redis::RedisServer;
use crate::support::until;
use crate::support::world::{APP_KEY, APP_SECRET, World};

const CODE: &str = "005930";
const HOUR: Duration = Duration::from_secs(3_600);

/// A reader of a program of its own: its connections, its flights. It waits long for Redis, as a
/// machine full of tests is slower than real life.
fn reader(redis_url: &str, broker_url: &str, home: &Path, first_level: bool) -> Reader {
    let raw = raw(redis_url, broker_url, home, first_level);
    let settings = Settings::new(&raw).unwrap();
    Wiring::new(settings, sise::clock::system())
        .unwrap()
        .reader()
}

fn raw(redis_url: &str, broker_url: &str, home: &Path, first_level: bool) -> RawSettings {
    let mut raw = RawSettings::unset();
    for (key, value) in [
        ("store.url", redis_url),
        ("store.connect_timeout", "10s"),
        ("store.response_timeout", "10s"),
        ("kis.base_url", broker_url),
        ("kis.app_key", APP_KEY),
        ("kis.app_secret", APP_SECRET),
        ("reader.first_level", if first_level { "on" } else { "off" }),
        ("state.directory", home.to_str().unwrap()),
    ] {
        raw.set(key, value);
    }
    raw
}

fn reader_in(world: &World, first_level: bool) -> Reader {
    let (redis, broker) = (world.redis.url(), world.broker.url());
    reader(&redis, &broker, world.path(), first_level)
}

/// A price object as sise writes it, of some time ago.
fn object(price: i64, age: Duration) -> Value {
    let fetched_at = sise::clock::system()() - age;
    json!({
        "stock_code": CODE, "stock_name": "삼성전자", "price": price, "change": 1_000,
        "change_rate": 1.41, "volume": 15_234_567,
        "timestamp": fetched_at.format("%Y-%m-%dT%H:%M:%S").to_string(),
        "market": "KOSPI", "open": 71_000, "high": 72_300, "low": 70_900, "base_price": 71_000,
        "value": 1_093_000_000_000_i64, "venue": "KRX", "session": "regular", "status": "trading",
        "source": "kis.multi",
        "fetched_at": fetched_at.to_rfc3339_opts(SecondsFormat::Millis, false),
    })
}

/// Another program writes what it likes, without an end.
async fn put(redis: &RedisServer, kind: &str, object: &Value) {
    let mut connection = redis.connection().await;
    let () = redis::cmd("SET")
        .arg(format!("{kind}:price:{CODE}"))
        .arg(object.to_string())
        .query_async(&mut connection)
        .await
        .unwrap();
}

async fn delete(redis: &RedisServer, kind: &str) {
    let mut connection = redis.connection().await;
    let () = redis::cmd("DEL")
        .arg(format!("{kind}:price:{CODE}"))
        .query_async(&mut connection)
        .await
        .unwrap();
}

/// What callers of many programs get who all ask for one code at the same time: four processes of
/// `sise get`, and four readers with 250 callers each.
async fn all_at_once(world: &World, code: &'static str) -> Vec<Option<i64>> {
    let get = world.sise(&["get", code, "--json"]);
    let mut processes = vec![get.start()];
    for _ in 1..4 {
        processes.push(world.sise(&["get", code, "--json"]).start());
    }
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let reader = reader_in(world, false);
        for _ in 0..250 {
            let reader = reader.clone();
            callers.spawn(async move { reader.price(code).await.unwrap() });
        }
    }
    let mut prices = Vec::new();
    while let Some(reading) = callers.join_next().await {
        prices.push(reading.unwrap().map(|reading| reading.quote.price));
    }
    for process in processes {
        prices.push(process.end().await.json()[0]["price"].as_i64());
    }
    prices
}

#[tokio::test]
async fn many_callers_of_many_processes_that_miss_one_code_make_one_call() {
    let world = World::new(&["--latency", "500ms"]).await;
    let prices = all_at_once(&world, CODE).await;
    assert_eq!(prices.len(), 1_004);
    let different: BTreeSet<_> = prices.into_iter().collect();
    assert_eq!(different.len(), 1, "{different:?}");
    assert!(different.iter().all(Option::is_some));
    let stats = world.broker.stats();
    assert_eq!((stats.calls, stats.tokens_issued), (1, 1), "{stats:?}");
    // Every claim was given back.
    until("nothing is claimed any more", async || {
        world
            .redis
            .texts("sise:flight:*")
            .await
            .is_empty()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_code_that_the_broker_does_not_know_is_asked_for_by_one_process() {
    let world = World::new(&["--latency", "200ms"]).await;
    let prices = all_at_once(&world, "999998").await;
    assert!(prices.iter().all(Option::is_none));
    // Twice, because a short answer looks the same.
    assert_eq!(world.broker.stats().calls, 2);
    let lives = world.redis.lives(&["sise:flight:999998".to_owned()]).await;
    assert!(lives[0] <= 30_000, "{lives:?}");
}

#[tokio::test]
async fn a_process_killed_while_it_asks_holds_the_others_up_for_a_moment_only() {
    let world = World::new(&["--latency", "2s"]).await;
    let first = world.sise(&["get", CODE]).start();
    world.broker.has_seen(1).await;
    drop(first);
    let outcome = world.sise(&["get", CODE, "--json"]).run().await.exits(0);
    assert_eq!(outcome.json()[0]["source"], "api");
    assert_eq!(world.broker.stats().calls, 2);
}

/// A broker that takes every connection and never says a word.
struct SilentBroker {
    url: String,
    _accepting: JoinSet<()>,
}

impl SilentBroker {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut held: Vec<TcpStream> = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Self {
            url,
            _accepting: accepting,
        }
    }
}

/// Whether the first read ends before the second.
async fn ends_before(
    first: impl IntoFuture<Output = Result<Vec<Reading>, ReadError>>,
    second: impl IntoFuture<Output = Result<Vec<Reading>, ReadError>>,
) -> Result<Vec<Reading>, ReadError> {
    let (first, second) = (first.into_future(), second.into_future());
    match select(std::pin::pin!(first), std::pin::pin!(second)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right((outcome, _)) => panic!("the read with more time ended first: {outcome:?}"),
    }
}

#[tokio::test]
async fn a_read_ends_in_its_time_though_redis_and_the_broker_hang() {
    let redis = RedisServer::start().await;
    let broker = SilentBroker::start().await;
    let home = tempfile::tempdir().unwrap();
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(8));
    for first_level in [false, true] {
        put(&redis, "realtime", &object(72_000, Duration::ZERO)).await;
        let reader = reader(&redis.url(), &broker.url, home.path(), first_level);
        let seen = reader.ask(&[CODE]).allow_stale(HOUR).await.unwrap();
        assert_eq!((seen[0].source, seen[0].is_stale), (Source::Redis, false));
        // The broker alone, then both.
        delete(&redis, "realtime").await;
        until("the price is gone", async || {
            let found = reader.ask(&[CODE]).within(Duration::from_millis(50)).await;
            found.is_err().then_some(())
        })
        .await;
        for is_frozen in [false, true] {
            if is_frozen {
                redis.freeze();
            }
            let ask = || reader.ask(&[CODE]);
            let outcome = ends_before(ask().within(short), ask().within(long)).await;
            let error = outcome.unwrap_err();
            assert!(
                matches!(error, ReadError::Late { within, .. } if within == short),
                "{error}"
            );
            let stale = || ask().allow_stale(HOUR);
            let outcome = ends_before(stale().within(short), stale().within(long)).await;
            let readings = outcome.unwrap();
            let reading = &readings[0];
            assert_eq!(
                (reading.quote.price, reading.source, reading.is_stale),
                (72_000, Source::Memory, true)
            );
        }
        redis.thaw();
    }
}

#[tokio::test]
async fn get_ends_in_its_time_and_says_so() {
    let redis = RedisServer::start().await;
    let broker = SilentBroker::start().await;
    let home = tempfile::tempdir().unwrap();
    let get = |arguments: &[&str]| {
        Program::new(
            home.path(),
            &[&["get", CODE, "--within", "300ms"], arguments].concat(),
        )
        .set("REDIS_URL", redis.url())
        .set("KIS_BASE_URL", &broker.url)
        .set("KIS_APP_KEY", APP_KEY)
        .set("KIS_APP_SECRET", APP_SECRET)
    };
    redis.freeze();
    get(&[]).run().await.exits(1).says(&[CODE, "300ms"]);
    redis.thaw();
    put(&redis, "realtime", &object(72_000, 2 * HOUR)).await;
    let fresh = ["--json", "--max-age", "60s"];
    get(&fresh).run().await.exits(1).says(&[CODE]);
    let stale = [&fresh[..], &["--allow-stale", "3h"]].concat();
    let outcome = get(&stale).run().await.exits(0);
    let reading = outcome.json()[0].clone();
    assert_eq!(
        (&reading["stale"], &reading["price"]),
        (&json!(true), &json!(72_000))
    );
    let table = get(&["--max-age", "60s", "--allow-stale", "3h"])
        .run()
        .await;
    assert!(table.exits(0).stdout.contains("redis, stale"));
    get(&["--max-age", "soon"]).run().await.exits(2);
}

/// A connection that swallows everything is left for another one only after requests that had no
/// answer in time; callers with less patience than that must not keep it from being left.
#[tokio::test]
async fn impatient_callers_do_not_keep_a_silent_connection_alive() {
    let redis = RedisServer::start().await;
    let proxy = crate::support::silent_proxy::SilentProxy::to(redis.port()).await;
    put(&redis, "realtime", &object(72_000, Duration::ZERO)).await;
    let reader = Reader::builder().redis_url(&proxy.url());
    let reader = reader.response_timeout(Duration::from_millis(200));
    let reader = reader.build().await.unwrap();
    let read = async || {
        let impatient = tokio::time::timeout(Duration::from_millis(50), reader.price(CODE));
        impatient.await.ok()?.ok()?
    };
    until("it is read", &read).await;
    proxy.swallow();
    until("it is not read any more", async || {
        read().await.is_none().then_some(())
    })
    .await;
    proxy.pass();
    until("it is read again", &read).await;
}

/// Nobody sweeps; the price lives for three seconds, and its readers never see it die.
#[tokio::test]
async fn a_price_that_is_read_often_is_fetched_anew_before_it_dies() {
    let world = World::new(&["--latency", "20ms"]).await;
    let mut raw = raw(&world.redis.url(), &world.broker.url(), world.path(), false);
    raw.set("store.ttl", "3s");
    // A Friday at noon, from now on.
    let noon = Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
    let start = Instant::now();
    let clock = Arc::new(move || noon + start.elapsed());
    let wiring = Wiring::new(Settings::new(&raw).unwrap(), clock).unwrap();
    let reader = wiring.reader();
    let mut last = reader.price(CODE).await.unwrap().unwrap();
    until("it is fetched anew while it lives", async || {
        // As often as can be; a machine that stands still for long may let it die.
        for _ in 0..1_000 {
            let reading = reader.price(CODE).await.unwrap().unwrap();
            let before = std::mem::replace(&mut last, reading);
            let both_hits = [&before, &last].iter().all(|r| r.source == Source::Redis);
            if both_hits && before.quote.fetched_at < last.quote.fetched_at {
                return Some(());
            }
        }
        None
    })
    .await;
}

#[tokio::test]
async fn a_stuck_quote_is_not_shown_as_fresh() {
    let world = World::new(&[]).await;
    for first_level in [false, true] {
        put(&world.redis, "realtime", &object(1, 2 * HOUR)).await;
        let reader = reader_in(&world, first_level);
        // Whoever says that three hours are good enough gets it with its age.
        for _ in 0..100 {
            let readings = reader.ask(&[CODE]).max_age(3 * HOUR).await.unwrap();
            let reading = &readings[0];
            assert_eq!((reading.quote.price, reading.source), (1, Source::Redis));
            assert!(reading.age >= 2 * HOUR, "{:?}", reading.age);
        }
        let fresh = reader.price(CODE).await.unwrap().unwrap();
        assert_eq!(fresh.source, Source::Api);
        // What was fetched has taken its place, with an end.
        let lives = world.redis.lives(&[format!("realtime:price:{CODE}")]).await;
        assert!(lives[0] > 0, "{lives:?}");
        // An age that is a lie is not believed.
        let mut future = object(1, Duration::ZERO);
        future["fetched_at"] = json!("2099-01-01T09:00:00.000+09:00");
        put(&world.redis, "realtime", &future).await;
        let reading = reader.price(CODE).await.unwrap().unwrap();
        assert_ne!(reading.quote.price, 1);
    }
}

#[tokio::test]
async fn a_price_of_zero_comes_from_nowhere() {
    let world = World::new(&["--zero", "1.0"]).await;
    for first_level in [false, true] {
        let reader = reader_in(&world, first_level);
        for price in [0, -72_000] {
            for kind in ["realtime", "close"] {
                put(&world.redis, kind, &object(price, Duration::ZERO)).await;
            }
            for _ in 0..3 {
                let outcome = reader.price(CODE).await;
                assert!(
                    matches!(outcome, Err(ReadError::Source { .. })),
                    "{outcome:?}"
                );
                let outcome = reader.ask(&[CODE]).allow_stale(24 * HOUR).await;
                assert!(outcome.is_err(), "{outcome:?}");
            }
        }
    }
}

/// One field that is missing, empty or of another kind.
#[tokio::test]
async fn one_missing_field_does_not_spoil_a_good_quote() {
    let world = World::new(&["--missing-fields", "1.0"]).await;
    let good = object(72_000, Duration::ZERO);
    let optional = [
        "stock_name",
        "change",
        "change_rate",
        "volume",
        "market",
        "open",
        "high",
        "low",
        "base_price",
        "value",
        "venue",
        "session",
        "status",
        "source",
    ];
    let plain = reader_in(&world, false);
    for field in optional {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(field);
        let with = |value: Value| {
            let mut object = good.clone();
            object[field] = value;
            object
        };
        for object in [
            without,
            with(Value::Null),
            with(json!({})),
            with(json!(["?"])),
        ] {
            put(&world.redis, "realtime", &object).await;
            let reading = plain.price(CODE).await.unwrap().unwrap();
            let expected = (72_000, Source::Redis);
            assert_eq!((reading.quote.price, reading.source), expected, "{object}");
            // The rest is as it stands there, and what is not known is not made up.
            let shown = serde_json::to_value(&*reading.quote).unwrap();
            for other in optional.iter().filter(|other| **other != field) {
                assert_eq!(shown[*other], good[*other], "{other} of {object}");
            }
            assert!(!shown[field].is_number(), "{shown}");
        }
    }
    // From the broker, whose answers all lack fields.
    let codes = crate::support::list::codes(30);
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let readings = plain.prices(&codes).await.unwrap();
    let prices = world.broker.prices();
    assert_eq!(readings.len(), codes.len());
    let is_from_broker = |reading: &&Reading| reading.source == Source::Api;
    for reading in readings.iter().filter(is_from_broker) {
        assert_eq!(
            reading.quote.price,
            prices[reading.quote.stock_code.as_str()]
        );
    }
    let lacks = |reading: &Reading| reading.quote.open.is_none() || reading.quote.value.is_none();
    assert!(readings.iter().any(lacks), "no field was missing");
}
