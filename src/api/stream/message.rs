//! The messages of a stream, version 1 (`docs/stream.md`).

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Deserialize;

use crate::api::problem::Problem;
use crate::board::Posted;
use sise_domain::{KrxTime, Market, Symbol};

/// The version of every message.
const VERSION: u32 = 1;

/// The subjects of a subscription.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// Stock codes.
    #[serde(default)]
    pub(super) codes: Vec<Symbol>,
    /// The codes of a watch list, as it is now.
    #[serde(default)]
    pub(super) watchlist: Option<String>,
    /// All codes of a market.
    #[serde(default)]
    pub(super) market: Option<Market>,
    /// The indices.
    #[serde(default)]
    pub(super) indices: bool,
    /// Alerts.
    #[serde(default)]
    pub(super) alerts: bool,
    /// All codes.
    #[serde(default)]
    pub(super) all: bool,
}

/// A message of a client.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Operation {
    /// Subscribe to these as well.
    Subscribe(Wish),
    /// Unsubscribe from these.
    Unsubscribe(Wish),
    /// Request an answer.
    Ping,
}

/// Why changes were dropped or may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GapReason {
    /// The client reads more slowly than prices change.
    Slow,
    /// Changes in the store were not received for a while.
    Store,
    /// The broker's live feed was interrupted.
    Feed,
}

impl GapReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Store => "store",
            Self::Feed => "feed",
        }
    }
}

/// Writes the messages of one stream as JSON, numbered from 1.
#[derive(Debug, Default)]
pub(super) struct Writer {
    seq: u64,
}

/// A message, with its type as a separate field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Message {
    /// The type.
    pub(in crate::api) kind: &'static str,
    /// The sequence number.
    pub(in crate::api) seq: u64,
    /// The whole message.
    pub(in crate::api) json: String,
}

impl Writer {
    /// Writes a message of a kind. `write` adds further members, each with a leading comma.
    fn message(
        &mut self,
        kind: &'static str,
        room: usize,
        write: impl FnOnce(&mut String),
    ) -> Message {
        self.seq += 1;
        let seq = self.seq;
        let mut json = String::with_capacity(room + 64);
        // Writing to a `String` cannot fail.
        let _ = write!(json, r#"{{"v":{VERSION},"type":"{kind}","seq":{seq}"#);
        write(&mut json);
        json.push('}');
        Message { kind, seq, json }
    }

    pub(super) fn hello(&mut self, connection: u64, heartbeat_ms: u128, now: KrxTime) -> Message {
        self.message("hello", 128, |json| {
            let _ = write!(
                json,
                r#","connection":"{connection:016x}","heartbeat_ms":{heartbeat_ms},"at":"{}""#,
                time(now)
            );
        })
    }

    /// Writes the answer to a change of subscription: the number of subscribed codes, and the
    /// requested codes that are `unknown`.
    pub(super) fn subscribed(
        &mut self,
        codes: usize,
        unknown: &[Symbol],
        indices: bool,
        alerts: bool,
    ) -> Message {
        self.message("subscribed", 64, |json| {
            let _ = write!(
                json,
                r#","codes":{codes},"indices":{indices},"alerts":{alerts}"#
            );
            if !unknown.is_empty() {
                let texts: Vec<String> = unknown.iter().map(|code| format!("\"{code}\"")).collect();
                list(json, "unknown", texts.iter().map(String::as_str));
            }
        })
    }

    /// Writes prices that were requested (`snapshot`) or that changed (`changes`), and indices.
    pub(super) fn prices(
        &mut self,
        kind: &'static str,
        prices: &[Arc<Posted>],
        indices: &[String],
    ) -> Message {
        let texts = || prices.iter().map(|posted| posted.object());
        let indices = || indices.iter().map(String::as_str);
        let room = texts().chain(indices()).map(|text| text.len() + 1).sum();
        self.message(kind, room, |json| {
            list(json, "prices", texts());
            if indices().next().is_some() {
                list(json, "indices", indices());
            }
        })
    }

    pub(super) fn gap(&mut self, reason: GapReason, dropped: u64, codes: &[Symbol]) -> Message {
        self.message("gap", codes.len() * 9, |json| {
            let _ = write!(
                json,
                r#","reason":"{}","dropped":{dropped}"#,
                reason.as_str()
            );
            let codes = codes.iter().map(|code| format!("\"{code}\""));
            let codes: Vec<String> = codes.collect();
            list(json, "codes", codes.iter().map(String::as_str));
        })
    }

    /// Writes an alert, which is already JSON.
    pub(super) fn alert(&mut self, alert: &str) -> Message {
        self.message("alert", alert.len() + 16, |json| {
            let _ = write!(json, r#","alert":{alert}"#);
        })
    }

    pub(super) fn heartbeat(&mut self, now: KrxTime) -> Message {
        self.message("heartbeat", 40, |json| {
            let _ = write!(json, r#","at":"{}""#, time(now));
        })
    }

    pub(super) fn pong(&mut self) -> Message {
        self.message("pong", 0, |_| {})
    }

    pub(super) fn error(&mut self, problem: &Problem) -> Message {
        let document = serde_json::to_string(&problem.document(None)).unwrap_or_default();
        self.message("error", document.len() + 16, |json| {
            let _ = write!(json, r#","problem":{document}"#);
        })
    }
}

fn list<'a>(json: &mut String, name: &str, texts: impl Iterator<Item = &'a str>) {
    let _ = write!(json, r#","{name}":["#);
    for (place, text) in texts.enumerate() {
        if place > 0 {
            json.push(',');
        }
        json.push_str(text);
    }
    json.push(']');
}

fn time(now: KrxTime) -> String {
    now.to_rfc3339_opts(chrono::SecondsFormat::Millis, false)
}
