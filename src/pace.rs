//! When may a call be made, and when again.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::port::{Remedy, Urgency};

/// Calls per second, and how many may come at once after a rest.
///
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Steady rate, calls per second.
    pub per_second: f64,
    /// Calls that may go out together after a rest.
    pub burst: NonZeroU32,
}

impl Rate {
    /// A rate of `per_second` calls with `burst` at once, at least one.
    #[must_use]
    pub fn new(per_second: f64, burst: u32) -> Self {
        Self {
            per_second,
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
        }
    }

    /// The most calls that any sliding second can hold.
    #[must_use]
    pub fn most_in_a_second(self) -> u32 {
        // The burst opens the second; one more call falls due each period, the last of them
        // exactly when the second is over.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, and a rate is above zero"
        )]
        let due = self.per_second.ceil() as u32;
        (self.burst.get() - 1).saturating_add(due.max(1))
    }
}

/// Tells governor the time of tokio's clock, so that tests move both together.
#[derive(Debug, Clone)]
struct TokioClock {
    start: Instant,
}

impl governor::clock::Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.start.elapsed().into()
    }
}

/// Lets calls pass at a rate, in the order of their coming, readers before sweeps.
pub struct Limiter {
    gate: Mutex<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>>,
    /// Sweeps queue here, so that at most one of them stands before a reader at the gate.
    sweeps: Mutex<()>,
    clock: TokioClock,
}

impl Limiter {
    /// A limiter that lets `rate` pass.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let clock = TokioClock {
            start: Instant::now(),
        };
        let period = Duration::try_from_secs_f64(1.0 / rate.per_second)
            .unwrap_or(Duration::MAX)
            .max(Duration::from_nanos(1));
        let quota = Quota::with_period(period)
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(rate.burst);
        Self {
            gate: Mutex::new(RateLimiter::direct_with_clock(quota, clock.clone())),
            sweeps: Mutex::new(()),
            clock,
        }
    }

    /// Waits until one call may go out, and says how long that took.
    ///
    /// governor's own waiting is neither fair nor on tokio's clock; a fair lock held while
    /// waiting is both.
    pub async fn pass(&self, urgency: Urgency) -> Duration {
        let came = Instant::now();
        let _turn = match urgency {
            Urgency::Reader => None,
            Urgency::Sweep => Some(self.sweeps.lock().await),
        };
        let gate = self.gate.lock().await;
        while let Err(not_until) = gate.check() {
            sleep(not_until.wait_time_from(self.clock.now())).await;
        }
        came.elapsed()
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

/// Pauses before a call is repeated, jittered, and how often it may be.
#[derive(Debug, Clone, Copy)]
struct Backoff {
    first: Duration,
    longest: Duration,
    times: usize,
}

/// After a refusal for the rate: the broker asks to repeat soon (contract chapter 3).
const SOON: Backoff = Backoff {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(1),
    times: 6,
};

/// After trouble on the way or at the broker.
const LATER: Backoff = Backoff {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(4),
    times: 3,
};

impl Backoff {
    fn delays(self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_max_times(self.times)
            .with_jitter()
            .build()
    }
}

/// The repeats that one call has left.
pub struct Retries {
    soon: Box<dyn Iterator<Item = Duration> + Send>,
    later: Box<dyn Iterator<Item = Duration> + Send>,
    may_renew: bool,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            soon: Box::new(SOON.delays()),
            later: Box::new(LATER.delays()),
            may_renew: true,
        }
    }
}

impl Retries {
    /// The pause before the next try, or `None` when the remedy is used up.
    pub fn next_pause(&mut self, remedy: Remedy) -> Option<Duration> {
        match remedy {
            Remedy::AskAgainSoon => self.soon.next(),
            Remedy::AskAgainLater => self.later.next(),
            // One token a call: a second dead one in a row is not a matter of luck.
            Remedy::RenewToken => std::mem::take(&mut self.may_renew).then_some(Duration::ZERO),
            Remedy::GiveUp => None,
        }
    }
}

impl fmt::Debug for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retries").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    async fn passes(limiter: &Limiter, count: usize) -> Vec<Instant> {
        let mut times = Vec::new();
        for _ in 0..count {
            limiter.pass(Urgency::Sweep).await;
            times.push(Instant::now());
        }
        times
    }

    fn most_in_a_second(times: &[Instant]) -> u32 {
        let within = |from: &Instant| {
            let window = *from..*from + Duration::from_secs(1);
            times.iter().filter(|time| window.contains(time)).count()
        };
        u32::try_from(times.iter().map(within).max().unwrap_or(0)).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_is_over_the_brokers_cap() {
        for (per_second, burst, cap) in [(15.0, 2, 18), (1.0 / 1.1, 1, 1), (2.5, 1, 3)] {
            let rate = Rate::new(per_second, burst);
            assert!(rate.most_in_a_second() <= cap, "{rate:?}");
            let limiter = Limiter::new(rate);
            let mut times = passes(&limiter, 40).await;
            // A rest fills the burst again.
            sleep(Duration::from_secs(5)).await;
            times.extend(passes(&limiter, 40).await);
            assert!(
                most_in_a_second(&times) <= rate.most_in_a_second(),
                "{rate:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_reached() {
        let start = Instant::now();
        passes(&Limiter::new(Rate::new(15.0, 2)), 93).await;
        let seconds = start.elapsed().as_secs_f64();
        assert!((seconds - 91.0 / 15.0).abs() < 0.05, "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_passes_before_waiting_sweeps() {
        let limiter = Arc::new(Limiter::new(Rate::new(1.0, 1)));
        limiter.pass(Urgency::Sweep).await;
        for _ in 0..20 {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move { limiter.pass(Urgency::Sweep).await });
        }
        tokio::task::yield_now().await;
        // One sweep stands at the gate already; the other nineteen wait behind the reader.
        let waited = limiter.pass(Urgency::Reader).await;
        assert!(waited <= Duration::from_millis(2_100), "{waited:?}");
    }

    #[test]
    fn retries_run_out() {
        let mut retries = Retries::default();
        let count = |retries: &mut Retries, remedy| {
            std::iter::from_fn(|| retries.next_pause(remedy))
                .take(100)
                .count()
        };
        assert_eq!(count(&mut retries, Remedy::AskAgainSoon), 6);
        assert_eq!(count(&mut retries, Remedy::AskAgainLater), 3);
        assert_eq!(count(&mut retries, Remedy::RenewToken), 1);
        assert_eq!(count(&mut retries, Remedy::GiveUp), 0);
    }
}
