//! The ground: plain values and pure rules of the Korean market.
//!
//! Imports nothing of sise, reads no clock, does no input or output. Every instant comes in
//! as an argument, in Seoul's time zone.

mod budget;
mod calendar;
mod event;
mod ledger;
mod listing;
mod moment;
mod phase;
mod plan;
mod presence;
mod quote;
mod reading;
mod reason;
mod shipped;
mod symbol;
mod tick_size;

pub use budget::{Booking, Cap, Caps, Cells, Urgency};
pub use calendar::{Calendar, CalendarError};
pub use chrono_tz::Asia::Seoul;
pub use event::{
    ClockJump, Entry, Event, Gap, LeadChange, Leading, MissingCodes, Skipped, Swept, TokenChange,
};
pub use ledger::{Coverage, Missed, Polled, Row};
pub use listing::{Group, Listing, Market, Selection, Universe};
pub use moment::{Closed, Moment};
pub use phase::{Phase, Span, Venue};
pub use plan::{Calling, Plan};
pub use presence::{Presence, RateMode, Role};
pub use quote::{KrxTime, Quote, Status};
pub use reading::{Reading, Source};
pub use reason::Reason;
pub use shipped::{Shipped, ShippedListing};
pub use symbol::{Symbol, SymbolError};
pub use tick_size::{price_limits, tick_size};
