//! Changes, published by Redis.
//!
//! Published, not kept in a stream: what is missed is read anew in one round trip, because it stands
//! under the prices' own keys, so that nothing is gained by keeping it (`benches/changes.rs` compares
//! both). A link that fell silent is found out by pulses that go all the way: published over the
//! store's connection, and heard on the link.

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

/// How often a link is tried.
const PULSE: Duration = Duration::from_secs(1);

/// A link on which nothing is heard for so long has dropped.
const SILENCE: Duration = Duration::from_secs(3);

/// Pauses between attempts to make a link, drawn anew each time.
const RETRY_MS: std::ops::RangeInclusive<u64> = 200..=1_000;

impl RedisStore {
    /// The channel on which changes are told.
    pub(super) fn channel(&self) -> String {
        self.link.channel()
    }

    /// Tells of a change whose write is done. Whoever does not hear of it reads it a little later, so
    /// that a failure is none of the write's.
    pub(super) async fn tell_written(&self, change: Vec<u8>) {
        let publish = Cmd::publish(self.channel(), change);
        if let Err(error) = self.link.ask::<i64>(&publish).await {
            counter!("sise_changes_untold_total").increment(1);
            tracing::debug!(%error, "what was written is not told of");
        }
    }

    /// A write was done and is not told of: streams come to know of it up to ten seconds later.
    pub(super) fn untold(&self, said: &str) {
        counter!("sise_changes_untold_total").increment(1);
        match rights::of_script(said, self.link.keys()).as_deref() {
            // Nothing but PUBLISH was asked for.
            Some(rights::UNNAMED) => rights::note("+publish", self.address()),
            Some(right) => rights::note(right, self.address()),
            None => tracing::debug!(said, "what was written is not told of"),
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

/// Listens for one receiver, until it is gone.
struct Listener {
    link: Arc<Link>,
    channel: String,
    /// A channel of its own, on which it hears its own pulses.
    pulses: String,
    sender: mpsc::Sender<Heard>,
}

impl Listener {
    async fn run(self) {
        // Said once, and once more each time after something was heard.
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
                    "changes in the store are not heard, so that streams are up to 10 s late; \
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

    /// Hands on what is published, until the link drops or the receiver is gone.
    async fn hear(&self, mut messages: PubSubStream, is_news: &mut bool) -> Result<(), String> {
        // Whoever hears nothing, not even its own pulses, does not hear of changes either.
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
                    // Pulses that are not sent are not heard either.
                    let _: Result<i64, StoreError> = self.link.ask(&pulse).await;
                }
                () = self.sender.closed() => return Ok(()),
            }
        };
        if has_begun {
            // The receiver is told also where it is behind.
            let _ = self.sender.send(Heard::Lost).await;
        }
        Err(trouble.to_owned())
    }

    /// Hands one message on; `false` where the receiver is gone.
    async fn hand_on(&self, message: &Msg) -> bool {
        if message.get_channel_name() != self.channel {
            return true;
        }
        let Some(change) = understood(message.get_payload_bytes()) else {
            // A newer sise may tell of what this one does not know, and another program of anything.
            tracing::debug!("a message on {} is not understood", self.channel);
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

/// A message, its prices still as they stand in it.
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

/// The change that a message tells of; `None` if it is none that is known here.
fn understood(text: &[u8]) -> Option<Change> {
    let quotes = |told: Vec<&RawValue>| {
        let mut decoder = Decoder::default();
        let quote = |object: &&RawValue| decoder.read_any(object.get().as_bytes());
        // As a whole: who misses one price of it reads it nowhere else.
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
