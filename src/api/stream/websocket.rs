//! A stream over a WebSocket.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::SEC_WEBSOCKET_PROTOCOL;
use axum::response::Response;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::frames::Counted;
use super::subscriber::{Over, Subscriber, TAKEN_WITHIN};
use crate::api::problem::{Kind, Problem};
use sise_net::supervisor::spawn_brief;

/// The subprotocol: the version of the messages.
const PROTOCOL: &str = "sise.v1";

/// Largest message of a client, in bytes.
const LARGEST: usize = 64 * 1024;

/// Size of the read buffer, in bytes: operations are short, and there are thousands of streams.
const READ_BUFFER: usize = 1024;

/// Maximum bytes waiting to be sent, far more than the largest message.
const UNSENT: usize = 1 << 20;

/// Longest time to send the close frame, so that a client that reads nothing does not hold it up.
const FAREWELL: Duration = Duration::from_millis(100);

type Socket = WebSocketStream<Counted<TokioIo<Upgraded>>>;

/// Why a stream ended.
enum End {
    /// The client disconnected.
    Gone,
    /// The client stopped reading.
    Slow,
    /// The client sent too much.
    Flood,
    /// The server ends it.
    Over(Over),
}

impl End {
    fn of(error: &Error) -> Self {
        match error {
            Error::Io(error) if error.kind() == io::ErrorKind::QuotaExceeded => Self::Flood,
            // The system's TCP timeout also ends a connection that reads nothing.
            Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::Slow,
            Error::WriteBufferFull(_) => Self::Slow,
            _ => Self::Gone,
        }
    }
}

/// Answers an upgrade request, and then serves the stream on its connection.
pub(super) fn upgrade(mut request: Request, subscriber: Subscriber) -> Result<Response, Problem> {
    let mut response = create_response_with_body(&request, Body::empty)
        .map_err(|error| Kind::BadRequest.because(error.to_string()))?;
    let wanted = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut wanted = wanted.filter_map(|names| names.to_str().ok());
    if wanted.any(|names| names.split(',').any(|name| name.trim() == PROTOCOL)) {
        let protocol = HeaderValue::from_static(PROTOCOL);
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let upgraded = hyper::upgrade::on(&mut request);
    // Boxed, because every future that it passes through would otherwise reserve space for it.
    let subscriber = Box::new(subscriber);
    spawn_brief("stream", async move {
        match upgraded.await {
            Ok(upgraded) => run(upgraded, subscriber).await,
            Err(error) => tracing::debug!(%error, "a connection did not become a stream"),
        }
    });
    Ok(response)
}

/// Serves a stream until client or server end it.
async fn run(upgraded: Upgraded, mut subscriber: Box<Subscriber>) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(UNSENT)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let connection = Counted::new(TokioIo::new(upgraded));
    let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await;
    let end = exchange(&mut socket, &mut subscriber).await;
    let (reason, frame) = match end {
        End::Gone => ("gone", None),
        End::Slow => (
            "slow",
            Some((CloseCode::Policy, "messages were not taken in time")),
        ),
        End::Flood => ("flood", Some((CloseCode::Policy, "too many messages"))),
        End::Over(over @ Over::Stopped) => {
            (over.as_str(), Some((CloseCode::Away, "the server stops")))
        }
        End::Over(over @ Over::Expired) => (
            over.as_str(),
            Some((CloseCode::Policy, "the access token has ended")),
        ),
    };
    subscriber.ends(reason);
    let frame = frame.map(|(code, words)| CloseFrame {
        code,
        reason: words.into(),
    });
    // A client that reads nothing does not read this either.
    let _ = timeout(FAREWELL, socket.close(frame)).await;
}

async fn exchange(socket: &mut Socket, subscriber: &mut Subscriber) -> End {
    loop {
        let hears = !subscriber.has_answers();
        tokio::select! {
            message = subscriber.next() => {
                let message = match message {
                    Ok(message) => message,
                    Err(over) => return End::Over(over),
                };
                let message = Message::Text(message.json.into());
                if let Err(end) = taken(socket.send(message)).await {
                    return end;
                }
            }
            heard = socket.next(), if hears => match heard {
                Some(Ok(Message::Text(text))) => subscriber.hear(&text).await,
                Some(Ok(Message::Binary(_))) => subscriber.hear("").await,
                Some(Ok(Message::Ping(_))) => {
                    // The answer is sent below, before more is read.
                    if let Err(end) = taken(socket.flush()).await {
                        return end;
                    }
                }
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return End::of(&error),
                Some(Ok(Message::Close(_))) | None => return End::Gone,
            },
        }
    }
}

/// Waits until the client takes what was sent.
async fn taken(sending: impl Future<Output = Result<(), Error>>) -> Result<(), End> {
    match timeout(TAKEN_WITHIN, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::of(&error)),
        Err(_) => Err(End::Slow),
    }
}
