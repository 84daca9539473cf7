//! Repeats of failed calls.

use std::fmt;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use sise_port::Remedy;

/// Pauses before a call is repeated, with jitter, and the number of repeats.
#[derive(Debug, Clone, Copy)]
struct Backoff {
    first: Duration,
    longest: Duration,
    times: usize,
}

/// After a refusal for the rate, because the broker asks to repeat soon (contract chapter 3).
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
            // Without a seed and without its `std` feature, backon draws the same jitter every
            // time, and all processes would repeat together.
            .with_jitter_seed(fastrand::u64(..))
            .build()
    }
}

/// Repeats that one call has left.
pub struct Retries {
    soon: Box<dyn Iterator<Item = Duration> + Send>,
    later: Box<dyn Iterator<Item = Duration> + Send>,
    renewals: std::ops::Range<u8>,
}

/// How often one call replaces a token that the broker calls invalid.
///
/// The first replacement may be a token that another process got before all of them became invalid.
/// The second one is new. Further invalid tokens in a row are no coincidence.
const RENEWALS: u8 = 2;

impl Default for Retries {
    fn default() -> Self {
        Self {
            soon: Box::new(SOON.delays()),
            later: Box::new(LATER.delays()),
            renewals: 0..RENEWALS,
        }
    }
}

impl Retries {
    /// Returns the pause before the next attempt, or `None` if the remedy is used up.
    pub fn next_pause(&mut self, remedy: Remedy) -> Option<Duration> {
        match remedy {
            Remedy::AskAgainSoon => self.soon.next(),
            Remedy::AskAgainLater => self.later.next(),
            Remedy::RenewToken => self.renewals.next().map(|_| Duration::ZERO),
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

    #[test]
    fn no_two_calls_come_back_together() {
        let first = || Retries::default().next_pause(Remedy::AskAgainLater);
        let pauses: std::collections::BTreeSet<_> = (0..20).map(|_| first()).collect();
        assert!(pauses.len() > 1, "{pauses:?}");
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
        assert_eq!(count(&mut retries, Remedy::RenewToken), 2);
        assert_eq!(count(&mut retries, Remedy::GiveUp), 0);
    }
}
