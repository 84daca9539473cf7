//! Changes, published by Redis.
//!
//! They are published instead of kept in a stream. A listener that missed some reads the prices
//! anew in one round trip, so nothing is gained by keeping changes (`benches/changes.rs` compares
//! both).
//!
//! Pulses reveal a link that fell silent. They take the whole way: published over the store's
//! connection and received on the link.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use metrics::counter;
use redis::aio::{PubSub, PubSubStream};
use redis::{Cmd, Msg, RedisResult};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::RedisStore;
use super::link::Link;
use super::rights;
use crate::object::Decoder;
use sise_domain::{Alert, IndexQuote, Symbol};
use sise_net::supervisor::spawn_brief;
use sise_net::unique;
use sise_port::{Change, Changes, Heard, StoreError, WAITING};

/// Interval at which a link is tested.
const PULSE: Duration = Duration::from_secs(1);

/// A link without any message for this long counts as dropped.
const SILENCE: Duration = Duration::from_secs(3);

/// Pauses in milliseconds between attempts to connect, drawn anew each time.
const RETRY_MS: std::ops::RangeInclusive<u64> = 200..=1_000;

impl RedisStore {
    /// The channel on which changes are published.
    pub(super) fn channel(&self) -> String {
        self.link.channel()
    }

    /// Publishes a change after its write. A failure does not fail the write: listeners that miss
    /// the change read it a little later.
    pub(super) async fn tell_written(&self, change: Vec<u8>) {
        let publish = Cmd::publish(self.channel(), change);
        if let Err(error) = self.link.ask::<i64>(&publish).await {
            counter!("sise_changes_untold_total").increment(1);
            tracing::debug!(%error, "a change was not published");
        }
    }

    /// Records that a write was done but not published. Streams notice it up to ten seconds later.
    pub(super) fn untold(&self, said: &str) {
        counter!("sise_changes_untold_total").increment(1);
        match rights::of_script(said, self.link.keys()).as_deref() {
            // PUBLISH is the only command that can be meant.
            Some(rights::UNNAMED) => rights::note("+publish", self.address()),
            Some(right) => rights::note(right, self.address()),
            None => tracing::debug!(said, "a change was not published"),
        }
    }
}

#[async_trait]
impl Changes for RedisStore {
    fn listen(&self) -> mpsc::Receiver<Heard> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let channel = self.channel();
        let listener = Listener {
            link: Arc::clone(&self.link),
            pulses: format!("{channel}:pulse:{:016x}", unique::number()),
            channel,
            sender,
        };
        spawn_brief("listener", listener.run());
        receiver
    }

    async fn tell(&self, change: &Change) -> Result<(), StoreError> {
        let text = serde_json::to_string(change).map_err(|error| StoreError::Failed {
            store: self.link.address().to_owned(),
            trouble: format!("a change cannot be encoded: {error}"),
        })?;
        let publish = Cmd::publish(self.channel(), text);
        self.link.ask::<i64>(&publish).await.map(drop)
    }
}

/// Listens for one receiver, until that is gone.
struct Listener {
    link: Arc<Link>,
    channel: String,
    /// A channel for the pulses of this listener only.
    pulses: String,
    sender: mpsc::Sender<Heard>,
}

