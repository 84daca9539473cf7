//! Sessions and approval keys: one session for each app key (contract chapter 3).

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::Mishap;
use sise_domain::KrxTime;

/// Lifetime of an approval key (contract 2.3).
const APPROVED: TimeDelta = TimeDelta::hours(24);

/// Most approval keys that are remembered; beyond that, the oldest is forgotten.
const MOST_APPROVALS: usize = 1_000;

/// The interval in which connections are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Counts of the live feed since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedStats {
    /// Approval keys issued.
    pub approvals: u64,
    /// Connections made.
    pub connections: u64,
    /// Most connections made in any minute.
    pub max_connections_per_minute: u64,
    /// Open sessions that hold the app key they asked for.
    pub sessions: u64,
    /// Codes registered at present, in all sessions.
    pub registrations: u64,
    /// Most codes that one session had registered at any time.
    pub max_registrations: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Frames sent.
    pub frames: u64,
    /// Trades sent.
    pub trades: u64,
    /// Frames and sessions in which a fault was injected.
    pub mishaps: u64,
}

#[derive(Debug, Clone)]
struct Approval {
    app_key: String,
    issued_at: KrxTime,
}

#[derive(Debug)]
enum Holder {
    Session(u64),
    /// A session that ended without a close.
    Lingers(Instant),
}

/// Approval keys, sessions and counts.
#[derive(Debug)]
pub(crate) struct Registry {
    approvals: Mutex<HashMap<String, Approval>>,
    holders: Mutex<HashMap<String, Holder>>,
    connected: Mutex<VecDeque<Instant>>,
    stats: Mutex<FeedStats>,
    numbers: AtomicU64,
    mishaps: broadcast::Sender<Mishap>,
    ends: watch::Sender<u64>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            approvals: Mutex::default(),
            holders: Mutex::default(),
            connected: Mutex::default(),
            stats: Mutex::default(),
            numbers: AtomicU64::new(0),
            mishaps: broadcast::Sender::new(16),
            ends: watch::Sender::new(0),
        }
    }
}

/// Locks `mutex`. A poisoned lock is fine, as the data is consistent after every step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// Issues a new approval key for an app key.
    pub(crate) fn approve(&self, app_key: &str, now: KrxTime) -> String {
        let mut approvals = locked(&self.approvals);
        if approvals.len() >= MOST_APPROVALS {
            let oldest = approvals.iter().min_by_key(|(_, held)| held.issued_at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                approvals.remove(&oldest);
            }
        }
        let mut digits = |count: usize| -> String {
            (0..count)
                .map(|_| char::from_digit(fastrand::u32(..16), 16).unwrap_or('0'))
                .collect()
        };
        let parts = [8, 4, 4, 4, 12].map(&mut digits);
        let key = parts.join("-");
        approvals.insert(
            key.clone(),
            Approval {
                app_key: app_key.to_owned(),
                issued_at: now,
            },
        );
        self.count(|stats| stats.approvals += 1);
        key
    }

    /// Returns the app key of a valid approval key.
    pub(super) fn app_key(&self, approval_key: &str, now: KrxTime) -> Option<String> {
        let approvals = locked(&self.approvals);
        let approval = approvals.get(approval_key)?;
        (now - approval.issued_at < APPROVED).then(|| approval.app_key.clone())
    }

    /// Ends every approval key.
    pub(crate) fn end_approvals(&self) {
        locked(&self.approvals).clear();
    }

    /// Ends every session.
    pub(crate) fn end_sessions(&self) {
        self.ends.send_modify(|end| *end += 1);
    }

    /// Returns a receiver that changes when all sessions are to end.
    pub(super) fn ends(&self) -> watch::Receiver<u64> {
        self.ends.subscribe()
    }

    /// Injects a fault into every open session.
    pub(crate) fn strike(&self, mishap: Mishap) {
        // Fails only if no session is open.
        let _ = self.mishaps.send(mishap);
    }

    /// Returns a receiver of the faults to inject.
    pub(super) fn mishaps(&self) -> broadcast::Receiver<Mishap> {
        self.mishaps.subscribe()
    }

    /// Counts a new connection and returns its number.
    pub(super) fn connected(&self) -> u64 {
        let now = Instant::now();
        let mut connected = locked(&self.connected);
        connected.push_back(now);
        while connected.front().is_some_and(|at| now - *at >= MINUTE) {
            connected.pop_front();
        }
        let recent = u64::try_from(connected.len()).unwrap_or(u64::MAX);
        self.count(|stats| {
            stats.connections += 1;
            stats.max_connections_per_minute = stats.max_connections_per_minute.max(recent);
        });
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives an app key to a session, unless another session holds it.
    pub(super) fn claim(&self, app_key: &str, session: u64) -> bool {
        let mut holders = locked(&self.holders);
        let is_free = match holders.get(app_key) {
            None => true,
            Some(Holder::Session(holder)) => return *holder == session,
            Some(Holder::Lingers(until)) => Instant::now() >= *until,
        };
        if is_free {
            holders.insert(app_key.to_owned(), Holder::Session(session));
            self.count(|stats| stats.sessions += 1);
        }
        is_free
    }

    /// Ends the session that holds an app key; the key stays taken for `linger`.
    pub(super) fn release(&self, app_key: &str, linger: Duration) {
        let mut holders = locked(&self.holders);
        if linger.is_zero() {
            holders.remove(app_key);
        } else {
            let until = Instant::now() + linger;
            holders.insert(app_key.to_owned(), Holder::Lingers(until));
        }
        self.count(|stats| stats.sessions = stats.sessions.saturating_sub(1));
    }

    /// Changes the counts.
    pub(super) fn count(&self, change: impl FnOnce(&mut FeedStats)) {
        change(&mut locked(&self.stats));
    }

    /// Returns the counts.
    pub(crate) fn stats(&self) -> FeedStats {
        *locked(&self.stats)
    }
}
