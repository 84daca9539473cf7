//! Where the time of day comes from. The only place that reads the system's clock.

use std::sync::Arc;

use crate::domain::{KrxTime, Seoul};

/// Tells the time in Seoul.
pub type Clock = Arc<dyn Fn() -> KrxTime + Send + Sync>;

/// The system's clock.
#[must_use]
pub fn system() -> Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one edge where time comes in"
    )]
    Arc::new(|| chrono::Utc::now().with_timezone(&Seoul))
}
