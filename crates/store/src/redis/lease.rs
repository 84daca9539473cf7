//! Leases in Redis, each with a fencing token that only grows. The lease for sweeps belongs to the
//! store itself.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Script};

use super::{DELETE_OWN, RedisStore};
use sise_port::{Lead, Leader, Leadership, Standing, StoreError};

/// Campaigns for a lease. KEYS: the lease, the last lead. ARGV: process, life in milliseconds,
/// owner.
///
/// The owner identifies the holder, not the name alone: otherwise two processes with one name would
/// lead at once. A value that is not a lease of sise, or has lost its TTL, is replaced: otherwise
/// no process could ever lead again. A leader whose number is gone takes a new lead.
static CAMPAIGN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local function whole(text)
          local number = tonumber(type(text) == 'string' and text or '')
          return number and number >= 0 and number < 2^53 and number % 1 == 0 and number
        end
        local holder = redis.pcall('HMGET', KEYS[1], 'process', 'lead', 'since', 'owner')
        local last = redis.pcall('GET', KEYS[2])
        local is_held = whole(holder[2]) and whole(holder[3]) and redis.call('PTTL', KEYS[1]) >= 0
        if not is_held or (holder[4] == ARGV[3] and last ~= holder[2]) then
          local time = redis.call('TIME')
          local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
          -- Above every earlier number, even if Redis has lost its data.
          local lead = math.max((whole(last) or 0) + 1, (whole(holder[2]) or 0) + 1, now)
          local since = string.format('%.0f', math.floor(now / 1000))
          holder = { ARGV[1], string.format('%.0f', lead), since, ARGV[3] }
          redis.call('SET', KEYS[2], holder[2])
          redis.call('DEL', KEYS[1])
          redis.call('HSET', KEYS[1], 'process', holder[1], 'lead', holder[2], 'since', holder[3],
            'owner', holder[4])
        end
        local is_own = holder[4] == ARGV[3]
        if is_own then
          redis.call('PEXPIRE', KEYS[1], ARGV[2])
        end
        return { is_own and 1 or 0, holder[1], holder[2], holder[3] }",
    )
});

/// Name of the lease for sweeps.
const SWEEPS: &str = "lead";

/// A lease with another name than the one for sweeps.
#[derive(Clone)]
pub struct RedisLease {
    store: Arc<RedisStore>,
    name: &'static str,
}

impl RedisLease {
    /// Returns the lease called `name`.
    #[must_use]
    pub fn new(store: Arc<RedisStore>, name: &'static str) -> Self {
        Self { store, name }
    }
}

impl RedisStore {
    fn lease_key(&self, name: &str) -> String {
        // The braces keep both keys on one slot of a cluster.
        self.keys.own(&format!("{{{name}}}:lease"))
    }

    fn number_key(&self, name: &str) -> String {
        self.keys.own(&format!("{{{name}}}:number"))
    }

    /// Returns the key of the last lead given for sweeps.
    pub(super) fn lead_key(&self) -> String {
        self.number_key(SWEEPS)
    }

    /// Identifies a candidate on this store, even if one on another store has the same name.
    fn owner(&self, process: &str) -> String {
        format!("{process} {:016x}", self.lease_token)
    }

    async fn campaign_for(
        &self,
        name: &str,
        process: &str,
        life: Duration,
    ) -> Result<Standing, StoreError> {
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let (lease, number) = (self.lease_key(name), self.number_key(name));
        let (is_own, process, lead, since): (bool, String, u64, i64) = self
            .link
            .eval(
                &CAMPAIGN,
                &[&lease, &number],
                (process, life, self.owner(process)),
            )
            .await?;
        let holder = leader((process, lead, since));
        Ok(match is_own {
            true => Standing::Leading(holder),
            false => Standing::Following(holder),
        })
    }

    async fn resign_from(&self, name: &str, process: &str) -> Result<(), StoreError> {
        let script = &DELETE_OWN;
        let key = self.lease_key(name);
        let owner = self.owner(process);
        self.link.eval(script, &[&key], ("owner", owner)).await
    }

    async fn holder_of(&self, name: &str) -> Result<Option<Leader>, StoreError> {
        let mut command = Cmd::new();
        command
            .arg("HMGET")
            .arg(self.lease_key(name))
            .arg(&["process", "lead", "since"]);
        let holder: (Option<String>, Option<u64>, Option<i64>) =
            self.link.ask_own(&command).await?;
        Ok(match holder {
            (Some(process), Some(lead), Some(since)) => Some(leader((process, lead, since))),
            _ => None,
        })
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
        self.campaign_for(SWEEPS, process, life).await
    }

    async fn resign(&self, process: &str) -> Result<(), StoreError> {
        self.resign_from(SWEEPS, process).await
    }

    async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        self.holder_of(SWEEPS).await
    }
}

#[async_trait]
impl Leadership for RedisLease {
    async fn campaign(&self, process: &str, life: Duration) -> Result<Standing, StoreError> {
        self.store.campaign_for(self.name, process, life).await
    }

    async fn resign(&self, process: &str) -> Result<(), StoreError> {
        self.store.resign_from(self.name, process).await
    }

    async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        self.store.holder_of(self.name).await
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
