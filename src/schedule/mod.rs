//! The schedule of the daemon: turns cron ticks into passes and explains every run that is skipped.

mod account;
mod clock_watch;
mod cron;
mod decision;
mod minutes;
mod morning;
mod pass;
mod runs;
mod state;
mod taking;
mod want;
mod watched;

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::ArcSwap;
use secrecy::SecretString;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};
use tokio_cron_scheduler::JobSchedulerError;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::calendar::CalendarInUse;
use crate::closes::Closes;
use crate::feed::Traded;
use crate::freshness::Freshness;
use crate::leadership::{self, Candidate};
use crate::ledger::LedgerKeeper;
use crate::movers::Movers;
use crate::ping::Ping;
use crate::planner::Planner;
use crate::presence::Activity;
use crate::provenance::Origin;
use crate::sweep::{Report, Step, Sweeper};
use crate::universe::Loader;
pub use cron::{Ticks, Timetable};
use minutes::Minutes;
use morning::Morning;
use pass::Passes;
use sise_domain::{BrokerIdentity, KrxTime, Universe};
use sise_net::supervisor::Tasks;
use sise_port::clock::Clock;
use sise_port::{Gap, PriceStore, Recorder, Records, WatchedCodes};
use sise_store::RedisStore;
use state::State;
use watched::Watched;

/// Callbacks for a live display.
pub trait Watcher: Send + Sync {
    /// A batch was written, by a sweep or a pass over the watched codes.
    fn step(&self, step: &Step<'_>);
    /// A sweep is over.
    fn swept(&self, report: &Report);
    /// A run was skipped: the reason, and when the next run is due.
    fn skipped(&self, why: &str, next: Option<KrxTime>);
}

/// What a schedule works with.
pub struct Parts {
    /// The clock.
    pub clock: Clock,
    /// This machine's clock, without correction.
    pub own_clock: Clock,
    /// The calendar.
    pub calendar: Arc<CalendarInUse>,
    /// The stock list.
    pub universe: Arc<ArcSwap<Universe>>,
    /// The broker.
    pub broker: Option<Broker>,
    /// The prices.
    pub store: Arc<dyn PriceStore>,
    /// Redis, if that is the store.
    pub redis: Option<Arc<RedisStore>>,
    /// The records about the work.
    pub records: Arc<dyn Records>,
    /// Takes events for the event log.
    pub recorder: Arc<dyn Recorder>,
    /// The closes.
    pub closes: Closes,
    /// The rankings of the day.
    pub movers: Movers,
    /// Codes that are refreshed more often than the rest.
    pub watched: Arc<dyn WatchedCodes>,
    /// The codes that the live feed writes.
    pub traded: Arc<Traded>,
    /// What this process is doing at the moment.
    pub activity: Activity,
    /// Where the prices come from.
    pub origin: Origin,
    /// Computes plans.
    pub planner: Planner,
    /// Digest of the app key, if there is one.
    pub key: Option<String>,
    /// Whether other app keys may take part in the sweeps.
    pub shares_sweeps: bool,
    /// The times of the sweeps.
    pub timetable: Timetable,
    /// The interval of the sweeps.
    pub interval: Duration,
    /// The interval of the passes over the watched codes.
    pub watch_interval: Duration,
    /// A minute with a smaller share of live prices is a gap.
    pub gap_below: f64,
    /// Address that is called after a good sweep.
    pub ping_url: Option<SecretString>,
}

/// The work of a schedule.
pub struct Work {
    /// What it works with.
    pub parts: Arc<Parts>,
    /// Makes the sweeps.
    pub sweeper: Sweeper,
    /// Makes the passes over the watched codes, with this process's own app key. Even if sweeps are
    /// shared, a few codes are not worth sharing.
    pub own_sweeper: Sweeper,
    /// This process as a candidate for leadership; `None` if it runs alone.
    pub candidate: Option<Arc<Candidate>>,
    /// Reloads the stock list every morning.
    pub loader: Loader,
    /// Notes what is written.
    pub freshness: Arc<Freshness>,
    /// Sweeps at any time, without asking the calendar.
    pub always_open: bool,
    /// A live display.
    pub watcher: Option<Arc<dyn Watcher>>,
    /// Codes whose prices must be asked for at once; `None` without a live feed.
    pub gaps: Option<broadcast::Receiver<Gap>>,
    /// Supervises the tasks that run beside the sweeps.
    pub tasks: Tasks,
}

/// Decides at every tick whether to sweep, and runs the sweeps.
pub struct Schedule {
    parts: Arc<Parts>,
    passes: Passes,
    /// Makes the passes over the watched codes, with this process's own app key.
    own_sweeper: Sweeper,
    /// The number of watched codes, as far as this process knows.
    watched: Arc<AtomicUsize>,
    candidate: Option<Arc<Candidate>>,
    morning: Arc<Morning>,
    ping: Option<Arc<Ping>>,
    always_open: bool,
    timetable: Timetable,
    gaps: Option<broadcast::Receiver<Gap>>,
    tasks: Tasks,
}

impl Schedule {
    /// Creates a schedule of `work`.
    ///
    /// # Errors
    ///
    /// Returns an error if no HTTP client can be built for the ping after a sweep.
    pub fn new(work: Work) -> Result<Self, String> {
        let ledger = LedgerKeeper::new(work.parts.records.clone());
        let ping = work.parts.ping_url.clone();
        let watched: Arc<AtomicUsize> = Arc::default();
        let candidate = work.candidate;
        Ok(Self {
            own_sweeper: work.own_sweeper,
            passes: Passes {
                sweeper: work.sweeper,
                candidate: candidate.clone(),
                freshness: work.freshness,
                ledger: Arc::new(ledger),
                watcher: work.watcher,
            },
            watched: Arc::clone(&watched),
            candidate,
            ping: ping.map(Ping::new).transpose()?.map(Arc::new),
            timetable: work.parts.timetable.clone(),
            morning: Arc::new(Morning {
                parts: Arc::clone(&work.parts),
                loader: work.loader,
                watched,
            }),
            parts: work.parts,
            always_open: work.always_open,
            gaps: work.gaps,
            tasks: work.tasks,
        })
    }

