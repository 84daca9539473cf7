//! Keys of values, and how long values live.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that can be cached.
///
/// The type sets the prefix of its keys and how long a value lives. Nobody builds keys by hand:
/// code that writes, reads or invalidates a value names type and id.
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use sise_cache::{Cached, Life};
///
/// #[derive(Serialize, Deserialize)]
/// struct Article {
///     title: String,
/// }
///
/// // Kept under `<app>:<env>:article:<id>` for ten minutes, some for up to a minute less.
/// impl Cached for Article {
///     type Id = u64;
///     const KIND: &'static str = "article";
///     const LIFE: Life = Life::of(Duration::from_secs(600)).jitter(10);
/// }
/// ```
///
/// Values are stored as JSON, which any program can read. `chrono` times are RFC 3339.
pub trait Cached: Serialize + DeserializeOwned + Send + Sync {
    /// Distinguishes values of this kind. Its text is the end of the key.
    type Id: Display + Sync + ?Sized;

    /// The kind's part of the key: lower-case letters, digits, `-` and `_`.
    ///
    /// Two types of the same kind would overwrite each other. `session`, `sessions`, `profile`,
    /// `rank` and `counter` are taken.
    const KIND: &'static str;

    /// How long a value lives, unless a call says otherwise.
    const LIFE: Life;
}

/// How long a value lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    longest: Option<Duration>,
    jitter_percent: u8,
}

impl Life {
    /// Until the value is deleted or evicted by the server.
    pub const FOREVER: Self = Self {
        longest: None,
        jitter_percent: 0,
    };

    /// A life of `longest`.
    #[must_use]
    pub const fn of(longest: Duration) -> Self {
        Self {
            longest: Some(longest),
            jitter_percent: 0,
        }
    }

    /// Ends each value up to `percent` percent earlier, at random, so that values written together
    /// do not expire together. More than 100 counts as 100.
    #[must_use]
    pub const fn jitter(mut self, percent: u8) -> Self {
        self.jitter_percent = if percent > 100 { 100 } else { percent };
        self
    }

    /// Draws the life of one value; `random` is from 0 to 1.
    pub(super) fn draw(self, random: f64) -> Option<Duration> {
        let longest = self.longest?;
        let share = f64::from(self.jitter_percent) / 100.0 * random.clamp(0.0, 1.0);
        // For the longest life, rounding could exceed what a duration can hold.
        let life = Duration::try_from_secs_f64(longest.as_secs_f64() * (1.0 - share));
        Some(life.unwrap_or(longest))
    }

    /// Returns the longest time that a value lives; `None` if it does not expire.
    #[must_use]
    pub const fn longest(self) -> Option<Duration> {
        self.longest
    }
}

/// Kinds of keys that parts of the cache use themselves.
pub(super) const SESSION: &str = "session";
pub(super) const SESSIONS: &str = "sessions";
pub(super) const PROFILE: &str = "profile";
pub(super) const RANK: &str = "rank";
pub(super) const COUNTER: &str = "counter";

/// Returns whether a type may use `kind` as its kind.
pub(super) const fn is_kind(kind: &str) -> bool {
    let taken = [SESSION, SESSIONS, PROFILE, RANK, COUNTER];
    let mut place = 0;
    while place < taken.len() {
        #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
        if is_same(kind.as_bytes(), taken[place].as_bytes()) {
            return false;
        }
        place += 1;
    }
    is_plain(kind)
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut place = 0;
    while place < one.len() {
        #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
        if one[place] != other[place] {
            return false;
        }
        place += 1;
    }
    true
}

const fn is_plain(kind: &str) -> bool {
    let bytes = kind.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
        if !matches!(bytes[place], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') {
            return false;
        }
        place += 1;
    }
    !bytes.is_empty()
}

/// Builds `<prefix><kind>:<id>`. Braces in the id are written as `%7B` and `%7D`, because on a
/// cluster they would determine the slot of the key.
pub(super) fn key(prefix: &str, kind: &str, id: &(impl Display + ?Sized)) -> String {
    let mut key = String::with_capacity(prefix.len() + kind.len() + 24);
    key.push_str(prefix);
    key.push_str(kind);
    key.push(':');
    let begin = key.len();
    // Writing into a string cannot fail, and an error of the id's `Display` is ignored.
    let _ = write!(key, "{id}");
    if key
        .bytes()
        .skip(begin)
        .any(|byte| matches!(byte, b'{' | b'}' | b'%'))
    {
        let id = key.split_off(begin);
        for letter in id.chars() {
            match letter {
                '{' => key.push_str("%7B"),
                '}' => key.push_str("%7D"),
                '%' => key.push_str("%25"),
                letter => key.push(letter),
            }
        }
    }
    key
}

/// Builds a key that belongs to `key` and has the same slot on a cluster. It never clashes with the
/// key of a value, because braces in ids are escaped.
pub(super) fn beside(prefix: &str, what: &str, key: &str) -> String {
    [prefix, what, ":{", key, "}"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_a_plain_word_that_is_not_taken() {
        for kind in ["article", "user-2", "a_b"] {
            assert!(is_kind(kind), "{kind}");
        }
        for kind in ["", "Article", "a:b", "a b", "session", "rank", "{a}"] {
            assert!(!is_kind(kind), "{kind}");
        }
    }

    #[test]
    fn braces_of_an_id_never_say_where_a_key_lies() {
        assert_eq!(key("app:live:", "user", &7), "app:live:user:7");
        assert_eq!(key("", "user", "{a}%"), "user:%7Ba%7D%25");
        assert_eq!(key("", "user", "%7Ba}"), "user:%257Ba%7D");
        assert_eq!(
            beside("app:", "stale", "app:user:7"),
            "app:stale:{app:user:7}"
        );
    }

    #[test]
    fn a_life_ends_within_its_jitter() {
        let second = Duration::from_secs(1);
        let life = Life::of(second * 100).jitter(20);
        assert_eq!(life.draw(0.0), Some(second * 100));
        assert_eq!(life.draw(1.0), Some(second * 80));
        assert_eq!(life.draw(0.5), Some(second * 90));
        assert_eq!(Life::of(second).draw(0.7), Some(second));
        assert_eq!(Life::of(second).jitter(200).draw(1.0), Some(Duration::ZERO));
        assert_eq!(Life::of(Duration::MAX).draw(0.5), Some(Duration::MAX));
        assert_eq!(Life::FOREVER.jitter(20).draw(0.5), None);
    }
}
