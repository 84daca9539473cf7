//! Clients that send without end and read nothing: what waits for them stays small, and nobody else is
//! shut out.

use std::time::Duration;

use redis::AsyncCommands as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::api::wire::{get, read_until};
use crate::api::{CODES, Served, codes, small};
use crate::support::list;
use crate::support::until;
use crate::support::world::World;

/// Bytes that a client sends where nobody stops it: twice what the memory may grow by.
const FLOOD: usize = 64 << 20;

/// What the memory may grow by.
const GROWTH: u64 = 32 << 20;

/// A client that can send nothing for so long is held off by the server, which reads no more.
const STALLED: Duration = Duration::from_secs(2);

/// A frame of a client.
fn frame(kind: u8, is_last: bool, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind | if is_last { 0x80 } else { 0 }];
    match content.len() {
        length @ ..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ ..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    // A mask of zeros leaves the content as it is.
    bytes.extend([0; 4]);
    bytes.extend(content);
    bytes
}

const CONTINUE: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A socket that asked for a stream and has its first message.
async fn upgraded(address: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = "GET /v1/stream HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
                upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut socket, &mut String::new(), "hello").await;
    socket
}

/// Sends `begin`, and then `again` and again without reading. Says how many bytes it got rid of.
async fn flood(mut socket: TcpStream, begin: &[u8], again: &[u8]) -> usize {
    let mut many = begin.to_vec();
    while many.len() < 64 * 1_024 {
        many.extend(again);
    }
    let mut sent = 0;
    while sent < FLOOD {
        match timeout(STALLED, socket.write(&many[sent % many.len()..])).await {
            Ok(Ok(written)) => sent += written,
            Ok(Err(_)) | Err(_) => return sent,
        }
    }
    sent
}

#[tokio::test]
async fn a_stream_whose_client_sends_without_end_is_ended() {
    let served = Served::new().await;
    let before = served.server.peak_memory();
    let codes: Vec<String> = (0..3_000).map(|code| format!("{code:06}")).collect();
    let many = json!({"op": "subscribe", "codes": codes}).to_string();
    let ping = json!({"op": "ping"}).to_string();
    let long = "x".repeat(60_000);
    let odd = json!({"op": "subscribe", "watchlist": long}).to_string();
    let kinds = [
        ("pings", vec![], frame(PING, true, &[7; 125])),
        ("empty pings", vec![], frame(PING, true, b"")),
        ("pongs", vec![], frame(PONG, true, &[7; 125])),
        ("operations", vec![], frame(TEXT, true, ping.as_bytes())),
        ("unknown codes", vec![], frame(TEXT, true, many.as_bytes())),
        ("a long name", vec![], frame(TEXT, true, odd.as_bytes())),
        ("nonsense", vec![], frame(TEXT, true, long.as_bytes())),
        ("empty texts", vec![], frame(TEXT, true, b"")),
        ("bytes", vec![], frame(BINARY, true, &[7; 1_000])),
        (
            "a message without end",
            frame(TEXT, false, b"x"),
            frame(CONTINUE, false, b"x"),
        ),
        (
            "a message of nothing",
            frame(TEXT, false, b""),
            frame(CONTINUE, false, b""),
        ),
        (
            "a large message",
            vec![],
            frame(TEXT, true, "x".repeat(1 << 20).as_bytes()),
        ),
        ("farewells", vec![], frame(CLOSE, true, b"")),
        ("reserved frames", vec![], frame(3, true, b"x")),
    ];
    for (kind, begin, again) in kinds {
        let sent = flood(upgraded(&served.address).await, &begin, &again).await;
        assert!(sent < FLOOD, "all {sent} bytes of {kind} were taken");
    }
    until("the streams have ended", async || {
        let status = get(&served.address, "/v1/status").await.json();
        (status["stream"]["connections"] == 0).then_some(())
    })
    .await;
    let grown = served.server.peak_memory() - before;
    assert!(grown < GROWTH, "the memory grew by {grown}");
}

