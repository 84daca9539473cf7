//! Wires the parts together. Only this module names the concrete adapters.

mod adapters;
#[cfg(feature = "daemon")]
mod alerts;
mod broker;
mod cache;
mod dated;
mod feed;
mod library;
#[cfg(feature = "daemon")]
mod parts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::broker::Broker;
use crate::calendar::{CalendarInUse, OverrideError, read_calendar};
use crate::closes::Closes;
use crate::config::{ConfigError, KisEnvironment, Settings, UniverseSource};
use crate::feed::Traded;
use crate::fleet::{self, Dispatcher, Member, Worker};
use crate::journal::{EventWriter, Notes};
use crate::leadership::{Candidate, LeaderStore};
use crate::movers::Movers;
use crate::planner::Planner;
use crate::presence::{Activity, Heartbeat};
use crate::provenance::{Origin, OwnBrokerStore, Provenance};
use crate::reader::{self, Reader};
use crate::sweep::{SweepOptions, Sweeper};
use crate::universe::{CsvFile, LastGood, Loader, ShippedList};
use crate::watch::{Reads, Watch, WatchLists};
use sise_cache::{self as caching, Cache};
use sise_domain::{Calendar, KrxTime, Presence, RateMode, Role, Shipped, Universe};
use sise_kis::MasterFiles;
use sise_net::unique;
use sise_port::clock::{Clock, ClocksApart};
use sise_port::{
    BrokerClaims, Changes, Flights, IndexStore, Leader, Leadership, ListSource, PriceStore,
    QuoteSource, Recorder, Records, StoreError, WatchedCodes,
};
use sise_store::{Keys, RedisStore};

pub use adapters::{Adapters, Connect, KeyShare, WorkShare};
use broker::credentials;
pub use cache::cache_builder_from_env;
pub use library::ReaderBuilder;

/// An error while the parts are put together.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A setting was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The calendar override file is invalid.
    #[error(transparent)]
    Calendar(#[from] OverrideError),
    /// The interval of the sweeps is unusable.
    #[error("{0}")]
    Schedule(String),
    /// The address of the store is unusable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address of the broker is unusable.
    #[error("{0}")]
    Broker(String),
    /// The webhook for alerts is unusable.
    #[cfg(feature = "daemon")]
    #[error("{0}")]
    Webhook(String),
}

/// All parts of a program, wired together.
pub struct Wiring {
    /// The settings that the parts were made from.
    pub settings: Settings,
    /// The clock.
    pub clock: Clock,
    /// The calendar; replaced when the override file is read again.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// Renews the calendar.
    pub calendar_in_use: Arc<CalendarInUse>,
    /// The list in use, for names and markets; replaced by every load.
    pub universe: Arc<ArcSwap<Universe>>,
    /// The broker, if credentials are set.
    pub broker: Option<Broker>,
    /// The prices, for readers.
    pub reader_store: Arc<dyn PriceStore>,
    /// The prices, for sweeps: on a separate connection, so that long pipelines delay no reader.
    pub sweep_store: Arc<dyn PriceStore>,
    /// The codes that the live feed writes.
    pub traded: Arc<Traded>,
    /// The levels of the indices, for readers.
    pub indices: Arc<dyn IndexStore>,
    /// The claim that the prices in the store are from this broker.
    ///
    /// `None` without a broker, or if no other process can use the store.
    pub provenance: Option<Arc<Provenance>>,
    /// Redis, if that is the store.
    pub redis: Option<Arc<RedisStore>>,
    /// What sise keeps beside the prices, under `sise:`.
    pub cache: Cache,
    /// The same for large values: the lines of the day.
    pub bulk_cache: Cache,
    /// The name of this process among the others.
    pub process: String,
    /// Announces and reports changes in the store.
    pub changes: Arc<dyn Changes>,
    /// The records about the work, beside the prices.
    pub records: Arc<dyn Records>,
    /// Takes events for the event log.
    pub recorder: Arc<dyn Recorder>,
    /// Codes that are refreshed more often than the rest.
    pub watched: Arc<dyn WatchedCodes>,
    /// Counts reads by code.
    pub reads: Reads,
    /// What this process is doing at the moment.
    pub activity: Activity,
    started_at: KrxTime,
    brokers: Option<Arc<dyn BrokerClaims>>,
    lease: Option<Arc<dyn Leadership>>,
    #[cfg(feature = "daemon")]
    alert_lease: Option<Arc<dyn Leadership>>,
    flights: Option<Arc<dyn Flights>>,
    work: Option<WorkShare>,
    connect: Connect,
    last_good: LastGood,
}

