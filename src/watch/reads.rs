//! How often each code is read.
//!
//! Reads are counted in this process and told to the store every few seconds, so that a read costs
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

/// Reads are told to the store this often.
const TELL: Duration = Duration::from_secs(5);

/// Who reads more codes at once wants the market, not a code.
const MOST_AT_ONCE: usize = 100;

/// Codes counted between two tellings at most; the exchange lists less than half of it.
const MOST_CODES: usize = 8_192;

/// The totals are told to their durable side after so many reads of a code, or this time.
const BEHIND: Behind = Behind {
    every: 1_000,
    within: Duration::from_secs(60),
    most: MOST_CODES,
};

/// Counts reads. A cheap handle: clones share everything.
#[derive(Debug, Clone)]
pub struct Reads {
    counters: Counters,
    tally: Arc<Mutex<HashMap<Symbol, u64>>>,
}

impl Reads {
    /// Counts into `cache`. Needs a tokio runtime.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        let durable = HashCounts::new(cache, "reads");
        Self {
            counters: cache.counters("reads", Arc::new(durable), BEHIND),
            tally: Arc::default(),
        }
    }

    /// Tells the store what was counted, again and again under `tasks`, and then what is left.
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

    /// Tells the store what was counted.
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

    /// How often each code was read in all, by all processes.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn totals(&self) -> Result<BTreeMap<Symbol, u64>, CountError> {
        let totals = self.counters.try_all().await?;
        let code = |(name, total): (String, u64)| Some((name.parse().ok()?, total));
        Ok(totals.into_iter().filter_map(code).collect())
    }

    fn tally(&self) -> MutexGuard<'_, HashMap<Symbol, u64>> {
        // Every change is one step.
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
