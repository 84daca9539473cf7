//! Counts of how often each code is read.
//!
//! Reads are counted in the process and sent to the store every few seconds, so that a read costs
//! no round trip.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use sise_cache::{Behind, Cache, CountError, Counters, HashCounts};
use sise_domain::Symbol;
use sise_net::supervisor::Tasks;
use sise_port::ReadCounter;

/// How often counts are sent to the store.
const TELL: Duration = Duration::from_secs(5);

/// Most codes in a read that is counted. A larger read is about the market, not about single codes.
const MOST_AT_ONCE: usize = 100;

/// Most codes counted between two writes to the store; the exchange lists less than half as many.
const MOST_CODES: usize = 8_192;

/// When the totals are written to their durable side: after this many reads of a code, or this
/// time.
const BEHIND: Behind = Behind {
    every: 1_000,
    within: Duration::from_secs(60),
    most: MOST_CODES,
};

/// Counts reads. Clones are cheap and share all counts.
#[derive(Debug, Clone)]
pub struct Reads {
    counters: Counters,
    tally: Arc<Mutex<HashMap<Symbol, u64>>>,
}

impl Reads {
    /// Creates a counter that writes to `cache`. Requires a tokio runtime.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        let durable = HashCounts::new(cache, "reads");
        Self {
            counters: cache.counters("reads", Arc::new(durable), BEHIND),
            tally: Arc::default(),
        }
    }

    /// Sends the counts to the store periodically under `tasks`, and once more at the end.
    pub fn start(&self, tasks: &Tasks) {
        let this = self.clone();
        tasks.lasting("read counts", move |stop| this.clone().run(stop));
    }

    async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(TELL);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.tell().await;
        }
        self.tell().await;
    }

    /// Sends the counts to the store.
    pub async fn tell(&self) {
        let tally = std::mem::take(&mut *self.tally());
        if tally.is_empty() {
            return;
        }
        let reads: Vec<(&str, u64)> = tally
            .iter()
            .map(|(code, reads)| (code.as_str(), *reads))
            .collect();
        if let Err(error) = self.counters.add_many(&reads).await {
            tracing::debug!(%error, "reads are not counted");
        }
    }

    /// Returns how often each code was read in total, by all processes.
    ///
    /// # Errors
    ///
    /// Returns an error if the store fails.
    pub async fn totals(&self) -> Result<BTreeMap<Symbol, u64>, CountError> {
        let totals = self.counters.try_all().await?;
        let code = |(name, total): (String, u64)| Some((name.parse().ok()?, total));
        Ok(totals.into_iter().filter_map(code).collect())
    }

    fn tally(&self) -> MutexGuard<'_, HashMap<Symbol, u64>> {
        // Every change is a single step, so a poisoned lock is fine.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadCounter for Reads {
    fn note(&self, codes: &[Symbol]) {
        if codes.len() > MOST_AT_ONCE {
            return;
        }
        let mut tally = self.tally();
        for code in codes {
            if tally.len() < MOST_CODES || tally.contains_key(code) {
                *tally.entry(*code).or_default() += 1;
            }
        }
    }
}
