//! Kills each task of a daemon, and checks that it begins again or ends the process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::config::RawSettings;
use crate::journal::event_queue;
use crate::leadership::{Candidate, LeadState};
use crate::setup::WorkShare;
use sise_domain::{BrokerIdentity, KrxTime, Symbol};
use sise_net::supervisor::TaskEnded;
use sise_port::{BrokerClaims, BrokerHolder, StoreError};
use sise_sim::{Sim, SimOptions};
use sise_store::{MemoryLease, MemoryStore, MemoryWork};

/// Tasks that begin again after they were killed.
const LASTING: [&str; 16] = [
    "alert lease",
    "alert stream",
    "alert webhook",
    "alerts",
    "board",
    "clock watch",
    "dispatcher",
    "feed",
    "lease",
    "lines",
    "minutes",
    "read counts",
    "upkeep",
    "watched codes",
    "worker",
    "heartbeat",
];

/// A daemon on a simulated broker with every optional part, and memory in place of Redis.
struct World {
    wiring: Arc<Wiring>,
    working: Tasks,
    telling: Tasks,
    candidate: Arc<Candidate>,
    daemon: JoinHandle<Result<(), DaemonError>>,
    stop: CancellationToken,
    /// Runs the simulated broker.
    _broker: Supervisor,
    _state: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = format!("http://{}", listener.local_addr().unwrap());
        let sim = Sim::new(SimOptions::default(), clock::system()).unwrap();
        let simulating = Supervisor::default();
        let stop = simulating.tasks().stop().clone();
        let serving = async move { sim.serve(listener, stop).await };
        simulating.tasks().vital("broker", serving);
        let state = tempfile::tempdir().unwrap();
        let mut raw = RawSettings::unset();
        for (key, value) in [
            ("kis.base_url", broker.as_str()),
            ("kis.ws_url", &broker.replace("http", "ws")),
            ("kis.app_key", "key"),
            ("kis.app_secret", "secret"),
            ("store.url", "memory"),
            ("universe.source", "shipped"),
            ("schedule.interval", "1s"),
            ("alerts.webhook_url", &broker),
            ("api.listen", "127.0.0.1:0"),
            ("state.directory", state.path().to_str().unwrap()),
        ] {
            raw.set(key, value);
        }
        let settings = Settings::new(&raw).unwrap();
        let clock = clock::system();
        let (event_queue, notes) = event_queue(Arc::clone(&clock));
        let store = Arc::new(MemoryStore::default());
        let work = Arc::new(MemoryWork::new(Duration::from_secs(10)));
        let adapters = Adapters {
            recorder: Arc::new(event_queue),
            lease: Some(store.clone()),
            alert_lease: Some(Arc::new(MemoryLease::new(store.clone(), "alerts"))),
            reader_store: store.clone(),
            sweep_store: store,
            work: Some(WorkShare {
                postings: work.clone(),
                assignments: work,
            }),
            ..Adapters::new(&settings, clock).unwrap()
        };
        let wiring = Wiring::on(settings, adapters).unwrap();
        let writer = wiring.writer(notes);
        let options = Options {
            always_open: true,
            allow_gaps: true,
            ..Options::default()
        };
        let daemon = Daemon::on(wiring, writer, options).await.unwrap();
        let stop = CancellationToken::new();
        Self {
            wiring: Arc::clone(&daemon.wiring),
            working: daemon.supervisor.tasks().clone(),
            telling: daemon.telling.tasks().clone(),
            candidate: daemon.sweeps.as_ref().unwrap().candidate.clone().unwrap(),
            daemon: tokio::spawn(daemon.run(stop.clone().cancelled_owned())),
            stop,
            _broker: simulating,
            _state: state,
        }
    }

    /// Returns how often the task of a name has begun, if it is running.
    fn begun(&self, task: &str) -> Option<u64> {
        let of = |tasks: &Tasks| tasks.running().get(task).copied();
        of(&self.working).or_else(|| of(&self.telling))
    }

    fn kill(&self, task: &str) {
        self.working.break_off(task);
        self.telling.break_off(task);
    }

    fn lead_ends_at(&self) -> Option<Instant> {
        match self.candidate.post() {
            LeadState::Leads { until, .. } => Some(until),
            LeadState::Follows(_) | LeadState::Unknown => None,
        }
    }

    /// Returns the time of the latest price.
    async fn swept_at(&self) -> Option<KrxTime> {
        let codes: Vec<Symbol> = self.wiring.universe.load().symbols().collect();
        let prices = self.wiring.sweep_store.realtime(&codes).await.unwrap();
        prices
            .into_iter()
            .flatten()
            .map(|price| price.fetched_at)
            .max()
    }

    /// Waits until a price is newer than all present ones.
    async fn sweeps_on(&self) {
        let before = self.swept_at().await;
        until(async || self.swept_at().await > before).await;
    }
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), waiting).await.unwrap();
}

