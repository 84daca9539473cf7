//! Bans of the app key, as known to this process.
//!
//! Each call asks here first whether it may go out, and reports its outcome afterwards. A ban is
//! kept in the store that the processes share and on disk.

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

/// Interval of checks whether another process was refused, or got through.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The same while the store does not answer.
const LOOK_LATER: Duration = Duration::from_secs(5);

/// Time after which a trial without a result is made again.
const TRIAL: Duration = Duration::from_secs(30);

/// How long the calls of this process wait for the trial call.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a ban is kept besides the memory of this process.
pub struct BanKeep {
    /// The store shared by all processes of the app key.
    pub shared: Arc<dyn BanStore>,
    /// The file on disk, for setups without Redis and for restarts of Redis.
    pub file: Option<BanFile>,
    /// Name of this process.
    pub process: String,
    /// Name of the app key in the event log.
    pub key: String,
    /// Name of key and secret together in the event log.
    pub credentials: String,
    /// Receives the beginning and the end of every ban.
    pub recorder: Arc<dyn Recorder>,
}

/// Holds calls back while the app key is banned.
pub struct Bans {
    keep: Option<BanKeep>,
    clock: Clock,
    known: ArcSwapOption<BanRecord>,
    /// When to check again. Locked during a check, and while a ban begins or ends.
    look_at: Mutex<Option<Instant>>,
    /// Held by the trial call after a ban.
    trial: Arc<Mutex<()>>,
    /// The next call was started by a person: it goes out even if the key is banned.
    is_let_through: AtomicBool,
}

/// Permission to make one call.
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
    /// A call started by a person.
    Person,
}

impl Bans {
    /// Creates the bans of the key that `keep` belongs to.
    #[must_use]
    pub fn new(keep: BanKeep, clock: Clock) -> Self {
        Self::made(Some(keep), clock)
    }

    /// Creates bans that exist only in the memory of this process.
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

    /// Returns the ban in force, after a check for records of other processes.
    pub async fn in_force(&self) -> Option<Box<Ban>> {
        self.look().await;
        let now = (self.clock)();
        self.ban().filter(|ban| ban.is_in_force(now)).map(Box::new)
    }

    /// Returns an error if a call would be refused now, without waiting for a trial.
    ///
    /// A call let through by [`Bans::let_one_through`] would not be refused.
    pub(super) async fn refusal(&self) -> Result<(), SourceError> {
        match self.in_force().await {
            Some(ban) if !self.is_let_through.load(Ordering::Relaxed) => {
                Err(SourceError::Banned(ban))
            }
            _ => Ok(()),
        }
    }

    /// Lets the next call through even if the key is banned, to test the key on request.
    pub fn let_one_through(&self) {
        self.is_let_through.store(true, Ordering::Relaxed);
    }

    /// Waits until a call may go out, or refuses it.
    ///
    /// When a ban is over, one call goes out as a trial. Other calls of this process wait for its
    /// outcome; those of other processes are refused.
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
        // The call that held the lock has finished, so its outcome is known.
        let (Ok(turn), Some(ban)) = (turn, self.ban()) else {
            return match self.ban() {
                Some(ban) => Err(SourceError::Banned(Box::new(ban))),
                None => leave(LeaveKind::Ordinary),
            };
        };
        if ban.is_in_force((self.clock)()) || !self.may_try().await {
            return Err(SourceError::Banned(Box::new(ban)));
        }
        tracing::info!("the ban is over: making one trial call");
        leave(LeaveKind::Trial(turn))
    }

    /// Returns whether the call may still go out when its turn has come.
    pub(super) fn hold(&self, leave: &mut Leave) -> bool {
        leave.sent_at = (self.clock)();
        match leave.kind {
            LeaveKind::Ordinary => self.ban().is_none(),
            LeaveKind::Trial(_) | LeaveKind::Person => true,
        }
    }

    /// Records the outcome of a call.
    pub(super) async fn settle(&self, leave: Leave, outcome: Result<(), &SourceError>) {
        match outcome {
            Err(SourceError::Denied(denial)) => self.begin(denial, leave.sent_at).await,
            // An answer to a call that was sent before the ban does not lift it.
            Ok(()) => {
                if self.ban().is_some_and(|ban| ban.since <= leave.sent_at) {
                    self.end().await;
                }
            }
            Err(_) => {
                if let (LeaveKind::Trial(_), Some(keep)) = (&leave.kind, &self.keep) {
                    // Neither refused nor served: another process may try. If this fails, the claim
                    // expires.
                    let _ = keep.shared.unclaim_trial(&keep.process).await;
                }
            }
        }
    }

    /// Begins a ban or extends it. This is the only place that does so.
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
            "{ban}; fix it and restart, or run `sise doctor` to try at once"
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

    /// Ends a ban. This is the only place that does so.
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

    /// Returns the ban that was not lifted yet, in force or over.
    fn ban(&self) -> Option<Ban> {
        let known = self.known.load();
        known.as_ref().and_then(|known| known.ban()).cloned()
    }

    /// Returns whether this process makes the trial call.
    async fn may_try(&self) -> bool {
        let Some(keep) = &self.keep else { return true };
        let claim = keep.shared.claim_trial(&keep.process, TRIAL).await;
        // Without the shared store, each process makes its own trial.
        claim.unwrap_or(true)
    }

    async fn look(&self) {
        if self.keep.is_none() {
            return;
        }
        // Calls that arrive during a check wait for its result.
        let mut look_at = self.look_at.lock().await;
        if look_at.is_none_or(|at| Instant::now() >= at) {
            *look_at = Some(self.read().await);
        }
    }

    /// Takes over the latest record and returns when to check again.
    ///
    /// The record is taken from memory, the store or the disk, and copied to the places that lack
    /// it: a Redis that came back empty, or the disk of a new process.
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

    /// Takes over a record written by another process, or by this one before a restart.
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
        // Stored in memory first, so that this process stops sending at once.
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
        tracing::warn!(path = %file.path().display(), %error, "the ban cannot be saved to disk");
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
