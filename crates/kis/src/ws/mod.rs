//! The live feed: trades as they happen, over the broker's WebSocket (contract chapter 5).
//!
//! - `frame` and `trade` read data, and `admission` decides which records are trades.
//! - `reply` reads answers, and `cipher` decrypts.
//! - `session` is one connection over a `socket`, with its registrations.
//! - `pace` spaces sessions.

mod admission;
mod cipher;
mod frame;
mod reply;
mod trade;

mod binary;
mod pace;
mod refusals;
mod session;
mod socket;
mod stream;
mod teller;

pub use socket::{Dial, Incoming, Socket, WebSocket};
pub use stream::KisTicks;

pub use admission::NoTrade;
pub use reply::REFUSALS;

/// Invariants that hold for every message, whatever it contains.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle;
