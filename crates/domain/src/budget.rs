//! The budget of calls that all processes of an app key share: the pure rule.
//!
//! A cell rate algorithm (GCRA) whose cells are laid out ahead: no two cells are closer than one
//! period, and a booking takes the first gap. How far ahead a gap may lie depends on who asks, so
//! that readers come before the sweep; who finds none books on a lane of his own, which the others
//! cannot take, so that nobody starves. An idle share goes to whoever asks.

use std::time::Duration;

/// Who asks. Readers' misses go first wherever calls queue, then watched codes, then the sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Somebody waits for the answer.
    Reader,
    /// A code that is refreshed more often than the rest.
    Watched,
    /// A pass over the list.
    Sweep,
}

impl Urgency {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Watched, Self::Sweep];

    /// Its place in [`Urgency::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Reader => 0,
            Self::Watched => 1,
            Self::Sweep => 2,
        }
    }

    /// Periods ahead within which it may take any gap.
    #[must_use]
    pub fn reach(self) -> i64 {
        match self {
            Self::Reader => 3,
            Self::Watched => 2,
            Self::Sweep => 1,
        }
    }

    /// Share of the rate that its own lane holds, 0 to 1.
    #[must_use]
    pub fn lane_share(self) -> f64 {
        1.0 / self.lane_periods()
    }

    /// Periods between two cells of its own lane, at a half, three tenths and a fifth of the rate.
    /// Who asks again only when its cell begins may find the next ones taken, so that half of that
    /// is guaranteed: a quarter, 15 % and a tenth of the rate.
    #[must_use]
    pub fn lane_periods(self) -> f64 {
        match self {
            Self::Reader => 2.0,
            Self::Watched => 10.0 / 3.0,
            Self::Sweep => 5.0,
        }
    }
}

/// Calls that all processes of an app key may make together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Caps {
    /// Steady rate, calls per second.
    pub per_second: f64,
    /// Calls in any minute, where capped.
    pub per_minute: Option<u32>,
    /// Calls in a day, midnight to midnight in Seoul, where capped.
    pub per_day: Option<u32>,
    /// A cell that nobody booked may still be booked for so long after its start.
    pub late: Duration,
}

/// A cap that is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// [`Caps::per_minute`]
    Minute,
    /// [`Caps::per_day`]
    Day,
}

/// What a request for a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booking {
    /// A cell was booked.
    Cell {
        /// Until its start.
        wait: Duration,
        /// Since its start, if it has begun.
        late: Duration,
        /// Calls that fit into it: one, but for rates that no timer can follow.
        calls: u32,
        /// Its length.
        length: Duration,
    },
    /// A cap is spent; nothing was booked.
    Spent {
        /// Which.
        cap: Cap,
        /// When it is of use to ask again.
        again: Duration,
    },
}

impl Booking {
    /// The same with no more than `most` calls in its cell.
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

/// What a process knows of the calls of all, as it heard last of the shared budget, so that a budget
/// that forgot them, or was away while they were made, can be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallsMade {
    /// The day in Seoul, counted from 1970-01-01.
    pub day: i64,
    /// Calls of that day.
    pub today: u32,
    /// When that was, microseconds since 1970 by the budget's clock.
    pub heard_at: i64,
    /// Calls of the minute before, where they are capped.
    pub last_minute: u32,
    /// Calls since then that the budget was not there to count.
    pub uncounted: u32,
}

/// What a shared budget tells of the calls of its key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallsSeen {
    /// Share of the set rate in force, 0 to 1: below 1 since the broker refused calls.
    pub share: f64,
    /// Calls of the last whole second.
    pub last_second: u32,
    /// Calls of the last sixty whole seconds.
    pub last_minute: u32,
    /// Calls of the day in Seoul.
    pub today: u32,
}

/// Cells shorter than this are put together: timers wake once a millisecond at best.
const SHORTEST_CELL: f64 = 0.002;

/// A refusal cuts the rate to this share of what it was,
const CUT: f64 = 0.7;
/// to this share of the setting at least,
const LOWEST: f64 = 0.1;
/// and once in this time: calls in flight are refused together. Microseconds.
const ONE_CUT_IN: i64 = 1_000_000;
/// The rate climbs from nothing to the setting in this time. Microseconds.
const CLIMB: f64 = 50_000_000.0;

