//! Streams: what a client is told, over both ways, from any server, and what it is spared.

use std::time::Duration;

use redis::AsyncCommands as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::api::wire::{Stream, get, read_until, request};
use crate::api::{CODES, Served, codes, serve, small};
use crate::support::nginx::Nginx;
use crate::support::{PATIENCE, until};

#[tokio::test]
async fn first_comes_what_is_there_and_then_what_changes() {
    let served = Served::new().await;
    let wanted = codes(5);
    let mut stream = Stream::open(&served.address, "").await;
    stream
        .say(&json!({"op": "subscribe", "codes": wanted, "indices": true}))
        .await;
    let subscribed = stream.next_of("subscribed").await;
    assert_eq!(subscribed["codes"], 5);
    assert_eq!(subscribed["indices"], true);
    let first = stream.prices_of("snapshot", &wanted).await;
    assert!(first.iter().all(|price| *price > 0));

    served.sweep().await;
    // Of codes that were not asked for nothing comes: `prices_of` would stumble over one.
    stream.prices_of("changes", &wanted).await;

    stream
        .say(&json!({"op": "unsubscribe", "codes": wanted[1..]}))
        .await;
    assert_eq!(stream.next_of("subscribed").await["codes"], 1);
    served.sweep().await;
    stream.prices_of("changes", &wanted[..1]).await;
    stream.say(&json!({"op": "ping"})).await;
    stream.next_of("pong").await;
}

