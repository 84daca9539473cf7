//! The live feed.

use std::time::Duration;

use super::ConfigError;
use super::layers::Layers;

/// The live feed.
#[derive(Debug, Clone, Copy)]
pub struct FeedSettings {
    /// Codes that are streamed at most; 0 for no feed.
    pub registrations: usize,
    /// Least time between two writes of one code; zero writes every trade.
    pub write_interval: Duration,
}

pub(super) fn feed(layers: &Layers) -> Result<FeedSettings, ConfigError> {
    Ok(FeedSettings {
        registrations: layers.count("feed.registrations", 0..=41)?,
        write_interval: layers.duration("feed.write_interval", "0s", "1m")?,
    })
}
