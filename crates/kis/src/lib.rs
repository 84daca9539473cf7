//! Adapter for the broker: Korea Investment & Securities' Open API (contract chapters 1 to 6).
//!
//! - `rest` holds the only function that sends requests, behind the breaker, bans and pacer and on
//!   top of a `transport`.
//! - `codes` maps the broker's error codes to remedies.
//! - `auth` manages the access token; `token_file` keeps it on disk, encrypted by `seal`.
//! - `approval` gets the key for the live feed, which is in `ws`.
//! - `bans` stops all calls while the broker refuses the app key.
//! - `call` combines these into one quotation call, and `quotes` implements the port on top of it.
//! - `wire` and `master` parse the broker's bytes.
//! - `bases` holds the reference values that prices of the day are checked against, `refusal` lists
//!   why a row yields no price, and `drift` finds fields that are not as documented.

#[cfg(feature = "feed")]
mod approval;
mod asked;
mod auth;
mod ban_file;
mod bans;
mod bases;
mod call;
mod codes;
mod drift;
mod fields;
mod holidays;
mod issued;
mod master;
mod quotes;
mod refusal;
mod rest;
mod seal;
mod token;
mod token_file;
mod transport;
mod wire;
mod words;
#[cfg(feature = "feed")]
mod ws;

#[cfg(feature = "feed")]
pub use approval::Approvals;
pub use auth::{Auth, Credentials, Keep};
pub use ban_file::BanFile;
pub use bans::{BanKeep, Bans};
pub use bases::Bases;
pub use call::Caller;
pub use drift::{DriftKind, Drifted};
pub use holidays::BrokerDay;
pub use master::{MasterError, MasterFiles};
pub use quotes::KisQuotes;
pub use rest::Rest;
pub use token_file::TokenFile;
pub use transport::{Http, Reply, Transport};
#[cfg(feature = "feed")]
pub use ws::{Dial, Incoming, KisTicks, Socket, WebSocket};
#[cfg(feature = "feed")]
pub use ws::{NoTrade, REFUSALS as FEED_REFUSALS};

/// The broker's hosts (contract 1.1).
pub mod host {
    /// REST of real accounts.
    pub const REAL: &str = "https://openapi.koreainvestment.com:9443";
    /// REST of paper accounts.
    pub const PAPER: &str = "https://openapivts.koreainvestment.com:29443";
    /// The live feed of real accounts (contract 1.1).
    pub const REAL_FEED: &str = "ws://ops.koreainvestment.com:21000/tryitout";
    /// The live feed of paper accounts.
    pub const PAPER_FEED: &str = "ws://ops.koreainvestment.com:31000/tryitout";
    /// The master files (contract 6.1).
    pub const MASTER: &str = "https://new.real.download.dws.co.kr/common/master";
}

/// Invariants of the parsers in this crate, for tests and the fuzzer.
#[cfg(any(test, feature = "testing"))]
pub mod oracle {
    pub use super::drift::oracle::check as drift;
    pub use super::holidays::oracle::check as holidays;
    pub use super::issued::oracle::check as token;
    pub use super::master::oracle::check as master;
    pub use super::master::oracle::check_archive as archive;
    pub use super::wire::oracle::quotes;
    pub use super::ws::oracle::messages;
}
