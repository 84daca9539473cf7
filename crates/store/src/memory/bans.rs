//! The ban of an app key in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use sise_domain::BanRecord;
use sise_port::{BanStore, StoreError};

/// The ban of one app key, for all holders of this value.
#[derive(Debug, Default)]
pub struct MemoryBans {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    record: Option<(BanRecord, Instant)>,
    trial: Option<(String, Instant)>,
}

impl MemoryBans {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BanStore for MemoryBans {
    async fn load(&self) -> Result<Option<BanRecord>, StoreError> {
        let now = Instant::now();
        let state = self.state();
        let live = state.record.as_ref().filter(|(_, dies_at)| now < *dies_at);
        Ok(live.map(|(record, _)| record.clone()))
    }

    async fn save(&self, record: &BanRecord, life: Duration) -> Result<(), StoreError> {
        self.state().record = Some((record.clone(), Instant::now() + life));
        Ok(())
    }

    async fn claim_trial(&self, process: &str, life: Duration) -> Result<bool, StoreError> {
        let now = Instant::now();
        let mut state = self.state();
        if state.trial.as_ref().is_some_and(|(_, until)| now < *until) {
            return Ok(false);
        }
        state.trial = Some((process.to_owned(), now + life));
        Ok(true)
    }

    async fn unclaim_trial(&self, process: &str) -> Result<(), StoreError> {
        self.state().trial.take_if(|(owner, _)| owner == process);
        Ok(())
    }
}
