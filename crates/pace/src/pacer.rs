//! The turn of a call: the shared budget first, then the hard cap of this process.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};

use super::{Fallback, Limiter, Rate};
use sise_domain::{Booking, Cap, Urgency, share_after};
use sise_port::{RateBudget, SourceError};

/// Nobody waits longer than this for a cap that is spent,
const PATIENCE: Duration = Duration::from_secs(61);
/// and nobody who reads longer than this: a read has ten seconds.
const READER_PATIENCE: Duration = Duration::from_secs(10);
/// While a cap is spent it is looked again so often: the shared budget may be back with more.
const LOOK_AGAIN_IN: Duration = Duration::from_secs(1);
/// How often it is said that calls wait for the next minute.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Nothing can be booked at present.
const LOOK_AGAIN: Booking = Booking::Spent {
    cap: Cap::Minute,
    again: LOOK_AGAIN_IN,
};

/// Calls left in the cell that was booked last.
#[derive(Debug)]
struct Cell {
    calls: u32,
    ends_at: Instant,
    /// A call that could go only later is not of this cell.
    latest: Instant,
}

/// The calls of one urgency that wait for their turn.
#[derive(Debug)]
struct Line {
    /// The first one books; the others stand behind it in the order of their coming.
    head: Mutex<Cell>,
    /// How many there are, the first one included.
    waiting: watch::Sender<usize>,
}

/// A call's place in its line; whoever gives up leaves it too.
struct Place<'a>(&'a Line);

/// Gives every call its turn.
pub struct Pacer {
    lines: [Line; 3],
    budget: Arc<dyn RateBudget>,
    fallback: Option<Fallback>,
    limiter: Limiter,
    /// How late in its cell a call may go. What is later is booked anew: it would fall together with what
    /// is booked for then.
    latest: Duration,
    /// When it was said last that calls wait for the next minute.
    said_at: std::sync::Mutex<Option<Instant>>,
    /// Share of the set rate that the last refusal left, and when.
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
    /// Turns by `budget`, never faster than `rate`. `fallback` is what this process keeps to while
    /// the budget is away.
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

    /// Waits until one call may go out, and says how long that took.
    ///
    /// # Errors
    ///
    /// A cap is spent for longer than anybody would wait.
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
            // A call that goes in the cell of another would go together with that other's, and all
            // that come after it likewise, for as long as there are calls without a pause.
            cell.calls = 0;
        }
    }

    /// Waits for the start of a cell where none has calls left.
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
                    // The wait is from when the budget was asked at the earliest. One that takes long to
                    // answer must not have all calls come too late: the next cell is not late.
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
        // The sender lives as long as this pacer does.
        let _ = waiting.wait_for(|waiting| *waiting == 0).await;
    }

    /// The broker refused a call as over its limit: all processes slow down at once.
    pub async fn refused(&self) {
        let share = match (self.budget.refused().await, &self.fallback) {
            (Ok(share), _) => share,
            (Err(_), Some(fallback)) => fallback.refused().await.unwrap_or(1.0),
            (Err(_), None) => return,
        };
        self.cut.store(Some(Arc::new((share, Instant::now()))));
        tracing::debug!(share, "over the broker's limit: slower for a while");
    }

    /// Share of the set rate in force, as far as this process saw calls refused: it climbs back.
    #[must_use]
    pub fn share(&self) -> f64 {
        let cut = self.cut.load();
        cut.as_ref()
            .map_or(1.0, |cut| share_after(cut.0, cut.1.elapsed()))
    }

    /// Whether this process keeps to its own share, the shared budget being away.
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

    /// Says, now and then, that calls wait for the next minute.
    fn say_waiting(&self, again: Duration) {
        let mut said_at = self.said_at.lock().unwrap_or_else(PoisonError::into_inner);
        if said_at.is_none_or(|at| at.elapsed() >= SAID_EVERY) {
            *said_at = Some(Instant::now());
            tracing::warn!(
                seconds = again.as_secs(),
                "the calls of this minute are made (kis.calls_per_minute): waiting for the next"
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
                "the calls are made that this process may make in this {of} without the shared \
                 rate budget; there are more as soon as that answers (kis.calls_per_{of}, \
                 kis.share_without_redis)"
            );
        }
        match cap {
            Cap::Minute => "the calls of this minute are made (kis.calls_per_minute)".to_owned(),
            Cap::Day => "the calls of this day are made; midnight in Seoul brings new ones, \
                         kis.calls_per_day sets how many"
                .to_owned(),
        }
    }

    async fn book(&self, urgency: Urgency) -> Booking {
        let Some(fallback) = &self.fallback else {
            return self.budget.book(urgency).await.unwrap_or_else(|error| {
                // A budget without a fallback is one inside this process, which cannot fail.
                tracing::error!(%error, "no rate budget");
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
        // Where the shared budget came back meanwhile, others book from it already.
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

    /// A turn where the own share is spent: the shared budget may be back.
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
