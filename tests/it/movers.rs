//! Proves that the stocks of the day are ranked by what stands in Redis, as a whole, after each
//! sweep of the whole list and after no other, and that `sise top` shows it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use redis::AsyncCommands as _;
use serde_json::Value;

use crate::support::faked_time::FakedTime;
use crate::support::program::Program;
use crate::support::redis::RedisServer;
use crate::support::world::World;
use crate::support::{list, until};

/// Codes of the small list.
const CODES: usize = 60;

/// What stocks are ranked by, as in the keys.
const MEASURES: [&str; 4] = ["change_rate", "volume", "value", "market_cap"];

/// Members that go into one command.
const MEMBERS_A_COMMAND: usize = 500;

type Order = Vec<(String, f64)>;

/// `sise` over a small list, and these codes beside it.
fn small(world: &World, beside: &[&str], arguments: &[&str]) -> Program {
    let codes = list::codes(CODES);
    let lines: Vec<String> = codes
        .iter()
        .map(String::as_str)
        .chain(beside.iter().copied())
        .map(|code| format!("{code},KOSPI"))
        .collect();
    world.file("list.csv", &format!("code,market\n{}\n", lines.join("\n")));
    world
        .fast_sise(arguments)
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
}

async fn ranking(redis: &RedisServer, key: &str) -> Order {
    let mut connection = redis.connection().await;
    connection.zrevrange_withscores(key, 0, -1).await.unwrap()
}

async fn cards(redis: &RedisServer, kind: &str) -> Vec<usize> {
    let mut connection = redis.connection().await;
    let mut pipeline = redis::pipe();
    for measure in MEASURES {
        pipeline.zcard(format!("{kind}:rank:{measure}"));
    }
    pipeline.query_async(&mut connection).await.unwrap()
}

/// Calls of a command since the server began.
async fn calls(redis: &RedisServer, command: &str) -> usize {
    let mut connection = redis.connection().await;
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(&mut connection)
        .await
        .unwrap();
    let begin = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&begin));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

/// Name, market and shares of each listed code, by `sise universe`.
async fn listings(universe: Program) -> BTreeMap<String, Value> {
    let listed = universe.run().await.exits(0).json();
    let by_code = |listing: &Value| {
        (
            listing["code"].as_str().unwrap().to_owned(),
            listing.clone(),
        )
    };
    listed.as_array().unwrap().iter().map(by_code).collect()
}

/// What a ranking of `prices` must be: the highest first, of equal ones the greater code.
#[expect(clippy::cast_precision_loss, reason = "as the program ranks")]
fn expected(
    measure: &str,
    prices: &BTreeMap<String, Value>,
    listings: &BTreeMap<String, Value>,
) -> Order {
    let number = |code: &String, price: &Value| match measure {
        "market_cap" => {
            let shares = listings.get(code)?["shares"].as_i64()?;
            Some((price["price"].as_i64()? * shares) as f64)
        }
        measure => price[measure].as_f64(),
    };
    let mut order: Order = prices
        .iter()
        .filter_map(|(code, price)| Some((code.clone(), number(code, price)?)))
        .collect();
    order.sort_by(|(a, of_a), (b, of_b)| of_b.total_cmp(of_a).then(b.cmp(a)));
    order
}

/// Code and number of each place that `sise top` gave as JSON.
fn places(top: &Value) -> Order {
    let places = top.as_array().unwrap().iter().enumerate();
    let place = |(before, place): (usize, &Value)| {
        assert_eq!(place["rank"].as_u64(), Some(before as u64 + 1));
        let code = place["stock_code"].as_str().unwrap().to_owned();
        (code, place["number"].as_f64().unwrap())
    };
    places.map(place).collect()
}

