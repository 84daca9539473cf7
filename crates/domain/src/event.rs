//! Events of the event log.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use serde::{Deserialize, Serialize};

use super::quote::{optional_zoned_millis, zoned_millis};
use super::{Alert, KrxTime, Reason, Symbol};

/// An event that is worth an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A sweep was made.
    Sweep(Swept),
    /// A run was due but not made.
    Skip(Skipped),
    /// Too few codes had a live price in an open session.
    Gap(Gap),
    /// The lead changed hands.
    Lead(LeadChange),
    /// The access token changed.
    Token(TokenChange),
    /// The broker bans a pair of app key and secret: no calls are made with it.
    Ban {
        /// Digest of the app key.
        key: String,
        /// Digest of key and secret. The ban applies to the pair; the key may be used with another
        /// secret.
        credentials: String,
        /// Reason of the ban.
        why: String,
        /// End of the ban.
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
    /// The clocks came apart.
    Clock {
        /// How they came apart.
        jump: ClockJump,
        /// By how much, milliseconds.
        by_ms: u64,
    },
    /// A rule raised an alert.
    Alert {
        /// The alert.
        alert: Box<Alert>,
    },
    /// Events that were dropped for lack of space.
    Lost {
        /// Number of dropped events.
        count: u64,
    },
}

/// Summary of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Swept {
    /// When it began.
    #[serde(with = "zoned_millis")]
    pub started_at: KrxTime,
    /// From the first call to the last write, milliseconds.
    pub elapsed_ms: u64,
    /// Whether it covered only some codes, so that it says nothing about the whole list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Codes of the sweep.
    pub universe: usize,
    /// Codes whose price was written.
    pub written: usize,
    /// Share written, 0 to 1.
    pub coverage: f64,
    /// Calls sent, repeats included.
    pub calls: u64,
    /// Calls refused for exceeding the rate limit.
    pub refused_calls: u64,
    /// Calls that repeated another.
    pub retries: u64,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// The day whose close it took, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_of: Option<NaiveDate>,
    /// The codes without a new price, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingCodes>,
}

/// The codes that a sweep left without a new price for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingCodes {
    /// The reason.
    pub reason: Reason,
    /// Number of codes.
    pub count: usize,
    /// The first of the codes.
    pub codes: Vec<Symbol>,
    /// What exactly happened to the first code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A run that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Label as in metrics, one word.
    pub reason: String,
    /// The reason as text.
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
    /// Returns the sweep of the whole list, if the event is one.
    #[must_use]
    pub fn whole_sweep(&self) -> Option<&Swept> {
        match self {
            Self::Sweep(swept) if !swept.partial => Some(swept),
            _ => None,
        }
    }
}

impl Skipped {
    /// Reason of runs that a process leaves to the leader.
    pub const NOT_LEADER: &'static str = "not_leader";
}

/// Minutes of an open session in which fewer codes than required had a live price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// First minute.
    #[serde(with = "zoned_millis")]
    pub from: KrxTime,
    /// First minute after it.
    #[serde(with = "zoned_millis")]
    pub until: KrxTime,
    /// The lowest share of the list with a live price, 0 to 1; absent if no process led and
    /// counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowest: Option<f64>,
}

impl Gap {
    /// Adds a minute to the gap that it continues, or begins a new one.
    pub fn add_minute(gaps: &mut Vec<Self>, minute: KrxTime, lowest: Option<f64>) {
        let until = minute + TimeDelta::minutes(1);
        let goes_on =
            |gap: &&mut Self| gap.until == minute && gap.lowest.is_some() == lowest.is_some();
        match gaps.last_mut().filter(goes_on) {
            Some(gap) => {
                gap.until = until;
                gap.lowest = gap.lowest.zip(lowest).map(|(a, b)| a.min(b));
            }
            None => gaps.push(Self {
                from: minute,
                until,
                lowest,
            }),
        }
    }
}

/// A change of the lead, reported by the process it happened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadChange {
    /// What happened.
    pub change: Leading,
    /// The number of the lead.
    pub lead: u64,
    /// The previous leader, if known.
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
    /// The process shut down cleanly and gave it back.
    GivenBack,
}

/// A change of the access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum TokenChange {
    /// The broker issued one.
    Issued {
        /// When it expires, Seoul time.
        expires_at: NaiveDateTime,
    },
    /// The broker did not issue one.
    Refused {
        /// The broker's message.
        said: String,
    },
    /// The broker reported the token in use as invalid.
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
    /// Both clocks went on while this process did not run.
    Paused,
}

impl ClockJump {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Ahead, Self::Back, Self::Paused];

    /// Returns the label for metrics, in one word.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Back => "back",
            Self::Paused => "paused",
        }
    }
}

/// An entry of the event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened; for repeated events, the first time.
    #[serde(with = "zoned_millis")]
    pub at: KrxTime,
    /// When it last happened.
    #[serde(with = "zoned_millis")]
    pub last_at: KrxTime,
    /// Number of times it happened.
    pub times: u64,
    /// Name of the process that it happened to.
    pub process: String,
    /// Number of the entry among those of its process.
    ///
    /// A second entry with the same number is a newer version of the first, with a higher count.
    pub number: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// Creates an entry for an event that happened once.
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

    /// Merges an event at `at` if it continues the entry: a run skipped for the same reason, or the
    /// next minute of a gap. Returns whether it did.
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

    /// Returns whether further events may be merged into it.
    #[must_use]
    pub fn may_grow(&self) -> bool {
        matches!(self.event, Event::Skip(_) | Event::Gap(_))
    }

    /// Returns whether the entry is complete once `event` has happened.
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
