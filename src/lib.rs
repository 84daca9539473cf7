//! sise (시세, "the going price") keeps the price of every KOSPI and KOSDAQ stock fresh in Redis.
//!
//! A program that reads prices needs three lines:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let reader = sise::Reader::from_env().await?; // REDIS_URL, KIS_APP_KEY, KIS_APP_SECRET, ...
//! let reading: Option<sise::Reading> = reader.price("005930").await?;
//! let many: Vec<sise::Reading> = reader.prices(&["005930", "000660"]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Reader::ask`] gives more control over a read: how old a price may be, whether an expired one
//! will do, and how long to wait. Such a program can turn default features off, and then builds
//! neither web server nor simulator.
//!
//! # The way the data flows
//!
//! ```text
//!  calendar (open? which phase?)
//!       |
//!  universe -> plan -> sweep --batch--> [ pace | kis::rest ] --quotes--> store -> reader -> program
//!                                              ^
//!              reader miss -> single flight ---'  (one for all processes)
//!                                       kis::ws --trades, gaps--> feed -----'
//!
//!  store --changes--> board -> api -> HTTP, stream, page
//!                       '----> alerts -> log, journal, stream, webhook
//! ```
//!
//! The trades of the watched codes are streamed: `feed` writes them in addition to what the sweeps
//! write. If some may have been missed, it asks for the codes at once.
//!
//! If several app keys share a sweep, `fleet` is between sweep and source: the leader's batches go
//! through Redis to any process with a spare call, and the answers come back to be written.
//!
//! `cache` offers general caching on the store's connection to any program. On top of it, `watch`
//! keeps the lists of codes that are refreshed more often, and `movers` ranks what each sweep
//! wrote.
//!
//! Every write to the store is published to all processes: `board` mirrors the prices in memory and
//! answers the API. `alerts` checks the changes against rules, and one process fires the alerts.
//!
//! The limiter is inside the one function that sends requests, so nothing can bypass it.
//!
//! # Layout
//!
//! The compiler enforces the direction of dependencies between the crates, and `tests/it/layers.rs`
//! that between the modules. `docs/architecture.md` describes each of them.
//!
//! ```text
//!  edge      cli -> daemon -> setup (wires everything below) -> config
//!            api -> status -> schedule -> planner, alerts, freshness, telemetry
//!  service   board  feed  fleet  watch  closes  movers  ledger  presence  broker  clients
//!            universe  calendar  sweep  reader  leadership  provenance  journal  ping
//!  ---------------------------------------------------------------------------------------- crates
//!            cache -> store      kis      (adapters: kis and store never meet)      sim is separate
//!            pace   net   port
//!            domain
//! ```

#[cfg(feature = "daemon")]
pub mod alerts;
#[cfg(feature = "daemon")]
pub mod api;
#[cfg(feature = "daemon")]
pub mod board;
pub mod broker;
pub mod calendar;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod clients;
pub mod closes;
pub mod config;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod feed;
pub mod fleet;
#[cfg(feature = "daemon")]
pub mod freshness;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod journal;
pub mod leadership;
pub mod ledger;
pub mod movers;
#[cfg(feature = "daemon")]
pub mod ping;
pub mod planner;
pub mod presence;
pub mod provenance;
pub mod reader;
#[cfg(feature = "daemon")]
pub mod schedule;
pub mod setup;
#[cfg(feature = "daemon")]
pub mod status;
pub mod sweep;
#[cfg(feature = "daemon")]
pub mod telemetry;
pub mod universe;
pub mod watch;

pub use sise_cache as cache;
pub use sise_domain as domain;
pub use sise_kis as kis;
pub use sise_net::supervisor;
pub use sise_pace as pace;
pub use sise_port as port;
pub use sise_port::clock;
#[cfg(feature = "sim")]
pub use sise_sim as sim;
pub use sise_store as store;

pub use cache::{Cache, CacheBuilder};
pub use domain::{Quote, Reading, Source, Status, Symbol};
pub use reader::{Ask, ReadError, Reader};
pub use setup::{ReaderBuilder, SetupError, cache_builder_from_env};
