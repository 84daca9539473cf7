//! Early refresh of cached values, so that a value that is read often never expires under its
//! readers.
//!
//! Every hit throws a die (`XFetch`: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic
//! Cache Stampede Prevention", 2015). The closer the end and the longer a fetch takes, the likelier
//! this reader has the value fetched again. With many readers a refresh in time is almost certain;
//! with few there are no needless fetches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Assumed time of a fetch before the first is measured.
const USUAL_FETCH: Duration = Duration::from_millis(500);

/// Highest throw: the negative logarithm of the smallest random share.
pub const HIGHEST_THROW: f64 = 37.0;

/// Weight of the last fetch in the average.
const WEIGHT: f64 = 0.125;

/// Average time of a fetch.
#[derive(Debug)]
pub struct FetchTime {
    seconds: AtomicU64,
}

impl Default for FetchTime {
    fn default() -> Self {
        Self {
            seconds: AtomicU64::new(USUAL_FETCH.as_secs_f64().to_bits()),
        }
    }
}

impl FetchTime {
    /// Adds a fetch to the average.
    pub fn note(&self, took: Duration) {
        let seconds = self.seconds();
        let seconds = seconds + (took.as_secs_f64() - seconds) * WEIGHT;
        // One of two concurrent updates may be lost, which an average can bear.
        self.seconds.store(seconds.to_bits(), Ordering::Relaxed);
    }

    /// Returns the average, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        f64::from_bits(self.seconds.load(Ordering::Relaxed))
    }
}

/// Returns how many seconds before its end a value is refreshed, by a random `share` from 0 to 1.
#[must_use]
pub fn head_start(fetch_seconds: f64, share: f64) -> f64 {
    fetch_seconds * (-share.ln()).clamp(0.0, HIGHEST_THROW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_start_grows_with_the_time_of_a_fetch_and_falls_off_from_it() {
        let over = |seconds: f64| {
            let mut random = fastrand::Rng::with_seed(1);
            let throws = (0..10_000).filter(|_| head_start(0.3, random.f64()) > seconds);
            throws.count()
        };
        // One in e throws is at least one fetch time ahead, one in e squared at least two.
        assert!((3_500..3_900).contains(&over(0.3)), "{}", over(0.3));
        assert!((1_250..1_450).contains(&over(0.6)), "{}", over(0.6));
        assert_eq!((head_start(0.3, 1.0), head_start(1.0, 0.0)), (0.0, 37.0));
    }

    #[test]
    fn the_time_of_a_fetch_follows_what_is_measured() {
        let fetch = FetchTime::default();
        for _ in 0..100 {
            fetch.note(Duration::from_secs(2));
        }
        assert!((1.9..2.0).contains(&fetch.seconds()), "{}", fetch.seconds());
    }
}
