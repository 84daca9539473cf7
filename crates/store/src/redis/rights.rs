//! Rights that a Redis user needs, and those that the user of this process lacks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use metrics::gauge;
use redis::{Cmd, RedisError, Script};
use tokio::time::{Instant, timeout};

use super::RedisStore;
use super::link::Link;
use crate::Keys;
use sise_net::unique;
use sise_port::StoreError;

/// Remedy for a missing right.
pub(super) const MEND: &str =
    "grant it with ACL SETUSER; docs/operation.md has one line with all rights that sise needs";

/// Age at which missing rights are checked again when asked for.
const LOOK_ANEW: Duration = Duration::from_secs(5);

/// Placeholder for a right that Redis does not name.
pub(super) const UNNAMED: &str = "a command of its scripts";

/// What a right is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Without it, no price is written.
    Prices,
    /// Without it, changes are noticed up to ten seconds late.
    Changes,
    /// Without it, the memory use of Redis is unknown.
    Memory,
    /// Without it, other parts do not work: event log, alerts, watch lists, sessions, rankings,
    /// cache.
    Others,
}

/// A right that the user lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// In the notation of `ACL SETUSER`: `+publish`, `~realtime:*`, `&sise:*`.
    pub right: String,
    /// What the right is needed for.
    pub need: Need,
}

/// All commands that sise uses, with harmless arguments. `K` stands for a key of the trial, `C` for
/// a channel, `H` for the digest of the script.
const COMMANDS: &[(&str, Need)] = &[
    ("PING", Need::Prices),
    ("TIME", Need::Prices),
    ("EXISTS K", Need::Prices),
    ("TYPE K", Need::Prices),
    ("GET K", Need::Prices),
    ("SET K 1 PX 10000", Need::Prices),
    ("MGET K", Need::Prices),
    ("PSETEX K 10000 1", Need::Prices),
    ("PEXPIRE K 10000", Need::Prices),
    ("EXPIRE K 10", Need::Prices),
    ("PERSIST K", Need::Others),
    ("PTTL K", Need::Prices),
    ("STRLEN K", Need::Others),
    ("RENAME K K", Need::Others),
    ("HGET K f", Need::Prices),
    ("HSET K f 1", Need::Prices),
    ("HDEL K f", Need::Prices),
    ("HGETALL K", Need::Prices),
    ("HMGET K f", Need::Prices),
    ("HSCAN K 0 COUNT 1", Need::Others),
    ("HVALS K", Need::Others),
    ("HINCRBY K f 1", Need::Others),
    ("RPUSH K 1", Need::Others),
    ("LTRIM K 0 1", Need::Others),
    ("BLPOP K 0.001", Need::Others),
    ("ZADD K 1 m", Need::Others),
    ("ZCARD K", Need::Others),
    ("ZREM K m", Need::Others),
    ("ZSCORE K m", Need::Others),
    ("ZRANK K m", Need::Others),
    ("ZREVRANK K m", Need::Others),
    ("ZRANGE K 0 1", Need::Others),
    ("ZREVRANGE K 0 1", Need::Others),
    ("XADD K MAXLEN ~ 1 * f 1", Need::Others),
    ("XRANGE K - + COUNT 1", Need::Others),
    ("XREVRANGE K + - COUNT 1", Need::Others),
    ("XDEL K 1-1", Need::Others),
    ("XACK K g 1-1", Need::Others),
    ("XGROUP CREATE K g $ MKSTREAM", Need::Others),
    ("XREADGROUP GROUP g c COUNT 1 STREAMS K >", Need::Others),
    ("XAUTOCLAIM K g c 1000 0", Need::Others),
    ("XCLAIM K g c 1000 1-1 JUSTID", Need::Others),
    ("SCAN 0 MATCH K COUNT 1", Need::Others),
    ("INFO server", Need::Memory),
    ("EVAL return(1) 1 K", Need::Prices),
    ("SCRIPT LOAD return(1)", Need::Prices),
    ("EVALSHA H 1 K", Need::Prices),
    ("PUBLISH C x", Need::Changes),
    ("DEL K", Need::Prices),
    ("UNLINK K", Need::Others),
];

