//! What a price must never be: zero, stuck, outlived, or spoiled by a field beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::AsyncCommands as _;
use serde_json::{Value, json};
use sise::{Reader, Source};
use tokio::time::{Instant, sleep};

use super::{CODES, MovedTime, daemon, number, says_again};
use crate::support::faked_time::FakedTime;
use crate::support::program::Outcome;
use crate::support::redis::RedisServer;
use crate::support::scene::still_day;
use crate::support::simulated_broker::SimulatedBroker;
use crate::support::world::{APP_KEY, APP_SECRET, World};
use crate::support::{list, until};

/// The keys of both kinds of prices of these codes.
fn keys(kind: &str, codes: &[String]) -> Vec<String> {
    let key = |code| format!("{kind}:price:{code}");
    codes.iter().map(key).collect()
}

fn prices(objects: &BTreeMap<String, Value>) -> BTreeMap<String, i64> {
    let price =
        |(code, object): (&String, &Value)| (code.clone(), object["price"].as_i64().unwrap());
    objects.iter().map(price).collect()
}

fn holds_nothing(outcome: &Outcome) {
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
}

#[tokio::test]
async fn a_price_of_0_that_fired_a_stop_loss() {
    let folder = tempfile::tempdir().unwrap();
    let (day, right) = still_day(folder.path(), CODES);
    let still = ["--limit", "0", "--replay", &day, "--speed", "0"];
    // After the close, so that a sweep writes live prices and closes.
    let world = World::at(FakedTime::from("2026-11-20 15:40:00"), &still).await;
    let codes = list::codes(CODES);
    let all = codes.join(",");
    let once = ["run", "--once", "--json", "--codes", &all];
    world.fast_sise(&once).run().await.exits(0);
    assert_eq!(prices(&world.redis.realtime().await), right);
    let (live, closes) = (world.redis.realtime().await, world.redis.close().await);
    assert_eq!(prices(&closes), right);
    let lives = world.redis.lives(&keys("realtime", &codes)).await;

    // From now on the broker says 0 for everything.
    let zeros = SimulatedBroker::start(&[&still[..], &["--zero", "1"]].concat()).await;
    let sise = |arguments: &[&str]| {
        let program = world.fast_sise(arguments);
        program.set("KIS_BASE_URL", zeros.url()).run()
    };
    // For the same broker, though it is found at another port.
    world.redis.delete("sise:broker").await;
    let report = sise(&once).await.exits(3).json();
    assert_eq!(number(&report, "written"), 0);
    let missing = report["missing"].as_array().unwrap();
    assert_eq!(missing.len(), CODES);
    for missing in missing {
        assert_eq!(missing["reason"], "refused", "{missing}");
        assert_eq!(missing["detail"], "zero price", "{missing}");
    }
    // What was good stays for as long as it would have, and no longer.
    assert_eq!(world.redis.realtime().await, live);
    assert_eq!(world.redis.close().await, closes);
    let later = world.redis.lives(&keys("realtime", &codes)).await;
    let pairs = later.iter().zip(&lives);
    assert!(
        pairs.clone().all(|(later, before)| later < before),
        "{lives:?} {later:?}"
    );

    // A reader gets the live price, then the close, then nothing.
    let code = codes[0].as_str();
    for (source, gone) in [("redis", "realtime:*"), ("close", "close:*")] {
        let got = sise(&["get", code, "--json"]).await.exits(0).json()[0].clone();
        assert_eq!(
            (&got["price"], &got["source"]),
            (&json!(right[code]), &json!(source))
        );
        world.redis.delete(gone).await;
    }
    for stale in [&[][..], &["--allow-stale", "30d"]] {
        for form in [&[][..], &["--json"]] {
            let arguments = [&["get", code], stale, form].concat();
            let outcome = sise(&arguments).await.exits(1).says(&["zero price"]);
            holds_nothing(&outcome);
        }
    }

    // A zero that another program left in Redis is none either.
    let mut connection = world.redis.connection().await;
    for (kind, objects) in [("realtime", &live), ("close", &closes)] {
        let mut object = objects[code].clone();
        object["price"] = json!(0);
        let key = format!("{kind}:price:{code}");
        let () = connection.set(key, object.to_string()).await.unwrap();
    }
    holds_nothing(&sise(&["get", code, "--allow-stale", "30d"]).await.exits(1));
    let got = world.fast_sise(&["get", code, "--json"]).run().await;
    let got = got.exits(0).json()[0].clone();
    assert_eq!(
        (&got["price"], &got["source"]),
        (&json!(right[code]), &json!("api"))
    );
}

