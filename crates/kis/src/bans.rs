//! What this process knows of the ban of its app key: before a call whether it may go, after it what
//! the broker said. A ban is kept in the store that the processes share and on disk.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use metrics::{counter, gauge};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout};

use super::ban_file::BanFile;
use sise_domain::{Ban, BanRecord, Denial, Event, KrxTime};
use sise_port::clock::{self, Clock};
use sise_port::{BanStore, Recorder, SourceError};

/// How often it is looked whether another process was refused, or got through.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// And where the store does not answer.
const LOOK_LATER: Duration = Duration::from_secs(5);

/// A trial that told nothing by then is made again.
const TRIAL: Duration = Duration::from_secs(30);

/// Calls of this process wait so long for the one that tries.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a ban is kept beside the memory of this process.
pub struct BanKeep {
    /// What the processes of the app key share.
    pub shared: Arc<dyn BanStore>,
    /// On disk, for set-ups without Redis and for restarts of it.
    pub file: Option<BanFile>,
    /// What this process calls itself.
    pub process: String,
    /// What the app key is called where people read of it.
    pub key: String,
    /// What key and secret together are called there.
    pub credentials: String,
    /// Is told of every ban, and of its end.
    pub recorder: Arc<dyn Recorder>,
}

/// Keeps calls back while the app key is banned.
pub struct Bans {
    keep: Option<BanKeep>,
    clock: Clock,
    known: ArcSwapOption<BanRecord>,
    /// When to look again. Held while it is looked, and while a ban begins or ends.
    look_at: Mutex<Option<Instant>>,
    /// Held by the call that tries after a ban.
    trial: Arc<Mutex<()>>,
    /// The next call is a person's: it goes whatever is known.
    is_let_through: AtomicBool,
}

/// The right to make one call.
#[derive(Debug)]
pub(super) struct Leave {
    /// When the call goes out.
    sent_at: KrxTime,
    kind: LeaveKind,
}

#[derive(Debug)]
enum LeaveKind {
    /// There is no ban.
    Ordinary,
    /// The one call after a ban.
    Trial(#[expect(dead_code, reason = "held, never looked at")] OwnedMutexGuard<()>),
    /// A person's.
    Person,
}

impl Bans {
    /// The bans of the key that `keep` belongs to.
    #[must_use]
    pub fn new(keep: BanKeep, clock: Clock) -> Self {
        Self::made(Some(keep), clock)
    }

    /// Bans that this process alone knows, and forgets.
    pub(super) fn of_this_process() -> Self {
        Self::made(None, clock::system())
    }

    fn made(keep: Option<BanKeep>, clock: Clock) -> Self {
        Self {
            keep,
            clock,
            known: ArcSwapOption::empty(),
            look_at: Mutex::new(None),
            trial: Arc::default(),
            is_let_through: AtomicBool::new(false),
        }
    }

    /// The ban in force, after a look at what other processes wrote.
    pub async fn in_force(&self) -> Option<Box<Ban>> {
        self.look().await;
        let now = (self.clock)();
        self.ban().filter(|ban| ban.is_in_force(now)).map(Box::new)
    }

    /// Why a call would be refused now, without waiting for anything; a person's would not.
    pub(super) async fn refusal(&self) -> Result<(), SourceError> {
        match self.in_force().await {
            Some(ban) if !self.is_let_through.load(Ordering::Relaxed) => {
                Err(SourceError::Banned(ban))
            }
            _ => Ok(()),
        }
    }

    /// Lets the next call through although the key is banned: a person wants to know.
    pub fn let_one_through(&self) {
        self.is_let_through.store(true, Ordering::Relaxed);
    }

