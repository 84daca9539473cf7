//! Trades that are not written: each is counted, and some are logged.

use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;

use sise_domain::{Quote, Symbol};

/// Shortest time between two log lines of one kind.
const APART: Duration = Duration::from_secs(60);

/// Counts and logs dropped trades.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    older: Seldom,
    out_of_session: Seldom,
}

impl Dropped {
    /// Notes `count` trades that are older than the stored price; the last of them is of `code`.
    pub(super) fn older(&mut self, count: usize, code: Symbol) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        counter!("sise_feed_dropped_total", "reason" => "older").increment(count);
        if let Some(trades) = self.older.due(count) {
            tracing::info!(
                %code, trades,
                "trades of the live feed were not written: the store has newer prices of their codes"
            );
        }
    }

    /// Notes a trade at a time at which there are no trades.
    pub(super) fn out_of_session(&mut self, quote: &Quote) {
        counter!("sise_feed_dropped_total", "reason" => "out_of_session").increment(1);
        if let Some(trades) = self.out_of_session.due(1) {
            let (code, at) = (quote.stock_code, quote.timestamp);
            tracing::warn!(
                %code, %at, trades,
                "trades of the live feed were not written: by the trading calendar there is no \
                 trading at their time"
            );
        }
    }

    /// Whether older trades were logged within the last minute.
    #[cfg(test)]
    pub(super) fn has_said_older(&mut self) -> bool {
        self.older.due(0).is_none()
    }
}

/// A limiter for log lines, with a count of what was not logged.
#[derive(Debug, Default)]
struct Seldom {
    said_at: Option<Instant>,
    /// Trades since the last log line.
    more: u64,
}

impl Seldom {
    /// Returns how many trades to log now, or `None` if some were logged a moment ago.
    fn due(&mut self, count: u64) -> Option<u64> {
        let now = Instant::now();
        self.more = self.more.saturating_add(count);
        if self.said_at.is_some_and(|said_at| now < said_at + APART) {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn they_are_said_once_a_minute_with_their_number() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.due(2), Some(2));
        assert_eq!(seldom.due(3), None);
        assert_eq!(seldom.due(4), None);
        advance(APART).await;
        assert_eq!(seldom.due(1), Some(8));
        assert_eq!(seldom.due(1), None);
    }
}