#[tokio::test]
async fn a_pass_over_the_whole_list_ranks_all_that_has_a_price() {
    let world = World::new(&["--limit", "0"]).await;
    let sise = |arguments: &[&str]| world.fast_sise(arguments);
    let outcome = sise(&["top", "gainers", "--json"]).run().await.exits(3);
    assert_eq!(outcome.json(), Value::Array(Vec::new()));
    sise(&["top", "cap"])
        .run()
        .await
        .exits(3)
        .says(&["nothing is ranked", "sise status"]);

    sise(&["run", "--once"]).run().await.exits(0);
    let prices = world.redis.realtime().await;
    let count = list::every_code().len();
    assert_eq!(prices.len(), count);
    let listings = listings(sise(&["universe", "--json"])).await;
    let mut orders = BTreeMap::new();
    let mut commands = 0;
    for measure in MEASURES {
        let order = expected(measure, &prices, &listings);
        let key = format!("realtime:rank:{measure}");
        assert_eq!(ranking(&world.redis, &key).await, order, "{measure}");
        let life = world.redis.lives(&[key]).await[0];
        assert!((1..=120_000).contains(&life), "{measure} lives {life} ms");
        commands += order.len().div_ceil(MEMBERS_A_COMMAND);
        orders.insert(measure, order);
    }
    // All at once, not one by one; and one that tries whether it may be done.
    assert_eq!(calls(&world.redis, "zadd").await, commands + 1);
    assert_eq!(calls(&world.redis, "rename").await, MEASURES.len() + 1);
    let rates = &orders["change_rate"];
    let is_tie = |pair: &[(String, f64)]| pair[0].1.total_cmp(&pair[1].1).is_eq();
    assert!(rates.windows(2).any(is_tie), "there are ties to be ordered");
    let halted = prices.values().filter(|price| price["status"] == "halted");
    assert!(halted.count() > 0, "some stocks are halted");

    // The command shows the same.
    for (kind, measure) in [
        ("gainers", "change_rate"),
        ("volume", "volume"),
        ("value", "value"),
        ("cap", "market_cap"),
    ] {
        let top = sise(&["top", kind, "--json"]).run().await.exits(0).json();
        assert_eq!(places(&top), orders[measure][..10], "{kind}");
        for place in top.as_array().unwrap() {
            let price = &prices[place["stock_code"].as_str().unwrap()];
            for field in ["price", "change_rate", "volume", "value"] {
                assert_eq!(place[field], price[field], "{place}");
            }
            assert_eq!(place["session"], "realtime");
        }
    }
    let mut lowest = rates.clone();
    lowest.reverse();
    let top = sise(&["top", "losers", "-n", "25", "--json"])
        .run()
        .await
        .exits(0)
        .json();
    assert_eq!(places(&top), lowest[..25]);
    for market in ["KOSPI", "KOSDAQ"] {
        let is_of = |(code, _): &&(String, f64)| listings[code]["market"] == market;
        for (kind, order) in [("gainers", rates), ("losers", &lowest)] {
            let of_market: Order = order.iter().filter(is_of).cloned().collect();
            let small = market.to_lowercase();
            let arguments = ["top", kind, "-n", "5000", "--market", &small, "--json"];
            let top = sise(&arguments).run().await.exits(0).json();
            assert_eq!(places(&top), of_market, "{kind} of {market}");
            assert!(of_market.len() > 500, "more than are read at once");
        }
    }
    let top = sise(&["top", "volume", "-n", "5000", "--json"])
        .run()
        .await
        .exits(0)
        .json();
    assert_eq!(places(&top).len(), count);
    let table = sise(&["top", "value", "-n", "2"])
        .run()
        .await
        .exits(0)
        .says(&["live prices of", "KST"]);
    let (first, _) = &orders["value"][0];
    for shown in [
        first.as_str(),
        listings[first]["name"].as_str().unwrap(),
        "won",
    ] {
        assert!(
            table.stdout.contains(shown),
            "'{shown}' in:\n{}",
            table.stdout
        );
    }
    for wrong in [["-n", "0"], ["--market", "NYSE"]] {
        sise(&[&["top", "cap"], &wrong[..]].concat())
            .run()
            .await
            .exits(2);
    }

    // A pass over a few codes leaves the ranking of all.
    let [a, b, ..] = list::codes(2)
        .try_into()
        .map(|codes: [String; 2]| codes)
        .unwrap();
    sise(&["run", "--once", "--codes", &format!("{a},{b}")])
        .run()
        .await
        .exits(0);
    for measure in MEASURES {
        let found = ranking(&world.redis, &format!("realtime:rank:{measure}")).await;
        assert_eq!(found, orders[measure], "{measure}");
    }
    assert_eq!(cards(&world.redis, "close").await, [0; 4]);
}

