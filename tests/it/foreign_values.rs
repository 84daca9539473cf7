//! Proves that values which others wrote under the keys of sise stop nothing and are never taken
//! for a price: of another type, cut off, no text, huge, of another code.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Cmd, Script, cmd, pipe};
use serde_json::{Value, json};
use sise::Symbol;
use sise::domain::{Booking, Cap, Caps, Urgency};
use sise::port::{CopyStore as _, PriceStore as _, RateBudget as _};
use sise::store::RedisBudget;

use crate::support::faked_time::MovedTime;
use crate::support::program::{Program, Running};
use crate::support::redis::{RedisServer, store_at};
use crate::support::world::World;
use crate::support::{http, list, until};

/// Codes of the small list.
const CODES: usize = 30;

/// Larger than anything that sise keeps, by far.
const HUGE: usize = 10 << 20;

/// What another program may leave under a key.
#[derive(Debug, Clone, Copy)]
enum Foreign {
    List,
    Set,
    Hash,
    /// The fields that sise's own hashes have, with nonsense in them and without an end.
    LikeOurs,
    Empty,
    Words,
    NoText,
    Number,
    Json,
    Packed,
    Huge,
    /// What stood there, cut in the middle.
    CutOff,
}

const ALL: [Foreign; 12] = [
    Foreign::List,
    Foreign::Set,
    Foreign::Hash,
    Foreign::LikeOurs,
    Foreign::Empty,
    Foreign::Words,
    Foreign::NoText,
    Foreign::Number,
    Foreign::Json,
    Foreign::Packed,
    Foreign::Huge,
    Foreign::CutOff,
];

impl Foreign {
    fn command(self, key: &str, before: &[u8]) -> Cmd {
        let set = |value: &[u8]| cmd("SET").arg(key).arg(value).clone();
        match self {
            Self::List => cmd("RPUSH").arg(&[key, "a", "b"]).clone(),
            Self::Set => cmd("SADD").arg(&[key, "a", "b"]).clone(),
            Self::Hash => cmd("HSET").arg(&[key, "name", "value"]).clone(),
            Self::LikeOurs => {
                let mut command = cmd("HSET");
                command.arg(&[key, "process", "nobody", "lead", "1e300"]);
                command.arg(&["since", "x", "generation", "1e300", "sealed", "\u{ac00}"]);
                command
            }
            Self::Empty => set(b""),
            Self::Words => set(b"of another program"),
            Self::NoText => set(b"\xff\xfe\x00\x80"),
            Self::Number => set(b"99999999999999999999"),
            Self::Json => set(b"{\"price\":1,\"lead\":[],\"code\":null}"),
            // A map with one field of ours in the encoding of the budget, its value a text.
            Self::Packed => set(b"\x81\xa6booked\xa1x"),
            Self::Huge => set(&vec![b'['; HUGE]),
            Self::CutOff => set(&before[..before.len() / 2]),
        }
    }
}

/// Puts a foreign value under every key of a pattern, for ever. Returns the keys.
async fn overwrite(
    connection: &mut MultiplexedConnection,
    pattern: &str,
    foreign: Foreign,
) -> Vec<String> {
    let keys: Vec<String> = connection.keys(pattern).await.unwrap();
    for key in &keys {
        let before: redis::RedisResult<Vec<u8>> = connection.get(key).await;
        let command = foreign.command(key, &before.unwrap_or_default());
        let mut pipeline = pipe();
        pipeline
            .atomic()
            .del(key)
            .ignore()
            .add_command(command)
            .ignore();
        let () = pipeline.query_async(connection).await.unwrap();
    }
    keys
}

