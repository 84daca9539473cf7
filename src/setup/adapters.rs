//! The adapters to everything adapters the process, as the settings name them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::dated::Dated;
use super::{SetupError, credentials};
use crate::config::Settings;
use sise_kis::{BanFile, Http, TokenFile, Transport};
use sise_net::unique;
use sise_pace::CallCount;
use sise_port::clock::{Clock, StoreClock};
use sise_port::{
    Assignments, BanStore, BrokerClaims, CacheStore, Changes, CopyStore, Flights, IndexStore,
    Leadership, Postings, PriceStore, RateBudget, Recorder, Records, StoreError, TokenStore,
    Unrecorded, WatchedCodes,
};
use sise_store::{
    FileCopies, MemoryStore, RedisBans, RedisBudget, RedisFirstLevel, RedisLease, RedisSettings,
    RedisStore, RedisTokens, RedisWork,
};

/// Creates a transport to an address of the broker, with a timeout for each request.
pub type Connect = Arc<dyn Fn(&str, Duration) -> Result<Arc<dyn Transport>, String> + Send + Sync>;

/// The adapters to everything adapters the process. None of them is connected yet.
#[derive(Clone)]
pub struct Adapters {
    /// The clock.
    pub clock: Clock,
    /// The name of this process among the others.
    pub process: String,
    /// Creates transports to the broker.
    pub connect: Connect,
    /// The prices, for readers.
    pub reader_store: Arc<dyn PriceStore>,
    /// The prices, for sweeps: on a separate connection, so that long pipelines delay no reader.
    pub sweep_store: Arc<dyn PriceStore>,
    /// The levels of the indices.
    pub index_store: Arc<dyn IndexStore>,
    /// Small, hot data beside the prices: watch lists, read counts, rankings.
    pub cache_store: Arc<dyn CacheStore>,
    /// Large data, on a connection on which it delays neither readers nor calls.
    pub bulk_store: Arc<dyn CacheStore>,
    /// Announces and reports changes in the store.
    pub changes: Arc<dyn Changes>,
    /// The records about the work, beside the prices.
    pub records: Arc<dyn Records>,
    /// Takes events for the event log.
    pub recorder: Arc<dyn Recorder>,
    /// Copies of the last good stock list, the nearest first.
    pub copies: Vec<Arc<dyn CopyStore>>,
    /// The lease of the leading daemon; `None` if no other process can use the store.
    pub lease: Option<Arc<dyn Leadership>>,
    /// The lease of the process that watches for alerts; `None` if no other can use the store.
    pub alert_lease: Option<Arc<dyn Leadership>>,
    /// Single flight between processes; `None` if no other process can use the store.
    pub flights: Option<Arc<dyn Flights>>,
    /// Records which broker the prices are from; `None` if no other process can use the store.
    pub brokers: Option<Arc<dyn BrokerClaims>>,
    /// What all processes of the app key share; `None` without a key or a shared store.
    pub key: Option<KeyShare>,
    /// The sweeps that processes of several app keys share; `None` if they are not shared.
    pub work: Option<WorkShare>,
    /// Codes that are refreshed more often than the rest; `None` for those of the watch lists and
    /// the most read.
    pub watched: Option<Arc<dyn WatchedCodes>>,
    /// The file that keeps the access token beyond the process.
    pub token_file: Option<TokenFile>,
    /// The file that keeps a ban of the app key beyond the process.
    pub ban_file: Option<BanFile>,
    /// Redis itself, if that is the store.
    pub redis: Option<Arc<RedisStore>>,
}

/// What the processes of one app key share.
#[derive(Clone)]
pub struct KeyShare {
    /// The call budget.
    pub budget: Arc<dyn RateBudget>,
    /// The calls of all these processes, as far as this one has seen them.
    pub count: Arc<CallCount>,
    /// The access token.
    pub tokens: Arc<dyn TokenStore>,
    /// The bans of the key.
    pub bans: Arc<dyn BanStore>,
}

/// The work that processes of several app keys share.
#[derive(Clone)]
pub struct WorkShare {
    /// Through which the leader posts batches.
    pub postings: Arc<dyn Postings>,
    /// From which this process takes batches.
    pub assignments: Arc<dyn Assignments>,
}

