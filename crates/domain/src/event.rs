//! What happened: the entries of the journal.

use chrono::{NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};

use super::quote::{optional_zoned_millis, zoned_millis};
use super::{Alert, KrxTime, Reason, Symbol};

/// Something that is worth an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A pass over the list was made.
    Sweep(Swept),
    /// A run was due and was not made.
    Skip(Skipped),
    /// In an open session too few codes had a live price.
    Gap(Gap),
    /// The lead changed hands.
    Lead(LeadChange),
    /// The access token changed.
    Token(TokenChange),
    /// The broker bans app key and secret together: nothing is asked with them.
    Ban {
        /// Digest of the app key.
        key: String,
        /// Digest of key and secret, which a ban belongs to: the key with another secret is none.
        credentials: String,
        /// What for.
        why: String,
        /// Until when.
        #[serde(with = "zoned_millis")]
        until: KrxTime,
    },
    /// The broker accepts key and secret again.
    BanLifted {
        /// Digest of the app key.
        key: String,
        /// Digest of key and secret.
        credentials: String,
    },
    /// The clocks did not go on together.
    Clock {
        /// In which way.
        jump: ClockJump,
        /// By how much, milliseconds.
        by_ms: u64,
    },
    /// A rule asked to be told of this.
    Alert {
        /// What was told.
        alert: Box<Alert>,
    },
    /// Events that found no room; they are counted and lost.
    Lost {
        /// How many.
        count: u64,
    },
}

/// A pass over the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Swept {
    /// When it began.
    #[serde(with = "zoned_millis")]
    pub started_at: KrxTime,
    /// From the first call to the last write, milliseconds.
    pub elapsed_ms: u64,
    /// Whether it was asked for some codes only, and so says nothing of the list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Codes of the pass.
    pub universe: usize,
    /// Codes whose price was written.
    pub written: usize,
    /// Share written, 0 to 1.
    pub coverage: f64,
    /// Calls sent, repeats included.
    pub calls: u64,
    /// Calls refused as over the rate limit.
    pub refused_calls: u64,
    /// Calls that repeated another.
    pub retries: u64,
    /// Whether it was stopped.
    pub stopped: bool,
    /// The day whose close it took, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_of: Option<NaiveDate>,
    /// The codes without a new price, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingCodes>,
}

/// The codes that a pass left without a new price for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingCodes {
    /// Why.
    pub reason: Reason,
    /// How many.
    pub count: usize,
    /// The first of them.
    pub codes: Vec<Symbol>,
    /// What exactly happened to the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A run that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// One word, as in metrics.
    pub reason: String,
    /// The reason in words.
    pub why: String,
    /// When the next run was due.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_zoned_millis"
    )]
    pub next_run: Option<KrxTime>,
}

impl Event {
    /// The sweep of the whole list that it tells of.
    #[must_use]
    pub fn whole_sweep(&self) -> Option<&Swept> {
        match self {
            Self::Sweep(swept) if !swept.partial => Some(swept),
            _ => None,
        }
    }
}

impl Skipped {
    /// Reason of the runs that a process leaves to the leader.
    pub const NOT_LEADER: &'static str = "not_leader";
}

/// Minutes of an open session in which fewer codes than wanted had a live price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// First minute.
    #[serde(with = "zoned_millis")]
    pub from: KrxTime,
    /// First minute after it.
    #[serde(with = "zoned_millis")]
    pub until: KrxTime,
    /// The lowest share of the list with a live price, 0 to 1; absent where nobody led who would
    /// have counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowest: Option<f64>,
}

/// A change of the lead, told by the process that it happened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadChange {
    /// What happened.
    pub change: Leading,
    /// The number of the lead.
    pub lead: u64,
    /// Who led before, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What happened to the lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leading {
    /// The process took it.
    Taken,
    /// The process could not renew it, or another one took it.
    Lost,
    /// The process stopped in order and gave it back.
    GivenBack,
}

/// A change of the access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum TokenChange {
    /// The broker issued one.
    Issued {
        /// When it ends, Seoul.
        expires_at: NaiveDateTime,
    },
    /// The broker gave none.
    Refused {
        /// What it said.
        said: String,
    },
    /// The broker called the one in use dead.
    Dead,
}

/// How the time of day and the monotonic clock came apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockJump {
    /// The time of day jumped ahead: the host slept, or its clock was set.
    Ahead,
    /// The time of day jumped back: the host's clock was set.
    Back,
    /// Both went on while this process did not run.
    Paused,
}

