//! Claims on codes in memory, for tests of what processes share.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use sise_domain::Symbol;
use sise_port::{Claim, Flights, Landed, StoreError};

/// The process that has a code, and until when; no process if the broker does not know the code.
pub(super) type LeaseState = (Option<String>, Instant);

#[async_trait]
impl Flights for MemoryStore {
    async fn claim(
        &self,
        process: &str,
        symbols: &[Symbol],
        life: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let now = Instant::now();
        let mut shelves = self.change();
        shelves.flights.retain(|_, (_, ends_at)| now < *ends_at);
        let mut claim = |symbol: &Symbol| match shelves.flights.get(symbol) {
            Some((None, ends_at)) => Claim::Unknown(*ends_at - now),
            Some((Some(holder), ends_at)) if holder != process => Claim::Other(*ends_at - now),
            Some(_) | None => {
                let held = (Some(process.to_owned()), now + life);
                shelves.flights.insert(*symbol, held);
                Claim::Own
            }
        };
        Ok(symbols.iter().map(&mut claim).collect())
    }

    async fn land(&self, process: &str, landed: &[(Symbol, Landed)]) -> Result<(), StoreError> {
        let now = Instant::now();
        let mut shelves = self.change();
        for (symbol, landed) in landed {
            match landed {
                Landed::Done => {
                    let held = shelves.flights.get(symbol);
                    if held.is_some_and(|(holder, _)| holder.as_deref() == Some(process)) {
                        shelves.flights.remove(symbol);
                    }
                }
                Landed::Unknown(life) => {
                    shelves.flights.insert(*symbol, (None, now + *life));
                }
            }
        }
        Ok(())
    }
}
