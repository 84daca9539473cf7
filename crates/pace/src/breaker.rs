//! Circuit breaker: a broker that does not answer is left alone for a while, then tried by one call
//! at a time.

use std::fmt;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::counter;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Calls in a row without an answer after which the broker is left alone.
const FAILURES: u32 = 5;

/// How long it is left alone, at first and at most; each trial that fails doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A trial that hangs holds the next one up for so long.
const TRIAL: Duration = Duration::from_secs(10);

/// Calls that are due come so much later at most.
const SLACK: Duration = Duration::from_secs(60);

/// How a breaker stands, as the metric has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Calls go out.
    Closed = 0,
    /// One call tries whether the broker answers.
    HalfOpen = 1,
    /// No call goes out.
    Open = 2,
}

/// Lets calls through while the broker answers; while it does not, one at a time as a trial.
#[derive(Default)]
pub struct Breaker {
    state: Mutex<State>,
    /// Those who wait go on in the order of their coming.
    changed: Notify,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Calls in a row without an answer, while the breaker is closed.
    failures: u32,
    /// When the last answer came.
    answered_at: Option<Instant>,
    /// Trials made so far.
    trials: u64,
    /// There while the breaker is open or half-open.
    outage: Option<Outage>,
}

/// A time in which the broker does not answer.
#[derive(Debug, Clone)]
struct Outage {
    began: Instant,
    pause: Duration,
    /// When it is tried again.
    again: Instant,
    trial: Option<Trial>,
    /// What the last call came to.
    said: String,
}

/// The one call that is under way.
#[derive(Debug, Clone, Copy)]
struct Trial {
    number: u64,
    /// By then another one may go, whatever became of this one.
    ends: Instant,
}

/// The right to make one call. What becomes of the call is told to it; where nothing is, a trial is
/// over when this is dropped.
#[derive(Debug)]
pub struct Pass<'a> {
    breaker: &'a Breaker,
    trial: Option<u64>,
    sent: Instant,
}

/// What a call may do while the broker does not answer.
enum Standing {
    Refused,
    Waits(Instant),
    /// The next trial is its own.
    Tries,
}

/// What stands before a call.
enum Entry {
    May(Option<u64>),
    Wait(Instant),
    MayNot(String),
}

impl Breaker {
    /// Lets one call through. While the broker does not answer, it waits for the trial under way,
    /// and for the next one until the broker has been away for `patience`; with none it waits for
    /// nothing.
    ///
    /// # Errors
    ///
    /// The broker is left alone at present: since when, and until when.
    pub async fn admit(&self, patience: Duration) -> Result<Pass<'_>, String> {
        loop {
            // Listens before it looks, so that it misses no change.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.enter(patience) {
                Entry::May(trial) => {
                    return Ok(Pass {
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

    /// Why a call with this patience would be refused now; `None` where it would not.
    #[must_use]
    pub fn refusal(&self, patience: Duration) -> Option<String> {
        let now = Instant::now();
        let state = self.state();
        let outage = state.outage.as_ref()?;
        let is_refused = matches!(outage.standing(now, patience), Standing::Refused);
        is_refused.then(|| outage.words(now))
    }

    /// How it stands, where somebody calls every `interval`. A trial that nobody has made by then is
    /// not wanted any more, and whether the broker is away is not known: nothing is stopped.
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
                tracing::info!("one call tries whether the broker answers again");
                Entry::May(Some(*trials))
            }
        }
    }

    /// Changes the state, and wakes those who wait where `change` says that it matters to them.
    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        if change(&mut self.state()) {
            self.changed.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outage {
    /// What a call with this patience may do.
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

    /// Until when the trial under way may take.
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

    /// The next trial falls due after the pause, a little earlier or later than others'.
    fn rest(&mut self, now: Instant) {
        self.again = now + self.pause.mul_f64(0.8 + 0.4 * fastrand::f64());
    }
}

impl Pass<'_> {
    /// Whether the call may still go out, now that its turn has come.
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

    /// An answer came, whatever it says.
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

    /// No answer came. `said` tells why.
    pub fn failed(self, said: &str) {
        let now = Instant::now();
        self.breaker.change(|state| {
            // Others were answered meanwhile: it was this call, not the broker.
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
                // It was sent before the outage was known.
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

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let Some(number) = self.trial else { return };
        // A caller who went away must not hold the next one up.
        self.breaker.change(|state| match &mut state.outage {
            Some(outage) if outage.is_tried_by(number) => {
                outage.trial = None;
                true
            }
            _ => false,
        });
    }
}

/// An outage in words.
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
