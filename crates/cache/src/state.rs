//! Health of the store, derived from the outcomes of operations.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::CacheError;
use sise_port::CacheStore;

/// After failing for this long without a success, the store is no longer asked.
const FAILED_AFTER: Duration = Duration::from_secs(1);

/// After this long without a failure, a degraded store is healthy again.
const CALM: Duration = Duration::from_secs(1);

/// Pauses between background checks of an unhealthy store, growing from the first to the last.
const LOOKS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Health of a cache's store.
///
/// ```text
///            a failure                  nothing but failures for 1 s
///  HEALTHY ------------> DEGRADED ------------------------------------> FAILED
///     ^                     |                                             |
///     '---------------------'--- a success, 1 s after the last failure    |
///     '------------------------------------ the store answers again ------'
/// ```
///
/// A failure is any operation that the store did not complete in time. While the state is
/// `DEGRADED` or `FAILED`, a background task checks the store: ten times a second at first, later
/// twice a second if `DEGRADED` and once a second if `FAILED`. A check that is answered counts as a
/// success. While the state is `FAILED`, operations are refused at once, so that no caller waits
/// for a time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Operations succeed.
    Healthy,
    /// Some operations have failed.
    Degraded,
    /// All operations have failed for a while.
    Failed,
}

impl State {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Failed];

    /// Returns the name in lower-case letters.
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

/// Tracks the state.
#[derive(Debug)]
pub(super) struct Health {
    standing: watch::Sender<Standing>,
}

#[derive(Debug, Clone)]
struct Standing {
    state: State,
    /// Time of the first failure since the last success.
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

    /// Waits until the state is no longer `from`, and returns the new one.
    pub(super) async fn changed(&self, from: State) -> State {
        let mut standings = self.standing.subscribe();
        let is_other = |standing: &Standing| standing.state != from;
        let changed = standings.wait_for(is_other).await;
        changed.map_or(from, |standing| standing.state)
    }

    /// Refuses an operation while the cache has failed.
    pub(super) fn admit(&self) -> Result<(), CacheError> {
        let standing = self.standing.borrow();
        match standing.state {
            State::Healthy | State::Degraded => Ok(()),
            State::Failed => Err(CacheError::Down {
                trouble: standing.trouble.clone(),
            }),
        }
    }

    /// Records that the store completed an operation.
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

    /// Records that the store did not complete an operation.
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

    /// Records that the store could not be reached at all.
    pub(super) fn not_reached(&self, trouble: &dyn fmt::Display) {
        self.failed(trouble);
        self.standing
            .send_if_modified(|standing| standing.go_to(State::Failed));
    }

    /// Checks the store whenever it is unhealthy, until `stop`.
    pub(super) async fn watch(
        self: Arc<Self>,
        store: Arc<dyn CacheStore>,
        stop: CancellationToken,
    ) {
        let mut standings = self.standing.subscribe();
        let is_unwell = |standing: &Standing| standing.state != State::Healthy;
        let looking = async {
            // The channel closes only with its sender, which `self` keeps alive, so only `stop`
            // ends this.
            while standings.wait_for(is_unwell).await.is_ok() {
                let [mut pause, longest] = LOOKS;
                while self.state() != State::Healthy {
                    sleep(pause.mul_f64(1.0 - fastrand::f64() / 4.0)).await;
                    match store.answers().await {
                        Ok(()) => self.succeeded(),
                        Err(error) => self.failed(&error),
                    }
                    pause = (pause * 2).min(match self.state() {
                        // Checked often enough that a store that answers checks is not given up
                        // because the operations of one caller fail.
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
            // Both at the same instant, so not calm.
            health.succeeded();
            if health.state() == State::Failed {
                panic!("a store that answers has not failed");
            }
            health.failed(&"out of memory");
        }
    }
}