/// Where it is not known what was called before, the first cell begins when the second before is
/// over, and when those who booked then have had their cells; in periods, and at most so many
/// microseconds.
const SETTLES: i64 = 5;
const SETTLES_WITHIN: i64 = 6_000_000;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Seoul is this far ahead of UTC, without summer time. Microseconds.
const SEOUL: i64 = 9 * 3_600 * SECOND;

/// What a share of the set rate has climbed to after so long without another refusal.
#[must_use]
pub fn share_after(share: f64, since: std::time::Duration) -> f64 {
    climbed(share, since.as_secs_f64() * 1e6)
}

fn climbed(share: f64, microseconds: f64) -> f64 {
    (share + microseconds / CLIMB).min(1.0)
}

impl Caps {
    /// Calls in a cell.
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

/// The cells that are booked. Times are microseconds since 1970, UTC.
#[derive(Debug, Clone)]
pub struct Cells {
    /// Starts of the booked cells, ascending.
    booked: Vec<i64>,
    /// The next cell of each lane.
    lanes: [i64; 3],
    /// Share of the set rate that was in force at `share_at`.
    share: f64,
    share_at: i64,
    /// Calls of the last minute by second.
    seconds: Vec<(i64, u32)>,
    /// It knows of all calls since then,
    born: i64,
    /// and of so many in the minute before a second.
    before: (i64, u32),
    /// How far the clock of the day is ahead of the cells' clock, microseconds.
    day_ahead: i64,
    /// The day in Seoul, and its calls that are counted here,
    day: (i64, u32),
    /// after so many that were made before.
    day_before: u32,
    /// No cell begins before; `None` until the first booking says when that is.
    opens_at: Option<i64>,
    /// The last booking was asked for then.
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
    /// The cells of a store that forgot: others may have called a moment ago, and hold bookings.
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
            // In step with the cells that are booked, so that no gap is too short to be used.
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
            // From where it should have been: what is taken by others must not add up.
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

    /// Takes over what is known elsewhere.
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
            // When in the last minute they were made is not known; longer ago they do not matter.
            self.seconds.push((now_second, known.uncounted.min(most)));
        }
    }

    /// As [`Cells::tell`], where others may have called until now.
    pub fn follow(&mut self, caps: &Caps, known: CallsMade, now: i64) {
        self.born = now;
        self.tell(caps, known, now);
    }

    /// What is known at `now`.
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

    /// The clock of the day is ahead of the one that cells are booked by.
    pub fn set_day_ahead(&mut self, micros: i64) {
        self.day_ahead = micros;
    }

    fn made_since(&self, second: i64) -> u32 {
        let counted = self.seconds.iter().chain(std::iter::once(&self.before));
        let counted = counted.filter(|(past, _)| *past >= second);
        counted.map(|(_, calls)| calls).sum()
    }

    /// The day in Seoul at `now`, counted from 1970-01-01, and the calls of that day.
    fn day_at(&mut self, now: i64) -> (i64, u32) {
        let day = (now + self.day_ahead + SEOUL).div_euclid(DAY);
        if self.day.0 != day {
            self.day = (day, 0);
            self.day_before = 0;
        }
        (day, self.day_before.saturating_add(self.day.1))
    }

    /// Takes note of the time; a clock that was set back makes it forget.
    fn meet(&mut self, now: i64) {
        if now < self.asked_at.saturating_sub(SECOND) {
            // What is booked by the clock of before would not pass for as long as that.
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

    /// The broker refused a call: cuts the rate at once. Returns the share of the setting.
    pub fn refused(&mut self, now: i64) -> f64 {
        self.meet(now);
        let share = self.share(now);
        if now - self.share_at >= ONE_CUT_IN {
            self.share = (share * CUT).max(LOWEST);
            self.share_at = now;
        }
        self.share(now)
    }

    /// Share of the set rate in force at `now`, 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since 1970 are below 2^52"
    )]
    pub fn share(&self, now: i64) -> f64 {
        climbed(self.share, (now - self.share_at).max(0) as f64)
    }

    /// The first start at or after `from` that is one period from every booked cell.
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