impl Wiring {
    /// Puts the parts together. Nothing is connected yet. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if an address or a file is unusable.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, SetupError> {
        let adapters = Adapters::new(&settings, clock)?;
        Self::on(settings, adapters)
    }

    /// Puts the parts together on the given adapters.
    ///
    /// # Errors
    ///
    /// Returns an error if an address or a file is unusable.
    pub fn on(settings: Settings, adapters: Adapters) -> Result<Self, SetupError> {
        let calendar = Arc::new(ArcSwap::from_pointee(read_calendar(
            settings.calendar_file.as_deref(),
        )?));
        let universe = Arc::new(ArcSwap::from_pointee(Shipped::get().universe()));
        let broker = broker::put_together(&settings, &calendar, &universe, &adapters)?;
        let provenance = broker
            .as_ref()
            .zip(adapters.brokers.clone())
            .map(|(broker, claims)| {
                let identify = broker.identify(settings.kis.identity());
                let process = adapters.process.clone();
                let ttl = settings.store.ttl;
                Arc::new(Provenance::new(claims, identify, process, ttl))
            });
        let (reader_store, sweep_store, indices) = match &provenance {
            Some(provenance) => own_stores(
                adapters.reader_store,
                adapters.sweep_store,
                adapters.index_store,
                provenance,
            ),
            None => (
                adapters.reader_store,
                adapters.sweep_store,
                adapters.index_store,
            ),
        };
        let is_real = settings.kis.environment == KisEnvironment::Real;
        let caller = broker.as_ref().filter(|_| is_real);
        let calendar_in_use = CalendarInUse::new(
            Arc::clone(&calendar),
            settings.calendar_file.clone(),
            caller.map(|broker| broker.caller.clone()),
        );
        let last_good = LastGood::new(&settings.universe_origin(), adapters.copies);
        let started_at = (adapters.clock)();
        let cache_on = |store| {
            Cache::new(caching::Parts {
                store,
                process: adapters.process.clone(),
                clock: Arc::clone(&adapters.clock),
                timeout: settings.store.connect_timeout + settings.store.response_timeout,
                namespace: Keys::new(&settings.store.namespace).own(""),
            })
        };
        let cache = cache_on(adapters.cache_store);
        let bulk_cache = cache_on(adapters.bulk_store);
        let reads = Reads::new(&cache);
        let watch = || Arc::new(Watch::new(&cache, reads.clone(), settings.watch.hottest));
        let watched = adapters.watched.unwrap_or_else(|| watch());
        Ok(Self {
            settings,
            clock: adapters.clock,
            calendar,
            calendar_in_use: Arc::new(calendar_in_use),
            universe,
            broker,
            reader_store,
            traded: Arc::default(),
            sweep_store,
            indices,
            provenance,
            brokers: adapters.brokers,
            redis: adapters.redis,
            cache,
            bulk_cache,
            process: adapters.process,
            changes: adapters.changes,
            records: adapters.records,
            recorder: adapters.recorder,
            watched,
            reads,
            activity: Activity::new("starting"),
            started_at,
            lease: adapters.lease,
            #[cfg(feature = "daemon")]
            alert_lease: adapters.alert_lease,
            flights: adapters.flights,
            work: adapters.work,
            connect: adapters.connect,
            last_good,
        })
    }

    /// Returns the loader for the stock list, by the settings.
    ///
    /// # Errors
    ///
    /// Returns an error if the address of the master files is unusable.
    pub fn loader(&self) -> Result<Loader, SetupError> {
        let universe = &self.settings.universe;
        let master = || -> Result<Box<dyn ListSource>, SetupError> {
            let base = &self.settings.kis.master_url;
            let files = (self.connect)(base, MasterFiles::PATIENCE)
                .and_then(|transport| MasterFiles::new(base, transport));
            Ok(Box::new(files.map_err(SetupError::Broker)?))
        };
        let csv = || {
            let file = universe.file.as_deref();
            file.map(|path| Box::new(CsvFile::new(path)) as Box<dyn ListSource>)
        };
        let last_good = || Box::new(self.last_good.clone()) as Box<dyn ListSource>;
        let shipped = || Box::new(ShippedList) as Box<dyn ListSource>;
        let sources = match universe.source {
            UniverseSource::Auto => {
                let rest = [last_good(), shipped()];
                [master()?].into_iter().chain(csv()).chain(rest).collect()
            }
            UniverseSource::Master => vec![master()?, last_good()],
            UniverseSource::Csv => csv().into_iter().chain([last_good()]).collect(),
            UniverseSource::LastGood => vec![last_good()],
            UniverseSource::Shipped => vec![shipped()],
        };
        Ok(Loader::new(
            sources,
            self.last_good.clone(),
            universe.selection,
        ))
    }

    /// Takes names and markets from the last good list, if there is one.
    ///
    /// This is for programs that do not sweep the list. Nothing is downloaded.
    pub async fn know_names(&self) {
        if let Ok(list) = self.last_good.list().await {
            self.universe.store(Arc::new(list));
        }
    }

    /// Returns this process as a candidate for the lead of the daemons.
    ///
    /// `None` if no other process can use the store.
    #[must_use]
    pub fn candidate(&self) -> Option<Arc<Candidate>> {
        let lease = Arc::clone(self.lease.as_ref()?);
        let life = self.settings.schedule.lease;
        let clock = Arc::clone(&self.clock);
        let candidate = Candidate::new(lease, self.process.clone(), life, clock);
        let recorder = Arc::clone(&self.recorder);
        Some(Arc::new(candidate.recorded_by(recorder)))
    }

    /// Adjusts the clock to the store's time, for programs that need it before they use the store.
    pub async fn learn_time(&self) {
        if let Some(redis) = &self.redis {
            redis.learn_time().await;
        }
    }

    /// Returns the difference between this machine's clock and the store's, if one is known.
    #[must_use]
    pub fn clocks_apart(&self) -> Option<ClocksApart> {
        self.redis.as_ref()?.clock()?.apart()
    }

    /// Returns this machine's clock without correction.
    #[must_use]
    pub fn own_clock(&self) -> Clock {
        let clock = self.redis.as_ref().and_then(|redis| redis.clock());
        clock.map_or_else(|| Arc::clone(&self.clock), |clock| clock.own())
    }

    /// Returns the digest that stands for the app key in the store; `None` without credentials.
    #[must_use]
    pub fn app_key_digest(&self) -> Option<String> {
        let base = self.settings.kis.base_url.trim_end_matches('/');
        Some(credentials(&self.settings)?.identity(base))
    }

    /// Returns the leader of the daemons on the store.
    ///
    /// `None` if there is no leader, or if no other process can use the store.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses the command.
    pub async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        match &self.lease {
            Some(lease) => lease.leader().await,
            None => Ok(None),
        }
    }

    /// Returns where the prices in the store come from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let own = self.broker.as_ref();
        let own = own.map(|broker| broker.identify(self.settings.kis.identity()));
        Origin::new(self.brokers.clone(), own)
    }

    /// Returns what computes the plans of this process.
    #[must_use]
    pub fn planner(&self) -> Planner {
        Planner {
            empty: self.settings.plan(0, 0, self.settings.calling()),
            source: self
                .broker
                .as_ref()
                .map(|broker| Arc::clone(&broker.source)),
            lists: WatchLists::new(&self.cache),
            hottest: self.settings.watch.hottest,
        }
    }

    /// Returns the writer that writes `notes` into the event log of the store.
    #[must_use]
    pub fn writer(&self, notes: Notes) -> EventWriter {
        let clock = Arc::clone(&self.clock);
        EventWriter::new(notes, self.records.clone(), self.process.clone(), clock)
    }

    /// Returns the task that keeps this process on the store's roster, in a role.
    ///
    /// A daemon passes its `candidate`, which knows whether the process leads.
    #[must_use]
    pub fn heartbeat(&self, role: Role, candidate: Option<&Arc<Candidate>>) -> Heartbeat {
        let presence = self.presence(role);
        let roster = self.records.clone();
        let mut heartbeat = Heartbeat::new(roster, presence, self.activity.clone());
        if let Some(broker) = &self.broker {
            heartbeat = heartbeat.paced_by(Arc::clone(&broker.pacer));
        }
        if let Some(candidate) = candidate {
            heartbeat = heartbeat.of(Arc::clone(candidate));
        }
        if let (Some(provenance), true) = (&self.provenance, role != Role::Reader) {
            heartbeat = heartbeat.holding(Arc::clone(provenance));
        }
        heartbeat
    }

    /// Returns what this process tells others about itself.
    #[must_use]
    pub fn presence(&self, role: Role) -> Presence {
        Presence {
            process: self.process.clone(),
            host: unique::host_name(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role,
            since: self.started_at,
            key: self.app_key_digest(),
            scope: (role != Role::Reader).then(|| self.settings.scope()),
            rate: RateMode::None,
            doing: String::new(),
            watched: None,
            live: None,
        }
    }

    /// Returns a sweeper by the settings; `None` without credentials.
    ///
    /// If `candidate` is given, it writes only as the leader.
    #[must_use]
    pub fn sweeper(&self, candidate: Option<&Arc<Candidate>>) -> Option<Sweeper> {
        let sweep = &self.settings.sweep;
        let options = SweepOptions {
            batch_size: sweep.batch_size,
            batch_pause: sweep.batch_pause,
            in_flight: sweep.in_flight,
            ttl: self.settings.store.ttl,
        };
        let source: Arc<dyn QuoteSource> = self.broker.as_ref()?.source.clone();
        let mut store = Arc::clone(&self.sweep_store);
        let mut indices = Arc::clone(&self.indices);
        if let Some(candidate) = candidate {
            store = Arc::new(LeaderStore::new(store, Arc::clone(candidate)));
            indices = Arc::new(LeaderStore::new(indices, Arc::clone(candidate)));
        }
        Some(Sweeper::new(source, store, options).keeping_indices(indices))
    }

    /// Returns this process as a member of those that share the sweeps of the leader.
    ///
    /// `None` if sweeps are not shared, or without credentials.
    #[must_use]
    pub fn member(&self, candidate: &Arc<Candidate>) -> Option<Member> {
        let Settings {
            sweep,
            schedule,
            kis,
            ..
        } = &self.settings;
        let WorkShare {
            postings,
            assignments,
        } = self.work.clone()?;
        let source: Arc<dyn QuoteSource> = self.broker.as_ref()?.source.clone();
        // Twice the time that this key alone needs for all posted batches, plus the time until a
        // worker that died is noticed.
        let alone = Duration::from_secs_f64(f64::from(fleet::POSTED) / kis.rate.per_second);
        let dispatcher = Dispatcher::new(
            postings,
            Arc::clone(&source),
            Arc::clone(candidate),
            Arc::clone(&self.clock),
            (alone + schedule.lease) * 2,
        );
        let worker = Worker::new(
            assignments,
            source,
            Arc::clone(candidate),
            sweep.in_flight,
            schedule.lease / 3,
        );
        Some(Member {
            dispatcher: Arc::new(dispatcher),
            worker,
        })
    }

    /// Returns the stored closes.
    #[must_use]
    pub fn closes(&self) -> Closes {
        Closes::new(
            Arc::clone(&self.sweep_store),
            Arc::clone(&self.records),
            self.settings.journal.gap_below,
        )
        .of_broker(
            self.broker
                .as_ref()
                .and_then(|broker| broker.rest.is_simulated()),
        )
    }

    /// Returns the rankings of the day, by the prices in the store.
    #[must_use]
    pub fn movers(&self) -> Movers {
        let store = &self.settings.store;
        let prices = Arc::clone(&self.sweep_store);
        Movers::new(prices, &self.cache, &store.namespace, store.ttl)
    }

    /// Returns a reader on these parts. Needs a tokio runtime.
    #[must_use]
    pub fn reader(&self) -> Reader {
        let source = self.broker.as_ref();
        Reader::new(reader::Parts {
            store: Arc::clone(&self.reader_store),
            source: source.map(|broker| broker.source.clone() as Arc<dyn QuoteSource>),
            flights: self.flights.clone(),
            reads: Some(Arc::new(self.reads.clone())),
            process: self.process.clone(),
            calendar: Arc::clone(&self.calendar),
            clock: Arc::clone(&self.clock),
            ttl: self.settings.store.ttl,
            universe: Arc::clone(&self.universe),
            unlisted_interval: self.settings.kis.rate.part(reader::UNLISTED_SHARE),
        })
    }
}

/// Wraps the stores so that only prices of this process's broker are written.
fn own_stores(
    reader: Arc<dyn PriceStore>,
    sweep: Arc<dyn PriceStore>,
    indices: Arc<dyn IndexStore>,
    provenance: &Arc<Provenance>,
) -> (
    Arc<dyn PriceStore>,
    Arc<dyn PriceStore>,
    Arc<dyn IndexStore>,
) {
    (
        Arc::new(OwnBrokerStore::new(reader, Arc::clone(provenance))),
        Arc::new(OwnBrokerStore::new(sweep, Arc::clone(provenance))),
        Arc::new(OwnBrokerStore::new(indices, Arc::clone(provenance))),
    )
}

impl fmt::Debug for Wiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiring")
            .field("settings", &self.settings)
            .field("broker", &self.broker)
            .field("redis", &self.redis)
            .finish_non_exhaustive()
    }
}