/// Beginnings of all key names, after the namespace.
const KEYS: [&str; 3] = ["realtime:", "close:", "sise:"];

/// Rights that were refused to this process, and since when that is known. A process has the same
/// user for all requests.
static LACKING: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

fn known() -> MutexGuard<'static, BTreeMap<String, Instant>> {
    LACKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the missing right that an error names.
pub(super) fn of(error: &RedisError, said: &str, keys: &Keys) -> Option<String> {
    let is_refusal = error.code() == Some("NOPERM");
    let text = error.detail().unwrap_or(said);
    if is_refusal {
        Some(named(text, keys))
    } else {
        of_script(said, keys)
    }
}

/// Returns the right that a command of a script lacked.
pub(super) fn of_script(said: &str, keys: &Keys) -> Option<String> {
    let signs = [
        "NOPERM",
        "ACL failure",
        "can't run this command",
        "can't publish to the channel",
        "can't access at least one of the keys",
    ];
    signs
        .iter()
        .any(|sign| said.contains(sign))
        .then(|| named(said, keys))
}

fn named(said: &str, keys: &Keys) -> String {
    let all = |start: &str| keys.within(start) + "*";
    let command = said
        .split_once("run the '")
        .and_then(|(_, rest)| rest.split_once('\''));
    match command {
        Some((command, _)) => format!("+{command}"),
        None if said.contains("channel") => all("&sise:"),
        None if said.contains("key") => KEYS.map(|start| all(&format!("~{start}"))).join(" "),
        None => UNNAMED.to_owned(),
    }
}

/// Remembers a missing right, and warns of it the first time.
pub(super) fn note(right: &str, store: &str) {
    // Only the doctor and the cache's health check use it, and both work without.
    if right == "+info" {
        return;
    }
    let is_new = known().insert(right.to_owned(), Instant::now()).is_none();
    if is_new {
        tracing::warn!("the Redis user at {store} lacks the right {right}: {MEND}");
    }
    show();
}

fn show() {
    let count = u32::try_from(known().len()).unwrap_or(u32::MAX);
    gauge!("sise_store_rights_lacking").set(count);
}

impl RedisStore {
    /// Name of the Redis user of this process.
    #[must_use]
    pub fn user(&self) -> &str {
        self.link.user()
    }

    /// Tries every command that sise uses in Redis, on separate keys, and returns the rights that
    /// the user lacks.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis is unreachable or refuses for another reason.
    pub async fn rights(&self) -> Result<Vec<Lacking>, StoreError> {
        self.link.rights().await
    }

    /// Returns the rights that this process was refused, checked again if the check is old.
    pub async fn lacking_rights(&self) -> Vec<String> {
        let oldest = known().values().min().copied();
        let began = Instant::now();
        if oldest.is_some_and(|oldest| began - oldest >= LOOK_ANEW) {
            match self.rights().await {
                // Rights that are still missing have been noted again.
                Ok(_) => known().retain(|_, noted| *noted >= began),
                Err(error) => tracing::debug!(%error, "the rights in Redis are not known"),
            }
            show();
        }
        known().keys().cloned().collect()
    }
}

impl Link {
    /// Returns the missing rights after Redis refused a script without naming the command.
    pub(super) fn refused_in_script(&self) -> BoxFuture<'_, String> {
        Box::pin(async move {
            let recent = || {
                let known = known();
                let recent = known.iter().filter(|(_, at)| at.elapsed() < LOOK_ANEW);
                recent
                    .map(|(right, _)| right.as_str())
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            let mut names = recent();
            if names.is_empty() && self.rights().await.is_ok() {
                names = recent();
            }
            if names.is_empty() {
                UNNAMED.to_owned()
            } else {
                names
            }
        })
    }

