//! A stream over a WebSocket.

use std::error::Error;
use std::io;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::timeout;

use super::subscriber::{Over, Subscriber, TAKEN_WITHIN};

/// Operations of a client in a second, twice as many in a burst.
const OPERATIONS: std::num::NonZeroU32 = match std::num::NonZeroU32::new(20) {
    Some(rate) => rate,
    None => std::num::NonZeroU32::MIN,
};

/// Why a stream ended.
enum End {
    /// The client went.
    Gone,
    /// The client took nothing any more.
    Slow,
    /// The client asked too much.
    Flood,
    /// The server ends it.
    Over(Over),
}

impl End {
    /// The connection broke off: the system too gives up a client that takes nothing.
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let error_of_system = error.downcast_ref::<io::Error>();
            if error_of_system.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                return Self::Slow;
            }
            cause = error.source();
        }
        Self::Gone
    }
}

/// Serves a stream until client or server end it.
pub(super) async fn run(mut socket: WebSocket, mut subscriber: Subscriber) {
    let end = exchange(&mut socket, &mut subscriber).await;
    let (reason, code, words) = match end {
        End::Gone => return subscriber.ends("gone"),
        End::Slow => (
            "slow",
            close_code::POLICY,
            "messages were not taken in time",
        ),
        End::Flood => ("flood", close_code::POLICY, "too many operations"),
        End::Over(over @ Over::Stopped) => (over.as_str(), close_code::AWAY, "the server stops"),
        End::Over(over @ Over::Expired) => (
            over.as_str(),
            close_code::POLICY,
            "the access token has ended",
        ),
    };
    subscriber.ends(reason);
    let frame = CloseFrame {
        code,
        reason: words.into(),
    };
    // Whoever takes nothing does not take this either.
    let _ = timeout(
        Duration::from_millis(100),
        socket.send(Message::Close(Some(frame))),
    )
    .await;
}

async fn exchange(socket: &mut WebSocket, subscriber: &mut Subscriber) -> End {
    let quota = Quota::per_second(OPERATIONS).allow_burst(OPERATIONS.saturating_add(20));
    let mut operations: Option<Box<DefaultDirectRateLimiter>> = None;
    loop {
        tokio::select! {
            message = subscriber.next() => {
                let message = match message {
                    Ok(message) => message,
                    Err(over) => return End::Over(over),
                };
                match timeout(TAKEN_WITHIN, socket.send(Message::Text(message.json.into()))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return End::of(&error),
                    Err(_) => return End::Slow,
                }
            }
            heard = socket.recv() => match heard {
                Some(Ok(Message::Text(text))) => {
                    let operations =
                        operations.get_or_insert_with(|| Box::new(RateLimiter::direct(quota)));
                    if operations.check().is_err() || !subscriber.hear(&text).await {
                        return End::Flood;
                    }
                }
                // Pings are answered below.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_))) => {
                    if !subscriber.hear("").await {
                        return End::Flood;
                    }
                }
                Some(Err(error)) => return End::of(&error),
                Some(Ok(Message::Close(_))) | None => return End::Gone,
            },
        }
    }
}
