//! The call budget that all processes of an app key share: the pure rule.
//!
//! It is a cell rate algorithm (GCRA) with cells laid out ahead: no two cells are closer than one
//! period, and a booking takes the first gap. How far ahead the gap may be depends on the urgency,
//! so that readers come before the sweep. If there is no gap within reach, the booking goes to the
//! lane of its urgency. Other urgencies cannot take that lane, so none starves. Unused shares are
//! open to all.

use std::time::Duration;

/// Urgency of a call: readers' misses first, then watched codes, then the sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A reader is waiting for the answer.
    Reader,
    /// A code that is refreshed more often than the rest.
    Watched,
    /// A sweep.
    Sweep,
}

impl Urgency {
    /// All urgencies, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Watched, Self::Sweep];

    /// Returns its index in [`Urgency::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Reader => 0,
            Self::Watched => 1,
            Self::Sweep => 2,
        }
    }

    /// Returns how many periods ahead it may take any gap.
    #[must_use]
    pub fn reach(self) -> i64 {
        match self {
            Self::Reader => 3,
            Self::Watched => 2,
            Self::Sweep => 1,
        }
    }

    /// Returns the share of the rate that its own lane holds, 0 to 1.
    #[must_use]
    pub fn lane_share(self) -> f64 {
        1.0 / self.lane_periods()
    }

    /// Returns the number of periods between two cells of its own lane.
    ///
    /// The lanes hold a half, three tenths and a fifth of the rate. A caller that books again only
    /// when its cell begins may find the next cells taken, so half of that is guaranteed: a
    /// quarter, 15 % and a tenth.
    #[must_use]
    pub fn lane_periods(self) -> f64 {
        match self {
            Self::Reader => 2.0,
            Self::Watched => 10.0 / 3.0,
            Self::Sweep => 5.0,
        }
    }
}

/// Limits for all calls that the processes of an app key make together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Caps {
    /// Steady rate, calls per second.
    pub per_second: f64,
    /// Calls in any minute, if capped.
    pub per_minute: Option<u32>,
    /// Calls in a day, midnight to midnight in Seoul, if capped.
    pub per_day: Option<u32>,
    /// How long after its start a free cell may still be booked.
    pub late: Duration,
}

/// A cap that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// [`Caps::per_minute`]
    Minute,
    /// [`Caps::per_day`]
    Day,
}

/// Result of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booking {
    /// A cell was booked.
    Cell {
        /// Time until its start.
        wait: Duration,
        /// Time since its start, if it has begun.
        late: Duration,
        /// Calls that fit into it: one, unless the rate is too high for timers.
        calls: u32,
        /// Its length.
        length: Duration,
    },
    /// A cap is used up; nothing was booked.
    Spent {
        /// The cap.
        cap: Cap,
        /// How long to wait before asking again.
        again: Duration,
    },
}

impl Booking {
    /// Returns the same booking with at most `most` calls in its cell.
    #[must_use]
    pub fn of_at_most(self, most: u32) -> Self {
        match self {
            Self::Cell {
                wait,
                late,
                calls,
                length,
            } => Self::Cell {
                wait,
                late,
                calls: calls.min(most),
                length,
            },
            spent @ Self::Spent { .. } => spent,
        }
    }
}

/// Calls of all processes, as one process last heard from the shared budget.
///
/// With it, a budget that lost its count, or was unreachable while calls were made, is corrected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallsMade {
    /// The day in Seoul, counted from 1970-01-01.
    pub day: i64,
    /// Calls of that day.
    pub today: u32,
    /// When this was heard, microseconds since 1970 by the budget's clock.
    pub heard_at: i64,
    /// Calls of the minute before, if they are capped.
    pub last_minute: u32,
    /// Calls since then that were made without the budget.
    pub uncounted: u32,
}

/// What a shared budget reports about the calls of its key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallsSeen {
    /// Share of the set rate in force, 0 to 1. It drops below 1 when the broker refuses calls.
    pub share: f64,
    /// Calls of the last whole second.
    pub last_second: u32,
    /// Calls of the last sixty whole seconds.
    pub last_minute: u32,
    /// Calls of the day in Seoul.
    pub today: u32,
}

/// Shorter cells are merged, because timers fire at most once per millisecond. Seconds.
const SHORTEST_CELL: f64 = 0.002;

/// A refusal cuts the rate to this share of its value.
const CUT: f64 = 0.7;
/// Lowest share of the setting that cuts can lead to.
const LOWEST: f64 = 0.1;
/// Minimum time between two cuts: calls in flight are refused together. Microseconds.
const ONE_CUT_IN: i64 = 1_000_000;
/// Time in which the rate climbs from zero to the setting. Microseconds.
const CLIMB: f64 = 50_000_000.0;