    /// Lets a call through. After a ban is over one call goes as a trial; the others of this
    /// process wait for what it brings, those of other processes are refused.
    pub(super) async fn admit(&self) -> Result<Leave, SourceError> {
        self.look().await;
        let leave = |kind| {
            Ok(Leave {
                sent_at: (self.clock)(),
                kind,
            })
        };
        let Some(ban) = self.ban() else {
            return leave(LeaveKind::Ordinary);
        };
        if self.is_let_through.swap(false, Ordering::Relaxed) {
            return leave(LeaveKind::Person);
        }
        if ban.is_in_force((self.clock)()) {
            return Err(SourceError::Banned(Box::new(ban)));
        }
        let turn = timeout(PATIENCE, Arc::clone(&self.trial).lock_owned()).await;
        // What the call that held it came to is known now.
        let (Ok(turn), Some(ban)) = (turn, self.ban()) else {
            return match self.ban() {
                Some(ban) => Err(SourceError::Banned(Box::new(ban))),
                None => leave(LeaveKind::Ordinary),
            };
        };
        if ban.is_in_force((self.clock)()) || !self.may_try().await {
            return Err(SourceError::Banned(Box::new(ban)));
        }
        tracing::info!("the ban is over: one call tries");
        leave(LeaveKind::Trial(turn))
    }

    /// Whether the call may still go out, now that its turn has come.
    pub(super) fn hold(&self, leave: &mut Leave) -> bool {
        leave.sent_at = (self.clock)();
        match leave.kind {
            LeaveKind::Ordinary => self.ban().is_none(),
            LeaveKind::Trial(_) | LeaveKind::Person => true,
        }
    }

    /// Takes note of what a call came to.
    pub(super) async fn settle(&self, leave: Leave, outcome: Result<(), &SourceError>) {
        match outcome {
            Err(SourceError::Denied(denial)) => self.begin(denial, leave.sent_at).await,
            // An answer to a call that was sent before the ban says nothing of it.
            Ok(()) => {
                if self.ban().is_some_and(|ban| ban.since <= leave.sent_at) {
                    self.end().await;
                }
            }
            Err(_) => {
                if let (LeaveKind::Trial(_), Some(keep)) = (&leave.kind, &self.keep) {
                    // Neither refused nor served: another may try. It ends by itself otherwise.
                    let _ = keep.shared.unclaim_trial(&keep.process).await;
                }
            }
        }
    }

    /// A ban begins, or goes on. The one place where that is decided and said.
    async fn begin(&self, denial: &Denial, sent_at: KrxTime) {
        let mut look_at = self.look_at.lock().await;
        // Another process may have been refused a moment ago.
        *look_at = Some(self.read().await);
        let now = (self.clock)();
        let earlier = self.ban();
        let is_known = |ban: &Ban| sent_at < ban.since || ban.is_in_force(now);
        if earlier.as_ref().is_some_and(is_known) {
            return;
        }
        let ban = Ban::after(earlier.as_ref(), denial.clone(), now);
        tracing::error!(
            kind = ban.kind.slug(),
            "{ban}; mend it and restart, or let `sise doctor` try at once"
        );
        counter!("sise_bans_total", "kind" => ban.kind.slug()).increment(1);
        self.note(|key, credentials| Event::Ban {
            key,
            credentials,
            why: Denial::to_string(denial),
            until: ban.until,
        });
        self.write(BanRecord::Banned(ban)).await;
    }

    /// A ban ends. The one place where that is decided and said.
    async fn end(&self) {
        let _look_at = self.look_at.lock().await;
        if self.ban().is_none() {
            return;
        }
        tracing::info!("the broker accepts the app key again: the ban is lifted");
        self.note(|key, credentials| Event::BanLifted { key, credentials });
        self.write(BanRecord::lifted((self.clock)())).await;
    }

    fn note(&self, event: impl FnOnce(String, String) -> Event) {
        if let Some(keep) = &self.keep {
            let event = event(keep.key.clone(), keep.credentials.clone());
            keep.recorder.note(event);
        }
    }

    /// The ban that was not lifted, in force or over.
    fn ban(&self) -> Option<Ban> {
        let known = self.known.load();
        known.as_ref().and_then(|known| known.ban()).cloned()
    }

