//! Processes that watch one memory store, in simulated time.

mod processes;
mod queue;
mod receiver;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{TimeDelta, TimeZone as _};
use tokio::time::{Instant, sleep};

use super::*;
use crate::board::{self, Keeper};
use crate::leadership::Duty;
use sise_cache as cache;
use sise_domain::{
    Alert, Condition, Event, Group, KrxTime, Listing, Market, Quote, Scope, Seoul, Symbol, Terms,
};
use sise_net::supervisor::Supervisor;
use sise_port::{PriceStore as _, Shelf};
use sise_store::{MemoryLease, MemoryStore};

const LEASE: Duration = Duration::from_secs(10);
const LIFE: Duration = Duration::from_secs(120);

fn code(number: usize) -> Symbol {
    format!("{number:06}").parse().unwrap()
}

fn always(when: Condition) -> Terms {
    Terms {
        every_s: 0,
        ..Terms::new(when)
    }
}

/// Records events.
#[derive(Default)]
struct Memory(Mutex<Vec<Event>>);

impl Recorder for Memory {
    fn note(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// A store and a clock.
struct World {
    store: Arc<MemoryStore>,
    clock: Clock,
    cache: Cache,
    rules: AlertRules,
    codes: usize,
}

/// A process that watches.
struct Process {
    told: Arc<Memory>,
    supervisor: Supervisor,
}

impl World {
    fn new(codes: usize) -> Self {
        let start = Instant::now();
        let noon = Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        let clock: Clock = Arc::new(move || noon + TimeDelta::from_std(start.elapsed()).unwrap());
        let store = Arc::new(MemoryStore::default());
        let cache = Cache::new(cache::Parts {
            store: store.clone(),
            process: "test".to_owned(),
            clock: Arc::clone(&clock),
            timeout: Duration::from_secs(1),
            namespace: "sise:".to_owned(),
        });
        Self {
            rules: AlertRules::new(&cache),
            store,
            clock,
            cache,
            codes,
        }
    }

    fn now(&self) -> KrxTime {
        (self.clock)()
    }

    /// Starts a process that shares the lease with others, or is alone.
    fn process(&self, name: &str, is_alone: bool) -> Process {
        let told = Arc::new(Memory::default());
        let board = Arc::new(QuoteBoard::new(LIFE));
        let listing = |number| Listing {
            code: code(number),
            name: "회사".to_owned(),
            market: Market::Kospi,
            group: Group::Stock,
            halted: None,
            shares: None,
            sector: None,
            listed: None,
            in_liquidation: None,
        };
        let universe = Universe::new(None, (1..=self.codes).map(listing));
        let universe = Arc::new(ArcSwap::from_pointee(universe));
        let lease = || Arc::new(MemoryLease::new(Arc::clone(&self.store), "alerts"));
        let candidate = || {
            let clock = Arc::clone(&self.clock);
            let candidate = Candidate::new(lease(), name.to_owned(), LEASE, clock);
            Arc::new(candidate.for_duty(Duty::Alerts))
        };
        let alerts = Alerts::new(Parts {
            board: Arc::clone(&board),
            universe: Arc::clone(&universe),
            calendar: Arc::new(ArcSwap::from_pointee(Calendar::shipped())),
            always_open: false,
            clock: Arc::clone(&self.clock),
            life: LIFE,
            cache: self.cache.clone(),
            bulk_cache: self.cache.clone(),
            changes: self.store.clone(),
            recorder: told.clone(),
            sweeps: Some(self.store.clone()),
            candidate: (!is_alone).then(candidate),
            webhook: None,
        });
        let keeper = Keeper::new(board::Parts {
            board,
            store: self.store.clone(),
            index_store: self.store.clone(),
            changes: self.store.clone(),
            universe,
            clock: Arc::clone(&self.clock),
            onlookers: vec![alerts.onlooker()],
        });
        let supervisor = Supervisor::default();
        keeper.start(supervisor.tasks());
        alerts.start(supervisor.tasks());
        Process { told, supervisor }
    }

    /// Writes a price of a code and lets it be seen.
    async fn price(&self, number: usize, price: i64) {
        self.write(&[Quote::sample(code(number), price, self.now())])
            .await;
    }

    async fn write(&self, quotes: &[Quote]) {
        let shelf = Shelf::Realtime(LIFE);
        self.store.write(quotes, shelf, None).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }

    async fn rule(&self, name: &str, terms: &Terms) {
        self.rules.set(name, terms, self.now()).await.unwrap();
        sleep(Duration::from_secs(4)).await;
    }
}

impl Process {
    fn told(&self) -> Vec<Alert> {
        let told = self.told.0.lock().unwrap();
        let alert = |event: &Event| match event {
            Event::Alert { alert } => Some((**alert).clone()),
            _ => None,
        };
        told.iter().filter_map(alert).collect()
    }

    /// Stops it at once, like a crash.
    fn crash(&self) {
        self.supervisor.cut_off();
    }

    /// Stops it gracefully.
    async fn end(self) {
        self.supervisor.finish().await;
    }
}
