//! Pauses of a worker after failures: a key that fails at once would otherwise take the most
//! batches.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use sise_port::SourceError;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// After a failed batch the worker pauses, and then tries a single one.
#[derive(Debug)]
pub(super) struct Pause {
    pauses: ExponentialBackoff,
    until: Option<Instant>,
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(SHORTEST)
        .with_max_delay(LONGEST)
        .without_max_times()
        .with_jitter()
        // Without a seed, `backon` draws the same jitter in every process.
        .with_jitter_seed(fastrand::u64(..))
        .build()
}

impl Default for Pause {
    fn default() -> Self {
        Self {
            pauses: pauses(),
            until: None,
        }
    }
}

impl Pause {
    /// Notes the outcome of a batch.
    pub(super) fn note(&mut self, outcome: Result<(), SourceError>) {
        let Err(error) = outcome else {
            if self.until.take().is_some() {
                tracing::info!("this key can do shared work again");
            }
            self.pauses = pauses();
            return;
        };
        // Batches that were under way with the first failed one tell nothing new.
        if self.is_resting() {
            return;
        }
        let pause = self.pauses.next().unwrap_or(LONGEST);
        if self.until.is_none() {
            tracing::warn!(%error, seconds = pause.as_secs(), "this key takes no shared work for a while");
        } else {
            tracing::debug!(%error, seconds = pause.as_secs(), "this key still takes no shared work");
        }
        self.until = Some(Instant::now() + pause);
    }

    /// Returns until when the worker rests.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until.filter(|until| Instant::now() < *until)
    }

    /// Returns how many batches may be under way at once, if `most` are allowed after success.
    pub(super) fn at_once(&self, most: usize) -> usize {
        match self.until {
            None => most,
            Some(_) => 1,
        }
    }

    fn is_resting(&self) -> bool {
        self.until().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, sleep_until};

    fn trouble() -> Result<(), SourceError> {
        Err(SourceError::Unavailable("no route".to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn rests_grow_to_a_limit_and_end_with_the_first_good_batch() {
        let mut pause = Pause::default();
        assert_eq!((pause.until(), pause.at_once(32)), (None, 32));
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            pause.note(trouble());
            let until = pause.until().unwrap();
            longest = until - Instant::now();
            assert!(longest <= 2 * LONGEST, "{longest:?}");
            sleep_until(until).await;
            assert_eq!((pause.until(), pause.at_once(32)), (None, 1));
        }
        assert!(longest >= LONGEST, "{longest:?}");
        pause.note(Ok(()));
        assert_eq!((pause.until(), pause.at_once(32)), (None, 32));
        pause.note(trouble());
        assert!(pause.until().unwrap() - Instant::now() <= 2 * SHORTEST);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_that_fail_together_make_one_rest() {
        let mut pause = Pause::default();
        pause.note(trouble());
        let until = pause.until();
        advance(Duration::from_millis(10)).await;
        for _ in 0..30 {
            pause.note(trouble());
        }
        assert_eq!(pause.until(), until);
    }
}
