//! Circuit breaker: a broker that does not answer is left alone for a while, then tried with one
//! call at a time.

use std::fmt;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::counter;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Unanswered calls in a row after which the broker is left alone.
const FAILURES: u32 = 5;

/// First and longest pause without calls; each failed trial doubles the pause.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long a trial that hangs holds up the next one.
const TRIAL: Duration = Duration::from_secs(10);

/// How much later than due a call may come.
const SLACK: Duration = Duration::from_secs(60);

/// State of a breaker, as shown by the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Calls go out.
    Closed = 0,
    /// One call tests whether the broker answers.
    HalfOpen = 1,
    /// No call goes out.
    Open = 2,
}

/// Lets calls through while the broker answers. While it does not, one call at a time goes out as a
/// trial.
#[derive(Default)]
pub struct Breaker {
    state: Mutex<State>,
    /// Waiting calls continue in order of arrival.
    changed: Notify,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Unanswered calls in a row while the breaker is closed.
    failures: u32,
    /// When the last answer came.
    answered_at: Option<Instant>,
    /// Number of trials so far.
    trials: u64,
    /// Present while the breaker is open or half-open.
    outage: Option<Outage>,
}

/// A time in which the broker does not answer.
#[derive(Debug, Clone)]
struct Outage {
    began: Instant,
    pause: Duration,
    /// When the next trial is due.
    again: Instant,
    trial: Option<Trial>,
    /// Outcome of the last call.
    said: String,
}

/// The one call that is under way.
#[derive(Debug, Clone, Copy)]
struct Trial {
    number: u64,
    /// When another trial may go out, whatever the outcome of this one.
    ends: Instant,
}

/// Permission for one call, to which its outcome is reported. If none is reported, a trial ends
/// when this is dropped.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    trial: Option<u64>,
    sent: Instant,
}

/// What a call may do while the broker does not answer.
enum Standing {
    Refused,
    Waits(Instant),
    /// The call is the next trial.
    Tries,
}

/// Result of a request to make a call.
enum Entry {
    May(Option<u64>),
    Wait(Instant),
    MayNot(String),
}

