//! Records of the live feed that yield no price: each is counted, and logged now and then.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;

use super::admission::NoTrade;
use sise_domain::{KrxTime, Symbol};

/// Minimum interval between log lines for records of one kind.
const APART: Duration = Duration::from_secs(60);

/// Counts and logs refused records.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    said: BTreeMap<NoTrade, Said>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    /// Records refused since then.
    more: u64,
}

impl Refusals {
    /// Notes a record of `code` with `time` as its time field.
    pub(super) fn note(&mut self, why: NoTrade, code: Symbol, time: &str, arrived_at: KrxTime) {
        counter!("sise_feed_dropped_total", "reason" => why.slug()).increment(1);
        let Some(before) = self.due(why) else {
            return;
        };
        let (reason, arrived_at) = (why.slug(), arrived_at.format("%Y-%m-%d %H:%M:%S"));
        let time: String = time.chars().take(20).collect();
        match why {
            // They are part of every auction.
            NoTrade::Expected => tracing::info!(
                reason, %code, before,
                "the live feed reports expected matches, which are not trades"
            ),
            NoTrade::OtherDay | NoTrade::OtherHour => tracing::warn!(
                reason, %code, ?time, %arrived_at, before,
                "a record of the live feed is not of this moment and is ignored: if this goes for \
                 all, the clock of this machine is wrong"
            ),
            NoTrade::NoTime => tracing::warn!(
                reason, %code, ?time, %arrived_at, before,
                "a record of the live feed has no readable day or time and is ignored"
            ),
            NoTrade::NoKind => tracing::warn!(
                reason, %code, ?time, %arrived_at, before,
                "a record of the live feed does not say whether it is a trade and is ignored"
            ),
            NoTrade::NoPrice
            | NoTrade::Block
            | NoTrade::Basket
            | NoTrade::BuyIn
            | NoTrade::BeforeOpen => {
                tracing::info!(
                    reason, %code, before,
                    "a record of the live feed is not a trade of the market and is ignored"
                );
            }
        }
    }

    /// Returns the number refused since the last log line; `None` if that was a moment ago.
    fn due(&mut self, why: NoTrade) -> Option<u64> {
        let now = Instant::now();
        match self.said.get_mut(&why) {
            Some(said) if now < said.at + APART => {
                said.more += 1;
                None
            }
            Some(said) => {
                said.at = now;
                Some(std::mem::take(&mut said.more))
            }
            None => {
                self.said.insert(why, Said { at: now, more: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn each_kind_is_said_once_a_minute_with_the_count() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.due(NoTrade::Block), Some(0));
        assert_eq!(refusals.due(NoTrade::OtherDay), Some(0));
        for _ in 0..7 {
            assert_eq!(refusals.due(NoTrade::Block), None);
        }
        advance(APART).await;
        assert_eq!(refusals.due(NoTrade::Block), Some(7));
        assert_eq!(refusals.due(NoTrade::Block), None);
    }
}