impl Listener {
    async fn run(self) {
        // Warns once, and once more after each time that something was received.
        let mut is_news = true;
        while !self.sender.is_closed() {
            let limit = self.link.limits().both();
            let outcome = match timeout(limit, self.subscribe()).await {
                Ok(Ok(channel)) => self.hear(channel.into_on_message(), &mut is_news).await,
                Ok(Err(error)) => Err(self.link.error(&error).to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            };
            if let Err(trouble) = outcome
                && std::mem::take(&mut is_news)
            {
                tracing::warn!(
                    "cannot listen for changes in the store, so streams are up to 10 s late; \
                     trying again: {trouble}"
                );
            }
            tokio::select! {
                () = sleep(Duration::from_millis(fastrand::u64(RETRY_MS))) => {}
                () = self.sender.closed() => {}
            }
        }
    }

    async fn subscribe(&self) -> RedisResult<PubSub> {
        let mut channel = self.link.listening().await?.get_async_pubsub().await?;
        channel.subscribe(&[&self.channel, &self.pulses]).await?;
        Ok(channel)
    }

    /// Passes on what is published, until the link drops or the receiver is gone.
    async fn hear(&self, mut messages: PubSubStream, is_news: &mut bool) -> Result<(), String> {
        // A link that does not deliver its own pulses does not deliver changes either.
        let mut has_begun = false;
        let mut pulses = interval(PULSE);
        pulses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        let trouble = loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => {
                        heard_at = Instant::now();
                        *is_news = true;
                        if !std::mem::replace(&mut has_begun, true)
                            && self.sender.send(Heard::Begin).await.is_err()
                        {
                            return Ok(());
                        }
                        if !self.hand_on(&message).await {
                            return Ok(());
                        }
                    }
                    None => break "the connection dropped",
                },
                _ = pulses.tick() => {
                    if heard_at.elapsed() >= SILENCE {
                        break "the connection fell silent";
                    }
                    let pulse = Cmd::publish(&self.pulses, "");
                    // A pulse that is not sent is not received, so the error needs no handling.
                    let _: Result<i64, StoreError> = self.link.ask(&pulse).await;
                }
                () = self.sender.closed() => return Ok(()),
            }
        };
        if has_begun {
            // Sent even if the receiver is behind.
            let _ = self.sender.send(Heard::Lost).await;
        }
        Err(trouble.to_owned())
    }

    /// Passes one message on; returns `false` if the receiver is gone.
    async fn hand_on(&self, message: &Msg) -> bool {
        if message.get_channel_name() != self.channel {
            return true;
        }
        let Some(change) = understood(message.get_payload_bytes()) else {
            // It may come from a newer version of sise, or from another program.
            tracing::debug!("ignored an unknown message on {}", self.channel);
            return true;
        };
        match self.sender.try_send(Heard::Change(change)) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                let told = self.sender.send(Heard::Lost).await;
                told.is_ok() && self.sender.send(Heard::Begin).await.is_ok()
            }
        }
    }
}

/// A message whose prices are not parsed yet.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message<'a> {
    #[serde(borrow)]
    Prices(Vec<&'a RawValue>),
    #[serde(borrow)]
    Closes(Vec<&'a RawValue>),
    Indices(Vec<IndexQuote>),
    Gap(Vec<Symbol>),
    Alert(Alert),
}

/// Returns the change in a message, or `None` if it is not a known one.
fn understood(text: &[u8]) -> Option<Change> {
    let quotes = |told: Vec<&RawValue>| {
        let mut decoder = Decoder::default();
        let quote = |object: &&RawValue| decoder.read_any(object.get().as_bytes());
        // All or nothing: a listener that missed one price of a change would not read it elsewhere.
        let quotes: Option<Vec<_>> = told.iter().map(quote).collect();
        Some(quotes?.into_iter().map(|quote| *quote).collect())
    };
    Some(match serde_json::from_slice(text).ok()? {
        Message::Prices(told) => Change::Prices(quotes(told)?),
        Message::Closes(told) => Change::Closes(quotes(told)?),
        Message::Indices(told) => Change::Indices(told),
        Message::Gap(told) => Change::Gap(told),
        Message::Alert(told) => Change::Alert(told),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::{Quote, Seoul};

    #[test]
    fn what_is_told_is_understood_and_what_is_not_known_is_nothing() {
        let at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        let codes = ["005930", "0126Z0"].map(|code| code.parse::<Symbol>().unwrap());
        let quotes = || codes.map(|code| Quote::sample(code, 70_000, at)).to_vec();
        for change in [
            Change::Prices(quotes()),
            Change::Closes(quotes()),
            Change::Prices(Vec::new()),
            Change::Gap(codes.to_vec()),
        ] {
            let text = serde_json::to_vec(&change).unwrap();
            assert_eq!(understood(&text), Some(change));
        }
        for text in [
            "",
            "{}",
            r#"{"prices":[{"stock_code":"005930"}]}"#,
            r#"{"prices":[1]}"#,
            r#"{"news":[]}"#,
        ] {
            assert_eq!(understood(text.as_bytes()), None, "{text}");
        }
    }
}
