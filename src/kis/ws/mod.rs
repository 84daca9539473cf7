//! The live feed: trades as they happen, over the broker's WebSocket (contract chapter 5).
//!
//! `frame` and `trade` read data, `admission` says which of it are trades, `reply` reads answers, `cipher` decrypts; `session` is one
//! connection with its registrations over a `socket`, and `pace` says when there may be another.

mod admission;
mod cipher;
mod frame;
mod reply;
mod trade;

#[cfg(feature = "daemon")]
mod binary;
#[cfg(feature = "daemon")]
mod pace;
#[cfg(feature = "daemon")]
mod refusals;
#[cfg(feature = "daemon")]
mod session;
#[cfg(feature = "daemon")]
mod socket;
#[cfg(feature = "daemon")]
mod stream;
#[cfg(feature = "daemon")]
mod teller;

#[cfg(feature = "daemon")]
pub use socket::{Dial, Incoming, Socket, WebSocket};
#[cfg(feature = "daemon")]
pub use stream::KisTicks;

#[cfg(feature = "daemon")]
pub(crate) use admission::NoTrade;
#[cfg(feature = "daemon")]
pub(crate) use reply::REFUSALS;

/// What must hold of every message, whatever stands in it.
#[cfg(any(test, fuzzing))]
pub(crate) mod oracle;
