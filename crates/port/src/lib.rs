//! Interfaces of the services to the outside: narrow traits, and errors that say what to do next.

mod bans;
mod brokers;
mod cache;
mod changes;
pub mod clock;
mod flights;
mod journal;
mod list;
mod shared;
mod source;
mod store;
mod ticks;
mod watched;
mod work;

pub use bans::BanStore;
pub use brokers::{BrokerClaims, BrokerHolder};
pub use cache::{
    CacheEntry, CacheKeys, CacheStore, Growth, Hashes, Living, Order, Piece, Receipt, Replacement,
    Scored, SortedSets, StoreHealth, ValueClaim, Values,
};
pub use changes::WAITING;
pub use changes::{Change, Changes, Heard};
pub use flights::{Claim, Flights, Landed};
pub use journal::{CoverageLog, Journal, Ledger, Place, Recorder, Records, Roster, Unrecorded};
pub use list::{ListError, ListSource};
pub use shared::{Issue, Lead, Leader, Leadership, RateBudget, SharedToken, Standing, TokenStore};
pub use sise_domain::Urgency;
pub use source::{Answer, Answers, QuoteSource, Remedy, SourceError, Tally};
pub use store::{CopyStore, IndexStore, PriceStore, Shelf, StoreError, Written};
pub use ticks::{Gap, GapReason, TickSource, Told};
pub use watched::{ReadCounter, WatchedCodes};
pub use work::{Assignments, Batch, Finished, Postings, Taken, Ticket};
