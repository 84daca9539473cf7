//! Banned app keys, if this broker bans.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;

use super::MOST_KEYS;
use sise_domain::KrxTime;

/// This many calls over the limit within one second bring a ban.
pub(super) const STORM: usize = 20;

/// The banned app keys, and the end of each ban.
pub(super) struct Banned {
    /// How long a ban lasts; `None` if the broker does not ban.
    length: Option<TimeDelta>,
    until: HashMap<String, KrxTime>,
}

impl Banned {
    pub(super) fn new(length: Option<Duration>) -> Self {
        Self {
            length: length.map(|length| TimeDelta::from_std(length).unwrap_or(TimeDelta::MAX)),
            until: HashMap::new(),
        }
    }

    /// Returns whether a key that calls at `now` is banned. If so, its ban starts again.
    pub(super) fn meets(&mut self, app_key: &str, now: KrxTime) -> bool {
        let is_banned = self.until.get(app_key).is_some_and(|until| now < *until);
        if is_banned {
            self.ban(app_key, now);
        }
        is_banned
    }

    /// Bans a key from `now` on.
    pub(super) fn ban(&mut self, app_key: &str, now: KrxTime) {
        let Some(until) = self
            .length
            .and_then(|length| now.checked_add_signed(length))
        else {
            return;
        };
        self.until.retain(|_, until| now < *until);
        if self.until.len() < MOST_KEYS || self.until.contains_key(app_key) {
            self.until.insert(app_key.to_owned(), until);
        }
    }
}
