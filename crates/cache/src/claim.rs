//! The claim of a flight on a value, by which one process loads it and the others wait.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Cache;
use super::key::beside;
use super::values::FLIGHT;
use sise_net::supervisor::spawn_brief;
use sise_port::{CacheEntry, ValueClaim};

/// A claim that this flight has, or may have. It ends with the flight, also where its caller went
/// away: nobody waits for a load that was given up.
pub(super) struct Held {
    cache: Cache,
    pub(super) claim: ValueClaim,
    pub(super) is_held: bool,
}

impl Held {
    /// Ends the claim, and writes what was loaded if it is still wanted.
    pub(super) async fn end(mut self, seen: Option<&[u8]>, entries: &[CacheEntry]) {
        let store = &self.cache.shared.store;
        let kept = store.set_claimed(&self.claim, seen, entries);
        let kept = self.cache.run("set", kept).await;
        if let Err(error) = kept {
            tracing::debug!(%error, "what was loaded is not kept");
        }
        // Where it was not answered the claim ends by itself.
        self.is_held = false;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        // Without a runtime it ends by itself.
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
    /// A claim on a key that is no other's, not taken yet.
    pub(super) fn claim_of(&self, key: &str) -> Held {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Held {
            cache: self.clone(),
            claim: ValueClaim {
                key: beside(&self.prefix, FLIGHT, key),
                owner: format!("{}/{number}", self.shared.process),
            },
            is_held: false,
        }
    }
}
