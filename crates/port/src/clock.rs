//! Source of the time of day. Only this module reads the system clock.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use tokio::time::Instant;

use sise_domain::{KrxTime, Seoul};

/// Returns the current time in Seoul.
pub type Clock = Arc<dyn Fn() -> KrxTime + Send + Sync>;

/// Returns the system clock.
#[must_use]
pub fn system() -> Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one edge where time comes in"
    )]
    Arc::new(|| chrono::Utc::now().with_timezone(&Seoul))
}

/// Smallest difference between clocks that counts as one.
const NOTABLE: TimeDelta = TimeDelta::seconds(2);

/// Largest difference that is corrected.
///
/// A clock that is further off was never set, or shows another day on purpose; that is only
/// reported.
const MOST: TimeDelta = TimeDelta::hours(2);

/// Interval at which the store is asked for its time.
const AGAIN: Duration = Duration::from_secs(10);

/// Longest usable round trip: slower answers give the time too roughly.
const LONGEST_TRIP: Duration = Duration::from_millis(500);

/// The time of the store, which all of its processes share.
///
/// It is this machine's clock, corrected by the last answer of the store.
pub struct StoreClock {
    own: Clock,
    /// How far this machine's clock is ahead of the store's, microseconds.
    ahead: AtomicI64,
    is_known: AtomicBool,
    asked: Mutex<Option<Instant>>,
    /// How far this machine's clock is ahead of the broker's, in whole seconds.
    ahead_of_broker: Mutex<Option<TimeDelta>>,
    has_said: AtomicBool,
}

/// A difference between the clocks of this machine and of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClocksApart {
    /// How far this machine's clock is ahead of the store's.
    pub ahead: TimeDelta,
    /// The clock that is wrong, judged by the broker's clock if known.
    pub wrong: Wrong,
}

/// The clock that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// This machine's.
    Own,
    /// The store's.
    Store,
    /// One of the two, unknown which.
    Either,
}

impl StoreClock {
    /// Creates a clock that follows `own` until the store has reported its time.
    #[must_use]
    pub fn new(own: Clock) -> Arc<Self> {
        Arc::new(Self {
            own,
            ahead: AtomicI64::new(0),
            is_known: AtomicBool::new(false),
            asked: Mutex::default(),
            ahead_of_broker: Mutex::default(),
            has_said: AtomicBool::new(false),
        })
    }

    /// Returns the corrected clock.
    #[must_use]
    pub fn corrected(self: &Arc<Self>) -> Clock {
        let clock = Arc::clone(self);
        Arc::new(move || {
            let own = (clock.own)();
            let ahead = clock.ahead();
            match ahead.abs() <= MOST {
                true => own.checked_sub_signed(ahead).unwrap_or(own),
                false => own,
            }
        })
    }

    /// Returns this machine's clock without correction.
    #[must_use]
    pub fn own(&self) -> Clock {
        Arc::clone(&self.own)
    }

    /// Returns the difference between this machine's clock and the store's, if it is notable.
    #[must_use]
    pub fn apart(&self) -> Option<ClocksApart> {
        let ahead = self.ahead();
        if ahead.abs() < NOTABLE {
            return None;
        }
        let of_broker = *locked(&self.ahead_of_broker);
        let wrong = match of_broker {
            // The broker reports whole seconds.
            Some(of_broker) if of_broker.abs() <= NOTABLE => Wrong::Store,
            Some(of_broker) if (of_broker - ahead).abs() <= NOTABLE => Wrong::Own,
            _ => Wrong::Either,
        };
        Some(ClocksApart { ahead, wrong })
    }

    /// Returns whether the store should be asked for its time.
    pub fn is_due(&self) -> bool {
        locked(&self.asked).is_none_or(|asked| asked.elapsed() >= AGAIN)
    }

    /// Notes that the store was asked, whatever it answered.
    pub fn note_asked(&self) {
        *locked(&self.asked) = Some(Instant::now());
    }

    /// Requests a new answer at the next chance, because this machine's clock was set.
    pub fn ask_again(&self) {
        *locked(&self.asked) = None;
    }

    /// Notes the time the store has just answered, in microseconds since 1970.
    ///
    /// It was asked at `asked`.
    pub fn note(&self, asked: Instant, theirs: i64) {
        let trip = asked.elapsed();
        if trip > LONGEST_TRIP && self.is_known.load(Ordering::Relaxed) {
            return;
        }
        let half = i64::try_from(trip.as_micros() / 2).unwrap_or(0);
        let own = (self.own)().timestamp_micros().saturating_sub(half);
        let ahead = own.saturating_sub(theirs);
        self.ahead.store(ahead, Ordering::Relaxed);
        self.is_known.store(true, Ordering::Relaxed);
        self.note_asked();
        self.say();
    }

