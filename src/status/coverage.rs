//! Coverage of today's session, minute by minute.

use chrono::{NaiveTime, TimeDelta, TimeZone as _};
use serde::{Serialize, Serializer};

use super::Parts;
use sise_domain::{Coverage, Gap, KrxTime, Seoul};

/// The coverage of one minute of a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Slot {
    /// Share of the universe with a live price, 0 to 1.
    Share(f64),
    /// Not counted.
    NotCounted,
    /// The minute is still to come.
    Future,
}

/// Coverage of today's session.
#[derive(Debug, Clone, Serialize)]
pub struct DayCoverage {
    /// A minute with a smaller share of live prices is a gap.
    pub gap_below: f64,
    /// The minutes that were counted.
    pub minutes: Vec<Minute>,
    /// The gaps among the minutes that have ended.
    pub gaps: Vec<Gap>,
    /// The time of the first slot.
    #[serde(skip)]
    pub open: KrxTime,
    /// Every minute of the session; empty if there is no session today and nothing was counted.
    #[serde(skip)]
    pub slots: Vec<Slot>,
}

/// A minute that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Minute {
    /// Its beginning, Seoul time.
    #[serde(serialize_with = "as_minute")]
    pub minute: NaiveTime,
    /// Codes with a live price.
    pub live: usize,
    /// Codes of the universe.
    pub codes: usize,
    /// The ratio of the two, 0 to 1.
    pub share: Option<f64>,
}

impl DayCoverage {
    /// Builds the minutes of today's session; without a session, those that were counted anyway.
    pub(super) fn new(parts: &Parts, now: KrxTime, counted: Vec<(NaiveTime, Coverage)>) -> Self {
        let day = now.date_naive();
        let at = |time: NaiveTime| Seoul.from_local_datetime(&day.and_time(time)).earliest();
        let minute = TimeDelta::minutes(1);
        let session = parts.calendar.load().session(day);
        let first = counted.first().and_then(|(time, _)| at(*time));
        let last = counted.last().and_then(|(time, _)| at(*time));
        // Trials that ignore the calendar count outside sessions too.
        let open = session.map(|(open, _)| open).into_iter().chain(first).min();
        let close = session.map(|(_, close)| close);
        let close = close
            .into_iter()
            .chain(last.map(|last| last + minute))
            .max();
        let mut slots = Vec::new();
        let mut gaps: Vec<Gap> = Vec::new();
        let below = parts.gap_below;
        let mut time = open.unwrap_or(now);
        while time < close.unwrap_or(time) {
            let held = counted.binary_search_by_key(&time.time(), |(minute, _)| *minute);
            let held = held.ok().and_then(|place| counted.get(place));
            let share = held.and_then(|(_, coverage)| coverage.share());
            let is_over = time + minute <= now;
            let slot = match share {
                Some(share) => Slot::Share(share),
                None if is_over => Slot::NotCounted,
                None => Slot::Future,
            };
            let is_gap = share.map_or(slot == Slot::NotCounted, |share| share < below);
            let is_session = session.is_none_or(|(open, close)| open <= time && time < close);
            slots.push(slot);
            if is_gap && (is_session || share.is_some()) {
                Gap::add_minute(&mut gaps, time, share);
            }
            time += minute;
        }
        let minutes = counted.into_iter().map(|(minute, coverage)| Minute {
            minute,
            live: coverage.live,
            codes: coverage.codes,
            share: coverage.share(),
        });
        Self {
            gap_below: below,
            minutes: minutes.collect(),
            gaps,
            open: open.unwrap_or(now),
            slots,
        }
    }
}

fn as_minute<S: Serializer>(minute: &NaiveTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&minute.format("%H:%M"))
}
