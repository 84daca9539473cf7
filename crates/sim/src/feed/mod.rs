//! The live feed of the simulated broker: contract chapter 5 at any path, with its faults.
//!
//! - `options`: the options of the feed
//! - `registry`: sessions and valid approval keys
//! - `message`: the messages on the wire
//! - `trade`: the records
//! - `oddity`: records that are not current trades
//! - `session`: one connection

mod message;
mod oddity;
mod options;
mod registry;
mod session;
mod trade;

use oddity::Oddity;
pub use options::{FeedFaults, FeedOptions};
pub use registry::FeedStats;
pub(super) use registry::Registry;
pub(super) use session::serve;

/// A fault in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mishap {
    /// The connection ends without a close frame, which clients report as 1006.
    Drop,
    /// The connection is closed in order, though no client asked for it.
    Close,
    /// A frame is cut off.
    Truncated,
    /// The count of a frame differs from its number of records.
    Miscounted,
    /// Nothing more is sent; the connection stays open.
    Silent,
    /// A record that is not a current trade precedes the others.
    Odd(Oddity),
}

impl Mishap {
    /// Returns the mishap with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "drop" => Self::Drop,
            "close" => Self::Close,
            "truncated" => Self::Truncated,
            "miscounted" => Self::Miscounted,
            "silent" => Self::Silent,
            _ => Self::Odd(Oddity::named(name)?),
        })
    }
}