/// Requests one behind the other on a connection, and events, of clients that read none of it.
#[tokio::test]
async fn answers_that_nobody_reads_do_not_pile_up() {
    let settings = [("SISE__API__REQUESTS_PER_SECOND", "0")];
    let served = Served::with(&settings).await;
    let before = served.server.peak_memory();
    let mut clients = Vec::new();
    for path in ["/v1/market", "/live", "/v1/openapi.json", "/v1/nothing"] {
        let socket = TcpStream::connect(&served.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        clients.push(tokio::spawn(async move {
            flood(socket, b"", request.as_bytes()).await
        }));
    }
    let mut events = Vec::new();
    for _ in 0..10 {
        let mut socket = TcpStream::connect(&served.address).await.unwrap();
        let head = "GET /v1/stream?all=1 HTTP/1.1\r\nhost: localhost\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        events.push(socket);
    }
    let wanted = codes(CODES);
    let mut connection = served.world.redis.connection().await;
    let template: Value = served.world.redis.realtime().await[&wanted[0]].clone();
    for round in 0..500 {
        let now = (sise::clock::system())().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let price = |code: &String| {
            let mut price = template.clone();
            price["stock_code"] = json!(code);
            price["price"] = json!(1_000 + round);
            price["fetched_at"] = json!(now);
            price
        };
        let prices: Vec<Value> = wanted.iter().map(price).collect();
        let change = json!({"prices": prices}).to_string();
        let _: i64 = connection.publish("sise:changes", change).await.unwrap();
    }
    for client in clients {
        let sent = client.await.unwrap();
        assert!(sent < FLOOD, "all {sent} bytes of requests were taken");
    }
    let grown = served.server.peak_memory() - before;
    assert!(grown < GROWTH, "the memory grew by {grown}");
    assert_eq!(get(&served.address, "/live").await.status, 200);
}

/// A connection from an address of this machine.
async fn connect_from(own: [u8; 4], address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((own, 0).into()).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}

/// Many prices for each of many connections, first of one client and then of ten, of which none reads.
#[tokio::test]
async fn large_answers_that_nobody_reads_are_bounded_in_bytes() {
    const MANY: usize = 500;
    const CONNECTIONS: usize = 128;
    let world = World::new(&["--limit", "0"]).await;
    let prices = |arguments: &[&str]| {
        let program = small(&world, arguments);
        let wanted = list::codes(MANY);
        let lines: Vec<String> = wanted.iter().map(|code| format!("{code},KOSPI")).collect();
        world.file("list.csv", &format!("code,market\n{}\n", lines.join("\n")));
        program.set("SISE__API__REQUESTS_PER_SECOND", "0")
    };
    prices(&["run", "--once"]).run().await.exits(0);
    let server = prices(&["serve"]).start();
    let address = server.health_address().await;
    let path = format!("/v1/prices?codes={}", list::codes(MANY).join(","));
    let answer = get(&address, &path).await;
    assert_eq!(answer.json()["prices"].as_array().unwrap().len(), MANY);
    let size = answer.body.len();
    assert!(size > 100_000, "{size}");
    let before = server.peak_memory();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut unread = Vec::new();
    let mut grown = Vec::new();
    for clients in [2..3, 3..12_u8] {
        for client in clients {
            for _ in 0..CONNECTIONS + 2 {
                let mut socket = connect_from([127, 0, 0, client], &address).await;
                // It may have been ended in favour of another already.
                let _ = socket.write_all(request.as_bytes()).await;
                unread.push(socket);
            }
        }
        // Whoever takes its answer gets it.
        let answer = get(&address, &path).await;
        assert!(answer.status == 200 && answer.body.len() > size / 2);
        grown.push(server.peak_memory() - before);
    }
    // 128 answers of one, 64 MB of all; and what the connections and the making of answers take.
    assert!(grown[0] < (48 << 20), "the memory grew by {grown:?}");
    assert!(grown[1] < (128 << 20), "the memory grew by {grown:?}");
}

/// Connections that begin a request and do not end it.
#[tokio::test]
async fn slow_connections_of_one_client_shut_out_nobody() {
    let served = Served::with(&[("SISE__API__CONNECTIONS", "100")]).await;
    let mut slow = Vec::new();
    for _ in 0..500 {
        let mut socket = TcpStream::connect(&served.address).await.unwrap();
        // It may have been ended in favour of another already.
        let _ = socket.write_all(b"GET /live HTTP/1.1\r\nhost: local").await;
        slow.push(socket);
        if slow.len() % 100 == 0 {
            for path in ["/live", "/ready", "/metrics", "/v1/indices"] {
                assert_eq!(get(&served.address, path).await.status, 200, "{path}");
            }
        }
    }
}

/// Where all connections are streams the last are kept for health.
#[tokio::test]
async fn the_last_connections_are_for_health() {
    let served = Served::with(&[("SISE__API__CONNECTIONS", "16")]).await;
    let mut streams = Vec::new();
    for _ in 0..14 {
        let mut socket = TcpStream::connect(&served.address).await.unwrap();
        let head = "GET /v1/stream?all=1 HTTP/1.1\r\nhost: localhost\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut socket, &mut String::new(), "event: hello").await;
        streams.push(socket);
    }
    for path in ["/live", "/ready", "/metrics"] {
        let answer = get(&served.address, path).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    for path in ["/v1/indices", "/v1/stream", "/"] {
        let refused = get(&served.address, path).await;
        refused.is_problem(429, "too-many-requests");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    // A stranger who asks for nothing takes these neither.
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(connect_from([127, 0, 0, 20], &served.address).await);
        for path in ["/live", "/ready", "/metrics"] {
            assert_eq!(get(&served.address, path).await.status, 200, "{path}");
        }
    }
    let status = get(&served.address, "/metrics").await;
    let status = String::from_utf8(status.body).unwrap();
    assert!(status.contains("sise_stream_connections 14\n"), "{status}");
    drop(streams);
    drop(idle);
    until("there is room again", async || {
        (get(&served.address, "/v1/indices").await.status == 200).then_some(())
    })
    .await;
}

/// Clients get no more connections than there are files for, less those that Redis and broker need.
#[tokio::test]
async fn files_are_kept_for_redis_and_broker() {
    let served = Served::new().await;
    let limited = small(&served.world, &["serve"]).with_files(128);
    let server = limited.start();
    let address = server.health_address().await;
    server.says(&["room for 64 connections", "16000"]).await;
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        let _ = socket.write_all(b"GET /live HTTP/1.1\r\n").await;
        slow.push(socket);
    }
    // The store is asked, and one that is not on the board the broker.
    assert_eq!(get(&address, "/ready").await.status, 200);
    let other = list::codes(CODES + 1).pop().unwrap();
    let price = get(&address, &format!("/v1/prices/{other}")).await;
    assert_eq!(price.json()["source"], "api");
    assert!(server.count(&["not accepted"]) <= 1, "{}", server.said());
    let found = small(&served.world, &["doctor", "--json"])
        .with_files(1_024)
        .run()
        .await;
    let checks: Value = serde_json::from_str(&found.stdout).unwrap();
    let checks = checks.as_array().unwrap();
    let files = checks
        .iter()
        .find(|check| check["name"] == "files")
        .unwrap();
    assert_eq!(files["verdict"], "warn", "{files}");
    assert!(files["mend"].as_str().unwrap().contains("16256"), "{files}");
}
