//! The lead in Redis: one lease, and a number that only grows.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Script};

use super::{DELETE_OWN, RedisStore};
use crate::port::{Lead, Leader, Leadership, Standing, StoreError};

/// KEYS: the lease, the last lead. ARGV: process, life in milliseconds.
///
/// What stands under the keys but is no lease of sise's, or lost its end, is written over: else
/// nobody would ever lead again. A leader whose number is gone takes a new lead.
static CAMPAIGN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local function whole(text)
          local number = tonumber(type(text) == 'string' and text or '')
          return number and number >= 0 and number < 2^53 and number % 1 == 0 and number
        end
        local holder = redis.pcall('HMGET', KEYS[1], 'process', 'lead', 'since')
        local last = redis.pcall('GET', KEYS[2])
        local is_held = whole(holder[2]) and whole(holder[3]) and redis.call('PTTL', KEYS[1]) >= 0
        if not is_held or (holder[1] == ARGV[1] and last ~= holder[2]) then
          local time = redis.call('TIME')
          local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
          -- Above every number before it, even where Redis came back empty.
          local lead = math.max((whole(last) or 0) + 1, (whole(holder[2]) or 0) + 1, now)
          local since = string.format('%.0f', math.floor(now / 1000))
          holder = { ARGV[1], string.format('%.0f', lead), since }
          redis.call('SET', KEYS[2], holder[2])
          redis.call('DEL', KEYS[1])
          redis.call('HSET', KEYS[1], 'process', holder[1], 'lead', holder[2], 'since', holder[3])
        end
        if holder[1] == ARGV[1] then
          redis.call('PEXPIRE', KEYS[1], ARGV[2])
        end
        return holder",
    )
});

impl RedisStore {
    fn lease_key(&self) -> String {
        // The braces keep both keys on one slot of a cluster.
        self.keys.own("{lead}:lease")
    }

    /// Where the last lead that was given stands.
    pub(super) fn lead_key(&self) -> String {
        self.keys.own("{lead}:number")
    }
}

fn leader((process, lead, since): (String, u64, i64)) -> Leader {
    Leader {
        process,
        lead: Lead(lead),
        since_ms: since,
    }
}

#[async_trait]
impl Leadership for RedisStore {
    async fn campaign(&self, process: &str, life: Duration) -> Result<Standing, StoreError> {
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let keys = [self.lease_key(), self.lead_key()];
        let [lease, lead] = &keys;
        let holder = self
            .link
            .eval(&CAMPAIGN, &[lease, lead], (process, life))
            .await
            .map(leader)?;
        Ok(if holder.process == process {
            Standing::Leading(holder)
        } else {
            Standing::Following(holder)
        })
    }

    async fn resign(&self, process: &str) -> Result<(), StoreError> {
        let script = &DELETE_OWN;
        let key = self.lease_key();
        self.link.eval(script, &[&key], ("process", process)).await
    }

    async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        let mut command = Cmd::new();
        command
            .arg("HMGET")
            .arg(self.lease_key())
            .arg(&["process", "lead", "since"]);
        let holder: (Option<String>, Option<u64>, Option<i64>) =
            self.link.ask_own(&command).await?;
        Ok(match holder {
            (Some(process), Some(lead), Some(since)) => Some(leader((process, lead, since))),
            _ => None,
        })
    }
}
