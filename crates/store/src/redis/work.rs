//! Shared work in Redis.
//!
//! Batches are in streams with a consumer group, one for each way of calling. The results for a
//! waiting process are in a list. Needs Redis 6.2.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redis::streams::{StreamAutoClaimReply, StreamId, StreamReadReply};
use redis::{Cmd, RedisError, Script, Value, from_redis_value, from_redis_value_ref};

use super::link::Link;
use super::{RedisSettings, RedisStore};
use crate::answers;
use sise_domain::{Calling, Symbol};
use sise_port::{Answers, Assignments, Batch, Finished, Lead, Postings, StoreError, Taken, Ticket};

/// Consumer group of all workers.
const GROUP: &str = "workers";

/// Maximum time that the server waits for something to arrive.
///
/// Waiting commands have their own connections with a longer time-out, because they block
/// everything behind them.
const WAIT: Duration = Duration::from_secs(1);

/// How much later the answer to a waiting command may arrive. Otherwise a busy machine would lose a
/// batch that was given to it.
const LATE: Duration = Duration::from_secs(1);

/// Maximum number of batches posted, and of results for one process. Beyond it, the oldest are
/// dropped.
const MOST: usize = 1_024;

/// How long results are kept if they are not fetched.
const RESULT_LIFE: Duration = Duration::from_secs(300);

/// The first entry of a stream.
const START: &str = "0-0";

/// Closes a batch. KEYS: the batches, the results. ARGV: group, entry, answers or nothing, maximum
/// number of results, life in milliseconds. Returns whether the batch was open.
static FINISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local open = redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
        redis.call('XDEL', KEYS[1], ARGV[2])
        if open == 1 and ARGV[3] ~= '' then
          redis.call('RPUSH', KEYS[2], ARGV[3])
          redis.call('LTRIM', KEYS[2], -tonumber(ARGV[4]), -1)
          redis.call('PEXPIRE', KEYS[2], ARGV[5])
        end
        return open",
    )
});

/// Returns the age of a batch in milliseconds, by the clock that also numbers the entries. KEYS:
/// the batches. ARGV: entry.
static AGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
        local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
        return math.max(now - tonumber(string.match(ARGV[1], '^%d+')), 0)",
    )
});

/// Shared work in Redis, seen from one worker.
pub struct RedisWork {
    store: Arc<RedisStore>,
    /// Connection that waits for batches.
    taking: Link,
    /// Connection that waits for answers.
    fetching: Link,
    worker: String,
    /// A batch that its worker has not renewed for this long is given out again.
    idle: Duration,
    /// Position at which the search for such batches continues.
    cursor: Mutex<String>,
}

/// Result of a read from a stream.
enum Look<T> {
    Seen(T),
    /// There is no stream or no group: nothing was posted yet, or Redis lost its data.
    NoGroup,
}

impl RedisWork {
    /// Creates shared work in `store`, reached by `settings`.
    ///
    /// All workers of an app key use the same name, so that restarts leave no dead consumers
    /// behind. A batch is given out again if its worker has not renewed it for `idle`.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is invalid.
    pub fn new(
        store: Arc<RedisStore>,
        settings: &RedisSettings<'_>,
        worker: &str,
        idle: Duration,
    ) -> Result<Self, StoreError> {
        let patient = RedisSettings {
            response_timeout: settings.response_timeout + WAIT + LATE,
            ..settings.clone()
        };
        Ok(Self {
            store,
            taking: Link::new(&patient)?,
            fetching: Link::new(&patient)?,
            worker: worker.to_owned(),
            idle,
            cursor: Mutex::new(START.to_owned()),
        })
    }

    /// The braces keep all keys of the work on one slot of a cluster.
    fn batches_key(&self, calling: Calling) -> String {
        self.store.keys.own(match calling {
            Calling::Multi => "{work}:batches:multi",
            Calling::Single => "{work}:batches:single",
        })
    }

    fn finished_key(&self, process: &str) -> String {
        self.store.keys.own(&format!("{{work}}:finished:{process}"))
    }

    /// Takes over a batch whose worker died.
    async fn claim(&self, key: &str) -> Result<Look<Option<StreamId>>, StoreError> {
        let from = self.cursor().clone();
        let mut command = Cmd::new();
        command.arg("XAUTOCLAIM").arg(key).arg(GROUP);
        command.arg(&self.worker).arg(millis(self.idle)).arg(&from);
        command.arg("COUNT").arg(1);
        let look: Look<StreamAutoClaimReply> = look(&self.store.link, &command).await?;
        let Look::Seen(reply) = look else {
            return Ok(Look::NoGroup);
        };
        *self.cursor() = reply.next_stream_id;
        Ok(Look::Seen(reply.claimed.into_iter().next()))
    }

