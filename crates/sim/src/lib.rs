//! A simulated broker: contract chapter 9 on one port, with its REST calls and its live feed.
//!
//! It answers tokens, quotations and symbol files as the broker does. It refuses what the broker
//! refuses: calls over the rate limit, with dead tokens, or that paper trading lacks. It breaks on
//! request, see [`Faults`]. Its market is a random walk or a recorded day, see [`MarketSource`];
//! neither observes closing hours.
//!
//! Every answer has the header `Sise-Simulator`, which the real broker does not send, so that no
//! client needs to mistake simulated prices for real ones.
//!
//! Beside the paths of the broker there are:
//!
//! - `GET /sim`, which names the simulator
//! - `GET /sim/stats`
//! - `GET /sim/prices`
//! - `POST /sim/tokens/kill`
//! - `POST /sim/feed/<fault>`, which injects a fault once into every session of the live feed:
//!   `drop`, `close`, `truncated`, `miscounted` or `silent`

mod answer;
mod body;
mod broker;
mod chart;
mod connections;
mod daily;
mod endpoint;
mod faults;
mod feed;
mod flags;
mod history;
mod holiday;
mod index;
mod index_chart;
mod index_price;
mod info;
mod keys;
mod market;
mod masters;
mod multi;
mod options;
mod price;
mod query;
mod rank;
mod replay;
mod server;
mod spelling;
mod stats;
mod stock;
mod walk;
mod window;

#[cfg(test)]
mod tests;

pub use broker::Sim;
pub use feed::{FeedFaults, FeedOptions, FeedStats};
pub use options::{Clock, Faults, MarketSource, Mode, SimError, SimOptions};
pub use server::serve;
pub use stats::{KeyStats, SimStats};
