//! A simulated broker: contract chapter 9 over one port, its REST calls and its live feed.
//!
//! Answers what the broker answers (tokens, quotations, symbol files), refuses what the broker
//! refuses (the rate limit, dead tokens, calls that paper trading lacks), and breaks on request:
//! see [`Faults`]. Its market is a random walk or a recorded day, see [`MarketSource`]; neither
//! knows closing hours.
//!
//! Every answer has a header of its own, `Sise-Simulator`, which the broker has not: no client has to
//! take its prices for the market's.
//!
//! Paths of its own stand beside the broker's: `GET /sim`, which names it, `GET /sim/stats`,
//! `GET /sim/prices`, `POST /sim/tokens/kill`, and `POST /sim/feed/<fault>`, which lets something go wrong once in every
//! session of the live feed: `drop`, `close`, `truncated`, `miscounted` or `silent`.

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
