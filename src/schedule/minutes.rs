//! Coverage by minute: after every minute of a session the leader counts the live prices.
//!
//! It counts them in the store, so the result is what readers find there, whichever process wrote
//! it. This holds after a change of the leader and after Redis came back empty.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime, TimeDelta, Timelike as _};
use metrics::counter;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::leadership::Candidate;
use sise_domain::{Coverage, Event, Gap, KrxTime, Symbol};
use sise_port::StoreError;

/// How often to check whether a minute is over.
const LOOK: Duration = Duration::from_secs(1);

/// How long after the minute an unreachable store is asked again; then the minute counts as empty.
const PATIENCE: TimeDelta = TimeDelta::seconds(45);

/// Counts minute by minute.
pub(super) struct Minutes {
    parts: Arc<Parts>,
    candidate: Option<Arc<Candidate>>,
    always_open: bool,
    /// The first minute that is not accounted for; `None` unless this process leads.
    next: Option<KrxTime>,
    /// Counts of this process today. They are written as a whole, as Redis may come back empty.
    today: (NaiveDate, BTreeMap<NaiveTime, Coverage>),
    is_written: bool,
    is_gap: bool,
}

impl Minutes {
    pub(super) fn new(
        parts: Arc<Parts>,
        candidate: Option<Arc<Candidate>>,
        always_open: bool,
    ) -> Self {
        Self {
            parts,
            candidate,
            always_open,
            next: None,
            today: (NaiveDate::default(), BTreeMap::new()),
            is_written: true,
            is_gap: false,
        }
    }

    /// Counts minutes until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(LOOK)).await.is_some() {
            let now = (self.parts.clock)();
            let look = self.look(now);
            match stop.run_until_cancelled(look).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::debug!(%error, "the minute will be counted later"),
            }
        }
    }

    /// Accounts for every minute that is over at `now`.
    async fn look(&mut self, now: KrxTime) -> Result<(), StoreError> {
        let leads = |candidate: &Arc<Candidate>| candidate.lead().is_some();
        if !self.candidate.as_ref().is_none_or(leads) {
            self.next = None;
            return Ok(());
        }
        let Some(current) = minute_of(now) else {
            return Ok(());
        };
        let day = current.date_naive();
        if self.today.0 != day {
            self.today = (day, BTreeMap::new());
        }
        let next = self.next.filter(|next| next.date_naive() == day);
        let next = match next {
            // If the clock was set back, minutes that are accounted for pass once more.
            Some(next) if next <= current => next,
            _ => self.first_minute(current),
        };
        self.next = Some(next);
        if next >= current {
            return Ok(());
        }
        let last = current - TimeDelta::minutes(1);
        if next < last {
            self.account_for_others(next, last).await?;
        }
        if self.is_open(last) {
            let counted = self.count().await;
            let coverage = match counted {
                Ok(coverage) => coverage,
                Err(error) if now < current + PATIENCE => {
                    self.next = Some(last);
                    return Err(error);
                }
                Err(_) => Coverage {
                    live: 0,
                    codes: self.parts.universe.load().len(),
                },
            };
            self.take(last, coverage);
        } else {
            self.is_gap = false;
        }
        self.next = Some(current);
        if !self.is_written {
            let minutes: Vec<(NaiveTime, Coverage)> = self.today.1.clone().into_iter().collect();
            self.parts.records.keep_minutes(day, &minutes).await?;
            self.is_written = true;
        }
        Ok(())
    }

    /// Returns the first minute of the day that some leader should have counted.
    fn first_minute(&self, current: KrxTime) -> KrxTime {
        if self.always_open {
            return current;
        }
        let session = self.parts.calendar.load().session(current.date_naive());
        session.map_or(current, |(open, _)| open.min(current))
    }

    /// Reports minutes from `from` until just before `until` that no leader counted as a gap.
    async fn account_for_others(
        &mut self,
        from: KrxTime,
        until: KrxTime,
    ) -> Result<(), StoreError> {
        let counted = self.parts.records.minutes(from.date_naive()).await?;
        let is_counted = |minute: KrxTime| {
            let time = minute.time();
            self.today.1.contains_key(&time) || counted.iter().any(|(held, _)| *held == time)
        };
        let mut gaps: Vec<Gap> = Vec::new();
        let mut minute = from;
        while minute < until {
            if self.is_open(minute) && !is_counted(minute) {
                Gap::add_minute(&mut gaps, minute, None);
            }
            minute += TimeDelta::minutes(1);
        }
        for gap in gaps {
            let mut minute = gap.from;
            while minute < gap.until {
                self.today.1.insert(minute.time(), Coverage::NOT_COUNTED);
                self.is_written = false;
                counter!("sise_coverage_gaps_total").increment(1);
                minute += TimeDelta::minutes(1);
            }
            tracing::warn!(
                from = %gap.from.format("%H:%M"), until = %gap.until.format("%H:%M"),
                "gap: no process swept in these minutes of the session"
            );
            self.parts.recorder.note(Event::Gap(gap));
        }
        Ok(())
    }

    /// Counts the codes of the list that have a live price.
    async fn count(&self) -> Result<Coverage, StoreError> {
        let symbols: Vec<Symbol> = self.parts.universe.load().symbols().collect();
        let prices = self.parts.store.realtime(&symbols).await?;
        Ok(Coverage {
            live: prices.iter().filter(|price| price.is_some()).count(),
            codes: symbols.len(),
        })
    }

    fn take(&mut self, minute: KrxTime, coverage: Coverage) {
        self.today.1.insert(minute.time(), coverage);
        self.is_written = false;
        let below = self.parts.gap_below;
        let short = coverage.share().filter(|share| *share < below);
        let was_gap = std::mem::replace(&mut self.is_gap, short.is_some());
        let Some(share) = short else {
            if was_gap {
                tracing::info!(
                    live = coverage.live,
                    codes = coverage.codes,
                    "the gap is over"
                );
            }
            return;
        };
        if !was_gap {
            tracing::warn!(
                live = coverage.live,
                codes = coverage.codes,
                "gap: fewer than {:.0} % of the list have a live price",
                below * 100.0
            );
        }
        counter!("sise_coverage_gaps_total").increment(1);
        self.parts.recorder.note(Event::Gap(Gap {
            from: minute,
            until: minute + TimeDelta::minutes(1),
            lowest: Some(share),
        }));
    }

    fn is_open(&self, minute: KrxTime) -> bool {
        self.always_open || self.parts.calendar.load().moment(minute).is_open()
    }
}

/// Returns the beginning of the minute.
fn minute_of(now: KrxTime) -> Option<KrxTime> {
    now.with_second(0)?.with_nanosecond(0)
}
