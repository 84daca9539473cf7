//! Trades that were not written because a newer price stands: each is counted, and said now and then.

use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;

use crate::domain::Symbol;

/// They are said of this often at most.
const APART: Duration = Duration::from_secs(60);

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Outranked {
    said_at: Option<Instant>,
    /// Those since then.
    more: u64,
}

impl Outranked {
    /// Notes so many, the last of them of `code`.
    pub(super) fn note(&mut self, count: usize, code: Symbol) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        counter!("sise_feed_dropped_total", "reason" => "older").increment(count);
        if let Some(trades) = self.due(count) {
            tracing::info!(
                %code, trades,
                "trades of the live feed were not written: newer prices of their codes stand"
            );
        }
    }

    /// How many are to be said now; `None` where some were said a moment ago.
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
        let mut outranked = Outranked::default();
        assert_eq!(outranked.due(2), Some(2));
        assert_eq!(outranked.due(3), None);
        assert_eq!(outranked.due(4), None);
        advance(APART).await;
        assert_eq!(outranked.due(1), Some(8));
        assert_eq!(outranked.due(1), None);
    }
}