/// A budget is damaged, or of a server whose clock was set back by a day.
#[tokio::test]
async fn a_budget_that_cannot_be_is_taken_for_none() {
    let server = RedisServer::start().await;
    let mut connection = server.connection().await;
    let caps = Caps {
        per_second: 15.0,
        per_minute: Some(600),
        per_day: Some(10_000),
        late: Duration::ZERO,
    };
    let budget = RedisBudget::new(
        Arc::new(store_at(&server.url())),
        "key",
        caps,
        Arc::default(),
    );
    // In Lua, as the script itself keeps it. `ahead` is a day from now.
    let sound = "booked = {}, lanes = {0, 0, 0}, share = 1, share_at = 0, seconds = {}, \
                 day = {0, 0}, day_before = 0, born = 0, before = {0, 0}, asked_at = 0";
    for damage in [
        "",
        "booked = 'x'",
        "booked = {'x'}",
        "booked = {{}}",
        "booked = {-5, ahead}",
        "booked = {ahead, 5}",
        "booked = {ahead, ahead + 100, ahead + 200}",
        "lanes = {}",
        "lanes = {0, 'x', 0}",
        "lanes = {ahead, ahead, ahead}",
        "lanes = {0/0, 0/0, 0/0}",
        "share = 0",
        "share = -1",
        "share = 1000",
        "share = 0/0",
        "share = '1'",
        "share = 0.1, share_at = ahead",
        "share_at = {}",
        "seconds = 5",
        "seconds = {5}",
        "seconds = {{5}}",
        "seconds = {{'x', 'y'}}",
        "seconds = {{ahead / 1e6, 600}}",
        "before = 5",
        "before = {'x', 1}",
        "before = {ahead / 1e6, 600}",
        "born = 'x'",
        "born = 0/0",
        "day = 5",
        "day = {'x', 'y'}",
        "day = {}",
        "asked_at = 'x'",
        "asked_at = 0/0",
        "asked_at = ahead",
        "opens_at = {}",
        "opens_at = ahead",
    ] {
        for whole in [
            format!("{{ {damage} }}"),
            format!("{{ {sound}, {damage} }}"),
        ] {
            let script = Script::new(&format!(
                "local ahead = tonumber(redis.call('TIME')[1]) * 1e6 + 86400e6
                redis.call('SET', KEYS[1], cmsgpack.pack({whole}))"
            ));
            let call = script.key("sise:budget:key");
            let () = call.invoke_async(&mut connection).await.unwrap();
            for urgency in Urgency::ALL {
                let booking = budget.book(urgency).await.unwrap();
                let wait = match booking {
                    Booking::Cell { wait, .. } => wait,
                    // Nobody knows what was called in the minute before.
                    Booking::Spent {
                        cap: Cap::Minute,
                        again,
                    } => again,
                    Booking::Spent { cap: Cap::Day, .. } => panic!("{whole}: {booking:?}"),
                };
                assert!(wait <= Duration::from_secs(61), "{whole}: {wait:?}");
            }
            let () = call.invoke_async(&mut connection).await.unwrap();
            let share = budget.refused().await.unwrap();
            assert!(share > 0.0 && share <= 1.0, "{whole}: {share}");
        }
    }
}

fn daemon(world: &World) -> Program {
    let codes = list::codes(CODES).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    world
        .fast_sise(&["run", "--always-open"])
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "1s")
        // The lead is taken back at its next renewal.
        .set("SISE__SCHEDULE__LEASE", "3s")
}

/// Waits for sweeps that begin from now on.
async fn sweeps_again(world: &World, daemon: &Running, why: &str) {
    let before = daemon.count(&["sweep done", "written=30 "]);
    until(why, async || {
        assert!(!daemon.said().contains("panicked"), "{}", daemon.said());
        let done = daemon.count(&["sweep done", "written=30 "]);
        (done >= before + 2).then_some(())
    })
    .await;
    let realtime = world.redis.realtime().await;
    assert_eq!(realtime.len(), CODES, "{why}");
    for (code, object) in realtime {
        assert_eq!(object["stock_code"], json!(code), "{why}");
        assert!(object["price"].as_i64().unwrap() > 0, "{why}: {object}");
    }
}

