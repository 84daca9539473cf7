//! Bans of an app key: for how long no calls are made after the broker refuses a key.
//!
//! Calling again during a ban makes the broker extend it.

use std::fmt;

use chrono::{SubsecRound as _, TimeDelta};
use serde::{Deserialize, Serialize};

use super::KrxTime;
use super::quote::zoned_millis;

/// Length of the first ban, growth factor of each further one, and the maximum.
const FIRST: TimeDelta = TimeDelta::minutes(1);
const GROWTH: i32 = 4;
const LONGEST: TimeDelta = TimeDelta::days(1);

/// A ban that has been over for this long no longer counts.
const MEMORY: TimeDelta = TimeDelta::days(1);

/// A ban that begins later than this from now was written by a wrong clock.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What the broker refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanKind {
    /// The key or secret, or their use in this environment.
    Credentials,
    /// This customer, or this address.
    Access,
}

impl BanKind {
    /// Returns the label for metrics, in one word.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Access => "access",
        }
    }
}

impl fmt::Display for BanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credentials => "the broker does not accept the credentials",
            Self::Access => "the broker refuses access",
        })
    }
}

/// An answer of the broker that refuses the app key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What is refused.
    pub kind: BanKind,
    /// The broker's code and message.
    pub said: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.said)
    }
}

/// A time during which no calls are made with an app key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// What is refused.
    pub kind: BanKind,
    /// The broker's code and message.
    pub said: String,
    /// When it was last refused.
    #[serde(with = "zoned_millis")]
    pub since: KrxTime,
    /// Until when no calls are made; then a single call is tried.
    #[serde(with = "zoned_millis")]
    pub until: KrxTime,
    /// Refusals in a row.
    pub times: u32,
}

impl Ban {
    /// Creates the ban after a denial at `now`.
    ///
    /// `earlier` is the previous ban, if no call has succeeded since.
    #[must_use]
    pub fn after(earlier: Option<&Self>, denial: Denial, now: KrxTime) -> Self {
        let now = now.trunc_subsecs(3);
        let counts = |ban: &&Self| ban.until <= now && now < ban.until + MEMORY;
        let times = earlier.filter(counts).map_or(0, |ban| ban.times);
        // Beyond this the ban has its maximum length anyway.
        let growth = GROWTH.pow(times.min(8));
        Self {
            kind: denial.kind,
            said: denial.said,
            since: now,
            until: now + (FIRST * growth).min(LONGEST),
            times: times.saturating_add(1),
        }
    }

    /// Returns whether calls are forbidden at `now`.
    #[must_use]
    pub fn is_in_force(&self, now: KrxTime) -> bool {
        // A record that claims a longer ban is damaged.
        now < self.until && self.since <= now + SKEW && self.until - self.since <= LONGEST
    }
}

impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: KrxTime| time.format("%Y-%m-%d %H:%M:%S KST");
        let times = match self.times {
            0 | 1 => String::new(),
            times => format!(", {times} times in a row"),
        };
        write!(
            f,
            "{} ({}), at {}{times}; asking again would prolong that, so nothing is asked until {}",
            self.kind,
            self.said,
            time(self.since),
            time(self.until),
        )
    }
}

/// Stored record of a key: its ban, or the end of the ban.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanRecord {
    /// No calls until the ban is over; then a single call is tried.
    Banned(Ban),
    /// A call succeeded again.
    Lifted {
        /// When it succeeded.
        #[serde(with = "zoned_millis")]
        at: KrxTime,
    },
}

impl BanRecord {
    /// Creates the record of a call that succeeded at `now`.
    #[must_use]
    pub fn lifted(now: KrxTime) -> Self {
        Self::Lifted {
            at: now.trunc_subsecs(3),
        }
    }

    /// Returns when it was written.
    #[must_use]
    pub fn stamp(&self) -> KrxTime {
        match self {
            Self::Banned(ban) => ban.since,
            Self::Lifted { at } => *at,
        }
    }

    /// Returns the ban, if it was not lifted.
    #[must_use]
    pub fn ban(&self) -> Option<&Ban> {
        match self {
            Self::Banned(ban) => Some(ban),
            Self::Lifted { .. } => None,
        }
    }

    /// Returns whether the record still matters at `now`.
    ///
    /// A record from the future was written by a wrong clock, and would override all later ones.
    #[must_use]
    pub fn is_of_interest(&self, now: KrxTime) -> bool {
        now < self.keep_until() && self.stamp() <= now + SKEW
    }

