//! Presence: what a process reports to others about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::KrxTime;
use super::quote::zoned_millis;

/// One process on a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Its name.
    pub process: String,
    /// The host it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Version of sise.
    pub version: String,
    /// Its role.
    pub role: Role,
    /// When it started, by its own clock.
    #[serde(with = "zoned_millis")]
    pub since: KrxTime,
    /// Digest of its app key and host, if it has a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Account and list of its sweeps, in words; readers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Source of its rate.
    pub rate: RateMode,
    /// Its current activity, in words.
    pub doing: String,
    /// The watched codes that it refreshes; `None` if it refreshes none at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<Watching>,
    /// Number of codes that it streams from the live feed; `None` if it streams none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<usize>,
}

/// How a process refreshes watched codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// Number of codes.
    pub codes: usize,
    /// Time from one pass over them to the next, milliseconds.
    pub interval_ms: u64,
    /// When the last pass over them ended.
    #[serde(with = "zoned_millis")]
    pub refreshed_at: KrxTime,
}

impl Presence {
    /// Describes the conflict if `processes` on one store sweep different things.
    ///
    /// Their prices then mix in one store, and the available codes depend on which process leads.
    #[must_use]
    pub fn at_odds(processes: &[Self]) -> Option<String> {
        let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
        for process in processes {
            if let Some(scope) = &process.scope {
                kinds.entry(scope).or_insert(&process.process);
            }
        }
        let kinds: Vec<String> = kinds
            .into_iter()
            .map(|(scope, process)| format!("{process} of the {scope}"))
            .collect();
        (kinds.len() > 1).then(|| format!("sweeps on one Redis differ: {}", kinds.join(", ")))
    }
}

/// Fix for processes in conflict.
pub const APART: &str =
    "give all of them the same settings, or each its own Redis or store.namespace";

/// Role of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A daemon that sweeps.
    Leading,
    /// A daemon that takes over when the leader ends.
    StandingBy,
    /// A daemon that does not know which process leads.
    Waiting,
    /// A program that reads prices.
    Reader,
    /// A single sweep.
    OneShot,
}

impl Role {
    /// Returns the role in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leading => "leading",
            Self::StandingBy => "standing by",
            Self::Waiting => "waiting",
            Self::Reader => "reader",
            Self::OneShot => "one-shot",
        }
    }
}

/// Source of the rate of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateMode {
    /// The budget shared by all processes of the app key.
    Shared,
    /// Its own share, while the budget is unreachable.
    Alone,
    /// It has no app key and makes no calls.
    None,
}

impl RateMode {
    /// Returns the mode in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Alone => "alone",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seoul;
    use chrono::TimeZone as _;

    #[test]
    fn what_an_older_version_says_of_itself_is_read() {
        let text = r#"{"process":"a-1-00ff","host":"a","pid":1,"version":"0.1.0","role":"leading",
            "since":"2026-11-20T09:00:00.000+09:00","rate":"shared","doing":"sweeping"}"#;
        let mut presence: Presence = serde_json::from_str(text).unwrap();
        assert_eq!(presence.watched, None);
        assert!(
            !serde_json::to_string(&presence)
                .unwrap()
                .contains("watched")
        );
        presence.watched = Some(Watching {
            codes: 4,
            interval_ms: 2_000,
            refreshed_at: Seoul.with_ymd_and_hms(2026, 11, 20, 9, 1, 2).unwrap(),
        });
        let text = serde_json::to_string(&presence).unwrap();
        let watched = r#""watched":{"codes":4,"interval_ms":2000,"refreshed_at":"2026-11-20T09:01:02.000+09:00"}"#;
        assert!(text.contains(watched), "{text}");
        assert_eq!(serde_json::from_str::<Presence>(&text).unwrap(), presence);
    }
}