/// Somebody's stop-loss beside a broker that says 0 now and then.
#[tokio::test]
async fn a_price_of_0_now_and_then_that_fired_a_stop_loss() {
    let world = World::new(&["--limit", "0", "--zero", "0.5"]).await;
    let daemon = daemon(&world, &world.home, &["--always-open"]).start();
    let reader = Reader::builder()
        .redis_url(&world.redis.url())
        .base_url(&world.broker.url())
        .credentials(APP_KEY, APP_SECRET)
        .rate_per_second(1_000.0)
        .state_directory(&world.path().join("state"))
        .build()
        .await
        .unwrap();
    let codes = list::codes(CODES);
    let mut seen = 0;
    while seen < 1_000 || daemon.count(&["sweep done"]) < 5 {
        for code in &codes {
            // A price that is refused is an error and no price.
            if let Ok(Some(reading)) = reader.price(code).await {
                assert!(reading.quote.price > 0, "{reading:?}");
                seen += 1;
            }
        }
        for (code, quote) in world.redis.realtime().await {
            assert!(quote["price"].as_i64().unwrap() > 0, "{code}: {quote}");
        }
    }
    daemon.says(&["codes without a new price: refused"]).await;
}

#[tokio::test]
async fn a_stuck_quote_shown_as_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let (day, right) = still_day(folder.path(), CODES);
    let time = MovedTime::at("2026-11-17 10:00:00");
    let still = ["--limit", "0", "--replay", &day, "--speed", "0"];
    let mut world = World::at(time.faked(), &still).await;
    let codes = list::codes(CODES);
    let [first, second] = [&codes[0], &codes[1]].map(String::as_str);
    let daemon = daemon(&world, &world.home, &[]).start();
    says_again(&daemon, 3, &["sweep done"]).await;
    let why = async |code: &str| {
        let words = world.sise(&["why", code]).run().await.exits(0).stdout;
        let json = world.sise(&["why", code, "--json"]).run().await;
        (words, json.exits(0).json()["state"].clone())
    };
    // Its price stands still because nobody trades: that is not stuck.
    let (words, state) = why(first).await;
    assert_eq!(state, "unchanged", "{words}");
    assert!(words.contains("polled and unchanged"), "{words}");
    daemon.signal("TERM");
    daemon.end().await.exits(143);

    // Nobody asks any more, and another program keeps the prices from dying.
    let mut connection = world.redis.connection().await;
    for key in keys("realtime", &codes) {
        let _: bool = connection.persist(&key).await.unwrap();
    }
    time.set("2026-11-17 13:00:00");
    let (words, state) = why(first).await;
    assert_eq!(state, "not_polled", "{words}");
    assert!(words.contains("not polled since 10:0"), "{words}");
    // Whoever lives from Redis alone gets no price...
    let alone = world.sise(&["get", first, "--json"]).unset("KIS_APP_KEY");
    let alone = alone.unset("KIS_APP_SECRET").run().await.exits(3);
    assert_eq!(alone.json(), json!([]));
    // ... and who has a broker gets that one's, which lives as long as prices do.
    let got = world.fast_sise(&["get", first, "--json"]).run().await;
    let got = got.exits(0).json()[0].clone();
    assert_eq!(
        (&got["source"], &got["stale"]),
        (&json!("api"), &json!(false))
    );
    assert!(
        got["fetched_at"].as_str().unwrap() > "2026-11-17T13:00",
        "{got}"
    );
    let lives = world.redis.lives(&keys("realtime", &codes)).await;
    assert!((1..=120_000).contains(&lives[0]), "{lives:?}");
    assert_eq!(lives[1], -1);

    // Without the broker it is shown to those who allow it, with its age and a label.
    world.broker.kill().await;
    let sise = |arguments: &[&str]| world.fast_sise(arguments).run();
    for refused in [
        &["get", second][..],
        &["get", second, "--allow-stale", "2h"],
    ] {
        holds_nothing(&sise(refused).await.exits(1));
    }
    let allowed = ["get", second, "--allow-stale", "4h"];
    let got = sise(&[&allowed[..], &["--json"]].concat()).await;
    let got = got.exits(0).json()[0].clone();
    assert_eq!(
        (&got["price"], &got["stale"]),
        (&json!(right[second]), &json!(true))
    );
    assert!(got["age_ms"].as_u64().unwrap() > 10_700_000, "{got}");
    let words = sise(&allowed).await.exits(0).stdout;
    assert!(words.contains("redis, stale"), "{words}");
    let age = words.contains("2 h") || words.contains("3 h");
    assert!(age, "{words}");
}