    /// Reads a batch that was not given out yet.
    async fn read(&self, key: &str) -> Result<Look<Option<StreamId>>, StoreError> {
        let mut command = Cmd::new();
        command.arg("XREADGROUP").arg("GROUP").arg(GROUP);
        command.arg(&self.worker).arg("COUNT").arg(1);
        command.arg("BLOCK").arg(millis(WAIT));
        command.arg("STREAMS").arg(key).arg(">");
        let look: Look<Option<StreamReadReply>> = look(&self.taking, &command).await?;
        let Look::Seen(reply) = look else {
            return Ok(Look::NoGroup);
        };
        let mut entries = reply.into_iter().flat_map(|reply| reply.keys);
        let entry = entries.next().and_then(|key| key.ids.into_iter().next());
        Ok(Look::Seen(entry))
    }

    /// Creates stream and group, so that everything posted so far is given out. A value of another
    /// kind is another program's and is deleted.
    async fn make_group(&self, key: &str) -> Result<(), StoreError> {
        let mut kind = Cmd::new();
        kind.arg("TYPE").arg(key);
        let kind: String = self.store.link.ask(&kind).await?;
        if !matches!(kind.as_str(), "stream" | "none") {
            self.store.link.ask::<()>(&Cmd::del(key)).await?;
        }
        let mut command = Cmd::new();
        command.arg("XGROUP").arg("CREATE").arg(key).arg(GROUP);
        command.arg(START).arg("MKSTREAM");
        let command = &command;
        let made = |outcome: Result<(), RedisError>| match outcome {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            outcome => outcome,
        };
        let link = &self.store.link;
        link.run(|mut connection| async move { made(command.query_async(&mut connection).await) })
            .await
    }

    async fn drop_entry(&self, key: &str, entry: &str) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("XACK").arg(key).arg(GROUP).arg(entry).ignore();
        pipeline.cmd("XDEL").arg(key).arg(entry).ignore();
        let pipeline = &pipeline;
        let link = &self.store.link;
        link.run(|mut connection| async move { pipeline.query_async(&mut connection).await })
            .await
    }

    async fn is_overdue(&self, key: &str, entry: &str, life: Duration) -> bool {
        let age: Result<u64, StoreError> = self.store.link.eval(&AGE, &[key], entry).await;
        age.is_ok_and(|age| Duration::from_millis(age) > life)
    }

    fn cursor(&self) -> MutexGuard<'_, String> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a command, and recognizes a missing group, as after a loss of the data in Redis.
