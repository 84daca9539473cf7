//! Options of the live feed.

use std::time::Duration;

use super::super::options::SimError;

/// Options of the live feed of a simulated broker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeedOptions {
    /// Trades per second of each registered code. The market moves at its own pace: trades between
    /// two moves repeat the same figures.
    pub ticks: f64,
    /// Fields of a record: 47, or 46 as before September 2026.
    pub fields: usize,
    /// Most records in a frame, across all codes.
    pub records: usize,
    /// Whether frames are encrypted, as the broker does for order messages.
    pub is_encrypted: bool,
    /// Most registrations of an app key.
    pub registrations: usize,
    /// Time between two PINGPONGs. A client that has not answered one when the next is due is
    /// disconnected.
    pub ping_pong: Duration,
    /// How long a session that ends without a close still holds its app key.
    pub linger: Duration,
    /// The faults to inject.
    pub faults: FeedFaults,
}

/// Faults of the live feed, each as a share of frames from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FeedFaults {
    /// The connection ends without a close.
    pub drop: f64,
    /// The connection is closed.
    pub close: f64,
    /// The frame is cut off.
    pub truncated: f64,
    /// The frame's count is wrong.
    pub miscounted: f64,
    /// The session sends nothing from then on.
    pub silent: f64,
    /// A record reports a match that is only expected.
    pub expected: f64,
    /// A record is a block trade.
    pub block: f64,
    /// A record is from another day.
    pub other_day: f64,
    /// A record is from another hour.
    pub other_hour: f64,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self {
            ticks: 2.0,
            fields: 47,
            records: 3,
            is_encrypted: false,
            registrations: 41,
            ping_pong: Duration::from_secs(30),
            linger: Duration::ZERO,
            faults: FeedFaults::default(),
        }
    }
}

impl FeedOptions {
    pub(crate) fn validate(&self) -> Result<(), SimError> {
        let FeedFaults {
            drop,
            close,
            truncated,
            miscounted,
            silent,
            expected,
            block,
            other_day,
            other_hour,
        } = self.faults;
        for (name, share) in [
            ("feed_drop", drop),
            ("feed_close", close),
            ("feed_truncated", truncated),
            ("feed_miscounted", miscounted),
            ("feed_silent", silent),
            ("feed_expected", expected),
            ("feed_block", block),
            ("feed_other_day", other_day),
            ("feed_other_hour", other_hour),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(SimError::Share { name, share });
            }
        }
        let wrong = |what| Err(SimError::Feed(what));
        if !(0.0..=1_000.0).contains(&self.ticks) {
            return wrong("trades of a code: 0 to 1000 a second");
        }
        if ![46, 47].contains(&self.fields) {
            return wrong("fields of a record: 46 or 47");
        }
        if !(1..=999).contains(&self.records) {
            return wrong("records of a frame: 1 to 999");
        }
        if self.ping_pong < Duration::from_millis(10) {
            return wrong("time between two PINGPONGs: 10ms or more");
        }
        Ok(())
    }
}