/// A price object, as any program writes it.
fn object(price: i64) -> String {
    let now = (sise::clock::system())();
    let object = json!({
        "stock_code": CODE, "stock_name": "삼성전자", "price": price,
        "timestamp": now.format("%Y-%m-%dT%H:%M:%S").to_string(), "fetched_at": now.to_rfc3339(),
    });
    object.to_string()
}

const CODE: &str = "005930";
const LONG: u64 = 600_000;

async fn write(redis: &RedisServer, price: i64, life_ms: u64) {
    let mut connection = redis.connection().await;
    let key = format!("realtime:price:{CODE}");
    let written = connection.pset_ex(key, object(price), life_ms);
    let () = written.await.unwrap();
}

/// The price that a reader gives.
async fn price(reader: &Reader) -> Option<i64> {
    let reading = reader.price(CODE).await.unwrap()?;
    assert_eq!(reading.source, Source::Redis);
    Some(reading.quote.price)
}

/// Waits until a price is read from the memory of this process.
async fn is_held(redis: &RedisServer, reader: &Reader, wanted: i64) {
    until("the price is held", async || {
        let before = redis.reads().await;
        let found = price(reader).await == Some(wanted);
        (found && redis.reads().await == before).then_some(())
    })
    .await;
}

/// Waits until a reader gives something else, or nothing.
async fn gives_no_more(reader: &Reader, old: i64) {
    until("the change is seen", async || {
        (price(reader).await != Some(old)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_first_level_cache_outliving_the_ttl_of_redis() {
    let mut redis = RedisServer::start().await;
    let reader = Reader::builder()
        .redis_url(&redis.url())
        .first_level(true)
        .response_timeout(Duration::from_secs(2))
        .build()
        .await
        .unwrap();
    // What ends in Redis ends here, of all things when Redis cannot say so.
    let life = Duration::from_millis(900);
    let mut hits = 0;
    // On a machine full of tests that life may be over before the price is held.
    while hits == 0 {
        write(&redis, 1, LONG).await;
        is_held(&redis, &reader, 1).await;
        write(&redis, 2, 900).await;
        let ends_at = Instant::now() + life + Duration::from_millis(1);
        gives_no_more(&reader, 1).await;
        redis.freeze();
        loop {
            let asked_at = Instant::now();
            match price(&reader).await {
                Some(2) => {
                    assert!(asked_at < ends_at, "given when it was dead in Redis");
                    hits += 1;
                }
                Some(other) => panic!("{other} from a server that is frozen"),
                None => break,
            }
            sleep(Duration::from_millis(1)).await;
        }
        redis.thaw();
    }
    // Whoever changes or removes it there, it is changed here.
    let mut connection = redis.connection().await;
    for command in ["SET", "DEL", "FLUSHALL"] {
        write(&redis, 3, LONG).await;
        is_held(&redis, &reader, 3).await;
        match command {
            "SET" => write(&redis, 4, LONG).await,
            _ => {
                let mut ended = redis::cmd(command);
                if command == "DEL" {
                    ended.arg(format!("realtime:price:{CODE}"));
                }
                let _: redis::Value = ended.query_async(&mut connection).await.unwrap();
            }
        }
        gives_no_more(&reader, 3).await;
        let expected = (command == "SET").then_some(4);
        assert_eq!(price(&reader).await, expected, "{command}");
    }
    // Who is not told of changes any more holds nothing.
    write(&redis, 5, LONG).await;
    is_held(&redis, &reader, 5).await;
    redis.kill().await;
    gives_no_more(&reader, 5).await;
    redis.start_again().await;
    write(&redis, 6, LONG).await;
    until("Redis is read again", async || {
        let found = price(&reader).await;
        assert_ne!(found, Some(5));
        (found == Some(6)).then_some(())
    })
    .await;
}

/// Numbers of a price object that are no price.
const BESIDE: [&str; 7] = [
    "change",
    "volume",
    "open",
    "high",
    "low",
    "base_price",
    "value",
];

#[tokio::test]
async fn one_missing_field_spoiling_a_good_quote() {
    let folder = tempfile::tempdir().unwrap();
    let (day, right) = still_day(folder.path(), CODES);
    let all = list::codes(CODES).join(",");
    for road in [&[][..], &["--no-multi"]] {
        let still = ["--limit", "0", "--replay", &day, "--speed", "0"];
        let swept = async |faults: &[&str]| {
            let world = World::new(&[&still[..], road, faults].concat()).await;
            let once = ["run", "--once", "--json", "--codes", &all];
            let report = world.fast_sise(&once).run().await.exits(0).json();
            assert_eq!(number(&report, "written"), CODES as u64, "{report}");
            assert_eq!(number(&report, "retries"), 0, "{report}");
            (world.redis.realtime().await, world)
        };
        let (whole, _) = swept(&[]).await;
        let (lacking, world) = swept(&["--missing-fields", "1"]).await;
        assert_eq!(prices(&whole), right);
        assert_eq!(prices(&lacking), right);
        let (mut here, mut absent) = ([0; BESIDE.len()], [0; BESIDE.len()]);
        for (code, quote) in &lacking {
            for (place, field) in BESIDE.iter().enumerate() {
                // What is there is right, and what is not there is not made up.
                if quote[field].is_null() {
                    absent[place] += 1;
                } else {
                    assert_eq!(quote[field], whole[code][field], "{field} of {quote}");
                    here[place] += 1;
                }
            }
            assert!(!quote["stock_name"].as_str().unwrap().is_empty(), "{quote}");
        }
        assert!(here.iter().all(|count| *count > 0), "{here:?} {BESIDE:?}");
        assert!(absent.iter().sum::<i32>() > 0, "{absent:?}");
        // Readers take them as the good quotes that they are.
        let codes: Vec<&str> = all.split(',').collect();
        let get = [&["get", "--json"], &codes[..]].concat();
        let got = world.fast_sise(&get).run().await.exits(0).json();
        for (code, reading) in codes.iter().zip(got.as_array().unwrap()) {
            assert_eq!(reading["stock_code"], *code, "{reading}");
            assert_eq!(reading["price"], right[*code], "{reading}");
            assert_eq!(reading["source"], "redis", "{reading}");
        }
    }
}

/// Rows of other instruments, prices of 1 won and of 2^63-1.
#[tokio::test]
async fn a_row_of_another_code_or_a_price_that_cannot_be_taken_for_the_price() {
    let folder = tempfile::tempdir().unwrap();
    let (day, right) = still_day(folder.path(), CODES);
    let still = ["--limit", "0", "--replay", &day, "--speed", "0"];
    let codes = list::codes(CODES);
    for (mode, asked) in [("real", CODES), ("paper", 4)] {
        let asked = codes[..asked].join(",");
        let once = ["run", "--once", "--json", "--codes", &asked];
        for (fault, words) in [
            ("--misnamed", "the broker's row is for another code"),
            ("--implausible", "implausible: price "),
        ] {
            let always = [&still[..], &["--mode", mode, fault, "1"]].concat();
            let world = World::new(&always).await;
            let report = world.fast_sise(&once).run().await.exits(3).json();
            // Rows of others that were asked for beside it are good ones.
            if (mode, fault) != ("real", "--misnamed") {
                assert_eq!(number(&report, "written"), 0);
            }
            // Each was asked for once more.
            assert!(number(&report, "retries") > 0, "{report}");
            for missing in report["missing"].as_array().unwrap() {
                assert_eq!(missing["reason"], "refused", "{missing}");
                let detail = missing["detail"].as_str().unwrap();
                assert!(detail.starts_with(words), "{missing}");
            }
            let found = prices(&world.redis.realtime().await);
            assert_eq!(found.len() as u64, number(&report, "written"));
            assert!(
                found.iter().all(|(code, price)| right[code] == *price),
                "{found:?}"
            );
            drop(world);

            let often = [&still[..], &["--mode", mode, fault, "0.5"]].concat();
            let world = World::new(&often).await;
            for _ in 0..3 {
                let _ = world.fast_sise(&once).run().await;
            }
            let found = prices(&world.redis.realtime().await);
            assert!(!found.is_empty());
            assert!(
                found.iter().all(|(code, price)| right[code] == *price),
                "{found:?}"
            );
        }
    }
}

#[tokio::test]
async fn damaged_bytes_and_a_change_without_its_sign_spoil_no_price() {
    let world = World::new(&["--limit", "0", "--damaged", "1", "--unsigned", "1"]).await;
    let codes = list::codes(CODES).join(",");
    let once = ["run", "--once", "--json", "--codes", &codes];
    let report = world.fast_sise(&once).run().await.exits(0).json();
    assert_eq!(number(&report, "written"), CODES as u64);
    let found = world.redis.realtime().await;
    assert_eq!(found.len(), CODES);
    let number = |object: &Value, member: &str| object[member].as_i64().unwrap();
    for object in found.values() {
        let change = number(object, "price") - number(object, "base_price");
        assert_eq!(number(object, "change"), change, "{object}");
        let rate = object["change_rate"].as_f64().unwrap();
        assert!(rate * change as f64 >= 0.0, "{object}");
    }
    assert!(found.values().any(|object| number(object, "change") < 0));
    let measured = codes.split(',').next().unwrap();
    world.fast_sise(&["get", measured]).run().await.exits(0);
}
