//! Claims on values: one process loads a value while the others wait.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Cache;
use super::key::beside;
use super::values::FLIGHT;
use sise_net::supervisor::spawn_brief;
use sise_port::{CacheEntry, ValueClaim};

/// A claim that this flight holds, or may hold. It ends with the flight, even if the caller is
/// gone, so that no caller waits for a load that was given up.
pub(super) struct HeldClaim {
    cache: Cache,
    pub(super) claim: ValueClaim,
    pub(super) is_held: bool,
}

impl HeldClaim {
    /// Ends the claim, and writes what was loaded unless it has been invalidated.
    pub(super) async fn end(mut self, seen: Option<&[u8]>, entries: &[CacheEntry]) {
        let store = &self.cache.shared.store;
        let kept = store.set_claimed(&self.claim, seen, entries);
        let kept = self.cache.run("set", kept).await;
        if let Err(error) = kept {
            tracing::debug!(%error, "a loaded value is not cached");
        }
        // If the store did not answer, the claim expires.
        self.is_held = false;
    }
}

impl Drop for HeldClaim {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        // Without a runtime, the claim expires.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (cache, claim) = (self.cache.clone(), self.claim.clone());
        spawn_brief("claim", async move {
            let ended = cache.shared.store.set_claimed(&claim, None, &[]);
            let _ = cache.run("set", ended).await;
        });
    }
}

impl Cache {
    /// Creates a claim on a key, with an owner of its own. It is not taken yet.
    pub(super) fn claim_of(&self, key: &str) -> HeldClaim {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        HeldClaim {
            cache: self.clone(),
            claim: ValueClaim {
                key: beside(&self.prefix, FLIGHT, key),
                owner: format!("{}/{number}", self.shared.process),
            },
            is_held: false,
        }
    }
}