async fn look<T: redis::FromRedisValue>(link: &Link, command: &Cmd) -> Result<Look<T>, StoreError> {
    link.run(|mut connection| async move {
        match command.query_async(&mut connection).await {
            // A stream that is deleted during the wait causes another error code.
            Err(error) if matches!(error.code(), Some("NOGROUP" | "UNBLOCKED" | "WRONGTYPE")) => {
                Ok(Look::NoGroup)
            }
            outcome => outcome.map(Look::Seen),
        }
    })
    .await
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Parses a batch and its life from a stream entry; `None` if it is not from sise.
fn batch(calling: Calling, fields: &HashMap<String, Value>) -> Option<(Batch, Duration)> {
    let text = |name: &str| -> Option<String> { from_redis_value_ref(fields.get(name)?).ok() };
    let number = |name: &str| -> Option<u64> { text(name)?.parse().ok() };
    let codes = text("codes")?;
    let symbols: Option<Vec<Symbol>> = codes.split(' ').map(|code| code.parse().ok()).collect();
    let batch = Batch {
        lead: Lead(number("lead")?),
        process: text("process")?,
        number: number("number")?,
        calling,
        symbols: symbols?,
    };
    Some((batch, Duration::from_millis(number("life")?)))
}

#[async_trait]
impl Postings for RedisWork {
    async fn post(&self, batch: &Batch, life: Duration) -> Result<Ticket, StoreError> {
        let codes: Vec<&str> = batch.symbols.iter().map(Symbol::as_str).collect();
        let mut command = Cmd::new();
        command.arg("XADD").arg(self.batches_key(batch.calling));
        command.arg("MAXLEN").arg(MOST).arg("*");
        command.arg("lead").arg(batch.lead.0);
        command.arg("process").arg(&batch.process);
        command.arg("number").arg(batch.number);
        command.arg("life").arg(millis(life));
        command.arg("codes").arg(codes.join(" "));
        Ok(Ticket {
            calling: batch.calling,
            entry: self.store.link.ask(&command).await?,
        })
    }

    async fn is_open(&self, ticket: &Ticket) -> Result<bool, StoreError> {
        let mut command = Cmd::new();
        command.arg("XRANGE").arg(self.batches_key(ticket.calling));
        command.arg(&ticket.entry).arg(&ticket.entry);
        let found: Vec<Value> = self.store.link.ask(&command).await?;
        Ok(!found.is_empty())
    }

    async fn withdraw(&self, tickets: &[Ticket]) -> Result<(), StoreError> {
        for ticket in tickets {
            let key = self.batches_key(ticket.calling);
            self.drop_entry(&key, &ticket.entry).await?;
        }
        Ok(())
    }

    async fn next_finished(&self, process: &str) -> Result<Option<Finished>, StoreError> {
        let mut command = Cmd::new();
        command.arg("BLPOP").arg(self.finished_key(process));
        command.arg(WAIT.as_secs());
        let popped: Option<(Value, Value)> = self.fetching.ask(&command).await?;
        let Some((_, value)) = popped else {
            return Ok(None);
        };
        let text: Result<String, _> = from_redis_value(value);
        let finished = text.ok().map(|text| answers::read(&text));
        match finished {
            Some(Ok(finished)) => Ok(Some(finished)),
            _ => {
                tracing::warn!("cannot parse the answers that another process handed in");
                Ok(None)
            }
        }
    }
}

#[async_trait]
impl Assignments for RedisWork {
    async fn take(&self, calling: Calling) -> Result<Option<Taken>, StoreError> {
        let key = self.batches_key(calling);
        let mut is_left_behind = true;
        let mut look = self.claim(&key).await?;
        if matches!(look, Look::Seen(None)) {
            is_left_behind = false;
            look = self.read(&key).await?;
        }
        let entry = match look {
            Look::Seen(Some(entry)) => entry,
            Look::Seen(None) => return Ok(None),
            Look::NoGroup => {
                self.make_group(&key).await?;
                return Ok(None);
            }
        };
        let Some((batch, life)) = batch(calling, &entry.map) else {
            tracing::warn!(
                entry = entry.id,
                "dropped an entry that is not a batch of sise"
            );
            self.drop_entry(&key, &entry.id).await?;
            return Ok(None);
        };
        Ok(Some(Taken {
            is_overdue: self.is_overdue(&key, &entry.id, life).await,
            ticket: Ticket {
                calling,
                entry: entry.id,
            },
            batch,
            is_left_behind,
        }))
    }

    async fn hold(&self, tickets: &[Ticket]) -> Result<(), StoreError> {
        for calling in [Calling::Multi, Calling::Single] {
            let of_it = |ticket: &&Ticket| ticket.calling == calling;
            let entries: Vec<&str> = tickets.iter().filter(of_it).map(|t| &*t.entry).collect();
            if entries.is_empty() {
                continue;
            }
            let mut command = Cmd::new();
            command.arg("XCLAIM").arg(self.batches_key(calling));
            command.arg(GROUP).arg(&self.worker).arg(0).arg(entries);
            command.arg("JUSTID");
            // Without a group, there is nothing to renew.
            let _: Look<Value> = look(&self.store.link, &command).await?;
        }
        Ok(())
    }

    async fn finish(&self, taken: &Taken, answers: Option<&Answers>) -> Result<bool, StoreError> {
        let text = answers.map(|answers| answers::write(taken.batch.number, answers));
        let text = text.transpose().map_err(|error| StoreError::Failed {
            store: self.store.address().to_owned(),
            trouble: format!("answers cannot be encoded: {error}"),
        })?;
        let keys = [
            self.batches_key(taken.ticket.calling),
            self.finished_key(&taken.batch.process),
        ];
        let [batches, finished] = &keys;
        self.store
            .link
            .eval(
                &FINISH,
                &[batches, finished],
                (
                    GROUP,
                    &taken.ticket.entry,
                    text.unwrap_or_default(),
                    MOST,
                    millis(RESULT_LIFE),
                ),
            )
            .await
    }
}

impl fmt::Debug for RedisWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisWork")
            .field("store", &self.store)
            .field("worker", &self.worker)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}