/// Delay of the first cell if earlier calls are unknown, in periods, and its maximum in
/// microseconds.
///
/// It is at least a second, so that the previous second is over, and long enough for cells that
/// other processes have booked.
const SETTLES: i64 = 5;
const SETTLES_WITHIN: i64 = 6_000_000;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Offset of Seoul from UTC; there is no daylight saving time. Microseconds.
const SEOUL: i64 = 9 * 3_600 * SECOND;

/// Returns what `share` of the set rate climbs to after this time without a refusal.
#[must_use]
pub fn share_after(share: f64, since: std::time::Duration) -> f64 {
    climbed(share, since.as_secs_f64() * 1e6)
}

fn climbed(share: f64, microseconds: f64) -> f64 {
    (share + microseconds / CLIMB).min(1.0)
}

impl Caps {
    /// Returns the number of calls in a cell.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and a rate is above zero"
    )]
    pub fn calls_a_cell(&self) -> u32 {
        (self.per_second * SHORTEST_CELL).ceil().max(1.0) as u32
    }
}

/// The booked cells. Times are microseconds since 1970, UTC.
#[derive(Debug, Clone)]
pub struct Cells {
    /// Starts of the booked cells, ascending.
    booked: Vec<i64>,
    /// The next cell of each lane.
    lanes: [i64; 3],
    /// Share of the set rate that was in force at `share_at`.
    share: f64,
    share_at: i64,
    /// Calls of the last minute, by second.
    seconds: Vec<(i64, u32)>,
    /// All calls since this time are counted here.
    born: i64,
    /// Calls in the minute before a second that were counted elsewhere: the second, the calls.
    before: (i64, u32),
    /// How far the clock for days is ahead of the clock for cells, microseconds.
    day_ahead: i64,
    /// The day in Seoul, and the calls of that day that are counted here.
    day: (i64, u32),
    /// Calls of that day that were counted elsewhere.
    day_before: u32,
    /// No cell begins before this time; `None` until the first booking sets it.
    opens_at: Option<i64>,
    /// Time of the last booking.
    asked_at: i64,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            booked: Vec::new(),
            lanes: [0; 3],
            share: 1.0,
            share_at: 0,
            seconds: Vec::new(),
            born: i64::MIN,
            before: (0, 0),
            day_ahead: 0,
            day: (0, 0),
            day_before: 0,
            opens_at: Some(i64::MIN),
            asked_at: i64::MIN,
        }
    }
}

impl Cells {
    /// Returns the cells of a store that lost its data: other processes may have called a moment
    /// ago, and may hold bookings.
    #[must_use]
    pub fn forgotten() -> Self {
        Self {
            opens_at: None,
            ..Self::default()
        }
    }

