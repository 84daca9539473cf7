//! The connection of a session.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::domain::SIMULATOR_HEADER;

/// Longest wait for a connection, and for a message to leave.
const PATIENCE: Duration = Duration::from_secs(5);

/// The broker does not wait for the end of a closing handshake, nor does who stops.
const CLOSING: Duration = Duration::from_millis(500);

/// A frame of a hundred trades has some forty thousand bytes; what is much longer is none.
const LARGEST_MESSAGE: usize = 1 << 20;

/// Makes connections.
#[async_trait]
pub trait Dial: Send + Sync {
    /// A new connection.
    ///
    /// # Errors
    ///
    /// There is none to be had in time; the words for it.
    async fn dial(&self) -> Result<Box<dyn Socket>, String>;
}

/// A connection that carries messages both ways.
#[async_trait]
pub trait Socket: Send {
    /// Sends a text.
    ///
    /// # Errors
    ///
    /// The connection is gone, or takes nothing; the words for it.
    async fn send(&mut self, text: String) -> Result<(), String>;

    /// The next message; `None` after the last. Nothing is lost where the wait for it is given up.
    ///
    /// # Errors
    ///
    /// The connection broke; the words for it.
    async fn receive(&mut self) -> Result<Option<Incoming>, String>;

    /// Whether a simulated broker is at the other end.
    fn is_simulated(&self) -> bool;

    /// Ends the connection in order, so that the broker does not take it for one that lasts.
    async fn close(&mut self);
}

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A message.
    Text(String),
    /// A sign of life.
    Sign,
}

/// Connections to the broker's WebSocket.
#[derive(Debug, Clone)]
pub struct WebSocket {
    address: String,
}

impl WebSocket {
    /// Connects to `address`, `ws://host:port/path`.
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
        let config = WebSocketConfig::default()
            .read_buffer_size(64 << 10)
            .write_buffer_size(0)
            .max_write_buffer_size(LARGEST_MESSAGE)
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let connecting = connect_async_with_config(self.address.as_str(), Some(config), true);
        match timeout(PATIENCE, connecting).await {
            Ok(Ok((stream, answer))) => Ok(Box::new(Open {
                stream,
                is_simulated: answer.headers().contains_key(SIMULATOR_HEADER),
            })),
            Ok(Err(error)) => Err(format!("{}: {error}", self.address)),
            Err(_) => Err(format!("{}: no connection in time", self.address)),
        }
    }
}

struct Open {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    is_simulated: bool,
}

#[async_trait]
impl Socket for Open {
    async fn send(&mut self, text: String) -> Result<(), String> {
        match timeout(PATIENCE, self.stream.send(Message::text(text))).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("it takes no messages".to_owned()),
        }
    }

    async fn receive(&mut self) -> Result<Option<Incoming>, String> {
        Ok(match self.stream.next().await {
            None | Some(Ok(Message::Close(_))) => None,
            Some(Ok(Message::Text(text))) => Some(Incoming::Text(text.as_str().to_owned())),
            Some(Ok(Message::Binary(bytes))) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Some(Incoming::Text(text))
            }
            // The library answers pings by itself.
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