#[tokio::test]
async fn what_is_no_price_is_not_ranked() {
    let world = World::new(&["--limit", "0"]).await;
    let mut connection = world.redis.connection().await;
    // The broker knows neither of these codes, so that what stands there stays.
    let strange = ["999998", "999999"];
    let _: () = connection
        .set("realtime:price:999998", "{\"price\": 70000}")
        .await
        .unwrap();
    let _: () = connection
        .rpush("realtime:price:999999", "70000")
        .await
        .unwrap();
    let outcome = small(&world, &strange, &["run", "--once", "--json"])
        .run()
        .await
        .exits(3);
    assert_eq!(
        outcome.json()["missing"].as_array().unwrap().len(),
        strange.len()
    );
    let mut prices = world.redis.realtime().await;
    assert!(prices.remove("999998").is_some());
    let listings = listings(small(&world, &strange, &["universe", "--json"])).await;
    for measure in MEASURES {
        let order = expected(measure, &prices, &listings);
        let found = ranking(&world.redis, &format!("realtime:rank:{measure}")).await;
        assert_eq!(found, order, "{measure}");
        assert!(!order.is_empty());
    }
    // One that goes after it was ranked keeps its place, without a price.
    let (code, _) = &ranking(&world.redis, "realtime:rank:volume").await[0];
    world.redis.delete(&format!("realtime:price:{code}")).await;
    let top = small(&world, &strange, &["top", "volume", "-n", "1", "--json"])
        .run()
        .await;
    let top = top.exits(0).json();
    assert_eq!(top[0]["stock_code"].as_str(), Some(code.as_str()));
    assert_eq!(top[0]["price"], Value::Null);
    let table = small(&world, &strange, &["top", "volume", "-n", "1"])
        .run()
        .await
        .exits(0);
    assert!(table.stdout.contains(code.as_str()), "{}", table.stdout);
}

/// An object of another code and an earlier time.
fn of_another_day(price: &Value, code: &str) -> String {
    let mut price = price.clone();
    price["stock_code"] = code.into();
    for field in ["timestamp", "fetched_at"] {
        let time = price[field]
            .as_str()
            .unwrap()
            .replace("2026-11-20", "2026-11-19");
        price[field] = time.into();
    }
    price.to_string()
}

#[tokio::test]
async fn the_closes_are_ranked_and_stay() {
    let world = World::at(FakedTime::from("2026-11-20 15:40:00"), &["--limit", "0"]).await;
    small(
        &world,
        &[],
        &["run", "--once", "--codes", &list::codes(1)[0]],
    )
    .run()
    .await
    .exits(0);
    assert_eq!(cards(&world.redis, "close").await, [0; 4]);
    // The close of a code that was not traded since the day before.
    let of_before = of_another_day(&world.redis.close().await[&list::codes(1)[0]], "999999");
    let mut connection = world.redis.connection().await;
    let _: () = connection
        .set("close:price:999999", of_before)
        .await
        .unwrap();

    small(&world, &["999999"], &["run", "--once"])
        .run()
        .await
        .exits(3);
    let mut closes = world.redis.close().await;
    assert!(closes.remove("999999").is_some());
    assert_eq!(closes.len(), CODES);
    let listings = listings(small(&world, &["999999"], &["universe", "--json"])).await;
    for kind in ["realtime", "close"] {
        for measure in MEASURES {
            let found = ranking(&world.redis, &format!("{kind}:rank:{measure}")).await;
            assert_eq!(
                found,
                expected(measure, &closes, &listings),
                "{kind} {measure}"
            );
        }
    }
    let keys = MEASURES.map(|measure| format!("close:rank:{measure}"));
    assert_eq!(world.redis.lives(&keys).await, [-1; 4]);
    let top = async || {
        small(&world, &[], &["top", "cap", "--json"])
            .run()
            .await
            .exits(0)
            .json()
    };
    let live = top().await;
    assert_eq!(live[0]["session"], "realtime");
    world.redis.delete("realtime:*").await;
    let close = top().await;
    assert_eq!(close[0]["session"], "close");
    assert_eq!(places(&close), places(&live));
    assert_eq!(
        close[0]["price"],
        closes[close[0]["stock_code"].as_str().unwrap()]["price"]
    );
    let table = small(&world, &[], &["top", "cap"]).run().await;
    table.exits(0).says(&["closes of 2026-11-20 15:40:"]);
}