#[tokio::test]
async fn the_same_comes_as_events() {
    let served = Served::new().await;
    let wanted = codes(2);
    let mut socket = TcpStream::connect(&served.address).await.unwrap();
    let query = format!("/v1/stream?codes={}&indices=1", wanted.join(","));
    let head =
        format!("GET {query} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    read_until(&mut socket, &mut text, "event: snapshot").await;
    served.sweep().await;
    read_until(&mut socket, &mut text, "event: changes").await;
    assert!(text.contains("content-type: text/event-stream"));
    let places: Vec<usize> = [
        "id: 1\nevent: hello",
        "id: 2\nevent: subscribed",
        "id: 3\nevent: snapshot",
    ]
    .iter()
    .map(|part| {
        text.find(part)
            .unwrap_or_else(|| panic!("'{part}' in {text}"))
    })
    .collect();
    assert!(places.is_sorted());
}

/// An nginx as it is installed holds back what it is not told to pass on.
#[tokio::test]
async fn events_come_at_once_through_a_proxy_as_it_is_installed() {
    let served = Served::new().await;
    let nginx = Nginx::in_front_of(&served.address).await;
    let mut socket = TcpStream::connect(&nginx.address).await.unwrap();
    let path = format!("/v1/stream?codes={}", codes(2).join(","));
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    read_until(&mut socket, &mut text, "event: snapshot").await;
    assert!(
        text.contains("cache-control: no-store, no-transform"),
        "{text}"
    );
    served.sweep().await;
    read_until(&mut socket, &mut text, "event: changes").await;
    let answer = get(&nginx.address, "/v1/prices/005930").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn every_server_on_one_redis_tells_the_same() {
    let served = Served::new().await;
    let (_other, other) = serve(&served.world, &[]).await;
    let wanted = codes(CODES);
    let query = "?market=KOSPI";
    let mut here = Stream::open(&served.address, query).await;
    let mut there = Stream::open(&other, query).await;
    for stream in [&mut here, &mut there] {
        stream.prices_of("snapshot", &wanted).await;
    }
    served.sweep().await;
    let told = [
        here.prices_of("changes", &wanted).await,
        there.prices_of("changes", &wanted).await,
    ];
    assert_eq!(told[0], told[1]);
    let stored = served.world.redis.realtime().await;
    for (code, price) in wanted.iter().zip(&told[0]) {
        assert_eq!(stored[code]["price"].as_i64(), Some(*price));
    }
    let status = get(&other, "/v1/status").await.json();
    assert_eq!(status["stream"]["connections"], 1);
}

#[tokio::test]
async fn watch_lists_and_all_codes_can_be_asked_for() {
    let served = Served::new().await;
    let wanted = codes(3);
    let body = json!({"codes": wanted}).to_string();
    request(&served.address, "PUT", "/v1/watchlists/mine", &[], &body).await;
    let mut stream = Stream::open(&served.address, "?watchlist=mine").await;
    assert_eq!(stream.next_of("subscribed").await["codes"], 3);
    stream.prices_of("snapshot", &wanted).await;
    stream.say(&json!({"op": "subscribe", "all": true})).await;
    assert_eq!(stream.next_of("subscribed").await["codes"], CODES);
    // Of those that it had there is nothing new.
    stream.prices_of("snapshot", &codes(CODES)[3..]).await;
    stream.say(&json!({"op": "unsubscribe", "all": true})).await;
    assert_eq!(stream.next_of("subscribed").await["codes"], 0);
}

#[tokio::test]
async fn nonsense_is_refused_and_the_stream_goes_on() {
    let served = Served::new().await;
    let mut stream = Stream::open(&served.address, "").await;
    for (text, status) in [
        ("hello", 400),
        ("{\"op\":\"buy\"}", 400),
        ("{\"op\":\"subscribe\",\"codes\":[\"samsung\"]}", 400),
        ("{\"op\":\"subscribe\",\"watchlist\":\"none\"}", 404),
        ("{\"op\":\"subscribe\",\"colour\":\"red\"}", 400),
    ] {
        stream.say_text(text).await;
        let error = stream.next_of("error").await;
        assert_eq!(error["problem"]["status"], status, "{error}");
    }
    stream.say(&json!({"op": "ping"})).await;
    stream.next_of("pong").await;
    // One that does nothing but talk is sent away.
    for _ in 0..200 {
        if !stream.tries_to_say("{\"op\":\"ping\"}").await {
            break;
        }
    }
    while stream.next_or_end(PATIENCE).await.is_some() {}
    until("it is counted", async || {
        let metrics = get(&served.address, "/metrics").await.body;
        let text = String::from_utf8(metrics).unwrap();
        text.contains("sise_stream_disconnects_total{reason=\"flood\"} 1")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_has_so_many_streams_and_no_more() {
    let served = Served::with(&[("SISE__API__STREAMS_PER_CLIENT", "2")]).await;
    let first = Stream::open(&served.address, "").await;
    let _second = Stream::open(&served.address, "").await;
    let refused = get(&served.address, "/v1/stream").await;
    refused.is_problem(429, "too-many-requests");
    drop(first);
    until("there is room again", async || {
        let status = get(&served.address, "/v1/status").await.json();
        (status["stream"]["connections"] == 1).then_some(())
    })
    .await;
    Stream::open(&served.address, "").await;
}

/// A client that does not read gets the latest of each code when it does, is told that others were
/// left out, and takes no memory for them.
#[tokio::test]
async fn a_slow_client_gets_the_latest_and_is_told_of_the_rest() {
    let served = Served::new().await;
    let wanted = codes(CODES);
    let mut stream = Stream::open(&served.address, "?all=1").await;
    stream.prices_of("snapshot", &wanted).await;
    // Written here: far more than the sockets between the two hold.
    let mut connection = served.world.redis.connection().await;
    let template: Value = served.world.redis.realtime().await[&wanted[0]].clone();
    let rounds = 1_000;
    for round in 0..rounds {
        let now = (sise::clock::system())().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let prices: Vec<Value> = wanted
            .iter()
            .map(|code| {
                let mut price = template.clone();
                price["stock_code"] = json!(code);
                price["price"] = json!(1_000 + round);
                price["fetched_at"] = json!(now);
                price
            })
            .collect();
        let change = json!({"prices": prices}).to_string();
        let _: i64 = connection.publish("sise:changes", change).await.unwrap();
    }
    let (mut last, mut dropped, mut count) = (0, 0, 0);
    while last < 1_000 + rounds - 1 {
        let message = stream.next().await;
        match message["type"].as_str().unwrap() {
            "gap" => {
                assert_eq!(message["reason"], "slow");
                dropped += message["dropped"].as_u64().unwrap();
            }
            "changes" => {
                for price in message["prices"].as_array().unwrap() {
                    count += 1;
                    if price["stock_code"] == wanted[CODES - 1].as_str() {
                        last = price["price"].as_i64().unwrap();
                    }
                }
            }
            _ => {}
        }
    }
    if dropped == 0 {
        // Told once a second, so perhaps after the last change.
        dropped = stream.next_of("gap").await["dropped"].as_u64().unwrap();
    }
    let sent = u64::try_from(rounds).unwrap() * u64::try_from(CODES).unwrap();
    assert!(count < sent, "all {sent} changes were told one by one");
    assert!(dropped > 0, "{count} of {sent} came, and no gap was told");
}

/// Without Redis nothing is heard: the client is told, and gets everything anew afterwards.
#[tokio::test]
async fn an_outage_of_the_store_is_a_gap_and_then_a_snapshot() {
    let mut served = Served::new().await;
    let wanted = codes(4);
    let query = format!("?codes={}", wanted.join(","));
    let mut stream = Stream::open(&served.address, &query).await;
    stream.prices_of("snapshot", &wanted).await;
    served.world.redis.kill().await;
    let gap = stream.next_of("gap").await;
    assert_eq!(gap["reason"], "store");
    served.world.redis.start_again().await;
    small(&served.world, &["run", "--once"])
        .run()
        .await
        .exits(0);
    // In a snapshot or as changes: whichever the mended connection comes to first.
    let mut missing = wanted.clone();
    while !missing.is_empty() {
        let message = stream.next().await;
        for price in message["prices"].as_array().unwrap_or(&Vec::new()) {
            missing.retain(|code| price["stock_code"] != code.as_str());
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let served = Served::new().await;
    let mut stream = Stream::open(&served.address, "?all=1").await;
    stream.prices_of("snapshot", &codes(CODES)).await;
    served.server.signal("TERM");
    while stream.next_or_end(Duration::from_secs(20)).await.is_some() {}
    served.server.end().await.exits(143);
}

#[tokio::test]
async fn a_code_that_nobody_heard_of_is_named_and_not_told() {
    let served = Served::new().await;
    let known = codes(1);
    let mut stream = Stream::open(&served.address, "").await;
    let wish = json!({"op": "subscribe", "codes": [known[0], "999999", "Q999999"]});
    stream.say(&wish).await;
    let subscribed = stream.next_of("subscribed").await;
    assert_eq!(subscribed["codes"], 1);
    assert_eq!(subscribed["unknown"], json!(["999999", "Q999999"]));
    stream.prices_of("snapshot", &known).await;
    let wish = json!({"op": "unsubscribe", "codes": ["999999"]});
    stream.say(&wish).await;
    let subscribed = stream.next_of("subscribed").await;
    assert_eq!(subscribed["codes"], 1);
    assert_eq!(subscribed["unknown"], Value::Null);
}

#[tokio::test]
async fn a_code_that_is_asked_for_twice_is_told_once() {
    let served = Served::new().await;
    let wanted = codes(CODES);
    let query = format!("?market=KOSPI&codes={}", wanted[..3].join(","));
    let mut stream = Stream::open(&served.address, &query).await;
    assert_eq!(stream.next_of("subscribed").await["codes"], CODES);
    stream.prices_of("snapshot", &wanted).await;
    served.sweep().await;
    stream.prices_of("changes", &wanted).await;
    stream.say(&json!({"op": "ping"})).await;
    loop {
        let message = stream.next().await;
        match message["type"].as_str().unwrap() {
            "pong" => break,
            "gap" => panic!("nothing was left out: {message}"),
            _ => {}
        }
    }
    let status = get(&served.address, "/v1/status").await.json();
    assert_eq!(status["stream"]["skipped"], 0);
    // The market ends, and what was asked for by name goes on.
    let wish = json!({"op": "unsubscribe", "market": "KOSPI"});
    stream.say(&wish).await;
    assert_eq!(stream.next_of("subscribed").await["codes"], 3);
    served.sweep().await;
    stream.prices_of("changes", &wanted[..3]).await;
}

#[tokio::test]
async fn what_is_not_wanted_any_more_is_not_told_any_more() {
    let served = Served::new().await;
    let mut stream = Stream::open(&served.address, "").await;
    // Both at once: the snapshot of the first has not begun when the second comes.
    let all = json!({"op": "subscribe", "all": true, "indices": true});
    stream.say(&all).await;
    let none = json!({"op": "unsubscribe", "all": true, "indices": true});
    stream.say(&none).await;
    while stream.next_of("subscribed").await["codes"] != 0 {}
    stream.say(&json!({"op": "ping"})).await;
    let next = stream.next().await;
    assert_eq!(next["type"], "pong", "{next}");
}

#[tokio::test]
async fn an_upgrade_to_what_nobody_here_speaks_is_passed_over() {
    let served = Served::new().await;
    let mut socket = TcpStream::connect(&served.address).await.unwrap();
    let head = "GET /v1/stream HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, http2-settings\r\n\
                upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    read_until(&mut socket, &mut text, "event: hello").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}
