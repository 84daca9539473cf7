//! Turns for calls: first the shared budget, then the hard cap of this process.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};

use super::{Fallback, Limiter, Rate};
use sise_domain::{Booking, Cap, Urgency, share_after};
use sise_port::{RateBudget, SourceError};

/// Longest wait for a cap that is spent.
const PATIENCE: Duration = Duration::from_secs(61);
/// Longest wait of a reader for a cap that is spent, as a read has ten seconds.
const READER_PATIENCE: Duration = Duration::from_secs(10);
/// How often a spent cap is checked again: the shared budget may be back with more calls.
const LOOK_AGAIN_IN: Duration = Duration::from_secs(1);
/// How often it is logged that calls wait for the next minute.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Returned if nothing can be booked at present.
const LOOK_AGAIN: Booking = Booking::Spent {
    cap: Cap::Minute,
    again: LOOK_AGAIN_IN,
};

/// Calls left in the cell booked last.
#[derive(Debug)]
struct Cell {
    calls: u32,
    ends_at: Instant,
    /// A call that could only go out later does not belong to this cell.
    latest: Instant,
}

/// Calls of one urgency that wait for their turn.
#[derive(Debug)]
struct Line {
    /// The first call books; the others queue behind it in order of arrival.
    head: Mutex<Cell>,
    /// Number of calls in the line, including the first.
    waiting: watch::Sender<usize>,
}

/// Place of a call in its line. A call that is given up leaves it too.
struct Place<'a>(&'a Line);

/// Gives every call its turn.
pub struct Pacer {
    lines: [Line; 3],
    budget: Arc<dyn RateBudget>,
    fallback: Option<Fallback>,
    limiter: Limiter,
    /// How late in its cell a call may go out. A later call is booked again, because it would
    /// coincide with the calls booked for that time.
    latest: Duration,
    /// When it was last logged that calls wait for the next minute.
    said_at: std::sync::Mutex<Option<Instant>>,
    /// Share of the configured rate left by the last refusal, and when that was.
    cut: ArcSwapOption<(f64, Instant)>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            head: Mutex::new(Cell {
                calls: 0,
                ends_at: Instant::now(),
                latest: Instant::now(),
            }),
            waiting: watch::Sender::new(0),
        }
    }
}

