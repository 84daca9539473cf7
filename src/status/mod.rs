//! The status of all processes together: the leader, the sweeps, the freshness of prices, the next
//! run, and why no sweeps run now.
//!
//! `sise status`, the screen of `sise top` and `GET /v1/status` all show it.

mod ages;
mod calls;
mod coverage;
mod next;
mod reason;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Serialize, Serializer};

use crate::closes::{Closes, LastKnown};
use crate::provenance::Origin;
use crate::schedule::Timetable;
use sise_domain::{
    BrokerIdentity, Calendar, CallsSeen, Caps, Entry, Event, KrxTime, Phase, Presence, Role, Seoul,
    Skipped, Symbol, Universe,
};
use sise_port::clock::{Clock, ClocksApart};
use sise_port::{Leader, Leadership, PriceStore, Records, StoreError};
use sise_store::{RedisBudget, RedisStore};

pub use ages::Ages;
pub use calls::{Calls, KeyCalls};
pub use coverage::{DayCoverage, Minute, Slot};
pub use next::{Idle, NextRun};
pub use reason::Reasons;

/// Number of event log entries searched for the last sweeps and bans.
const ENTRIES: usize = 1_000;

/// What the status is gathered from.
pub struct Parts {
    /// The clock.
    pub clock: Clock,
    /// The trading calendar.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// The stock list.
    pub universe: Arc<ArcSwap<Universe>>,
    /// The prices.
    pub store: Arc<dyn PriceStore>,
    /// The records about the work.
    pub records: Arc<dyn Records>,
    /// The closes.
    pub closes: Closes,
    /// The lease of the leader; `None` if no other process can use the store.
    pub lease: Option<Arc<dyn Leadership>>,
    /// Redis, if that is the store.
    pub redis: Option<Arc<RedisStore>>,
    /// Where the prices come from.
    pub origin: Origin,
    /// Digest of the app key of this process, if it has one.
    pub key: Option<String>,
    /// Limits of the calls of a key.
    pub caps: Caps,
    /// Calls per second that a key may make.
    pub rate_per_second: f64,
    /// The times of the sweeps.
    pub timetable: Timetable,
    /// The interval of the sweeps.
    pub interval: Duration,
    /// A minute with a smaller share of live prices is a gap.
    pub gap_below: f64,
}

impl Parts {
    /// Returns how this machine's clock and the store's differ, if that is known.
    fn clocks_apart(&self) -> Option<ClocksApart> {
        self.redis.as_ref()?.clock()?.apart()
    }

    async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        match &self.lease {
            Some(lease) => lease.leader().await,
            None => Ok(None),
        }
    }

    /// Returns the calls in the shared budget of an app key, given by its digest; `None` if the
    /// budget is not shared.
    async fn calls_of(&self, digest: &str) -> Result<Option<CallsSeen>, StoreError> {
        let Some(redis) = self.redis.clone() else {
            return Ok(None);
        };
        let budget = RedisBudget::new(redis, digest, self.caps, Arc::default());
        budget.seen().await.map(Some)
    }
}

/// The status of all processes at one instant.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The instant.
    #[serde(serialize_with = "in_seconds")]
    pub at: KrxTime,
    /// Whether the regular session is open, by the calendar.
    pub open: bool,
    /// Phase on the exchange.
    pub phase: Phase,
    /// Why the session is closed.
    pub reason: Option<String>,
    /// When the current session began, or the next one begins.
    #[serde(serialize_with = "optionally_in_seconds")]
    pub market_open_at: Option<KrxTime>,
    /// When the current session ends.
    #[serde(serialize_with = "optionally_in_seconds")]
    pub closes_at: Option<KrxTime>,
    /// The leader; `None` if there is none, and on a store that only one process uses.
    pub leader: Option<LeaderSince>,
    /// The broker that the prices come from; `None` if none were written lately.
    pub broker: Option<BrokerIdentity>,
    /// The processes on the store.
    pub processes: Vec<Presence>,
    /// The last sweeps of the whole universe, newest first.
    pub sweeps: Vec<Entry>,
    /// The last run skipped since the last sweep.
    pub last_skip: Option<Entry>,
    /// Today's session, minute by minute.
    pub coverage: DayCoverage,
    /// The prices that stand in for the last close; `None` if the close was taken, or there are
    /// none.
    pub last_known: Option<LastKnown>,
    /// How the clocks of this machine and of the store differ, and which is wrong; `None` while
    /// they agree.
    pub clock: Option<String>,
    /// Bans in force.
    pub bans: Vec<Entry>,
    /// The calls of each app key.
    pub rates: Vec<KeyCalls>,
    /// The calls of all app keys together.
    pub calls: Calls,
    /// Ages of the live prices, milliseconds; `None` if there are none.
    pub ages_ms: Option<Ages>,
    /// When the next run is due; `None` if not known.
    #[serde(serialize_with = "optionally_in_seconds")]
    pub next_run: Option<KrxTime>,
    /// Why no sweeps run until then; `None` while they go on.
    pub idle: Option<Idle>,
}

/// The leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeaderSince {
    /// The name of the process.
    pub process: String,
    /// The fencing token of its lease.
    pub lead: u64,
    /// Since when, by the store's clock.
    #[serde(serialize_with = "optionally_in_seconds")]
    pub since: Option<KrxTime>,
}

