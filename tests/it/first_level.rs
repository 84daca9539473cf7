//! Proves that prices kept inside a process are never other than those in Redis: not after a change,
//! not after the end of their life there, and not when Redis cannot be heard.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use redis::AsyncCommands as _;
use sise::domain::{Quote, Symbol};
use sise::port::{PriceStore, Shelf};
use sise::store::{RedisFirstLevel, RedisStore};
use sise::{Reader, Source};
use tokio::time::{Instant, sleep};

use crate::support::redis::{RedisServer, store_at};
use crate::support::silent_proxy::SilentProxy;
use crate::support::{list, until};

const CODE: &str = "005930";
const LIFE: Duration = Duration::from_secs(600);

fn symbol() -> Symbol {
    CODE.parse().unwrap()
}

fn store_of(url: &str) -> Arc<RedisStore> {
    Arc::new(store_at(url))
}

fn first_level(url: &str) -> RedisFirstLevel {
    RedisFirstLevel::new(store_of(url), sise::clock::system())
}

fn quote(price: i64) -> Quote {
    crate::support::quote::quote(CODE, price, sise::clock::system()())
}

/// Another program writes a price.
async fn write(server: &RedisServer, price: i64, life: Duration) {
    let shelf = Shelf::Realtime(life);
    let store = store_at(&server.url());
    store.write(&[quote(price)], shelf, None).await.unwrap();
}

/// The price that a store gives; `None` where it gives none or fails.
async fn price(store: &dyn PriceStore) -> Option<i64> {
    let quotes = store.realtime(&[symbol()]).await.ok()?;
    Some(quotes[0].as_ref()?.price)
}

