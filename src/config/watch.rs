//! Settings of the watched codes, which are refreshed more often than the rest.

use std::time::Duration;

use super::raw::RawSettings;
use super::{ConfigError, Origin, ScheduleSettings};

/// Settings of the watched codes, which are refreshed more often than the rest.
#[derive(Debug, Clone, Copy)]
pub struct WatchSettings {
    /// Time between the starts of two passes over them.
    pub interval: Duration,
    /// Number of most-read codes that are watched in addition to the lists.
    pub hottest: usize,
}

pub(super) fn watch(
    raw: &RawSettings,
    schedule: &ScheduleSettings,
) -> Result<WatchSettings, ConfigError> {
    let mut interval = raw.duration("watch.interval", "1s", "1h")?;
    if raw.origin("watch.interval") == Some(&Origin::Default) {
        // A short schedule.interval alone must not require watch.interval to be set, too.
        interval = interval.min(schedule.interval);
    }
    if interval > schedule.interval {
        let shown = humantime::format_duration;
        return Err(ConfigError::Combination(format!(
            "watch.interval = {} is longer than schedule.interval = {}, so that the sweeps alone \
             refresh watched codes more often: set watch.interval to {} or less",
            shown(interval),
            shown(schedule.interval),
            shown(schedule.interval)
        )));
    }
    Ok(WatchSettings {
        interval,
        hottest: raw.count("watch.hottest", 0..=500)?,
    })
}
