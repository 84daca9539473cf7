//! Call rates of the app keys, compared with their limits.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde::Serialize;

use super::Parts;
use sise_domain::{CallsSeen, Entry, Event, KrxTime};
use sise_port::StoreError;

/// The calls of one app key, from the budget that its processes share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyCalls {
    /// Digest of the key.
    pub key: String,
    /// Share of the configured rate in force, 0 to 1; below 1 after the broker refused calls.
    pub share: f64,
    /// Calls of the last whole second.
    pub last_second: u32,
    /// Calls of the last whole minute.
    pub last_minute: u32,
    /// Calls of the day, midnight to midnight in Seoul.
    pub today: u32,
}

/// The calls of all app keys together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calls {
    /// Calls of the last whole second; absent if no shared budget counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_second: Option<u32>,
    /// Calls of the last whole minute; without a shared budget, those of the sweeps that began in
    /// it.
    pub last_minute: u64,
    /// Calls of the day; absent without a shared budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub today: Option<u32>,
    /// Calls per second that the keys may make, by this process's settings.
    pub limit_per_second: f64,
    /// Share of that limit in force, 0 to 1; below 1 after the broker refused calls.
    pub share: f64,
}

impl KeyCalls {
    /// Returns the calls of `keys`; empty without a shared budget.
    pub(super) async fn of_all(
        parts: &Parts,
        keys: BTreeSet<String>,
    ) -> Result<Vec<Self>, StoreError> {
        let mut all = Vec::new();
        for key in keys {
            let Some(seen) = parts.calls_of(&key).await? else {
                break;
            };
            let CallsSeen {
                share,
                last_second,
                last_minute,
                today,
            } = seen;
            all.push(Self {
                key,
                share,
                last_second,
                last_minute,
                today,
            });
        }
        Ok(all)
    }
}

impl Calls {
    pub(super) fn new<'a>(
        keys: &[KeyCalls],
        sweeps: impl Iterator<Item = &'a Entry>,
        parts: &Parts,
        now: KrxTime,
    ) -> Self {
        let limit = parts.rate_per_second;
        let Some(count) = u32::try_from(keys.len()).ok().filter(|count| *count > 0) else {
            return Self::alone(sweeps, limit, now);
        };
        let shares: f64 = keys.iter().map(|key| key.share).sum();
        Self {
            last_second: Some(keys.iter().map(|key| key.last_second).sum()),
            last_minute: keys.iter().map(|key| u64::from(key.last_minute)).sum(),
            today: Some(keys.iter().map(|key| key.today).sum()),
            limit_per_second: limit * f64::from(count),
            share: shares / f64::from(count),
        }
    }

    /// Counts the calls of sweeps, for processes without a shared budget.
    fn alone<'a>(sweeps: impl Iterator<Item = &'a Entry>, limit: f64, now: KrxTime) -> Self {
        let calls = sweeps.filter_map(|entry| match &entry.event {
            Event::Sweep(swept) if now - swept.started_at < TimeDelta::minutes(1) => {
                Some(swept.calls)
            }
            _ => None,
        });
        Self {
            last_second: None,
            last_minute: calls.sum(),
            today: None,
            limit_per_second: limit,
            share: 1.0,
        }
    }
}
