//! WebSocket connection of a session.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::UrlError;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::binary::AsBinary;
use sise_domain::SIMULATOR_HEADER;

/// Time limit for connecting, and for sending a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time limit for closing. The broker does not wait for the end of a closing handshake, nor does a
/// shutdown here.
const CLOSING: Duration = Duration::from_millis(500);

/// Size limit of a message. A frame of a hundred trades has about forty thousand bytes.
const LARGEST_MESSAGE: usize = 1 << 20;

/// Opens connections.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Opens a new connection.
    ///
    /// # Errors
    ///
    /// Returns the reason as text if no connection could be made in time.
    async fn dial(&self) -> Result<Box<dyn Socket>, String>;
}

/// A connection that carries messages both ways.
#[async_trait]
pub trait Socket: Send {
    /// Sends a text.
    ///
    /// # Errors
    ///
    /// Returns the reason as text if the connection is gone or accepts nothing.
    async fn send(&mut self, text: String) -> Result<(), String>;

    /// Returns the next message; `None` after the last. It is cancel safe: no message is lost.
    ///
    /// # Errors
    ///
    /// Returns the reason as text if the connection broke.
    async fn receive(&mut self) -> Result<Option<Incoming>, String>;

    /// Returns whether a simulated broker is at the other end.
    fn is_simulated(&self) -> bool;

    /// Closes the connection properly, so that the broker does not take it for a live one.
    async fn close(&mut self);
}

/// An incoming message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A message.
    Text(String),
    /// A heartbeat.
    Sign,
}

/// Opens connections to the broker's WebSocket.
#[derive(Debug, Clone)]
pub struct WebSocket {
    address: String,
}

impl WebSocket {
    /// Creates a dialer for `address`, `ws://host:port/path`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
        }
    }
}

#[async_trait]
impl Dial for WebSocket {
    async fn dial(&self) -> Result<Box<dyn Socket>, String> {
        match timeout(PATIENCE, connect(&self.address)).await {
            Ok(Ok((stream, answer))) => Ok(Box::new(Open {
                stream,
                is_simulated: answer.headers().contains_key(SIMULATOR_HEADER),
            })),
            Ok(Err(error)) => Err(format!("{}: {error}", self.address)),
            Err(_) => Err(format!("{}: connecting timed out", self.address)),
        }
    }
}

type Stream = WebSocketStream<AsBinary<TcpStream>>;

async fn connect(address: &str) -> Result<(Stream, Response), Error> {
    let config = WebSocketConfig::default()
        .read_buffer_size(64 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(LARGEST_MESSAGE)
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    let request = address.into_client_request()?;
    let uri = request.uri();
    if uri.scheme_str() != Some("ws") {
        return Err(Error::Url(UrlError::UnsupportedUrlScheme));
    }
    let host = uri.host().ok_or(Error::Url(UrlError::NoHostName))?;
    let place = format!("{host}:{}", uri.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(place).await?;
    stream.set_nodelay(true)?;
    client_async_with_config(request, AsBinary::new(stream), Some(config)).await
}

struct Open {
    stream: Stream,
    is_simulated: bool,
}

#[async_trait]
impl Socket for Open {
    async fn send(&mut self, text: String) -> Result<(), String> {
        match timeout(PATIENCE, self.stream.send(Message::text(text))).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("the connection accepts no messages".to_owned()),
        }
    }

    async fn receive(&mut self) -> Result<Option<Incoming>, String> {
        Ok(match self.stream.next().await {
            None | Some(Ok(Message::Close(_))) => None,
            Some(Ok(Message::Text(text))) => Some(Incoming::Text(text.as_str().to_owned())),
            // An invalid byte affects only its own field.
            Some(Ok(Message::Binary(bytes))) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Some(Incoming::Text(text))
            }
            // The library answers pings itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                Some(Incoming::Sign)
            }
            Some(Err(error)) => return Err(error.to_string()),
        })
    }

    fn is_simulated(&self) -> bool {
        self.is_simulated
    }

    async fn close(&mut self) {
        let closing = async {
            if self.stream.close(None).await.is_ok() {
                while let Some(Ok(_)) = self.stream.next().await {}
            }
        };
        let _ = timeout(CLOSING, closing).await;
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_text_with_a_damaged_byte_does_not_end_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}/tryitout", listener.local_addr().unwrap());
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = tokio_tungstenite::accept_async(stream).await.unwrap();
            let raw = stream.get_mut();
            for frame in [
                b"\x81\x05a^\xff^b".as_slice(),
                b"\x81\x03a^b",
                // Fragmented, with damage at the start, in the middle and across fragments.
                b"\x01\x02\xffa\x00\x02\xff^\x80\x02\xeab",
                b"\x89\x00",
                b"\x81\x03\xea\xb0\x80",
            ] {
                raw.write_all(frame).await.unwrap();
            }
            stream.close(None).await.unwrap();
            // Lets the other side read everything before the connection ends.
            while let Some(Ok(_)) = stream.next().await {}
        };
        let receiving = async {
            let mut socket = WebSocket::new(&address).dial().await.unwrap();
            let mut received = Vec::new();
            while let Some(incoming) = socket.receive().await.unwrap() {
                received.push(incoming);
            }
            received
        };
        let ((), received) = tokio::join!(serving, receiving);
        let text = |text: &str| Incoming::Text(text.to_owned());
        let expected = [
            text("a^\u{fffd}^b"),
            text("a^b"),
            text("\u{fffd}a\u{fffd}^\u{fffd}b"),
            Incoming::Sign,
            text("가"),
        ];
        assert_eq!(received, expected);
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_said() {
        for address in ["wss://127.0.0.1:1/", "http://127.0.0.1:1/", "x"] {
            let said = WebSocket::new(address).dial().await.err().unwrap();
            assert!(said.starts_with(address), "{said}");
        }
    }
}