#[tokio::test]
async fn a_daemon_goes_on_whatever_stands_under_sises_own_keys() {
    let time = MovedTime::at("2026-11-17 10:00:00");
    let world = World::at(time.faked(), &["--limit", "0"]).await;
    let daemon = daemon(&world).start();
    sweeps_again(&world, &daemon, "the first sweeps").await;
    let mut connection = world.redis.connection().await;
    for (round, foreign) in ALL.into_iter().enumerate() {
        // A token may be asked for once a minute.
        time.set(&format!("2026-11-17 10:{:02}:00", 2 * (round + 1)));
        let keys = overwrite(&mut connection, "sise:*", foreign).await;
        for part in ["sise:budget:", "sise:token:", "sise:{lead}:"] {
            assert!(
                keys.iter().any(|key| key.starts_with(part)),
                "{part} {keys:?}"
            );
        }
        // It needs another token, so that what is shared of it matters.
        world.broker.kill_tokens();
        sweeps_again(&world, &daemon, &format!("sweeps with {foreign:?}")).await;
        // What is written down of the work goes on too, and can be read.
        let why = world.sise(&["why", &list::codes(1)[0], "--json"]).run();
        let why = why.await.exits(0).json();
        assert_ne!(why["state"], "never_polled", "{foreign:?}: {why}");
        until("status tells of sweeps and processes", async || {
            let status = world.sise(&["status", "--json"]).run().await;
            let status = status.exits(0).json();
            let count = |part: &str| status[part].as_array().unwrap().len();
            (count("sweeps") > 0 && count("processes") > 0).then_some(())
        })
        .await;
    }
    assert_eq!(
        daemon.count(&["rate budget is unreachable"]),
        0,
        "{}",
        daemon.said()
    );
    let address = daemon.health_address().await;
    assert_eq!(http::get(&address, "/ready").unwrap().status, 200);
    daemon.signal("TERM");
    daemon.end().await.exits(143);
}

#[tokio::test]
async fn a_daemon_starts_whatever_stands_under_sises_own_keys() {
    let world = World::new(&["--limit", "0"]).await;
    let first = daemon(&world).start();
    sweeps_again(&world, &first, "the first sweeps").await;
    first.signal("TERM");
    first.end().await.exits(143);
    let mut connection = world.redis.connection().await;
    for foreign in ALL {
        overwrite(&mut connection, "*", foreign).await;
        // Neither token nor list is on disk, and the broker gives another token at once.
        world.broker.kill_tokens();
        std::fs::remove_dir_all(world.path().join("state")).unwrap();
        let daemon = daemon(&world).start();
        sweeps_again(&world, &daemon, &format!("sweeps with {foreign:?}")).await;
        assert_eq!(
            daemon.count(&["rate budget is unreachable"]),
            0,
            "{}",
            daemon.said()
        );
        daemon.signal("TERM");
        daemon.end().await.exits(143);
    }
}

#[tokio::test]
async fn a_copy_of_the_list_that_is_none_is_not_used_and_that_is_said() {
    let mut world = World::new(&[]).await;
    world.sise(&["universe"]).run().await.exits(0);
    world.broker.kill().await;
    let mut connection = world.redis.connection().await;
    let keys: Vec<String> = connection.keys("sise:universe:*").await.unwrap();
    let [key] = <[String; 1]>::try_from(keys).unwrap();
    let copy: String = connection.get(&key).await.unwrap();
    for foreign in ALL {
        let () = connection.set(&key, &copy).await.unwrap();
        overwrite(&mut connection, &key, foreign).await;
        // The one on disk would be taken first.
        std::fs::remove_dir_all(world.path().join("state")).unwrap_or_default();
        let outcome = world.sise(&["universe", "--json"]).run().await.exits(0);
        let outcome = outcome.says(&["last-good", "shipped inside the program"]);
        assert_eq!(
            outcome.json().as_array().unwrap().len(),
            2_769,
            "{foreign:?}"
        );
    }
    // A valid list that sise did not keep there is none either.
    let words = "code,name,market,group,halted\n005930,x,KOSPI,ST,\n";
    let () = connection.set(&key, words).await.unwrap();
    let outcome = world.sise(&["universe", "--json"]).run().await.exits(0);
    assert_eq!(outcome.json().as_array().unwrap().len(), 2_769);
}

