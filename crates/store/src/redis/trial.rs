//! Checks that Redis is of the kind that its address says, and that a price passes through it.

use std::collections::HashMap;
use std::time::Duration;

use chrono::SecondsFormat;
use futures_util::StreamExt as _;
use redis::{Cmd, Value};
use serde_json::json;
use tokio::time::timeout;

use super::RedisStore;
use super::link::NODE;
use sise_domain::KrxTime;
use sise_port::{CacheKeys as _, StoreError};

/// Takes the place of a stock code; no reader accepts it as one.
const NAME: &str = "sise-trial";

/// Life of the price in milliseconds, in case it cannot be deleted.
const LIFE: u64 = 10_000;

/// What a server tells any client about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Version of the server.
    pub version: String,
    /// `standalone`, `cluster` or `sentinel`.
    pub mode: String,
}

/// Result of a write and a read of a test price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Whether the price was read as it was written.
    pub is_read: bool,
    /// Whether the change was received.
    pub is_heard: bool,
}

impl RedisStore {
    /// Asks the server for version and mode, which needs no right.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis is unreachable or refuses.
    pub async fn greet(&self) -> Result<Greeting, StoreError> {
        let answers: Result<Vec<HashMap<String, Value>>, _> =
            self.link.ask_all(&redis::cmd("HELLO")).await;
        let mut answers = match answers {
            Ok(answers) => answers,
            // Redis before 6.2 does not accept HELLO without arguments.
            Err(StoreError::Failed { .. }) => {
                let version = self.health().await?.version;
                let mode = "standalone".to_owned();
                return Ok(Greeting { version, mode });
            }
            Err(error) => return Err(error),
        };
        let mut answer = answers.pop().unwrap_or_default();
        let mut text = |name: &str| match answer.remove(name) {
            Some(Value::BulkString(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            Some(Value::SimpleString(text)) => text,
            _ => String::new(),
        };
        Ok(Greeting {
            version: text("version"),
            mode: text("mode"),
        })
    }

    /// Checks that Redis is of the kind that its address says. Otherwise it might answer and store
    /// nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if it is of another kind, is unreachable, or refuses.
    pub async fn check_kind(&self) -> Result<(), StoreError> {
        let mode = self.greet().await?.mode;
        let (trouble, mend) = match mode.as_str() {
            "cluster" if !self.link.is_cluster() => NODE,
            "sentinel" => (
                "it is a sentinel",
                "write redis-sentinel://host:port/MASTER in REDIS_URL",
            ),
            _ => return Ok(()),
        };
        Err(StoreError::Refused {
            store: self.address().to_owned(),
            trouble: trouble.to_owned(),
            mend,
        })
    }

    /// Writes a price as sweeps do, reads it as readers do, listens as streams do, and deletes it.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis is unreachable or refuses.
    pub async fn trial(&self, now: KrxTime) -> Result<Trial, StoreError> {
        let listening = async {
            let mut link = self.link.listening().await?.get_async_pubsub().await?;
            link.subscribe(self.channel()).await?;
            Ok(link)
        };
        let listening: Result<Result<_, redis::RedisError>, _> =
            timeout(self.link.limits().both(), listening).await;
        let key = self.keys.within(&format!("realtime:price:{NAME}"));
        let object = json!({
            "stock_code": NAME, "stock_name": "", "price": 1,
            "timestamp": now.format("%Y-%m-%dT%H:%M:%S").to_string(),
            "fetched_at": now.to_rfc3339_opts(SecondsFormat::Millis, false),
        })
        .to_string()
        .into_bytes();
        self.put(&[(key.clone(), object.clone())], LIFE, "trial", None)
            .await?;
        let mut get = Cmd::new();
        get.arg("MGET").arg(&key);
        let read: Vec<Option<Vec<u8>>> = self.link.ask(&get).await?;
        let () = self.link.ask(&Cmd::del(&key)).await?;
        let is_heard = match listening {
            Ok(Ok(link)) => {
                let mut messages = link.into_on_message();
                let heard = async {
                    while let Some(message) = messages.next().await {
                        if message.get_payload_bytes().starts_with(b"{\"trial\"") {
                            return true;
                        }
                    }
                    false
                };
                let limit = self.link.limits().response.max(Duration::from_secs(1));
                timeout(limit, heard).await.unwrap_or(false)
            }
            _ => false,
        };
        Ok(Trial {
            is_read: read == [Some(object)],
            is_heard,
        })
    }
}