impl Adapters {
    /// Creates the adapters that `settings` name. Needs a tokio runtime.
    ///
    /// The recorder drops all events; replace it to keep them.
    ///
    /// # Errors
    ///
    /// Returns an error if the address of the store is unusable.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, SetupError> {
        let base = settings.kis.base_url.trim_end_matches('/');
        // The budget belongs to the key. Token and ban belong to key and secret, so that a wrong
        // secret never finds the token of the right one.
        let identities = credentials(settings).map(|credentials| {
            (
                credentials.identity(base),
                credentials.secret_identity(base),
            )
        });
        let token_file = identities
            .as_ref()
            .map(|(_, identity)| TokenFile::new(&settings.state_directory, identity));
        let ban_file = identities
            .as_ref()
            .map(|(_, identity)| BanFile::new(&settings.state_directory, identity));
        let files = Arc::new(FileCopies::new(&settings.state_directory));
        let store_clock = StoreClock::new(clock);
        let is_shared = settings.store.url.expose_secret() != "memory";
        let clock = match is_shared {
            true => store_clock.corrected(),
            false => store_clock.own(),
        };
        let own_clock = Arc::clone(&clock);
        let hears = Arc::clone(&store_clock);
        let adapters = |stores: Stores| Self {
            clock: own_clock,
            process: unique::process_name(),
            connect: Arc::new(move |base, patience| {
                let http = Http::new(base, patience)?;
                Ok(Arc::new(Dated::new(http, Arc::clone(&hears))))
            }),
            reader_store: stores.reader,
            sweep_store: stores.sweep,
            index_store: stores.index,
            cache_store: stores.cache,
            bulk_store: stores.bulk,
            changes: stores.changes,
            records: stores.records,
            recorder: Arc::new(Unrecorded),
            copies: vec![files, stores.copies],
            lease: None,
            alert_lease: None,
            flights: None,
            brokers: None,
            key: None,
            work: None,
            watched: None,
            token_file,
            ban_file,
            redis: None,
        };
        let store = &settings.store;
        let url = store.url.expose_secret();
        if url == "memory" {
            let memory = Arc::new(MemoryStore::default());
            return Ok(adapters(Stores {
                reader: memory.clone(),
                sweep: memory.clone(),
                index: memory.clone(),
                cache: memory.clone(),
                bulk: memory.clone(),
                changes: memory.clone(),
                records: memory.clone(),
                copies: memory,
            }));
        }
        let redis_settings = RedisSettings {
            url,
            namespace: &store.namespace,
            connect_timeout: store.connect_timeout,
            response_timeout: store.response_timeout,
        };
        let connect = || -> Result<RedisStore, StoreError> {
            let store = RedisStore::new(&redis_settings)?;
            Ok(store.telling(Arc::clone(&store_clock)))
        };
        let (redis, sweeping) = (Arc::new(connect()?), Arc::new(connect()?));
        let work = match &identities {
            Some((identity, _)) if settings.sweep.shared => {
                // A dead worker is noticed after the same time as a dead leader.
                let idle = settings.schedule.lease;
                let redis = Arc::clone(&redis);
                let work = Arc::new(RedisWork::new(redis, &redis_settings, identity, idle)?);
                Some(WorkShare {
                    postings: work.clone(),
                    assignments: work,
                })
            }
            _ => None,
        };
        let reader_store: Arc<dyn PriceStore> = if settings.reader.first_level {
            let redis = Arc::clone(&redis);
            Arc::new(RedisFirstLevel::new(redis, Arc::clone(&clock)))
        } else {
            redis.clone()
        };
        let count = Arc::new(CallCount::default());
        let key = identities.map(|(identity, secret_identity)| KeyShare {
            budget: Arc::new(RedisBudget::new(
                Arc::clone(&redis),
                &identity,
                settings.kis.caps(),
                Arc::clone(&count),
            )),
            count,
            tokens: Arc::new(RedisTokens::new(Arc::clone(&redis), &secret_identity)),
            bans: Arc::new(RedisBans::new(Arc::clone(&redis), &secret_identity)),
        });
        Ok(Self {
            lease: Some(redis.clone()),
            alert_lease: Some(Arc::new(RedisLease::new(Arc::clone(&redis), "alerts"))),
            flights: Some(redis.clone()),
            brokers: Some(redis.clone()),
            key,
            work,
            redis: Some(Arc::clone(&redis)),
            ..adapters(Stores {
                reader: reader_store,
                sweep: sweeping.clone(),
                index: redis.clone(),
                cache: redis.clone(),
                bulk: sweeping.clone(),
                changes: redis.clone(),
                records: sweeping,
                copies: redis,
            })
        })
    }
}

/// The roles of the store.
struct Stores {
    reader: Arc<dyn PriceStore>,
    sweep: Arc<dyn PriceStore>,
    index: Arc<dyn IndexStore>,
    cache: Arc<dyn CacheStore>,
    bulk: Arc<dyn CacheStore>,
    changes: Arc<dyn Changes>,
    records: Arc<dyn Records>,
    copies: Arc<dyn CopyStore>,
}

impl fmt::Debug for Adapters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapters")
            .field("process", &self.process)
            .field("redis", &self.redis)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyShare").finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkShare").finish_non_exhaustive()
    }
}
