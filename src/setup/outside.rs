//! What a process reaches outside of itself, as the settings name it.

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
    Assignments, BanStore, BrokerClaims, CacheStore, Changes, Chronicle, CopyStore, Flights,
    IndexStore, Leadership, Postings, PriceStore, RateBudget, Recorder, StoreError, TokenStore,
    Unrecorded, WatchedCodes,
};
use sise_store::{
    FileCopies, MemoryStore, RedisBans, RedisBudget, RedisFirstLevel, RedisLease, RedisSettings,
    RedisStore, RedisTokens, RedisWork,
};

/// Makes a way to the broker's host at an address; each request over it is bounded by a time.
pub type Connect = Arc<dyn Fn(&str, Duration) -> Result<Arc<dyn Transport>, String> + Send + Sync>;

/// Everything outside of a process that it works with. Nothing in it is connected yet.
#[derive(Clone)]
pub struct Outside {
    /// Tells the time.
    pub clock: Clock,
    /// What this process calls itself where processes meet.
    pub process: String,
    /// Makes ways to the broker.
    pub connect: Connect,
    /// For readers.
    pub reader_store: Arc<dyn PriceStore>,
    /// For sweeps: a connection of its own, so that long pipelines delay no reader.
    pub sweep_store: Arc<dyn PriceStore>,
    /// Where the indices are kept.
    pub index_store: Arc<dyn IndexStore>,
    /// Where sise keeps what is hot beside the prices: watch lists, read counts, rankings.
    pub cache_store: Arc<dyn CacheStore>,
    /// The same for what is large, on a connection where it delays no reader and no call.
    pub bulk_store: Arc<dyn CacheStore>,
    /// Tells what changes in the store.
    pub changes: Arc<dyn Changes>,
    /// What is written down about the work, beside the prices.
    pub chronicle: Arc<dyn Chronicle>,
    /// Is told what happens.
    pub recorder: Arc<dyn Recorder>,
    /// Where the last good stock list is kept, the nearest place first.
    pub copies: Vec<Arc<dyn CopyStore>>,
    /// One lease of all daemons on the store; `None` where nobody else can be there.
    pub lease: Option<Arc<dyn Leadership>>,
    /// One lease of all processes that watch for alerts; `None` where nobody else can be there.
    pub alert_lease: Option<Arc<dyn Leadership>>,
    /// Codes that some process asks the broker for; `None` where this one is alone.
    pub flights: Option<Arc<dyn Flights>>,
    /// Of which broker the prices in the store are; `None` where nobody else can be there.
    pub brokers: Option<Arc<dyn BrokerClaims>>,
    /// What all processes of the app key share; `None` where this one is alone.
    pub key: Option<KeyShare>,
    /// The sweeps that processes of several app keys share; `None` where they do not.
    pub work: Option<WorkShare>,
    /// Codes that are refreshed more often than the rest; `None` for those of the watch lists and
    /// the most read.
    pub watched: Option<Arc<dyn WatchedCodes>>,
    /// Where the access token outlives the process.
    pub token_file: Option<TokenFile>,
    /// Where a ban of the app key does.
    pub ban_file: Option<BanFile>,
    /// Redis itself, where that is the store.
    pub redis: Option<Arc<RedisStore>>,
}

/// What the processes of one app key share.
#[derive(Clone)]
pub struct KeyShare {
    /// The broker's limit.
    pub budget: Arc<dyn RateBudget>,
    /// The calls of all, as this process remembers them.
    pub count: Arc<CallCount>,
    /// The access token.
    pub tokens: Arc<dyn TokenStore>,
    /// Its bans.
    pub bans: Arc<dyn BanStore>,
}

/// The work that processes of several app keys share.
#[derive(Clone)]
pub struct WorkShare {
    /// Where the leader posts it.
    pub postings: Arc<dyn Postings>,
    /// Where this process takes it.
    pub assignments: Arc<dyn Assignments>,
}

impl Outside {
    /// What `settings` name; what happens is told to nobody. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// The store's address is unusable.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, SetupError> {
        let base = settings.kis.base_url.trim_end_matches('/');
        // The budget belongs to the key; a wrong secret must not meet the token of the right one.
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
        let outside = |stores: Stores| Self {
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
            chronicle: stores.chronicle,
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
            return Ok(outside(Stores {
                reader: memory.clone(),
                sweep: memory.clone(),
                index: memory.clone(),
                cache: memory.clone(),
                bulk: memory.clone(),
                changes: memory.clone(),
                chronicle: memory.clone(),
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
                // Who died is missed here after the same time as a leader is.
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
            ..outside(Stores {
                reader: reader_store,
                sweep: sweeping.clone(),
                index: redis.clone(),
                cache: redis.clone(),
                bulk: sweeping.clone(),
                changes: redis.clone(),
                chronicle: sweeping,
                copies: redis,
            })
        })
    }
}

/// One store in the parts that it plays.
struct Stores {
    reader: Arc<dyn PriceStore>,
    sweep: Arc<dyn PriceStore>,
    index: Arc<dyn IndexStore>,
    cache: Arc<dyn CacheStore>,
    bulk: Arc<dyn CacheStore>,
    changes: Arc<dyn Changes>,
    chronicle: Arc<dyn Chronicle>,
    copies: Arc<dyn CopyStore>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside")
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