    /// Returns until when it matters.
    #[must_use]
    pub fn keep_until(&self) -> KrxTime {
        match self {
            Self::Banned(ban) => ban.until + MEMORY,
            // For as long as a ban that it lifts may still be recorded elsewhere.
            Self::Lifted { at } => *at + LONGEST + MEMORY,
        }
    }
}

/// Invariants of every record, whatever wrote it.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle {
    use super::{Ban, BanKind, BanRecord, Denial, LONGEST};
    use crate::Seoul;
    use chrono::TimeZone as _;

    /// Reads `bytes` as a record and panics if it would hold a key for longer than a ban can last.
    pub fn check(bytes: &[u8]) {
        let Ok(record) = serde_json::from_slice::<BanRecord>(bytes) else {
            return;
        };
        let Some(now) = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).single() else {
            return;
        };
        let again = serde_json::to_vec(&record).unwrap_or_default();
        let again: Option<BanRecord> = serde_json::from_slice(&again).ok();
        assert_eq!(
            again.map(|again| again.stamp().timestamp()),
            Some(record.stamp().timestamp())
        );
        assert!(record.keep_until() > record.stamp() || record.ban().is_some());
        assert!(!record.is_of_interest(record.keep_until()));
        let Some(ban) = record.ban() else {
            return;
        };
        assert!(!ban.to_string().is_empty());
        for at in [now, ban.since, ban.until] {
            assert!(!ban.is_in_force(at) || !ban.is_in_force(at + LONGEST * 2));
            let denial = Denial {
                kind: BanKind::Access,
                said: String::new(),
            };
            let next = Ban::after(Some(ban), denial, at);
            assert!(next.until - next.since <= LONGEST && next.is_in_force(next.since));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seoul;
    use chrono::TimeZone as _;

    fn at(minutes: i64) -> KrxTime {
        let start = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        start + TimeDelta::minutes(minutes)
    }

    fn denial() -> Denial {
        Denial {
            kind: BanKind::Credentials,
            said: "EGW00105 wrong".to_owned(),
        }
    }

    #[test]
    fn bans_in_a_row_grow_to_a_day() {
        let mut now = at(0);
        let mut earlier: Option<Ban> = None;
        let mut minutes = Vec::new();
        for _ in 0..30 {
            let ban = Ban::after(earlier.as_ref(), denial(), now);
            minutes.push((ban.until - ban.since).num_minutes());
            now = ban.until;
            earlier = Some(ban);
        }
        assert_eq!(minutes[..8], [1, 4, 16, 64, 256, 1_024, 1_440, 1_440]);
        assert!(minutes[8..].iter().all(|minutes| *minutes == 1_440));
        assert_eq!(earlier.as_ref().unwrap().times, 30);
        let late = Ban::after(earlier.as_ref(), denial(), now + TimeDelta::days(2));
        assert_eq!(late.times, 1, "it was long ago");
        let last = earlier.unwrap();
        let forgotten = Ban::after(Some(&last), denial(), last.until + MEMORY);
        assert_eq!(forgotten.times, 1);
    }

    #[test]
    fn a_ban_is_in_force_until_it_is_over() {
        let ban = Ban::after(None, denial(), at(0));
        assert!(ban.is_in_force(at(0)) && !ban.is_in_force(at(1)));
        // Clocks may differ a little; a clock off by an hour must not hold the key for that long.
        assert!(ban.is_in_force(at(-5)) && !ban.is_in_force(at(-6)));
    }

    #[test]
    fn a_record_that_cannot_be_holds_nothing() {
        let mut ban = Ban::after(None, denial(), at(0));
        ban.until = at(3 * 24 * 60);
        assert!(!ban.is_in_force(at(1)), "it lasts for days");
        let lifted = BanRecord::lifted(at(60));
        assert!(lifted.is_of_interest(at(55)) && !lifted.is_of_interest(at(54)));
        for text in [
            r#"{"lifted":{"at":"+262142-12-31T23:00:00Z"}}"#,
            r#"{"lifted":{"at":"1899-12-31T23:00:00Z"}}"#,
        ] {
            assert!(serde_json::from_str::<BanRecord>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_say_why_since_when_and_until_when() {
        let first = Ban::after(None, denial(), at(0));
        let second = Ban::after(Some(&first), denial(), at(1));
        assert_eq!(
            second.to_string(),
            "the broker does not accept the credentials (EGW00105 wrong), at 2026-11-20 10:01:00 \
             KST, 2 times in a row; asking again would prolong that, so nothing is asked until \
             2026-11-20 10:05:00 KST"
        );
        let record = BanRecord::Banned(second);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<BanRecord>(&text).unwrap(), record);
        assert_eq!(BanKind::Credentials.slug(), "credentials");
        assert_eq!(BanKind::Access.slug(), "access");
    }
}
