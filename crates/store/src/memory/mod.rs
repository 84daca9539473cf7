//! The store in the memory of this process, for demos, tests and machines without Redis.

mod bans;
mod cache;
mod changes;
mod flights;
mod indices;
mod lease;
mod records;
mod tokens;
mod work;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::count_older;
use sise_domain::outrank::Taken;
use sise_domain::{Index, IndexQuote, Quote, Symbol};
use sise_port::{Change, CopyStore, Lead, PriceStore, Shelf, StoreError, WAITING, Written};

pub use bans::MemoryBans;
use cache::Cached;
pub use lease::MemoryLease;
use records::Books;
pub use tokens::MemoryTokens;
pub use work::MemoryWork;

/// Interval at which expired prices are removed, at the next write.
const CLEAR_EVERY: Duration = Duration::from_secs(60);

/// Maximum time that an answer is on its way.
///
/// A price written later than this after another one must have been requested after it, whatever
/// its timestamp is. So a clock that was set back blocks writes for no longer.
const LONGEST_WAY: Duration = Duration::from_secs(60);

/// Prices in memory, with all other data of a store.
#[derive(Debug)]
pub struct MemoryStore {
    shelves: RwLock<Shelves>,
    changes: broadcast::Sender<Change>,
}

#[derive(Debug)]
struct Shelves {
    realtime: HashMap<Symbol, Live>,
    close: HashMap<Symbol, Close>,
    indices: HashMap<Index, (IndexQuote, Instant)>,
    closing_indices: HashMap<Index, (IndexQuote, Taken)>,
    copies: HashMap<String, String>,
    flights: HashMap<Symbol, flights::LeaseState>,
    leases: HashMap<&'static str, lease::LeaseState>,
    books: Books,
    cached: Cached,
    started: Instant,
    clear_at: Instant,
}

/// A price with a TTL.
#[derive(Debug)]
struct Live {
    quote: Quote,
    written_at: Instant,
    dies_at: Instant,
}

/// A price without a TTL.
#[derive(Debug)]
struct Close {
    quote: Quote,
    taken: Taken,
    written_at: Instant,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            changes: broadcast::Sender::new(WAITING),
            shelves: RwLock::new(Shelves {
                realtime: HashMap::new(),
                close: HashMap::new(),
                indices: HashMap::new(),
                closing_indices: HashMap::new(),
                copies: HashMap::new(),
                flights: HashMap::new(),
                leases: HashMap::new(),
                books: Books::default(),
                cached: Cached::default(),
                started: Instant::now(),
                clear_at: Instant::now() + CLEAR_EVERY,
            }),
        }
    }
}

impl MemoryStore {
    fn read<T>(&self, look: impl FnOnce(&Shelves) -> T) -> T {
        // A writer that panicked left no partial values: every insert is one step.
        look(&self.shelves.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self) -> RwLockWriteGuard<'_, Shelves> {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PriceStore for MemoryStore {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<Written, StoreError> {
        let now = Instant::now();
        let mut shelves = self.change();
        if let Some(lead) = lead
            && shelves.last_lead() != Some(lead)
        {
            return Err(StoreError::Superseded { lead });
        }
        let mut written = Vec::with_capacity(quotes.len());
        let mut older = Vec::new();
        for (place, quote) in quotes.iter().enumerate() {
            let quote = quote.clone().as_stored();
            let code = quote.stock_code;
            let taken = Taken {
                at: quote.fetched_at,
                last_known_of: shelf.last_known_of(),
                simulated: quote.simulated,
            };
            let is_outranked = match shelf {
                Shelf::Realtime(_) => {
                    let held = shelves.realtime.get(&code);
                    let stands =
                        |held: &&Live| held.dies_at > now && now < held.written_at + LONGEST_WAY;
                    held.filter(stands)
                        .is_some_and(|held| quote.is_outranked_by(&held.quote))
                }
                Shelf::Close | Shelf::LastKnown(_) => {
                    // If a held price has a later time but was written long ago, the clock was
                    // wrong.
                    let stands = |held: &&Close| {
                        held.taken.last_known_of != taken.last_known_of
                            || held.taken.simulated != taken.simulated
                            || now < held.written_at + LONGEST_WAY
                    };
                    let held = shelves.close.get(&code).filter(stands);
                    held.is_some_and(|held| taken.is_outranked_by(held.taken))
                }
            };
            if is_outranked {
                older.push(place);
                continue;
            }
            written.push(quote.clone());
            match shelf {
                Shelf::Realtime(ttl) => {
                    let live = Live {
                        quote,
                        written_at: now,
                        dies_at: now + ttl,
                    };
                    shelves.realtime.insert(code, live);
                }
                Shelf::Close | Shelf::LastKnown(_) => {
                    let close = Close {
                        quote,
                        taken,
                        written_at: now,
                    };
                    shelves.close.insert(code, close);
                }
            }
        }
        if now >= shelves.clear_at {
            shelves.realtime.retain(|_, live| live.dies_at > now);
            shelves.clear_at = now + CLEAR_EVERY;
        }
        drop(shelves);
        count_older(older.len());
        if !written.is_empty() {
            self.tell_written(match shelf {
                Shelf::Realtime(_) => Change::Prices(written),
                Shelf::Close | Shelf::LastKnown(_) => Change::Closes(written),
            });
        }
        Ok(Written { older })
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        let now = Instant::now();
        Ok(self.read(|shelves| {
            let live = |symbol| {
                let live = shelves.realtime.get(symbol)?;
                (live.dies_at > now).then(|| Box::new(live.quote.clone()))
            };
            symbols.iter().map(live).collect()
        }))
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        Ok(self.read(|shelves| {
            symbols
                .iter()
                .map(|s| {
                    shelves
                        .close
                        .get(s)
                        .map(|close| Box::new(close.quote.clone()))
                })
                .collect()
        }))
    }

    async fn lives(&self, symbols: &[Symbol]) -> Result<Vec<Option<Duration>>, StoreError> {
        let now = Instant::now();
        Ok(self.read(|shelves| {
            let left = |symbol| {
                let live = shelves.realtime.get(symbol)?;
                live.dies_at.checked_duration_since(now)
            };
            symbols.iter().map(left).collect()
        }))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl CopyStore for MemoryStore {
    async fn load_copy(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.read(|shelves| shelves.copies.get(name).cloned()))
    }

    async fn save_copy(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.change()
            .copies
            .insert(name.to_owned(), text.to_owned());
        Ok(())
    }
}