    /// Works until `stop`: at once, then at every tick of the cron loop.
    ///
    /// # Errors
    ///
    /// Returns an error if the cron loop cannot be started.
    pub async fn run(self, stop: CancellationToken) -> Result<(), JobSchedulerError> {
        let ticks = Ticks::default();
        let mut cron = self.timetable.start(&ticks).await?;
        self.run_on(&ticks, stop).await;
        cron.shutdown().await
    }

    /// Works until `stop`: at once, then at every tick of `ticks`.
    pub async fn run_on(mut self, ticks: &Ticks, stop: CancellationToken) {
        let interval = self.parts.interval;
        let mut state = State::new();
        let mut states = None;
        if let Some(candidate) = &self.candidate {
            // Ask once before the first tick, so that the leader is known.
            candidate.campaign().await;
            states = Some(candidate.changes());
        }
        self.start_chores();
        if !self.always_open {
            let check = self.morning.check_calendar((self.parts.clock)());
            stop.run_until_cancelled(check).await;
        }
        self.tick(&mut state, &stop).await;
        loop {
            // The cron loop follows the wall clock: if that is set back an hour, it is silent for
            // an hour.
            let patience = if state.is_cron_silent {
                interval
            } else {
                interval * 2 + Duration::from_secs(2)
            };
            let overdue = state.ticked_at + patience;
            let store_again = state.store_again.unwrap_or(overdue);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = state.sweeps.join_next() => {
                    match done {
                        Ok(report) => self.finish(&mut state, &report, &stop).await,
                        // The failure was already logged; the next tick tries again.
                        Err(_) => state.running = None,
                    }
                    if std::mem::take(&mut state.owed) {
                        self.tick(&mut state, &stop).await;
                    }
                }
                // A new leader sweeps at once, as the previous one may be gone for a while.
                () = leadership::changed(&mut states) => self.tick(&mut state, &stop).await,
                () = ticks.sweep.notified() => {
                    // After the machine slept, the cron loop catches up; one sweep is enough.
                    let is_new = state.cron_at.is_none_or(|at| at.elapsed() >= interval / 2);
                    state.is_cron_silent = false;
                    if is_new {
                        state.cron_at = Some(Instant::now());
                        self.tick(&mut state, &stop).await;
                    }
                }
                () = ticks.close.notified() => {
                    if self.close_is_due(&mut state).await {
                        self.tick(&mut state, &stop).await;
                    }
                }
                () = ticks.reload.notified() => {
                    let (morning, stop) = (Arc::clone(&self.morning), stop.clone());
                    self.tasks.brief("morning", async move {
                        stop.run_until_cancelled(morning.reload()).await;
                    });
                }
                () = sleep_until(store_again), if state.store_again.is_some() => {
                    self.tick(&mut state, &stop).await;
                }
                () = sleep_until(overdue) => {
                    if !std::mem::replace(&mut state.is_cron_silent, true) {
                        tracing::warn!("no tick of the cron loop for two intervals; was the clock set back? continuing without it");
                    }
                    self.tick(&mut state, &stop).await;
                }
            }
        }
        // A running sweep sees the same stop and ends within its grace.
        while let Some(done) = state.sweeps.join_next().await {
            if let Ok(report) = done {
                self.finish(&mut state, &report, &stop).await;
            }
        }
    }

