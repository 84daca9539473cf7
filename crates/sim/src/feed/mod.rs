//! The live feed of the simulated broker: contract chapter 5 at any path, with its faults.
//!
//! `options` is its set-up, `registry` who has a session and which approval keys are good,
//! `message` the texts on the wire, `trade` the records, `oddity` those that are no trades, and `session` one connection.

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

/// What goes wrong in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mishap {
    /// The connection ends without a word, which a client sees as 1006.
    Drop,
    /// The connection ends in order, though nobody asked for it.
    Close,
    /// A frame is cut off.
    Truncated,
    /// A frame has another count than records.
    Miscounted,
    /// Nothing is sent any more; the connection stands.
    Silent,
    /// A record that is no trade of this moment goes before the others.
    Odd(Oddity),
}

impl Mishap {
    /// The one of a name.
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
