//! The last request of this process for a token or an approval key.
//!
//! Processes normally share this through the store. This record also works if the store keeps
//! nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;

use sise_domain::KrxTime;
use sise_port::SourceError;

/// Minimum time between two requests, whatever the outcome of the first.
///
/// The broker locks out clients that ask more often (EGW00133).
pub(super) const SPACING: Duration = Duration::from_secs(60);

/// The last request, if there was one.
#[derive(Debug, Default)]
pub(super) struct Asked {
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    at: KrxTime,
    /// Keeps counting if the time of day is set back.
    began: Instant,
    refused: Option<SourceError>,
}

impl Asked {
    /// Returns how long to wait before the next request; `None` if it may be made now.
    pub(super) fn wait(&self, now: KrxTime) -> Option<Duration> {
        self.last().as_ref()?.left(now)
    }

    /// Returns the error of a request within the last minute, with the time of the next request.
    pub(super) fn refusal(&self, now: KrxTime) -> Option<SourceError> {
        let last = self.last();
        let last = last.as_ref()?;
        let (left, refused) = (last.left(now)?, last.refused.clone()?);
        let seconds = left.as_secs_f64().ceil();
        Some(refused.map_words(|said| format!("{said}; next request in {seconds:.0} s")))
    }

    /// Records that a request goes out at `now`.
    pub(super) fn begin(&self, now: KrxTime) {
        *self.last() = Some(Last {
            at: now,
            began: Instant::now(),
            refused: None,
        });
    }

    /// Records the outcome. A request that did not reach the broker does not count.
    pub(super) fn end<T>(&self, outcome: &Result<T, SourceError>) {
        let mut last = self.last();
        match outcome {
            Err(SourceError::Unreachable(_)) => *last = None,
            Err(error) => {
                if let Some(last) = last.as_mut() {
                    last.refused = Some(error.clone());
                }
            }
            Ok(_) => {}
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        // Every change is a single assignment, so a poisoned lock holds valid data.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    /// Returns the rest of the minute.
    ///
    /// Uses whichever clock advanced further. This covers a host that was suspended and a time of
    /// day that was set back.
    fn left(&self, now: KrxTime) -> Option<Duration> {
        let by_day = (now - self.at).max(TimeDelta::zero()).to_std();
        let went = by_day.unwrap_or_default().max(self.began.elapsed());
        SPACING.checked_sub(went).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use sise_port::clock;

    #[tokio::test(start_paused = true)]
    async fn a_minute_is_one_by_either_clock() {
        let now = (clock::system())();
        let asked = Asked::default();
        assert_eq!(asked.wait(now), None);
        asked.begin(now);
        assert_eq!(asked.wait(now), Some(SPACING));
        asked.end::<()>(&Err(SourceError::Unavailable("HTTP 500".to_owned())));
        advance(Duration::from_secs(20)).await;
        // The time of day was set back an hour meanwhile.
        let hour = TimeDelta::hours(1);
        assert_eq!(asked.wait(now - hour), Some(Duration::from_secs(40)));
        let said = asked.refusal(now).unwrap().to_string();
        assert!(said.contains("HTTP 500; next request in 40 s"), "{said}");
        // The host was suspended.
        assert_eq!(asked.wait(now + hour), None);
        advance(Duration::from_secs(40)).await;
        assert_eq!(asked.wait(now - hour), None);
        assert_eq!(asked.refusal(now), None);
        // A request that was never sent is forgotten.
        asked.begin(now);
        asked.end::<()>(&Err(SourceError::Unreachable("refused".to_owned())));
        assert_eq!(asked.wait(now), None);
    }
}
