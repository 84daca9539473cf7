//! The access token in memory, for tests of what processes share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use sise_port::{Issue, SharedToken, StoreError, TokenStore};

/// The token of one app key, for all holders of this value.
#[derive(Debug, Default)]
pub struct MemoryTokens {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<(SharedToken, Instant)>,
    claims: HashMap<u64, (String, Instant)>,
    last_generation: u64,
}

impl MemoryTokens {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenStore for MemoryTokens {
    async fn load(&self) -> Result<Option<SharedToken>, StoreError> {
        let now = Instant::now();
        let state = self.state();
        let live = state.token.as_ref().filter(|(_, dies_at)| now < *dies_at);
        Ok(live.map(|(token, _)| token.clone()))
    }

    async fn claim(
        &self,
        process: &str,
        replacing: u64,
        spacing: Duration,
    ) -> Result<Issue, StoreError> {
        let now = Instant::now();
        let mut state = self.state();
        state.claims.retain(|_, (_, until)| now < *until);
        if let Some((_, until)) = state.claims.get(&replacing) {
            return Ok(Issue::Wait(*until - now));
        }
        let claim = (process.to_owned(), now + spacing);
        state.claims.insert(replacing, claim);
        Ok(Issue::Ask)
    }

    async fn unclaim(&self, process: &str, replacing: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        let is_own = |(owner, _): &(String, Instant)| owner == process;
        if state.claims.get(&replacing).is_some_and(is_own) {
            state.claims.remove(&replacing);
        }
        Ok(())
    }

    async fn save(&self, sealed: &str, life: Duration) -> Result<u64, StoreError> {
        let mut state = self.state();
        state.last_generation += 1;
        let token = SharedToken {
            generation: state.last_generation,
            sealed: sealed.to_owned(),
        };
        state.token = Some((token, Instant::now() + life));
        Ok(state.last_generation)
    }
}