    /// Whether this process is the one that tries.
    async fn may_try(&self) -> bool {
        let Some(keep) = &self.keep else { return true };
        let claim = keep.shared.claim_trial(&keep.process, TRIAL).await;
        // Without the shared store each process tries by itself.
        claim.unwrap_or(true)
    }

    async fn look(&self) {
        if self.keep.is_none() {
            return;
        }
        // Who comes while it is looked waits for what that brings.
        let mut look_at = self.look_at.lock().await;
        if look_at.is_none_or(|at| Instant::now() >= at) {
            *look_at = Some(self.read().await);
        }
    }

    /// Takes over what was written last, in the store or on disk, and tells the place that knows
    /// less: a Redis that came back empty, or the disk of a process that was not there. Says when
    /// to look again.
    async fn read(&self) -> Instant {
        let now = Instant::now();
        let Some(keep) = &self.keep else {
            return now + LOOK_AGAIN;
        };
        let shared = keep.shared.load().await;
        let filed = match &keep.file {
            Some(file) => file.load().await,
            None => None,
        };
        let known = self.known.load_full();
        let records = [
            shared.as_ref().ok().and_then(Option::as_ref),
            filed.as_ref(),
            known.as_deref(),
        ];
        let today = (self.clock)();
        let of_interest = |record: &&BanRecord| record.is_of_interest(today);
        let records = records.into_iter().flatten().filter(of_interest);
        let latest = records.max_by_key(|record| record.stamp());
        if let Some(latest) = latest {
            if shared.as_ref().is_ok_and(|s| s.as_ref() != Some(latest)) {
                self.share(keep, latest).await;
            }
            if filed.as_ref() != Some(latest) {
                file(keep, latest).await;
            }
            if known.as_deref() != Some(latest) {
                self.take(latest.clone());
            }
        }
        let pause = if shared.is_ok() {
            LOOK_AGAIN
        } else {
            LOOK_LATER
        };
        now + pause
    }

    /// What another process, or this one before it was restarted, wrote.
    fn take(&self, record: BanRecord) {
        let now = (self.clock)();
        match &record {
            BanRecord::Banned(ban) if ban.is_in_force(now) => {
                tracing::warn!(kind = ban.kind.slug(), "the app key is banned: {ban}");
            }
            BanRecord::Lifted { .. } if self.ban().is_some() => {
                tracing::info!("another process found the ban lifted");
            }
            BanRecord::Banned(_) | BanRecord::Lifted { .. } => {}
        }
        self.know(record);
    }

    fn know(&self, record: BanRecord) {
        let until = record.ban().map_or(0, |ban| ban.until.timestamp());
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds since 1970 are far below 2^52"
        )]
        gauge!("sise_ban_until_timestamp_seconds").set(until as f64);
        self.known.store(Some(Arc::new(record)));
    }

    async fn write(&self, record: BanRecord) {
        // Known here first: nothing of this process goes out any more.
        self.know(record.clone());
        if let Some(keep) = &self.keep {
            file(keep, &record).await;
            self.share(keep, &record).await;
        }
    }

    async fn share(&self, keep: &BanKeep, record: &BanRecord) {
        let life = record.keep_until() - (self.clock)();
        let Ok(life) = life.to_std() else { return };
        if let Err(error) = keep.shared.save(record, life).await {
            tracing::debug!(%error, "the ban is not shared");
        }
    }
}

async fn file(keep: &BanKeep, record: &BanRecord) {
    if let Some(file) = &keep.file
        && let Err(error) = file.save(record).await
    {
        tracing::warn!(path = %file.path().display(), %error, "the ban cannot be kept on disk");
    }
}

impl fmt::Debug for BanKeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BanKeep")
            .field("file", &self.file)
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Bans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bans")
            .field("keep", &self.keep)
            .field("known", &*self.known.load())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
