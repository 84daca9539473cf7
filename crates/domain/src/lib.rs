//! Plain values and pure rules of the Korean market.
//!
//! This crate imports nothing of sise, reads no clock and does no I/O. Every instant is passed in,
//! in Seoul's time zone.

mod alert;
mod ban;
mod broker;
mod budget;
mod calendar;
mod event;
mod hangul;
mod heat;
mod index;
mod ledger;
mod listing;
mod lookup;
mod measure;
mod moment;
mod name;
mod number;
mod outlook;
pub mod outrank;
mod phase;
mod plan;
mod plausibility;
mod presence;
mod quote;
mod reading;
mod reason;
mod registrations;
mod sector;
mod seoul;
mod shipped;
mod symbol;
mod tick_size;

pub use alert::{
    Alert, AlertKind, Condition, Mark, Quiet, Reach, Rule, RuleError, Scope, Sentry, Surroundings,
    Terms, WINDOWS,
};
pub use ban::{Ban, BanKind, BanRecord, Denial};
pub use broker::{BrokerIdentity, SIMULATOR_HEADER};
pub use budget::{Booking, CallsMade, CallsSeen, Cap, Caps, Cells, Urgency, share_after};
pub use calendar::{Calendar, CalendarError};
pub use event::{
    ClockJump, Entry, Event, Gap, LeadChange, Leading, MissingCodes, Skipped, Swept, TokenChange,
};
pub use heat::Heat;
pub use index::{Index, IndexError, IndexQuote};
pub use ledger::{Coverage, Missed, Polled, Row};
pub use listing::{Group, Listing, Market, Selection, Universe};
pub use lookup::{Likely, LookupError};
pub use measure::Measure;
pub use moment::{Closed, Moment};
pub use name::{NameError, check_name};
pub use number::{grouped, percent, percentile, rounded_time};
pub use outlook::{Outlook, PhaseTimes};
pub use phase::{Phase, Span, Venue};
pub use plan::{Calling, Plan};
pub use plausibility::{Figure, Figures, Implausible, PriceRange, Rules};
pub use presence::{APART, Presence, RateMode, Role, Watching};
pub use quote::{PriceLimit, Quote, Status};
pub use reading::{Reading, Source};
pub use reason::Reason;
pub use registrations::Registrations;
pub use sector::Sector;
pub use seoul::{KrxTime, Seoul};
pub use shipped::{Shipped, ShippedListing};
pub use symbol::{Symbol, SymbolError};
pub use tick_size::{price_limits, tick_size};

/// Invariants of what is parsed here, for tests and fuzz targets.
#[cfg(any(test, feature = "testing"))]
pub mod oracle {
    pub use super::ban::oracle::check as ban;
    pub use super::calendar::oracle::check as calendar;
}