    /// Books a cell at `now`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "periods are far below 2^52 microseconds"
    )]
    pub fn book(&mut self, caps: &Caps, urgency: Urgency, now: i64) -> Booking {
        self.meet(now);
        let calls = caps.calls_a_cell();
        let share = self.share(now);
        let period = (f64::from(calls) * SECOND as f64 / (caps.per_second * share)).ceil() as i64;
        let period = period.max(1);
        let late = i64::try_from(caps.late.as_micros()).unwrap_or(0);
        self.booked.retain(|start| start + period > now - late);
        let settles = (SETTLES * period).clamp(SECOND, SETTLES_WITHIN);
        let opens_at = self.opens_at.unwrap_or(i64::MAX).min(now + settles);
        self.opens_at = Some(opens_at);
        let from = now.max(opens_at);
        let mut at = self.first_gap(opens_at.max(now - late), period);
        let reach = from + urgency.reach() * period;
        let on_lane = at > reach;
        let mut want = at;
        let lane = self.lanes.get(urgency.index()).copied().unwrap_or(now);
        if on_lane {
            // Aligned with the booked cells, so that no gap is too short to be used.
            let step = self.booked.iter().rev().find(|start| **start <= reach);
            let step = step.copied().unwrap_or(from);
            want = reach.max(lane);
            let periods = (want - step + period - 1).div_euclid(period);
            at = self.first_gap(step + periods * period, period);
        }
        let (day, made) = self.day_at(now);
        if caps
            .per_day
            .is_some_and(|most| made.saturating_add(calls) > most)
        {
            let again = (day + 1) * DAY - SEOUL - now - self.day_ahead;
            return spent(Cap::Day, again);
        }
        if let Some(most) = caps.per_minute {
            let second = at.div_euclid(SECOND);
            let now_second = now.div_euclid(SECOND);
            self.seconds.retain(|(past, _)| *past >= now_second - 60);
            if self.made_since(second - 60).saturating_add(calls) > most {
                let before = Some(self.before).filter(|(past, _)| *past >= now_second - 60);
                let oldest = self
                    .seconds
                    .iter()
                    .chain(&before)
                    .map(|(past, _)| *past)
                    .min();
                let again = (oldest.unwrap_or(now_second) + 61) * SECOND - now;
                return spent(Cap::Minute, again);
            }
            match self.seconds.iter_mut().find(|(past, _)| *past == second) {
                Some((_, made)) => *made += calls,
                None => self.seconds.push((second, calls)),
            }
        }
        self.day.1 = self.day.1.saturating_add(calls);
        if on_lane && let Some(lane) = self.lanes.get_mut(urgency.index()) {
            // Counted from the wanted time, so that delays by other bookings do not add up.
            *lane = want + (period as f64 * urgency.lane_periods()) as i64;
        }
        let place = self.booked.partition_point(|start| *start < at);
        self.booked.insert(place, at);
        Booking::Cell {
            wait: micros((at - now).max(0)),
            late: micros((now - at).max(0)),
            calls,
            length: micros(period),
        }
    }

    /// Merges calls that are known elsewhere.
    pub fn tell(&mut self, caps: &Caps, known: CallsMade, now: i64) {
        self.meet(now);
        if self.opens_at.is_none() {
            self.born = now;
        }
        let is_from_before = known.heard_at < self.born;
        let (day, _) = self.day_at(now);
        if is_from_before && known.day == day {
            self.day_before = self.day_before.max(known.today);
        }
        self.day.1 = self.day.1.saturating_add(known.uncounted);
        let Some(most) = caps.per_minute else {
            return;
        };
        let now_second = now.div_euclid(SECOND);
        let (past, held) = self.before;
        let held = if past >= now_second - 60 { held } else { 0 };
        if is_from_before && known.last_minute > held {
            self.before = (known.heard_at.div_euclid(SECOND), known.last_minute);
        }
        if known.uncounted > 0 {
            // Their time is not known, so they count as made now; only the last minute matters.
            self.seconds.push((now_second, known.uncounted.min(most)));
        }
    }

    /// Same as [`Cells::tell`], for calls that other processes may have made until now.
    pub fn follow(&mut self, caps: &Caps, known: CallsMade, now: i64) {
        self.born = now;
        self.tell(caps, known, now);
    }

    /// Returns the calls known at `now`.
    pub fn made(&mut self, now: i64) -> CallsMade {
        let (day, today) = self.day_at(now);
        CallsMade {
            day,
            today,
            heard_at: now,
            last_minute: self.made_since(now.div_euclid(SECOND) - 60),
            uncounted: 0,
        }
    }

    /// Sets how far the clock for days is ahead of the clock for cells.
    pub fn set_day_ahead(&mut self, micros: i64) {
        self.day_ahead = micros;
    }

    fn made_since(&self, second: i64) -> u32 {
        let counted = self.seconds.iter().chain(std::iter::once(&self.before));
        let counted = counted.filter(|(past, _)| *past >= second);
        counted.map(|(_, calls)| calls).sum()
    }

    /// Returns the day in Seoul at `now`, counted from 1970-01-01, and the calls of that day.
    fn day_at(&mut self, now: i64) -> (i64, u32) {
        let day = (now + self.day_ahead + SEOUL).div_euclid(DAY);
        if self.day.0 != day {
            self.day = (day, 0);
            self.day_before = 0;
        }
        (day, self.day_before.saturating_add(self.day.1))
    }

    /// Notes the time. If the clock was set back, bookings are dropped and counts are kept.
    fn meet(&mut self, now: i64) {
        if now < self.asked_at.saturating_sub(SECOND) {
            // Bookings by the old clock would block all cells until it catches up.
            let asked_second = self.asked_at.div_euclid(SECOND);
            *self = Self {
                share: self.share(self.asked_at),
                share_at: now,
                day: (self.day.0, 0),
                day_before: self.day_before.saturating_add(self.day.1),
                day_ahead: self.day_ahead,
                before: (now.div_euclid(SECOND), self.made_since(asked_second - 60)),
                ..Self::forgotten()
            };
        }
        self.asked_at = now;
        self.share_at = self.share_at.min(now);
    }

    /// Cuts the rate after the broker refused a call. Returns the share of the setting.
    pub fn refused(&mut self, now: i64) -> f64 {
        self.meet(now);
        let share = self.share(now);
        if now - self.share_at >= ONE_CUT_IN {
            self.share = (share * CUT).max(LOWEST);
            self.share_at = now;
        }
        self.share(now)
    }

    /// Returns the share of the set rate in force at `now`, 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since 1970 are below 2^52"
    )]
    pub fn share(&self, now: i64) -> f64 {
        climbed(self.share, (now - self.share_at).max(0) as f64)
    }

    /// Returns the first start at or after `from` that is one period from every booked cell.
    fn first_gap(&self, from: i64, period: i64) -> i64 {
        let mut at = from;
        for start in &self.booked {
            if *start >= at + period {
                break;
            }
            if start + period > at {
                at = start + period;
            }
        }
        at
    }
}

fn spent(cap: Cap, again: i64) -> Booking {
    Booking::Spent {
        cap,
        again: micros(again),
    }
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests;