    /// Notes the date of an answer that the broker has just sent.
    pub fn note_broker(&self, date: &str) {
        if let Ok(theirs) = DateTime::parse_from_rfc2822(date) {
            let ahead = (self.own)().signed_duration_since(theirs);
            *locked(&self.ahead_of_broker) = Some(ahead);
        }
    }

    fn ahead(&self) -> TimeDelta {
        TimeDelta::microseconds(self.ahead.load(Ordering::Relaxed))
    }

    /// Logs once that the clocks differ, or that they agree again.
    fn say(&self) {
        let apart = self.apart();
        if self.has_said.swap(apart.is_some(), Ordering::Relaxed) == apart.is_some() {
            return;
        }
        match apart {
            Some(apart) if apart.ahead.abs() > MOST => tracing::warn!(
                "{apart}; the difference is too large to correct, and prices from the future \
                 are not stored: set the clock"
            ),
            Some(apart) => tracing::warn!("{apart}; using Redis's clock: correct the wrong one"),
            None => tracing::info!("the clocks of this machine and of Redis agree again"),
        }
    }
}

impl std::fmt::Display for ClocksApart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.ahead.abs().num_seconds().unsigned_abs();
        let by = humantime::format_duration(Duration::from_secs(seconds));
        let side = if self.ahead < TimeDelta::zero() {
            "behind"
        } else {
            "ahead of"
        };
        let wrong = match self.wrong {
            Wrong::Own => "according to the broker's clock this machine's is wrong",
            Wrong::Store => "according to the broker's clock Redis's is wrong",
            Wrong::Either => "one of the two is wrong",
        };
        write!(
            f,
            "this machine's clock is {by} {side} Redis's, and {wrong}"
        )
    }
}

impl std::fmt::Debug for StoreClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreClock")
            .field("ahead", &self.ahead())
            .finish_non_exhaustive()
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is a single step, so the value is valid even after a panic.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;

    fn ten() -> KrxTime {
        Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap()
    }

    /// A clock on a machine that shows ten, while the store's shows this many seconds less.
    fn ahead_by(seconds: i64) -> Arc<StoreClock> {
        let clock = StoreClock::new(Arc::new(ten));
        let theirs = ten() - TimeDelta::seconds(seconds);
        clock.note(Instant::now(), theirs.timestamp_micros());
        clock
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_is_the_stores_unless_the_own_clock_was_never_set() {
        for (ahead, corrected) in [
            (0, 0),
            (1, 1),
            (240, 240),
            (-240, -240),
            (7_200, 7_200),
            (32_400, 0),
            (-864_000, 0),
        ] {
            let clock = ahead_by(ahead);
            let now = (clock.corrected())();
            assert_eq!(now, ten() - TimeDelta::seconds(corrected), "{ahead}");
            assert_eq!(clock.apart().is_some(), ahead.abs() >= 2, "{ahead}");
        }
        let unknown = StoreClock::new(Arc::new(ten));
        assert_eq!((unknown.corrected())(), ten());
        assert!(unknown.is_due());
    }

    #[tokio::test(start_paused = true)]
    async fn the_brokers_clock_says_which_of_two_is_wrong() {
        for (ahead, date, wrong, words) in [
            (
                240,
                None,
                Wrong::Either,
                "4m ahead of Redis's, and one of the two is wrong",
            ),
            // By the broker's clock it is ten in Seoul.
            (
                240,
                Some("Fri, 20 Nov 2026 01:00:00 GMT"),
                Wrong::Store,
                "clock Redis's is wrong",
            ),
            (
                240,
                Some("Fri, 20 Nov 2026 00:56:00 GMT"),
                Wrong::Own,
                "clock this machine's is wrong",
            ),
            (
                -90,
                Some("Fri, 20 Nov 2026 01:01:31 GMT"),
                Wrong::Own,
                "1m 30s behind Redis's",
            ),
            (
                240,
                Some("Fri, 20 Nov 2026 01:30:00 GMT"),
                Wrong::Either,
                "one of the two is wrong",
            ),
            (
                240,
                Some("yesterday"),
                Wrong::Either,
                "one of the two is wrong",
            ),
        ] {
            let clock = ahead_by(ahead);
            if let Some(date) = date {
                clock.note_broker(date);
            }
            let apart = clock.apart().unwrap();
            assert_eq!(apart.wrong, wrong, "{ahead} {date:?}");
            assert!(apart.to_string().contains(words), "{apart}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_does_not_spoil_what_is_known() {
        let clock = ahead_by(240);
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(3)).await;
        clock.note(asked, ten().timestamp_micros());
        assert_eq!((clock.corrected())(), ten() - TimeDelta::seconds(240));
        assert!(!clock.is_due());
        tokio::time::advance(AGAIN).await;
        assert!(clock.is_due());
    }
}
