//! What a process tells the others of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::KrxTime;
use super::quote::zoned_millis;

/// One process on a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// What it calls itself.
    pub process: String,
    /// Where it runs.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// What it is there for.
    pub role: Role,
    /// When it started, by its own clock.
    #[serde(with = "zoned_millis")]
    pub since: KrxTime,
    /// Digest of its app key and host, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which account and list its sweeps are of, in words; a reader has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Where its rate comes from.
    pub rate: RateMode,
    /// What it is doing, in words.
    pub doing: String,
    /// The watched codes that it refreshes; `None` where it refreshes none at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<Watching>,
    /// How many codes the live feed streams to it; `None` where it streams none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<usize>,
}

/// How a process refreshes the watched codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// How many they are.
    pub codes: usize,
    /// Time from one pass over them to the next, milliseconds.
    pub interval_ms: u64,
    /// When a pass over them was over last.
    #[serde(with = "zoned_millis")]
    pub refreshed_at: KrxTime,
}

impl Presence {
    /// What is wrong where `processes`, all on one store, sweep different things: the prices of the
    /// one then live among those of the other, and which codes are there depends on who leads.
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

/// What to do where processes are at odds.
pub const APART: &str =
    "give all the same settings, or each a Redis or a store.namespace of its own";

/// What a process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A daemon that sweeps.
    Leading,
    /// A daemon that takes over when the leader ends.
    StandingBy,
    /// A daemon that does not know who leads.
    Waiting,
    /// A program that reads prices.
    Reader,
    /// A single pass.
    OneShot,
}

impl Role {
    /// The role in words.
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

/// Where the rate of a process comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateMode {
    /// The budget that all processes of the app key share.
    Shared,
    /// Its own share, the budget being away.
    Alone,
    /// It has no app key and asks nobody.
    None,
}

impl RateMode {
    /// The mode in a word.
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
