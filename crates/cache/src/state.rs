//! Whether the store is well, by what became of the operations.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::CacheError;
use sise_port::CacheStore;

/// After nothing but failures for so long the store is not asked any more.
const FAILED_AFTER: Duration = Duration::from_secs(1);

/// Without a failure for so long a store is well again.
const CALM: Duration = Duration::from_secs(1);

/// Pauses between two looks for a store that is not well, growing from the first to the last.
const LOOKS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// How a cache stands with its store.
///
/// ```text
///            a failure                  nothing but failures for 1 s
///  HEALTHY ------------> DEGRADED ------------------------------------> FAILED
///     ^                     |                                             |
///     '---------------------'--- a success, 1 s after the last failure    |
///     '------------------------------------ the store answers again ------'
/// ```
///
/// A failure is any operation that the store did not do in time. While it is `DEGRADED` or
/// `FAILED` the store is looked for in the background, ten times a second at first, twice while it
/// is `DEGRADED` and once while it is `FAILED` later; one that answers there has not failed. While
/// it is `FAILED` operations are refused at once, so that nobody waits for time-outs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Operations succeed.
    Healthy,
    /// Some have failed.
    Degraded,
    /// All have failed for a while.
    Failed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Failed];

    /// Its name, in small letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Follows the state.
#[derive(Debug)]
pub(super) struct Health {
    standing: watch::Sender<Standing>,
}

#[derive(Debug, Clone)]
struct Standing {
    state: State,
    /// Since when there was no success.
    failing_since: Option<Instant>,
    failed_at: Option<Instant>,
    trouble: String,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            standing: watch::Sender::new(Standing {
                state: State::Healthy,
                failing_since: None,
                failed_at: None,
                trouble: String::new(),
            }),
        }
    }
}

impl Health {
    pub(super) fn state(&self) -> State {
        self.standing.borrow().state
    }

    /// Waits until the state is another one than `from`.
    pub(super) async fn changed(&self, from: State) -> State {
        let mut standings = self.standing.subscribe();
        let is_other = |standing: &Standing| standing.state != from;
        let changed = standings.wait_for(is_other).await;
        changed.map_or(from, |standing| standing.state)
    }

    /// Refuses an operation while the store is not asked.
    pub(super) fn admit(&self) -> Result<(), CacheError> {
        let standing = self.standing.borrow();
        match standing.state {
            State::Healthy | State::Degraded => Ok(()),
            State::Failed => Err(CacheError::Down {
                trouble: standing.trouble.clone(),
            }),
        }
    }

    /// The store did what it was asked for.
    pub(super) fn succeeded(&self) {
        if self.state() == State::Healthy {
            return;
        }
        self.standing.send_if_modified(|standing| {
            standing.failing_since = None;
            let is_calm = standing.failed_at.is_none_or(|at| at.elapsed() >= CALM);
            match standing.state {
                State::Degraded if is_calm => standing.go_to(State::Healthy),
                State::Failed => standing.go_to(State::Healthy),
                State::Healthy | State::Degraded => false,
            }
        });
    }

    /// The store did not.
    pub(super) fn failed(&self, trouble: &dyn fmt::Display) {
        self.standing.send_if_modified(|standing| {
            let now = Instant::now();
            let since = *standing.failing_since.get_or_insert(now);
            standing.failed_at = Some(now);
            standing.trouble = trouble.to_string();
            match standing.state {
                State::Healthy => standing.go_to(State::Degraded),
                State::Degraded if now - since >= FAILED_AFTER => standing.go_to(State::Failed),
                State::Degraded | State::Failed => false,
            }
        });
    }

    /// The store could not be reached at all.
    pub(super) fn not_reached(&self, trouble: &dyn fmt::Display) {
        self.failed(trouble);
        self.standing
            .send_if_modified(|standing| standing.go_to(State::Failed));
    }

    /// Looks for the store whenever it is not well, until `stop`.
    pub(super) async fn watch(
        self: Arc<Self>,
        store: Arc<dyn CacheStore>,
        stop: CancellationToken,
    ) {
        let mut standings = self.standing.subscribe();
        let is_unwell = |standing: &Standing| standing.state != State::Healthy;
        let looking = async {
            // It ends with the sender, which this itself keeps alive: with `stop` alone.
            while standings.wait_for(is_unwell).await.is_ok() {
                let [mut pause, longest] = LOOKS;
                while self.state() != State::Healthy {
                    sleep(pause.mul_f64(1.0 - fastrand::f64() / 4.0)).await;
                    match store.answers().await {
                        Ok(()) => self.succeeded(),
                        Err(error) => self.failed(&error),
                    }
                    pause = (pause * 2).min(match self.state() {
                        // A store that answers must not be given up for what one caller asks of it.
                        State::Healthy | State::Degraded => FAILED_AFTER / 2,
                        State::Failed => longest,
                    });
                }
            }
        };
        stop.run_until_cancelled(looking).await;
    }
}

impl Standing {
    fn go_to(&mut self, state: State) -> bool {
        if self.state == state {
            return false;
        }
        self.state = state;
        counter!("sise_cache_state_changes_total", "to" => state.as_str()).increment(1);
        match state {
            State::Healthy => tracing::info!("the cache is healthy again"),
            State::Degraded => tracing::warn!(trouble = self.trouble, "the cache is degraded"),
            State::Failed => {
                tracing::warn!(
                    trouble = self.trouble,
                    "the cache has failed: reads are misses and writes are refused until it answers"
                );
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn one_failure_degrades_and_calm_mends() {
        let health = Health::default();
        health.succeeded();
        assert_eq!(health.state(), State::Healthy);
        health.failed(&"broken");
        assert_eq!(health.state(), State::Degraded);
        advance(CALM / 2).await;
        health.succeeded();
        assert_eq!(health.state(), State::Degraded);
        advance(CALM / 2).await;
        health.succeeded();
        assert_eq!(health.state(), State::Healthy);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_alone_for_a_second_fail_it_and_one_success_mends_it() {
        let health = Health::default();
        health.failed(&"broken");
        advance(FAILED_AFTER / 2).await;
        health.failed(&"broken");
        assert_eq!(health.state(), State::Degraded);
        assert!(health.admit().is_ok());
        advance(FAILED_AFTER / 2).await;
        health.failed(&"still broken");
        assert_eq!(health.state(), State::Failed);
        let refused = health.admit().unwrap_err().to_string();
        assert!(refused.contains("still broken"), "{refused}");
        health.succeeded();
        assert_eq!(health.state(), State::Healthy);
        assert!(health.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_in_between_keeps_it_degraded() {
        let health = Health::default();
        for _ in 0..10 {
            health.failed(&"out of memory");
            advance(FAILED_AFTER).await;
            health.failed(&"out of memory");
            // Both in one instant: no calm.
            health.succeeded();
            if health.state() == State::Failed {
                panic!("a store that answers has not failed");
            }
            health.failed(&"out of memory");
        }
    }
}