impl Breaker {
    /// Lets one call through.
    ///
    /// While the broker does not answer, the call waits for the trial under way. It waits for
    /// further trials until the broker has not answered for `patience`. With a patience of zero it
    /// does not wait at all.
    ///
    /// # Errors
    ///
    /// Returns an error if the broker is left alone. The text says since when, and until when.
    pub async fn admit(&self, patience: Duration) -> Result<Permit<'_>, String> {
        loop {
            // Registers before looking, so that no change is missed.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.enter(patience) {
                Entry::May(trial) => {
                    return Ok(Permit {
                        breaker: self,
                        trial,
                        sent: Instant::now(),
                    });
                }
                Entry::MayNot(said) => return Err(said),
                Entry::Wait(until) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(until) => {}
                },
            }
        }
    }

    /// Returns why a call with this patience would be refused now; `None` if it would not.
    #[must_use]
    pub fn refusal(&self, patience: Duration) -> Option<String> {
        let now = Instant::now();
        let state = self.state();
        let outage = state.outage.as_ref()?;
        let is_refused = matches!(outage.standing(now, patience), Standing::Refused);
        is_refused.then(|| outage.words(now))
    }

    /// Returns the state to show, if a call is expected every `interval`.
    ///
    /// If a trial has been due for longer than that, no calls are wanted, so none are held up. The
    /// breaker is then shown as closed.
    #[must_use]
    pub fn shown(&self, interval: Duration) -> Shown {
        let now = Instant::now();
        match &self.state().outage {
            Some(outage) if outage.trial_ends(now).is_some() => Shown::HalfOpen,
            Some(outage) if now < outage.again + interval + SLACK => Shown::Open,
            _ => Shown::Closed,
        }
    }

    fn enter(&self, patience: Duration) -> Entry {
        let now = Instant::now();
        let mut state = self.state();
        let State { trials, outage, .. } = &mut *state;
        let Some(outage) = outage else {
            return Entry::May(None);
        };
        match outage.standing(now, patience) {
            Standing::Refused => Entry::MayNot(outage.words(now)),
            Standing::Waits(until) => Entry::Wait(until),
            Standing::Tries => {
                *trials += 1;
                outage.trial = Some(Trial {
                    number: *trials,
                    ends: now + TRIAL,
                });
                tracing::info!("one call tries to reach the broker again");
                Entry::May(Some(*trials))
            }
        }
    }

    /// Changes the state. Wakes the waiting calls if `change` returns true.
    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        if change(&mut self.state()) {
            self.changed.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock leaves the state half changed, so a poisoned lock is usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outage {
    /// Returns what a call with this patience may do.
    fn standing(&self, now: Instant, patience: Duration) -> Standing {
        let gives_up = self.began + patience;
        match self.trial_ends(now) {
            Some(_) if patience.is_zero() => Standing::Refused,
            Some(ends) => Standing::Waits(ends),
            None if now >= self.again => Standing::Tries,
            None if now < gives_up => Standing::Waits(self.again.min(gives_up)),
            None => Standing::Refused,
        }
    }

    /// Returns the deadline of the trial under way.
    fn trial_ends(&self, now: Instant) -> Option<Instant> {
        let trial = self.trial.filter(|trial| now < trial.ends);
        trial.map(|trial| trial.ends)
    }

    fn is_tried_by(&self, number: u64) -> bool {
        self.trial.is_some_and(|trial| trial.number == number)
    }

    fn words(&self, now: Instant) -> String {
        let away = now.duration_since(self.began).as_secs_f64();
        let again = match self.trial_ends(now) {
            Some(_) => "one call is trying it".to_owned(),
            None => {
                let wait = self.again.saturating_duration_since(now).as_secs_f64();
                format!("it is tried again in {wait:.1} s")
            }
        };
        format!(
            "it has not answered for {away:.1} s, {again}; last: {}",
            self.said
        )
    }

    /// Schedules the next trial after the pause, with jitter.
    fn rest(&mut self, now: Instant) {
        self.again = now + self.pause.mul_f64(0.8 + 0.4 * fastrand::f64());
    }
}

impl Permit<'_> {
    /// Returns whether the call may still go out, now that its turn has come.
    #[must_use]
    pub fn holds(&mut self) -> bool {
        self.sent = Instant::now();
        let state = self.breaker.state();
        match (&state.outage, self.trial) {
            (None, _) => true,
            (Some(outage), Some(number)) => {
                outage.is_tried_by(number) && outage.trial_ends(self.sent).is_some()
            }
            (Some(_), None) => false,
        }
    }

    /// Reports that an answer came, whatever it says.
    pub fn answered(self) {
        let now = Instant::now();
        self.breaker.change(|state| {
            state.failures = 0;
            state.answered_at = Some(now);
            let Some(outage) = state.outage.take() else {
                return false;
            };
            tracing::info!(
                seconds = now.duration_since(outage.began).as_secs(),
                "the broker answers again"
            );
            true
        });
    }

    /// Reports that no answer came, for the reason `said`.
    pub fn failed(self, said: &str) {
        let now = Instant::now();
        self.breaker.change(|state| {
            // Other calls were answered meanwhile, so it was this call, not the broker.
            if state.answered_at.is_some_and(|at| at > self.sent) {
                return false;
            }
            match (&mut state.outage, self.trial) {
                (Some(outage), Some(number)) if outage.is_tried_by(number) => {
                    outage.trial = None;
                    outage.pause = (outage.pause * 2).min(LONGEST_PAUSE);
                    said.clone_into(&mut outage.said);
                    outage.rest(now);
                    tracing::warn!("{}", Away(outage, now));
                    true
                }
                // The call was sent before the outage was known.
                (Some(_), _) => false,
                (None, _) => {
                    state.failures += 1;
                    if state.failures < FAILURES {
                        return false;
                    }
                    let mut outage = Outage {
                        began: now,
                        pause: FIRST_PAUSE,
                        again: now,
                        trial: None,
                        said: said.to_owned(),
                    };
                    outage.rest(now);
                    counter!("sise_breaker_openings_total").increment(1);
                    tracing::warn!("calls to the broker stop: {}", Away(&outage, now));
                    state.outage = Some(outage);
                    true
                }
            }
        });
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let Some(number) = self.trial else { return };
        // A caller that is gone must not hold up the next one.
        self.breaker.change(|state| match &mut state.outage {
            Some(outage) if outage.is_tried_by(number) => {
                outage.trial = None;
                true
            }
            _ => false,
        });
    }
}

/// Text for an outage.
struct Away<'a>(&'a Outage, Instant);

impl fmt::Display for Away<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the broker does not answer: {}", self.0.words(self.1))
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("state", &*self.state())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
