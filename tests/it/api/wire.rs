//! HTTP and WebSocket as a client speaks them.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::PATIENCE;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(held, _)| held == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The names of its headers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Asserts that it is a problem document of this kind.
    pub(crate) fn is_problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let document = self.json();
        assert_eq!(document["status"], status);
        assert_eq!(document["type"], format!("/problems/{kind}"));
        assert!(!document["title"].as_str().unwrap().is_empty());
        assert!(!document["detail"].as_str().unwrap().is_empty());
        document
    }
}

/// Sends bytes and reads the answer; the connection is used once.
pub(crate) async fn send(address: &str, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses early may not read it all.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let _ = read.expect("an answer");
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let head = head.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&bytes)));
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    };
    Answer {
        status: status.parse().unwrap(),
        headers: lines.map(header).collect(),
        body: bytes[head + 4..].to_vec(),
    }
}

/// Reads from a connection that stays, until `text`, which is what was read so far, has a part.
pub(crate) async fn read_until(socket: &mut TcpStream, text: &mut String, part: &str) {
    let mut buffer = vec![0; 65_536];
    while !text.contains(part) {
        let read = timeout(PATIENCE, socket.read(&mut buffer)).await;
        let read = read.unwrap_or_else(|_| panic!("no '{part}' in {text}"));
        let read = read.unwrap();
        assert!(read > 0, "the stream ended: {text}");
        *text += &String::from_utf8_lossy(&buffer[..read]);
    }
}

/// A request with headers and a body.
pub(crate) async fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if !body.is_empty() {
        text += &format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    send(address, format!("{text}\r\n{body}").as_bytes()).await
}

pub(crate) async fn get(address: &str, path: &str) -> Answer {
    request(address, "GET", path, &[], "").await
}

/// A stream over a WebSocket.
pub(crate) struct Stream {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    seq: u64,
}

impl Stream {
    pub(crate) async fn open(address: &str, query: &str) -> Self {
        Self::by(format!("ws://{address}/v1/stream{query}").into_client_request()).await
    }

    /// As who has an access token.
    pub(crate) async fn open_with(address: &str, query: &str, token: &str) -> Self {
        let request = format!("ws://{address}/v1/stream{query}").into_client_request();
        let mut request = request.unwrap();
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        Self::by(Ok(request)).await
    }

    async fn by(request: tokio_tungstenite::tungstenite::Result<Request>) -> Self {
        let (socket, _) = connect_async(request.unwrap()).await.unwrap();
        let mut stream = Self { socket, seq: 0 };
        let hello = stream.next().await;
        assert_eq!(hello["type"], "hello");
        assert_eq!(hello["v"], 1);
        stream
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        let text = message.to_string();
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Whether it can still be said.
    pub(crate) async fn tries_to_say(&mut self, text: &str) -> bool {
        self.socket.send(Message::text(text)).await.is_ok()
    }

    /// The next message, whose number follows on the last.
    pub(crate) async fn next(&mut self) -> Value {
        let message = self.next_or_end(PATIENCE).await;
        message.expect("the stream goes on")
    }

    /// The next message; `None` where the server ends the stream, or says nothing for so long.
    pub(crate) async fn next_or_end(&mut self, patience: Duration) -> Option<Value> {
        loop {
            let message = timeout(patience, self.socket.next()).await.ok()??;
            match message.ok()? {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    self.seq += 1;
                    assert_eq!(message["seq"], self.seq, "{message}");
                    return Some(message);
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Waits for a message of a kind.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Reads on until every one of `codes` has come in a message of this kind; the last price of each.
    pub(crate) async fn prices_of(&mut self, kind: &str, codes: &[String]) -> Vec<i64> {
        let mut prices = vec![None; codes.len()];
        let patience = Instant::now() + PATIENCE;
        while prices.iter().any(Option::is_none) {
            let message = timeout_at(patience, self.next_of(kind)).await;
            let message = message.unwrap_or_else(|_| panic!("only {prices:?} of {codes:?}"));
            for price in message["prices"].as_array().unwrap() {
                let code = price["stock_code"].as_str().unwrap();
                let place = codes.iter().position(|held| held == code);
                prices[place.expect("a code that was asked for")] = price["price"].as_i64();
            }
        }
        prices.into_iter().flatten().collect()
    }
}
