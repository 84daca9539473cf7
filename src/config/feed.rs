//! Settings of the live feed.

use std::time::Duration;

use super::ConfigError;
use super::raw::RawSettings;

/// Settings of the live feed.
#[derive(Debug, Clone, Copy)]
pub struct FeedSettings {
    /// Maximum number of codes to stream; 0 for no feed.
    pub registrations: usize,
    /// Shortest time between two writes of one code; zero writes every trade.
    pub write_interval: Duration,
}

pub(super) fn feed(raw: &RawSettings) -> Result<FeedSettings, ConfigError> {
    Ok(FeedSettings {
        registrations: raw.count("feed.registrations", 0..=41)?,
        write_interval: raw.duration("feed.write_interval", "0s", "1m")?,
    })
}