impl ClockJump {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ahead, Self::Back, Self::Paused];

    /// One word, for metrics.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Back => "back",
            Self::Paused => "paused",
        }
    }
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened; where the same happened again, the first time.
    #[serde(with = "zoned_millis")]
    pub at: KrxTime,
    /// When it happened last.
    #[serde(with = "zoned_millis")]
    pub last_at: KrxTime,
    /// How often it happened.
    pub times: u64,
    /// The process that it happened to, as it calls itself.
    pub process: String,
    /// The number of the entry among those of its process. An entry that comes twice is the same
    /// entry, written once more with a higher count.
    pub number: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// An entry of something that happened once.
    #[must_use]
    pub fn new(process: String, number: u64, at: KrxTime, event: Event) -> Self {
        Self {
            at,
            last_at: at,
            times: 1,
            process,
            number,
            event,
        }
    }

    /// Takes in what happened at `at` where it is the same again: a run skipped for the same
    /// reason, the next minute of a gap. Returns whether it did.
    pub fn absorb(&mut self, at: KrxTime, event: &Event) -> bool {
        match (&mut self.event, event) {
            (Event::Skip(held), Event::Skip(next))
                if held.reason == next.reason && held.why == next.why =>
            {
                held.next_run = next.next_run;
            }
            (Event::Gap(held), Event::Gap(next))
                if held.until == next.from && held.lowest.is_some() == next.lowest.is_some() =>
            {
                held.until = next.until;
                held.lowest = match (held.lowest, next.lowest) {
                    (Some(held), Some(next)) => Some(held.min(next)),
                    _ => None,
                };
            }
            _ => return false,
        }
        self.last_at = at;
        self.times += 1;
        true
    }

    /// Whether more of the same can come.
    #[must_use]
    pub fn may_grow(&self) -> bool {
        matches!(self.event, Event::Skip(_) | Event::Gap(_))
    }

    /// Whether, after `event`, nothing more can come to this entry.
    #[must_use]
    pub fn ends_with(&self, event: &Event) -> bool {
        match self.event {
            Event::Skip(_) => matches!(event, Event::Skip(_) | Event::Sweep(_)),
            Event::Gap(_) => matches!(event, Event::Gap(_)),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlertKind, Seoul};
    use chrono::{TimeDelta, TimeZone as _};

    fn at(minute: i64) -> KrxTime {
        let start = Seoul.with_ymd_and_hms(2026, 11, 20, 9, 0, 0).unwrap();
        start + TimeDelta::minutes(minute)
    }

    fn skip(why: &str, next: i64) -> Event {
        Event::Skip(Skipped {
            reason: "holiday".to_owned(),
            why: why.to_owned(),
            next_run: Some(at(next)),
        })
    }

    fn gap(from: i64, lowest: Option<f64>) -> Event {
        Event::Gap(Gap {
            from: at(from),
            until: at(from + 1),
            lowest,
        })
    }

    fn entry(event: Event) -> Entry {
        Entry::new("here".to_owned(), 1, at(0), event)
    }

    #[test]
    fn a_run_skipped_again_for_the_same_reason_is_counted() {
        let mut held = entry(skip("holiday: a", 60));
        assert!(held.absorb(at(1), &skip("holiday: a", 61)));
        assert!(!held.absorb(at(2), &skip("holiday: b", 61)));
        assert!(!held.absorb(at(2), &gap(0, None)));
        let expected = Entry {
            last_at: at(1),
            times: 2,
            ..entry(skip("holiday: a", 61))
        };
        assert_eq!(held, expected);
    }

    #[test]
    fn minutes_of_a_gap_join_where_they_touch() {
        let mut held = entry(gap(0, Some(0.5)));
        assert!(held.absorb(at(2), &gap(1, Some(0.2))));
        assert!(held.absorb(at(3), &gap(2, Some(0.8))));
        assert!(!held.absorb(at(5), &gap(4, Some(0.8))));
        assert!(!held.absorb(at(5), &gap(3, None)));
        let Event::Gap(gap) = &held.event else {
            panic!("{held:?}");
        };
        assert_eq!((gap.from, gap.until, gap.lowest), (at(0), at(3), Some(0.2)));
        assert_eq!(held.times, 3);
    }

    #[test]
    fn every_event_comes_back_from_its_text() {
        let swept = Swept {
            started_at: at(0),
            elapsed_ms: 6_200,
            partial: true,
            universe: 3,
            written: 2,
            coverage: 2.0 / 3.0,
            calls: 1,
            refused_calls: 0,
            retries: 0,
            stopped: false,
            close_of: Some(at(0).date_naive()),
            missing: vec![MissingCodes {
                reason: Reason::Refused,
                count: 1,
                codes: vec!["005930".parse().unwrap()],
                detail: "price is zero".to_owned(),
            }],
        };
        for event in [
            Event::Sweep(swept),
            skip("holiday: 삼일절", 60),
            gap(0, Some(0.25)),
            gap(0, None),
            Event::Lead(LeadChange {
                change: Leading::Taken,
                lead: u64::MAX,
                after: Some("there".to_owned()),
            }),
            Event::Token(TokenChange::Issued {
                expires_at: at(0).naive_local(),
            }),
            Event::Token(TokenChange::Dead),
            Event::Ban {
                key: "0123".to_owned(),
                credentials: "4567".to_owned(),
                why: "EGW00105".to_owned(),
                until: at(1),
            },
            Event::BanLifted {
                key: "0123".to_owned(),
                credentials: "4567".to_owned(),
            },
            Event::Clock {
                jump: ClockJump::Ahead,
                by_ms: 1,
            },
            Event::Alert {
                alert: Box::new(Alert {
                    id: "1-2".to_owned(),
                    rule: "mine".to_owned(),
                    kind: AlertKind::CoverageBelow,
                    code: None,
                    name: None,
                    text: "50.0 % of the list have a live price".to_owned(),
                    at: at(0),
                    value: Some(50.5),
                    list: None,
                    simulated: false,
                }),
            },
            Event::Lost { count: 7 },
        ] {
            let entry = entry(event);
            let text = serde_json::to_string(&entry).unwrap();
            assert_eq!(
                serde_json::from_str::<Entry>(&text).unwrap(),
                entry,
                "{text}"
            );
        }
    }
}