impl<'a> Place<'a> {
    fn in_line(line: &'a Line) -> Self {
        line.waiting.send_modify(|waiting| *waiting += 1);
        Self(line)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

impl Pacer {
    /// Creates a pacer that books from `budget` and never exceeds `rate`. `fallback` applies while
    /// the budget is unreachable.
    #[must_use]
    pub fn new(budget: Arc<dyn RateBudget>, fallback: Option<Fallback>, rate: Rate) -> Self {
        Self {
            lines: Default::default(),
            budget,
            fallback,
            limiter: Limiter::new(rate),
            latest: rate.latest_in_a_cell(),
            said_at: std::sync::Mutex::default(),
            cut: ArcSwapOption::empty(),
        }
    }

    /// Waits until one call may go out, and returns how long that took.
    ///
    /// # Errors
    ///
    /// Returns [`SourceError::Exhausted`] if a cap is spent for longer than the call may wait.
    pub async fn pass(&self, urgency: Urgency) -> Result<Duration, SourceError> {
        let came = Instant::now();
        let line = self.line(urgency);
        let _place = Place::in_line(line);
        let mut cell = line.head.lock().await;
        let patience = match urgency {
            Urgency::Reader => READER_PATIENCE,
            Urgency::Watched | Urgency::Sweep => PATIENCE,
        };
        loop {
            self.fill(&mut cell, urgency, patience).await?;
            cell.calls -= 1;
            if self.limiter.pass_until(cell.latest).await {
                return Ok(came.elapsed());
            }
            // A call that goes out in a later cell coincides with the call of that cell. All calls
            // after it would too, until there is a pause.
            cell.calls = 0;
        }
    }

    /// Waits for the start of a new cell if the current one has no calls left.
    async fn fill(
        &self,
        cell: &mut Cell,
        urgency: Urgency,
        patience: Duration,
    ) -> Result<(), SourceError> {
        while cell.calls == 0 || Instant::now() >= cell.ends_at {
            cell.calls = 0;
            let asked = Instant::now();
            match self.book(urgency).await {
                Booking::Cell {
                    wait,
                    late,
                    calls,
                    length,
                } => {
                    let due = Instant::now() + wait;
                    let room = self.latest.saturating_sub(late);
                    // The wait may be counted from when the budget was asked, so the time of the
                    // answer is taken off. A slow budget must not make every call too late, so at
                    // most half is taken off if the cell has not begun.
                    let most = if late.is_zero() { room / 2 } else { room };
                    let latest = due + room.saturating_sub(asked.elapsed().min(most));
                    sleep(wait).await;
                    if Instant::now() < latest {
                        cell.calls = calls;
                        cell.ends_at = Instant::now() + length;
                        cell.latest = latest;
                    }
                }
                Booking::Spent { cap, again } if again <= patience => {
                    if cap == Cap::Minute && again > LOOK_AGAIN_IN {
                        self.say_waiting(again);
                    }
                    sleep(again.min(LOOK_AGAIN_IN)).await;
                }
                Booking::Spent { cap, .. } => {
                    return Err(SourceError::Exhausted(self.exhausted(cap)));
                }
            }
        }
        Ok(())
    }

    /// Waits until no call of this urgency waits for its turn.
    pub async fn until_nobody_waits(&self, urgency: Urgency) {
        let mut waiting = self.line(urgency).waiting.subscribe();
        // The sender lives as long as this pacer.
        let _ = waiting.wait_for(|waiting| *waiting == 0).await;
    }

    /// Slows all processes down, after the broker refused a call as over its limit.
    pub async fn refused(&self) {
        let share = match (self.budget.refused().await, &self.fallback) {
            (Ok(share), _) => share,
            (Err(_), Some(fallback)) => fallback.refused().await.unwrap_or(1.0),
            (Err(_), None) => return,
        };
        self.cut.store(Some(Arc::new((share, Instant::now()))));
        tracing::debug!(share, "over the broker's limit: slowing down for a while");
    }

    /// Returns the share of the configured rate in force, given the refusals that this process saw.
    /// It climbs back to 1 over time.
    #[must_use]
    pub fn share(&self) -> f64 {
        let cut = self.cut.load();
        cut.as_ref()
            .map_or(1.0, |cut| share_after(cut.0, cut.1.elapsed()))
    }

    /// Returns whether this process keeps to its own share because the shared budget is
    /// unreachable.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        let fallback = self.fallback.as_ref();
        fallback.is_some_and(Fallback::is_in_use)
    }

    fn line(&self, urgency: Urgency) -> &Line {
        let [reader, watched, sweep] = &self.lines;
        match urgency {
            Urgency::Reader => reader,
            Urgency::Watched => watched,
            Urgency::Sweep => sweep,
        }
    }

    /// Logs, now and then, that calls wait for the next minute.
    fn say_waiting(&self, again: Duration) {
        let mut said_at = self.said_at.lock().unwrap_or_else(PoisonError::into_inner);
        if said_at.is_none_or(|at| at.elapsed() >= SAID_EVERY) {
            *said_at = Some(Instant::now());
            tracing::warn!(
                seconds = again.as_secs(),
                "the calls of this minute are used up (kis.calls_per_minute): waiting for the next"
            );
        }
    }

    fn exhausted(&self, cap: Cap) -> String {
        let of = match cap {
            Cap::Minute => "minute",
            Cap::Day => "day",
        };
        if self.is_alone() {
            return format!(
                "this process has used up its calls of this {of} without the shared \
                 rate budget; there are more as soon as that answers (kis.calls_per_{of}, \
                 kis.share_without_redis)"
            );
        }
        match cap {
            Cap::Minute => "the calls of this minute are used up (kis.calls_per_minute)".to_owned(),
            Cap::Day => "the calls of this day are used up; midnight in Seoul brings new ones, \
                         kis.calls_per_day sets how many"
                .to_owned(),
        }
    }

    async fn book(&self, urgency: Urgency) -> Booking {
        let Some(fallback) = &self.fallback else {
            return self.budget.book(urgency).await.unwrap_or_else(|error| {
                // A budget without a fallback is inside this process and cannot fail.
                tracing::error!(%error, "the rate budget failed");
                LOOK_AGAIN
            });
        };
        if !fallback.is_in_use() {
            match self.budget.book(urgency).await {
                Ok(booking) => return booking,
                Err(error) => fallback.begin(&error),
            }
        }
        let own = fallback.book(urgency).await.unwrap_or(LOOK_AGAIN);
        let Booking::Cell {
            wait,
            calls,
            length,
            ..
        } = own
        else {
            return self.book_without_share(fallback, own, urgency).await;
        };
        sleep(wait).await;
        // If the shared budget came back meanwhile, others already book from it.
        match self.budget.book(urgency).await {
            Ok(booking) => {
                fallback.answered();
                booking.of_at_most(calls)
            }
            Err(error) => {
                fallback.begin(&error);
                fallback.made_alone(calls);
                Booking::Cell {
                    wait: Duration::ZERO,
                    late: Duration::ZERO,
                    calls,
                    length,
                }
            }
        }
    }

    /// Books if the own share is spent: the shared budget may be back.
    async fn book_without_share(
        &self,
        fallback: &Fallback,
        own: Booking,
        urgency: Urgency,
    ) -> Booking {
        if fallback.is_returning() {
            return LOOK_AGAIN;
        }
        match self.budget.book(urgency).await {
            Ok(booking) => {
                fallback.answered();
                booking.of_at_most(1)
            }
            Err(error) => {
                fallback.begin(&error);
                own
            }
        }
    }
}

impl fmt::Debug for Pacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pacer")
            .field("fallback", &self.fallback)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
