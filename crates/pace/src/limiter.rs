//! Hard rate cap of a process.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use super::Rate;

/// Clock for governor that follows tokio's, so that tests move both together.
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

/// Hard rate cap of this process: lets calls pass at a rate, in order of arrival.
pub struct Limiter {
    gate: Mutex<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>>,
    clock: TokioClock,
}

impl Limiter {
    /// Creates a limiter that lets `rate` pass.
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
            clock,
        }
    }

    /// Waits until one call may go out. Returns false, and takes no turn, if that is later than
    /// `latest`.
    ///
    /// A fair lock is held while waiting on tokio's clock, because governor's own waiting is not
    /// fair and uses another clock.
    pub async fn pass_until(&self, latest: Instant) -> bool {
        let Ok(gate) = timeout_at(latest, self.gate.lock()).await else {
            return false;
        };
        while let Err(not_until) = gate.check() {
            let wait = not_until.wait_time_from(self.clock.now());
            if Instant::now() + wait > latest {
                return false;
            }
            sleep(wait).await;
        }
        true
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn passes(limiter: &Limiter, count: usize) -> Vec<Instant> {
        let mut times = Vec::new();
        for _ in 0..count {
            let latest = Instant::now() + Duration::from_secs(10);
            assert!(limiter.pass_until(latest).await);
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
            // A pause refills the burst.
            sleep(Duration::from_secs(5)).await;
            times.extend(passes(&limiter, 40).await);
            assert!(
                most_in_a_second(&times) <= rate.most_in_a_second(),
                "{rate:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_come_too_late_takes_no_turn() {
        let limiter = Limiter::new(Rate::new(1.0, 1));
        let start = Instant::now();
        passes(&limiter, 1).await;
        for _ in 0..5 {
            let latest = start + Duration::from_millis(900);
            assert!(!limiter.pass_until(latest).await);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        passes(&limiter, 1).await;
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_reached() {
        let start = Instant::now();
        passes(&Limiter::new(Rate::new(15.0, 2)), 93).await;
        let seconds = start.elapsed().as_secs_f64();
        assert!((seconds - 91.0 / 15.0).abs() < 0.05, "{seconds}");
    }
}
