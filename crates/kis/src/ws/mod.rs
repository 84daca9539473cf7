//! The live feed: trades as they happen, over the broker's WebSocket (contract chapter 5).
//!
//! `frame` and `trade` read data, `admission` says which of it are trades, `reply` reads answers, `cipher` decrypts; `session` is one
//! connection with its registrations over a `socket`, and `pace` says when there may be another.

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

/// What must hold of every message, whatever stands in it.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle;
