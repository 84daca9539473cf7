//! The last time at which a trade of each code was written.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use sise_domain::{Quote, Symbol};

/// Knows which codes are live, so that their prices need not be asked for in addition to the feed.
#[derive(Debug, Default)]
pub struct Traded {
    at: Mutex<HashMap<Symbol, Instant>>,
}

impl Traded {
    /// Notes trades that were written just now.
    pub fn note(&self, trades: &[Quote]) {
        let now = Instant::now();
        let mut at = self.at();
        at.extend(trades.iter().map(|trade| (trade.stock_code, now)));
    }

    /// Whether a trade of the code was written within this time.
    #[must_use]
    pub fn is_live(&self, code: Symbol, within: Duration) -> bool {
        let at = self.at();
        at.get(&code).is_some_and(|at| at.elapsed() < within)
    }

    fn at(&self) -> MutexGuard<'_, HashMap<Symbol, Instant>> {
        // Every change is a single step, so a poisoned lock is fine.
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_code_is_live_for_a_while_after_each_trade() {
        let traded = Traded::default();
        let code = "005930".parse().unwrap();
        let at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        let minute = Duration::from_secs(60);
        assert!(!traded.is_live(code, minute));
        traded.note(&[Quote::sample(code, 1_000, at)]);
        assert!(traded.is_live(code, minute));
        advance(minute).await;
        assert!(!traded.is_live(code, minute));
    }
}