/// A good object of 005930, as a program of another language writes it.
fn good() -> Value {
    json!({
        "stock_code": "005930", "stock_name": "삼성전자", "price": 72_000,
        "timestamp": "2026-11-20T10:00:00", "fetched_at": "2026-11-20T10:00:00.123+09:00",
    })
}

#[tokio::test]
async fn what_is_no_price_of_this_code_is_a_miss() {
    let server = RedisServer::start().await;
    let store = store_at(&server.url());
    let mut connection = server.connection().await;
    let [samsung, other] = ["005930", "000660"].map(|code| code.parse::<Symbol>().unwrap());
    let with = |field: &str, value: Value| {
        let mut object = good();
        object[field] = value;
        object.to_string().into_bytes()
    };
    let mut values: Vec<Vec<u8>> = vec![
        // The price of another stock under this one's key is the worst of all lies.
        with("stock_code", json!("000660")),
        with("stock_code", json!(5930)),
        with("stock_code", json!("005930 ")),
        with("price", json!(72_000.5)),
        with("price", json!([72_000])),
        with("price", json!(true)),
        with("price", json!(0)),
        with("price", json!(-72_000)),
        with("price", json!(u64::MAX)),
        format!("[{}]", good()).into_bytes(),
        format!("{} {}", good(), good()).into_bytes(),
        good().to_string().replace("72000", "072000").into_bytes(),
        good().to_string().replace("72000", "NaN").into_bytes(),
        // Twice the same field, so that it depends on the reader which one counts.
        good()
            .to_string()
            .replacen('{', "{\"price\":1,", 1)
            .into_bytes(),
        vec![b'['; 100_000],
        vec![b'{'; HUGE],
        "{\"a\":".repeat(100_000).into_bytes(),
    ];
    let object = good().to_string().into_bytes();
    values.extend((0..object.len()).map(|length| object[..length].to_vec()));
    for kind in ["realtime", "close"] {
        let key = format!("{kind}:price:005930");
        for value in &values {
            let () = connection.set(&key, value).await.unwrap();
            let shown: String = String::from_utf8_lossy(value).chars().take(200).collect();
            let read = match kind {
                "realtime" => store.realtime(&[other, samsung]).await,
                _ => store.close(&[other, samsung]).await,
            };
            assert_eq!(read.unwrap(), [None, None], "{shown}");
        }
        for foreign in ALL {
            let () = connection.set(&key, &object).await.unwrap();
            overwrite(&mut connection, &key, foreign).await;
            assert_eq!(
                store.realtime(&[other, samsung]).await.unwrap(),
                [None, None]
            );
            assert_eq!(
                store.close(&[samsung]).await.unwrap(),
                [None],
                "{foreign:?}"
            );
        }
        let () = connection.del(&key).await.unwrap();
    }
    let () = connection.set("close:price:005930", &object).await.unwrap();
    assert_eq!(
        store.close(&[samsung]).await.unwrap()[0]
            .as_ref()
            .unwrap()
            .price,
        72_000
    );
    assert_eq!(store.load_copy("universe").await.unwrap(), None);
}

/// From the command line: a code whose key holds something else is asked for and written over.
#[tokio::test]
async fn a_price_is_got_whatever_stands_under_its_key() {
    let world = World::new(&["--limit", "0"]).await;
    let mut connection = world.redis.connection().await;
    for foreign in ALL {
        let key = "realtime:price:005930";
        let () = connection.set(key, good().to_string()).await.unwrap();
        overwrite(&mut connection, key, foreign).await;
        let outcome = world
            .fast_sise(&["get", "005930", "--json"])
            .run()
            .await
            .exits(0);
        let got = outcome.json()[0].clone();
        let got = got.as_array().map_or(&got, |all| &all[0]);
        assert_eq!(got["stock_code"], json!("005930"), "{foreign:?}: {got}");
        assert_eq!(got["source"], json!("api"), "{foreign:?}: {got}");
        let kept = world.redis.realtime().await;
        assert_eq!(kept["005930"]["price"], got["price"], "{foreign:?}");
    }
}