#[tokio::test]
async fn a_daemon_whose_tasks_die_has_them_back_and_sweeps_on() {
    let world = World::new().await;
    world.sweeps_on().await;
    let lasting = [&LASTING[..], &["journal"]].concat();
    for task in &lasting {
        assert_eq!(world.begun(task), Some(1), "{task}");
    }
    for task in &lasting {
        world.kill(task);
    }
    for task in &lasting {
        until(async || world.begun(task) == Some(2)).await;
    }
    // The new lease task renews the lease. Otherwise sweeps would stop when the lease ends.
    let ends_at = world.lead_ends_at();
    until(async || world.lead_ends_at() > ends_at).await;
    world.sweeps_on().await;
    // The list above is complete.
    let running = world.working.running();
    let vital = |name: &&str| ["schedule", "API"].contains(name);
    let others = running
        .keys()
        .filter(|name| !vital(name) && !lasting.contains(*name));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&&str>::new());
    world.stop.cancel();
    world.daemon.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_daemon_ends_with_an_error_when_what_is_vital_dies() {
    for task in ["schedule", "API"] {
        let world = World::new().await;
        until(async || world.begun(task) == Some(1)).await;
        world.kill(task);
        let ended = world.daemon.await.unwrap();
        let expected = TaskEnded {
            task,
            trouble: "panicked: broken off".to_owned(),
        };
        assert!(matches!(&ended, Err(DaemonError::Ended(ended)) if *ended == expected));
        assert!(world.working.running().is_empty(), "{:?}", world.working);
    }
}

/// A store with prices of another broker. Counts the attempts to claim them.
#[derive(Default)]
struct OthersPrices(AtomicUsize);

#[async_trait]
impl BrokerClaims for OthersPrices {
    async fn claim_broker(
        &self,
        _: &BrokerIdentity,
        _: &str,
        _: Duration,
    ) -> Result<Option<BrokerHolder>, StoreError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.broker_holder().await
    }

    async fn broker_holder(&self) -> Result<Option<BrokerHolder>, StoreError> {
        Ok(Some(BrokerHolder {
            broker: BrokerIdentity {
                address: "http://other".to_owned(),
                account: "real".to_owned(),
                simulated: None,
            },
            process: "other".to_owned(),
            left: Duration::from_secs(100),
        }))
    }
}

#[tokio::test]
async fn a_daemon_that_its_plan_refuses_claims_no_prices() {
    let state = tempfile::tempdir().unwrap();
    let mut raw = RawSettings::unset();
    for (key, value) in [
        // A paper account gets one code per call, which is too slow for the whole list.
        ("kis.env", "paper"),
        ("kis.app_key", "key"),
        ("kis.app_secret", "secret"),
        ("store.url", "memory"),
        ("universe.source", "shipped"),
        ("state.directory", state.path().to_str().unwrap()),
    ] {
        raw.set(key, value);
    }
    let settings = Settings::new(&raw).unwrap();
    let claims = Arc::new(OthersPrices::default());
    let adapters = Adapters {
        brokers: Some(claims.clone()),
        ..Adapters::new(&settings, clock::system()).unwrap()
    };
    let wiring = Wiring::on(settings, adapters).unwrap();
    let refused = async |allow_gaps| {
        let options = Options {
            always_open: true,
            allow_gaps,
            ..Options::default()
        };
        let refused = ready::to_sweep(&wiring, &options).await.unwrap_err();
        (refused, claims.0.load(Ordering::Relaxed))
    };
    let (refusal, claimed) = refused(false).await;
    assert!(matches!(refusal, DaemonError::Gaps(_)), "{refusal:?}");
    assert!(refusal.to_string().contains("cannot keep its"), "{refusal}");
    assert_eq!(claimed, 0);
    let (refusal, claimed) = refused(true).await;
    let other = matches!(refusal, DaemonError::Store(StoreError::OtherBroker { .. }));
    assert!(other, "{refusal:?}");
    assert!(refusal.to_string().contains("store.namespace"), "{refusal}");
    assert_eq!(claimed, 1);
}