    /// Returns the closes, as they count for the broker of this process.
    ///
    /// Before that broker's first answer, the record of the broker behind the prices may tell
    /// whether it is simulated. Otherwise it is taken for the real one; at worst, closes that exist
    /// are asked for again.
    async fn closes(&self) -> Closes {
        let origin = &self.parts.origin;
        let own = origin.own();
        let mut is_simulated = own.as_ref().and_then(|own| own.simulated);
        if is_simulated.is_none() {
            let held = origin.broker().await.ok().flatten();
            let differs = |held: &BrokerIdentity| {
                let own = own.as_ref();
                own.is_some_and(|own| held.differs_from(own))
            };
            let held = held.filter(|held| !differs(held));
            is_simulated = held.and_then(|held| held.simulated);
        }
        let is_simulated = is_simulated.unwrap_or(false);
        let closes = self.parts.closes.clone();
        closes.of_broker(Some(is_simulated))
    }

    /// Starts the tasks beside the sweeps: the campaign for leadership, the clock watch, the count
    /// of live prices, and the passes over the watched codes.
    fn start_chores(&mut self) {
        let tasks = &self.tasks;
        if let Some(candidate) = self.candidate.clone() {
            candidate.start("lease", tasks);
        }
        let parts = Arc::clone(&self.parts);
        let freshness = Arc::clone(&self.passes.freshness);
        tasks.lasting("clock watch", move |stop| {
            clock_watch::watch(Arc::clone(&parts), Arc::clone(&freshness), stop)
        });
        let (parts, candidate) = (Arc::clone(&self.parts), self.candidate.clone());
        let always_open = self.always_open;
        tasks.lasting("minutes", move |stop| {
            Minutes::new(Arc::clone(&parts), candidate.clone(), always_open).run(stop)
        });
        let passes = Passes {
            sweeper: self.own_sweeper.clone(),
            ..self.passes.clone()
        };
        let (parts, count) = (Arc::clone(&self.parts), Arc::clone(&self.watched));
        let gaps = self.gaps.take();
        tasks.lasting("watched codes", move |stop| {
            let (parts, count) = (Arc::clone(&parts), Arc::clone(&count));
            let watched = Watched::new(parts, passes.clone(), always_open, count);
            let gaps = gaps.as_ref().map(broadcast::Receiver::resubscribe);
            watched.told_of(gaps).run(stop)
        });
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("broker", &self.broker)
            .field("timetable", &self.timetable)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("candidate", &self.candidate)
            .field("always_open", &self.always_open)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("timetable", &self.timetable)
            .field("always_open", &self.always_open)
            .finish_non_exhaustive()
    }
}
