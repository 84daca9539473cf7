//! Rate limits, circuit breaker and retries: when a call may be made, and when it is repeated.

mod breaker;
mod budget;
mod call_count;
mod early;
mod fallback;
mod limiter;
mod pacer;
mod rate;
mod retries;

pub use breaker::{Breaker, Permit, Shown};
pub use budget::LocalBudget;
pub use call_count::{CallCount, Telling};
pub use early::{FetchTime, HIGHEST_THROW, head_start};
pub use fallback::Fallback;
pub use limiter::Limiter;
pub use pacer::Pacer;
pub use rate::Rate;
pub use retries::Retries;