    /// See [`RedisStore::rights`].
    async fn rights(&self) -> Result<Vec<Lacking>, StoreError> {
        let own = |start: &str, rest: &str| format!("{}{rest}", self.keys().within(start));
        let key = own("sise:", &format!("trial:{:016x}", unique::number()));
        let channel = format!("{}:trial", self.channel());
        let digest = Script::new("return(1)").get_hash().to_owned();
        let command = |words: &str| {
            let mut command = Cmd::new();
            for word in words.split(' ') {
                command.arg(match word {
                    "K" => key.as_str(),
                    "C" => channel.as_str(),
                    "H" => digest.as_str(),
                    word => word,
                });
            }
            command
        };
        // All at once, so that a distant Redis costs one round trip.
        let tried = COMMANDS.iter().map(|(words, need)| {
            let command = command(words);
            async move { (self.refuses(command).await, *need) }
        });
        let mut lacking = BTreeMap::new();
        for (refused, need) in join_all(tried).await {
            match refused? {
                Some(right) if right.starts_with('+') => lacking.entry(right).or_insert(need),
                Some(right) if right.starts_with('&') => {
                    lacking.entry(right).or_insert(Need::Changes)
                }
                _ => continue,
            };
        }
        for start in KEYS {
            let mut command = Cmd::new();
            command
                .arg("PSETEX")
                .arg(own(start, "trial"))
                .arg(10)
                .arg("1");
            let right = self.refuses(command).await?;
            if right.is_some_and(|right| right.starts_with('~')) {
                lacking.insert(own(&format!("~{start}"), "*"), Need::Prices);
            }
        }
        // The commands of the trial may have run in any order.
        self.refuses(Cmd::del(&key)).await?;
        if let Some(right) = self.refuses_to_listen(&channel).await? {
            lacking.insert(right, Need::Changes);
        }
        for right in lacking.keys() {
            note(right, self.address());
        }
        let lacking = lacking.into_iter();
        Ok(lacking
            .map(|(right, need)| Lacking { right, need })
            .collect())
    }

    /// Returns the right to listen if it is refused.
    async fn refuses_to_listen(&self, channel: &str) -> Result<Option<String>, StoreError> {
        let listen = async {
            let mut link = self.listening().await?.get_async_pubsub().await?;
            link.subscribe(channel).await
        };
        match timeout(self.limits().both(), listen).await {
            Ok(Err(error)) => match of(&error, &error.to_string(), self.keys()) {
                Some(right) => Ok(Some(right)),
                None => Err(self.error(&error)),
            },
            Ok(Ok(())) => Ok(None),
            Err(_) => Err(StoreError::Late {
                store: self.address().to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_right() {
        for (said, right) in [
            (
                "NOPERM: User app has no permissions to run the 'info' command",
                "+info",
            ),
            (
                "ERR ACL failure in script: User app has no permissions to run the 'publish' command",
                "+publish",
            ),
            (
                "NOPERM: this user has no permissions to run the 'client|tracking' command",
                "+client|tracking",
            ),
            ("NOPERM No permissions to access a channel", "&sise:*"),
            (
                "NOPERM No permissions to access a key",
                "~realtime:* ~close:* ~sise:*",
            ),
            (
                "ERR The user executing the script can't run this command or subcommand",
                "a command of its scripts",
            ),
        ] {
            let keys = Keys::new("");
            assert_eq!(of_script(said, &keys).as_deref(), Some(right), "{said}");
        }
        assert_eq!(of_script("OOM command not allowed", &Keys::new("")), None);
    }

    #[test]
    fn rights_to_channels_and_keys_stand_in_the_namespace() {
        for (said, right) in [
            ("NOPERM No permissions to access a channel", "&app:sise:*"),
            (
                "NOPERM No permissions to access a key",
                "~app:realtime:* ~app:close:* ~app:sise:*",
            ),
            (
                "NOPERM User app has no permissions to run the 'get' command",
                "+get",
            ),
        ] {
            let named = of_script(said, &Keys::new("app"));
            assert_eq!(named.as_deref(), Some(right), "{said}");
        }
    }
}
