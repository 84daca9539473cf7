//! The roster of processes in Redis: one hash with a field for each process, each with its own
//! expiry.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Script};

use super::{RedisStore, writing};
use sise_domain::Presence;
use sise_port::{Roster, StoreError};

/// Beginning of every script. A field is an expiry in milliseconds, a blank, and the presence.
const NOW: &str = "local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function ends_at(text) return tonumber(string.match(text, '^(%d+) ')) or 0 end
";

/// Adds a process and removes expired ones. KEYS: the roster. ARGV: process, life in milliseconds,
/// presence.
static SIGN_IN: LazyLock<Script> = LazyLock::new(|| {
    let script = format!(
        "{NOW}
        local fields = redis.call('HGETALL', KEYS[1])
        for i = 1, #fields, 2 do
          if ends_at(fields[i + 1]) <= now then redis.call('HDEL', KEYS[1], fields[i]) end
        end
        local life = tonumber(ARGV[2])
        redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now + life) .. ARGV[3])
        redis.call('PEXPIRE', KEYS[1], math.max(life, redis.call('PTTL', KEYS[1])))"
    );
    writing("hash", &script)
});

/// Returns the presences that have not expired. KEYS: the roster.
static PRESENT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "{NOW}
        local present = {{}}
        for _, text in ipairs(redis.pcall('HVALS', KEYS[1])) do
          if ends_at(text) > now then
            present[#present + 1] = string.gsub(text, '^%d+ ', '')
          end
        end
        return present"
    ))
});

impl RedisStore {
    fn roster_key(&self) -> String {
        self.keys.own("processes")
    }
}

#[async_trait]
impl Roster for RedisStore {
    async fn sign_in(&self, presence: &Presence, life: Duration) -> Result<(), StoreError> {
        let text = serde_json::to_string(presence).map_err(|error| StoreError::Failed {
            store: self.link.address().to_owned(),
            trouble: format!("a presence cannot be encoded: {error}"),
        })?;
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let arguments = (presence.process.as_str(), life, text);
        let key = self.roster_key();
        self.link.eval(&SIGN_IN, &[&key], arguments).await
    }

    async fn sign_out(&self, process: &str) -> Result<(), StoreError> {
        let mut command = Cmd::new();
        command.arg("HDEL").arg(self.roster_key()).arg(process);
        self.link.ask(&command).await
    }

    async fn present(&self) -> Result<Vec<Presence>, StoreError> {
        let key = self.roster_key();
        let texts: Vec<Vec<u8>> = self.link.eval(&PRESENT, &[&key], None::<&str>).await?;
        let read = |text: &Vec<u8>| serde_json::from_slice::<Presence>(text).ok();
        let mut present: Vec<Presence> = texts.iter().filter_map(read).collect();
        present.sort_unstable_by(|a, b| a.process.cmp(&b.process));
        Ok(present)
    }
}
