//! The ban of an app key in Redis.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Script};

use super::RedisStore;
use sise_domain::BanRecord;
use sise_port::{BanStore, StoreError};

/// Deletes a text if it names the caller. KEYS: the text. ARGV: owner.
static DELETE_OWN_TEXT: LazyLock<Script> = LazyLock::new(|| {
    Script::new("if redis.pcall('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")
});

/// Claims the right to try. KEYS: the right. ARGV: process, life in milliseconds. Returns whether
/// it was granted.
///
/// A key without a TTL is not from sise and is replaced. Otherwise no process could ever try again.
static CLAIM_TRIAL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('PTTL', KEYS[1]) >= 0 then return 0 end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return 1",
    )
});

/// The ban of one app key.
pub struct RedisBans {
    store: Arc<RedisStore>,
    ban: String,
    trial: String,
}

impl RedisBans {
    /// Returns the ban of the app key called `identity` in `store`.
    #[must_use]
    pub fn new(store: Arc<RedisStore>, identity: &str) -> Self {
        Self {
            ban: store.keys.own(&format!("ban:{identity}")),
            trial: store.keys.own(&format!("ban:{identity}:trial")),
            store,
        }
    }
}

fn millis(life: Duration) -> u64 {
    // Redis does not accept a life of zero.
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[async_trait]
impl BanStore for RedisBans {
    async fn load(&self) -> Result<Option<BanRecord>, StoreError> {
        let text: Option<Vec<u8>> = self.store.link.ask_own(&Cmd::get(&self.ban)).await?;
        // A record that cannot be read counts as missing.
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    async fn save(&self, record: &BanRecord, life: Duration) -> Result<(), StoreError> {
        let text = serde_json::to_string(record).unwrap_or_default();
        let command = Cmd::pset_ex(&self.ban, text, millis(life));
        self.store.link.ask(&command).await
    }

    async fn claim_trial(&self, process: &str, life: Duration) -> Result<bool, StoreError> {
        let link = &self.store.link;
        link.eval(&CLAIM_TRIAL, &[&self.trial], (process, millis(life)))
            .await
    }

    async fn unclaim_trial(&self, process: &str) -> Result<(), StoreError> {
        let link = &self.store.link;
        link.eval(&DELETE_OWN_TEXT, &[&self.trial], (process,))
            .await
    }
}

impl fmt::Debug for RedisBans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBans")
            .field("ban", &self.ban)
            .finish_non_exhaustive()
    }
}