/// Waits until a read costs the server nothing.
async fn is_held(server: &RedisServer, level: &dyn PriceStore) {
    until("the price is held", async || {
        let before = server.reads().await;
        let found = price(level).await.is_some();
        (found && server.reads().await == before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_price_that_is_held_costs_redis_nothing() {
    let server = RedisServer::start().await;
    write(&server, 1, LIFE).await;
    let level = first_level(&server.url());
    is_held(&server, &level).await;
    let before = server.reads().await;
    for _ in 0..1_000 {
        assert_eq!(price(&level).await, Some(1));
    }
    assert_eq!(server.reads().await, before);
}

#[tokio::test]
async fn a_change_is_seen_whoever_makes_it() {
    let server = RedisServer::start().await;
    let level = first_level(&server.url());
    let mut connection = server.connection().await;
    let ends = ["DEL", "FLUSHALL", "RENAME", "SET", "LPUSH"];
    for (round, command) in (1..).zip(ends) {
        write(&server, round, LIFE).await;
        is_held(&server, &level).await;
        assert_eq!(price(&level).await, Some(round));
        // One's own change is seen at once.
        let own = [quote(100 + round)];
        level
            .write(&own, Shelf::Realtime(LIFE), None)
            .await
            .unwrap();
        assert_eq!(price(&level).await, Some(100 + round));
        is_held(&server, &level).await;
        write(&server, 200 + round, LIFE).await;
        until("the change is seen", async || {
            (price(&level).await == Some(200 + round)).then_some(())
        })
        .await;
        is_held(&server, &level).await;
        let mut change = redis::cmd(command);
        let key = "realtime:price:005930";
        let _: redis::Value = match command {
            "FLUSHALL" => &mut change,
            "DEL" => change.arg(key),
            "RENAME" => change.arg(key).arg("elsewhere"),
            // A price of 0 that fires a stop-loss.
            "SET" => change
                .arg(key)
                .arg(serde_json::to_string(&quote(0)).unwrap()),
            _ => {
                let () = connection.del(key).await.unwrap();
                change.arg(key).arg("x")
            }
        }
        .query_async(&mut connection)
        .await
        .unwrap();
        until("it is seen that there is no price", async || {
            price(&level).await.is_none().then_some(())
        })
        .await;
    }
}

/// The first level must not outlive the life of a price in Redis, of all things when Redis cannot
/// say that it is over.
#[tokio::test]
async fn a_first_level_does_not_outlive_the_life_in_redis() {
    let server = RedisServer::start().await;
    let level = first_level(&server.url());
    write(&server, 1, LIFE).await;
    is_held(&server, &level).await;
    let life = Duration::from_millis(900);
    let mut hits = 0;
    // On a machine full of tests that life may be over before the price is held.
    while hits == 0 {
        server.thaw();
        until("it is forgotten", async || {
            write(&server, 2, life).await;
            (price(&level).await == Some(2)).then_some(())
        })
        .await;
        write(&server, 3, life).await;
        let ends_at = Instant::now() + life + Duration::from_millis(1);
        until("it is read", async || {
            price(&level).await.filter(|price| *price == 3)
        })
        .await;
        server.freeze();
        loop {
            let asked_at = Instant::now();
            match price(&level).await {
                Some(3) => {
                    assert!(asked_at < ends_at, "given when it was dead in Redis");
                    hits += 1;
                }
                Some(other) => panic!("{other} from a server that is frozen"),
                None => break,
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
    server.thaw();
}

#[tokio::test]
async fn a_price_without_an_end_is_held_for_a_time_only() {
    let server = RedisServer::start().await;
    let level = first_level(&server.url());
    let mut connection = server.connection().await;
    let text = serde_json::to_string(&quote(1)).unwrap();
    let () = connection.set("realtime:price:005930", text).await.unwrap();
    is_held(&server, &level).await;
    let () = connection.del("realtime:price:005930").await.unwrap();
    until("its end is seen", async || {
        price(&level).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_link_that_drops_empties_it() {
    let mut server = RedisServer::start().await;
    let level = first_level(&server.url());
    write(&server, 1, LIFE).await;
    is_held(&server, &level).await;
    server.kill().await;
    until("the drop is noticed", async || {
        price(&level).await.is_none().then_some(())
    })
    .await;
    server.start_again().await;
    // The server came back empty; what was held before must not.
    until("it is linked again", async || {
        assert_eq!(price(&level).await, None);
        level.ping().await.ok()
    })
    .await;
    write(&server, 2, LIFE).await;
    is_held(&server, &level).await;
    assert_eq!(price(&level).await, Some(2));
}

/// A connection that stands and swallows everything swallows what Redis says of changes too.
#[tokio::test]
async fn a_link_that_falls_silent_empties_it() {
    let server = RedisServer::start().await;
    let proxy = SilentProxy::to(server.port()).await;
    let level = first_level(&proxy.url());
    write(&server, 1, LIFE).await;
    is_held(&server, &level).await;
    proxy.swallow();
    write(&server, 2, LIFE).await;
    until("it is given no more", async || {
        (price(&level).await != Some(1)).then_some(())
    })
    .await;
    proxy.pass();
    until("another link is found", async || {
        let found = price(&level).await;
        assert_ne!(found, Some(1));
        found
    })
    .await;
    is_held(&server, &level).await;
    assert_eq!(price(&level).await, Some(2));
}

/// A process that was stopped, or a machine that slept: what it holds is from before.
#[tokio::test]
async fn a_clock_that_jumps_empties_it() {
    let server = RedisServer::start().await;
    let jump = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let system = sise::clock::system();
    let jumped = Arc::clone(&jump);
    let clock = Arc::new(move || {
        let seconds = jumped.load(std::sync::atomic::Ordering::SeqCst);
        system() + chrono::TimeDelta::seconds(seconds)
    });
    let level = RedisFirstLevel::new(store_of(&server.url()), clock);
    write(&server, 1, LIFE).await;
    is_held(&server, &level).await;
    let before = server.reads().await;
    jump.store(19 * 3_600, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(price(&level).await, Some(1));
    assert!(server.reads().await > before, "Redis was not asked");
    is_held(&server, &level).await;
}

/// One change, told at once after the answer that it overtakes: both are read from the socket
/// together, and whoever asked learns of the answer when the change was told already.
#[test]
fn a_change_right_after_the_answer_is_not_missed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = RedisServer::start().await;
        let level = Arc::new(first_level(&server.url()));
        write(&server, 1, LIFE).await;
        is_held(&server, &*level).await;
        let mut other = Blocking::to(server.port());
        for round in 1..=50 {
            other.set(2 * round);
            until("the change is seen", async || {
                let held = price(&*level).await == Some(2 * round);
                held.then_some(())
            })
            .await;
            // Forgotten, and asked for by a task of its own.
            other.delete();
            until("its end is seen", async || {
                price(&*level).await.is_none().then_some(())
            })
            .await;
            other.set(2 * round);
            let reader = Arc::clone(&level);
            let read = tokio::spawn(async move { price(&*reader).await });
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            // This thread does something else while Redis answers and the price changes.
            other.set(2 * round + 1);
            read.await.unwrap();
            until("the change is seen", async || {
                (price(&*level).await == Some(2 * round + 1)).then_some(())
            })
            .await;
        }
    });
}

/// A client that holds its thread until Redis has answered.
struct Blocking(TcpStream);

impl Blocking {
    fn to(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn set(&mut self, price: i64) {
        let text = serde_json::to_string(&quote(price)).unwrap();
        self.ask(&["SET", "realtime:price:005930", &text, "EX", "600"]);
    }

    fn delete(&mut self) {
        self.ask(&["DEL", "realtime:price:005930"]);
    }

    fn ask(&mut self, words: &[&str]) {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 64];
        assert!(self.0.read(&mut answer).unwrap() > 0);
    }
}

#[tokio::test]
async fn a_user_who_may_not_track_reads_without_a_first_level() {
    let arguments = [
        "--user",
        "default",
        "off",
        "--user",
        "alice",
        "on",
        ">wonder",
        "~*",
        "&*",
        "+@all",
        "-client|tracking",
    ];
    let server = RedisServer::start_with(&arguments, "alice:wonder@").await;
    let level = first_level(&server.url());
    for price_written in 1..=20 {
        write(&server, price_written, LIFE).await;
        assert_eq!(price(&level).await, Some(price_written));
    }
}

#[tokio::test]
async fn the_whole_market_is_held_in_its_order_with_gaps() {
    let server = RedisServer::start().await;
    let level = first_level(&server.url());
    let codes = list::every_code();
    let symbols: Vec<Symbol> = codes.iter().map(|code| code.parse().unwrap()).collect();
    let quotes: Vec<Quote> = (1..)
        .zip(&symbols)
        .filter(|(price, _)| price % 3 != 0)
        .map(|(price, symbol)| Quote {
            stock_code: *symbol,
            ..quote(price)
        })
        .collect();
    let shelf = Shelf::Realtime(LIFE);
    store_at(&server.url())
        .write(&quotes, shelf, None)
        .await
        .unwrap();
    let plain = store_at(&server.url()).realtime(&symbols).await.unwrap();
    until("all of them are held", async || {
        let before = server.reads().await;
        assert_eq!(level.realtime(&symbols).await.unwrap(), plain);
        // The gaps are asked for each time.
        let here: Vec<Symbol> = quotes.iter().map(|quote| quote.stock_code).collect();
        level.realtime(&here).await.unwrap();
        (server.reads().await == before + 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_has_one_where_it_is_switched_on() {
    let server = RedisServer::start().await;
    write(&server, 1, LIFE).await;
    for is_on in [false, true] {
        let builder = Reader::builder()
            .redis_url(&server.url())
            .first_level(is_on);
        let builder = builder.response_timeout(Duration::from_secs(2));
        let reader = builder.build().await.unwrap();
        let look = async || {
            let before = server.reads().await;
            let reading = reader.price(CODE).await.unwrap().unwrap();
            assert_eq!((reading.quote.price, reading.source), (1, Source::Redis));
            server.reads().await - before
        };
        if is_on {
            until("it is held", async || (look().await == 0).then_some(())).await;
        } else {
            for _ in 0..20 {
                assert_eq!(look().await, 1);
            }
        }
    }
}
