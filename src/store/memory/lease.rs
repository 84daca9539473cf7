//! The lead inside this process.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use crate::port::{Lead, Leader, Leadership, Standing, StoreError};

#[async_trait]
impl Leadership for MemoryStore {
    async fn campaign(&self, process: &str, life: Duration) -> Result<Standing, StoreError> {
        let now = Instant::now();
        let mut shelves = self.change();
        let held = shelves.lease.take().filter(|(_, ends_at)| now < *ends_at);
        let (holder, ends_at) = match held {
            Some((holder, ends_at)) if holder.process != process => (holder, ends_at),
            Some((holder, _)) => (holder, now + life),
            None => {
                let lead = Lead(shelves.last_lead.map_or(1, |lead| lead.0 + 1));
                shelves.last_lead = Some(lead);
                let since_ms = i64::try_from(shelves.started.elapsed().as_millis());
                let holder = Leader {
                    process: process.to_owned(),
                    lead,
                    since_ms: since_ms.unwrap_or(i64::MAX),
                };
                (holder, now + life)
            }
        };
        shelves.lease = Some((holder.clone(), ends_at));
        Ok(if holder.process == process {
            Standing::Leading(holder)
        } else {
            Standing::Following(holder)
        })
    }

    async fn resign(&self, process: &str) -> Result<(), StoreError> {
        let mut shelves = self.change();
        let is_own = |(holder, _): &mut (Leader, Instant)| holder.process == process;
        shelves.lease.take_if(is_own);
        Ok(())
    }

    async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        let now = Instant::now();
        Ok(self.read(|shelves| {
            let held = shelves.lease.as_ref().filter(|(_, ends_at)| now < *ends_at);
            held.map(|(holder, _)| holder.clone())
        }))
    }
}
