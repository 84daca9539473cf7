//! Leases in memory. The lease for sweeps belongs to the store itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{MemoryStore, Shelves};
use sise_port::{Lead, Leader, Leadership, Standing, StoreError};

/// Name of the lease for sweeps.
const SWEEPS: &str = "lead";

/// One lease.
#[derive(Debug, Default)]
pub(super) struct LeaseState {
    holder: Option<(Leader, Instant)>,
    last: Option<Lead>,
}

/// A lease with another name than the one for sweeps.
#[derive(Debug, Clone)]
pub struct MemoryLease {
    store: Arc<MemoryStore>,
    name: &'static str,
}

impl MemoryLease {
    /// Returns the lease called `name`.
    #[must_use]
    pub fn new(store: Arc<MemoryStore>, name: &'static str) -> Self {
        Self { store, name }
    }
}

impl Shelves {
    /// Returns the last lead given for sweeps.
    pub(super) fn last_lead(&self) -> Option<Lead> {
        self.leases.get(SWEEPS)?.last
    }
}

impl MemoryStore {
    fn campaign_for(&self, name: &'static str, process: &str, life: Duration) -> Standing {
        let now = Instant::now();
        let mut shelves = self.change();
        let since_ms = i64::try_from(shelves.started.elapsed().as_millis());
        let lease = shelves.leases.entry(name).or_default();
        let held = lease.holder.take().filter(|(_, ends_at)| now < *ends_at);
        let (holder, ends_at) = match held {
            Some((holder, ends_at)) if holder.process != process => (holder, ends_at),
            Some((holder, _)) => (holder, now + life),
            None => {
                let lead = Lead(lease.last.map_or(1, |lead| lead.0 + 1));
                lease.last = Some(lead);
                let holder = Leader {
                    process: process.to_owned(),
                    lead,
                    since_ms: since_ms.unwrap_or(i64::MAX),
                };
                (holder, now + life)
            }
        };
        lease.holder = Some((holder.clone(), ends_at));
        if holder.process == process {
            Standing::Leading(holder)
        } else {
            Standing::Following(holder)
        }
    }

    fn resign_from(&self, name: &str, process: &str) {
        let mut shelves = self.change();
        if let Some(lease) = shelves.leases.get_mut(name) {
            let is_own = |(holder, _): &mut (Leader, Instant)| holder.process == process;
            lease.holder.take_if(is_own);
        }
    }

    fn holder_of(&self, name: &str) -> Option<Leader> {
        let now = Instant::now();
        self.read(|shelves| {
            let held = shelves.leases.get(name)?.holder.as_ref();
            let held = held.filter(|(_, ends_at)| now < *ends_at);
            held.map(|(holder, _)| holder.clone())
        })
    }
}

#[async_trait]
impl Leadership for MemoryStore {
    async fn campaign(&self, process: &str, life: Duration) -> Result<Standing, StoreError> {
        Ok(self.campaign_for(SWEEPS, process, life))
    }

    async fn resign(&self, process: &str) -> Result<(), StoreError> {
        self.resign_from(SWEEPS, process);
        Ok(())
    }

    async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        Ok(self.holder_of(SWEEPS))
    }
}

#[async_trait]
impl Leadership for MemoryLease {
    async fn campaign(&self, process: &str, life: Duration) -> Result<Standing, StoreError> {
        Ok(self.store.campaign_for(self.name, process, life))
    }

    async fn resign(&self, process: &str) -> Result<(), StoreError> {
        self.store.resign_from(self.name, process);
        Ok(())
    }

    async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        Ok(self.store.holder_of(self.name))
    }
}