#[tokio::test]
async fn a_daemon_ranks_the_closes_that_it_takes() {
    let world = World::at(FakedTime::from("2026-11-20 15:40:00"), &["--limit", "0"]).await;
    let daemon = small(&world, &[], &["run"]).start();
    daemon.says(&["the close of the day is kept"]).await;
    until("the closes are ranked", async || {
        let cards = cards(&world.redis, "close").await;
        (cards[0] > 0 && cards[1..] == [CODES; 3]).then_some(())
    })
    .await;
    let closes = world.redis.close().await;
    let listings = listings(small(&world, &[], &["universe", "--json"])).await;
    for measure in MEASURES {
        let found = ranking(&world.redis, &format!("close:rank:{measure}")).await;
        assert_eq!(found, expected(measure, &closes, &listings), "{measure}");
    }
}

#[tokio::test]
async fn nobody_sees_half_a_ranking() {
    let world = World::new(&["--limit", "0"]).await;
    let daemon = world
        .fast_sise(&["run", "--always-open"])
        .set("SISE__SCHEDULE__INTERVAL", "1s")
        .start();
    let whole = until("there is a first ranking", async || {
        Some(cards(&world.redis, "realtime").await)
            .filter(|cards| cards.iter().all(|card| *card > 0))
    })
    .await;
    assert_eq!(whole[1], list::every_code().len());
    let mut looks = 0;
    until("the stocks are ranked some more times", async || {
        assert_eq!(cards(&world.redis, "realtime").await, whole);
        looks += 1;
        (calls(&world.redis, "rename").await >= MEASURES.len() * 6).then_some(())
    })
    .await;
    assert!(looks > 5, "{looks}");
    assert!(!daemon.said().contains("not ranked"), "{}", daemon.said());
    // What is made ready beside them is gone with them.
    let left: Vec<String> = world.redis.connection().await.keys("*next*").await.unwrap();
    assert!(left.len() <= MEASURES.len(), "{left:?}");
}

#[tokio::test]
async fn a_namespace_goes_in_front_of_everything() {
    let world = World::new(&["--limit", "0"]).await;
    let sise =
        |arguments: &[&str]| small(&world, &[], arguments).set("SISE__STORE__NAMESPACE", "shop");
    sise(&["run", "--once"]).run().await.exits(0);
    let code = &list::codes(1)[0];
    sise(&["watch", "add", "mine", code]).run().await.exits(0);
    sise(&["get", code]).run().await.exits(0);
    let volume = ranking(&world.redis, "shop:realtime:rank:volume").await;
    assert_eq!(volume.len(), CODES);
    let top = sise(&["top", "volume", "--json"])
        .run()
        .await
        .exits(0)
        .json();
    assert_eq!(places(&top), volume[..10]);
    let mut connection = world.redis.connection().await;
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    let outside: Vec<&String> = keys.iter().filter(|key| !key.contains("shop:")).collect();
    let is_ours = |key: &&&String| {
        ["rank", "watch", "reads"]
            .iter()
            .any(|kind| key.contains(kind))
    };
    assert!(!outside.iter().any(|key| is_ours(&key)), "{outside:?}");
    for kind in ["shop:sise:profile:watch:mine", "shop:sise:counter:reads"] {
        assert!(keys.iter().any(|key| key == kind), "{kind} in {keys:?}");
    }
    small(&world, &[], &["top", "volume"]).run().await.exits(3);
    small(&world, &[], &["watch", "list", "mine"])
        .run()
        .await
        .exits(3);
}

#[tokio::test]
async fn without_a_redis_it_says_what_to_do() {
    let world = World::new(&[]).await;
    let away = format!("redis://127.0.0.1:{}", crate::support::free_port());
    let top = || world.sise(&["top", "gainers"]);
    let outcome = top().set("REDIS_URL", away).run().await.exits(1);
    outcome.says(&["check that Redis runs there", "sise doctor"]);
    let outcome = top().set("REDIS_URL", "memory").run().await.exits(2);
    outcome.says(&["store.url is memory", "REDIS_URL"]);
}