impl From<&Leader> for LeaderSince {
    fn from(leader: &Leader) -> Self {
        let since = chrono::DateTime::from_timestamp_millis(leader.since_ms);
        Self {
            process: leader.process.clone(),
            lead: leader.lead.0,
            since: since.map(|since| since.with_timezone(&Seoul)),
        }
    }
}

impl Status {
    /// Whether the prices come from a simulated broker.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        let broker = self.broker.as_ref();
        broker.is_some_and(|broker| broker.simulated == Some(true))
    }

    /// Gathers the status from the store of `parts`, with the last `sweeps` sweeps. For the ages,
    /// the prices of the universe are read.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refused.
    pub async fn gather(parts: &Parts, sweeps: usize) -> Result<Self, StoreError> {
        let symbols: Vec<Symbol> = parts.universe.load().symbols().collect();
        let quotes = parts.store.realtime(&symbols).await?;
        let fetched = quotes.iter().flatten().map(|quote| quote.fetched_at);
        let ages = Ages::of((parts.clock)(), fetched);
        Self::gather_with(parts, sweeps, ages).await
    }

    /// As [`Status::gather`], for callers that already know the ages.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refused.
    pub async fn gather_with(
        parts: &Parts,
        sweeps: usize,
        ages_ms: Option<Ages>,
    ) -> Result<Self, StoreError> {
        if let Some(redis) = &parts.redis {
            redis.learn_time().await;
        }
        let now = (parts.clock)();
        let leader = parts.leader().await?;
        let mut processes = parts.records.present().await?;
        for process in &mut processes {
            // The lease decides: a killed leader stays on the roster for a while.
            let leads = leader.as_ref().map(|leader| &leader.process) == Some(&process.process);
            if process.role == Role::Leading && !leads {
                process.role = Role::Waiting;
            }
        }
        let entries = parts.records.entries(ENTRIES).await?;
        let counted = parts.records.minutes(now.date_naive()).await?;
        let keys: BTreeSet<String> = processes
            .iter()
            .filter_map(|process| process.key.clone())
            .chain(parts.key.clone())
            .collect();
        let rates = KeyCalls::of_all(parts, keys).await?;
        let is_sweep = |entry: &&Entry| matches!(entry.event, Event::Sweep(_));
        let of_passes = entries.iter().filter(is_sweep);
        // Sweeps of a few codes on request say nothing about the universe.
        let of_sweeps = entries
            .iter()
            .filter(|entry| entry.event.whole_sweep().is_some());
        let calendar = parts.calendar.load();
        let moment = calendar.moment(now);
        let began = calendar.session(now.date_naive()).map(|(open, _)| open);
        let bans = bans(&entries, now);
        let last_skip = last_skip(&entries);
        let next = next::Known {
            parts,
            has_leader: leader.is_some(),
            last_sweep: of_sweeps.clone().next(),
            last_skip: last_skip.as_ref(),
            ban: bans.first(),
        };
        let is_simulated = parts.origin.own().and_then(|own| own.simulated);
        let closes = parts.closes.clone().of_broker(is_simulated);
        let NextRun { at, idle } = next.next_run(&moment, now);
        Ok(Self {
            at: now,
            open: moment.is_open(),
            phase: moment.phase,
            reason: moment.closed.as_ref().map(ToString::to_string),
            market_open_at: if moment.is_open() {
                began
            } else {
                moment.next_open
            },
            closes_at: moment.closes_at,
            leader: leader.as_ref().map(LeaderSince::from),
            broker: parts.origin.broker().await?,
            coverage: DayCoverage::new(parts, now, counted),
            calls: Calls::new(&rates, of_passes, parts, now),
            sweeps: of_sweeps.take(sweeps).cloned().collect(),
            last_skip,
            last_known: closes.last_known().await?,
            clock: parts.clocks_apart().map(|apart| apart.to_string()),
            bans,
            rates,
            processes,
            ages_ms,
            next_run: at,
            idle,
        })
    }
}

/// Returns the bans of `entries` (newest first) that are in force, without those lifted since.
fn bans(entries: &[Entry], now: KrxTime) -> Vec<Entry> {
    let mut lifted = BTreeSet::new();
    let mut bans = Vec::new();
    for entry in entries {
        match &entry.event {
            Event::BanLifted { credentials, .. } => drop(lifted.insert(credentials)),
            Event::Ban {
                credentials, until, ..
            } if *until > now && !lifted.contains(credentials) => bans.push(entry.clone()),
            _ => {}
        }
    }
    bans
}

/// Returns the last run of `entries` (newest first) that was skipped since the last sweep. A run
/// left to the leader does not count as skipped.
fn last_skip(entries: &[Entry]) -> Option<Entry> {
    let mut sweeps = entries
        .iter()
        .filter(|entry| entry.event.whole_sweep().is_some());
    let last_sweep = sweeps.next().map(|entry| entry.at);
    let is_skip = |entry: &&Entry| match &entry.event {
        Event::Skip(skipped) => {
            skipped.reason != Skipped::NOT_LEADER
                && last_sweep.is_none_or(|last| entry.last_at > last)
        }
        _ => false,
    };
    entries.iter().find(is_skip).cloned()
}

/// Serializes an instant in whole seconds, with its zone.
fn in_seconds<S: Serializer>(time: &KrxTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(chrono::SecondsFormat::Secs, false))
}

fn optionally_in_seconds<S: Serializer>(
    time: &Option<KrxTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => in_seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("origin", &self.origin)
            .field("redis", &self.redis)
            .finish_non_exhaustive()
    }
}
