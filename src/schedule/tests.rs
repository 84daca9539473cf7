//! Daemons of two brokers, run one after the other on one store.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::{TimeDelta, TimeZone as _};
use reqwest::Request;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;
use crate::config::{RawSettings, Settings};
use crate::setup::{Adapters, Wiring};
use sise_domain::{Quote, Seoul, Shipped, Symbol, Universe};
use sise_kis::{Reply, Transport};
use sise_net::supervisor::Supervisor;
use sise_port::clock::Clock;
use sise_port::{CopyStore as _, PriceStore as _, SourceError};
use sise_sim::{Sim, SimOptions};
use sise_store::MemoryStore;

/// Codes in the list.
const CODES: usize = 40;

/// A transport to a simulated broker that hides that it is simulated.
struct Passing(Arc<dyn Transport>);

#[async_trait]
impl Transport for Passing {
    async fn exchange(&self, request: Request) -> Result<Reply, SourceError> {
        let reply = self.0.exchange(request).await?;
        Ok(Reply {
            simulated: false,
            ..reply
        })
    }
}

/// Counts sweeps and reports skipped runs.
#[derive(Default)]
struct Seen {
    sweeps: AtomicUsize,
    skipped: Notify,
}

impl Watcher for Seen {
    fn step(&self, _: &Step<'_>) {}

    fn swept(&self, _: &Report) {
        self.sweeps.fetch_add(1, Ordering::Relaxed);
    }

    fn skipped(&self, _: &str, _: Option<KrxTime>) {
        self.skipped.notify_one();
    }
}

/// A clock that showed `start` when it was made.
fn from(start: KrxTime) -> Clock {
    let began = Instant::now();
    Arc::new(move || start + TimeDelta::from_std(began.elapsed()).unwrap())
}

/// Runs a daemon on `store` from 17:38 until it skips a run, and returns how many sweeps it made.
async fn evening(store: &Arc<MemoryStore>, is_simulated: bool) -> usize {
    let clock = from(Seoul.with_ymd_and_hms(2026, 11, 20, 17, 38, 0).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broker = format!("http://{}", listener.local_addr().unwrap());
    let sim = Sim::new(SimOptions::default(), Arc::clone(&clock)).unwrap();
    let supervisor = Supervisor::default();
    let tasks = supervisor.tasks();
    let ends = tasks.stop().clone();
    tasks.vital("broker", async move { sim.serve(listener, ends).await });
    let directory = tempfile::tempdir().unwrap();
    let mut raw = RawSettings::unset();
    for (key, value) in [
        ("kis.base_url", broker.as_str()),
        ("kis.app_key", "key"),
        ("kis.app_secret", "secret"),
        ("store.url", "memory"),
        ("universe.source", "shipped"),
        ("state.directory", directory.path().to_str().unwrap()),
    ] {
        raw.set(key, value);
    }
    let settings = Settings::new(&raw).unwrap();
    let mut adapters = Adapters {
        reader_store: store.clone(),
        sweep_store: store.clone(),
        index_store: store.clone(),
        records: store.clone(),
        ..Adapters::new(&settings, clock).unwrap()
    };
    if !is_simulated {
        let connect = adapters.connect;
        adapters.connect = Arc::new(move |base: &str, patience: Duration| {
            let way = connect(base, patience)?;
            Ok(Arc::new(Passing(way)) as Arc<dyn Transport>)
        });
    }
    let wiring = Wiring::on(settings, adapters).unwrap();
    wiring.universe.store(Arc::new(list()));
    let seen = Arc::new(Seen::default());
    let schedule = Schedule::new(Work {
        sweeper: wiring.sweeper(None).unwrap(),
        own_sweeper: wiring.sweeper(None).unwrap(),
        candidate: None,
        loader: wiring.loader().unwrap(),
        freshness: Arc::default(),
        always_open: false,
        watcher: Some(seen.clone()),
        gaps: None,
        tasks: tasks.clone(),
        parts: Arc::new(wiring.schedule().unwrap()),
    });
    let stop = CancellationToken::new();
    let ticks = Ticks::default();
    let work = schedule.unwrap().run_on(&ticks, stop.clone());
    let end = async {
        seen.skipped.notified().await;
        stop.cancel();
    };
    let done = async { tokio::join!(work, end) };
    timeout(Duration::from_secs(60), done).await.unwrap();
    supervisor.finish().await;
    seen.sweeps.load(Ordering::Relaxed)
}

fn list() -> Universe {
    let whole = Shipped::get().universe();
    Universe::new(whole.date, whole.listings().iter().take(CODES).cloned())
}

/// Returns which of the kept prices are simulated.
async fn simulated(store: &MemoryStore) -> Vec<bool> {
    let codes: Vec<Symbol> = list().symbols().collect();
    let kept = store.close(&codes).await.unwrap();
    let is_simulated = |quote: Box<Quote>| quote.simulated;
    kept.into_iter().flatten().map(is_simulated).collect()
}

/// A trial run in the evening, then a real one, which takes its own prices and keeps them.
#[tokio::test]
async fn what_a_simulated_broker_left_is_no_close_for_the_real_one() {
    let store = Arc::new(MemoryStore::default());
    assert_eq!(evening(&store, true).await, 1);
    assert_eq!(simulated(&store).await, [true; CODES]);
    assert_eq!(evening(&store, true).await, 0);
    // The same holds if the trial ran through the close.
    let mark = "2026-11-20 simulated";
    store.save_copy("closed_on", mark).await.unwrap();
    assert_eq!(evening(&store, false).await, 1);
    assert_eq!(simulated(&store).await, [false; CODES]);
    let mark = store.load_copy("last_known").await.unwrap().unwrap();
    assert!(mark.starts_with("2026-11-20 2026-11-20T17:38:"), "{mark}");
    assert!(mark.ends_with("+09:00"), "{mark}");
    for is_simulated in [false, true] {
        assert_eq!(evening(&store, is_simulated).await, 0);
        assert_eq!(simulated(&store).await, [false; CODES]);
    }
}
