//! Calls of the last second.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The broker's limit applies to any second (contract chapter 3).
const SECOND: Duration = Duration::from_secs(1);

/// Most calls that are remembered; beyond that, the oldest is forgotten early.
const MOST: usize = 100_000;

/// A sliding window of one second: at instant `t` it holds the calls after `t` minus one second.
#[derive(Debug, Default)]
pub(super) struct Window {
    calls: VecDeque<Instant>,
}

impl Window {
    /// Returns the calls in the second that ends at `now`.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        while self
            .calls
            .front()
            .is_some_and(|call| now.duration_since(*call) >= SECOND)
        {
            self.calls.pop_front();
        }
        self.calls.len()
    }

    /// Adds a call at `now` and returns the calls in the second that it ends.
    pub(super) fn add(&mut self, now: Instant) -> usize {
        if self.calls.len() >= MOST {
            self.calls.pop_front();
        }
        self.calls.push_back(now);
        self.count(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_one_second_and_no_more() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut window = Window::default();
        assert_eq!(window.add(at(0)), 1);
        assert_eq!(window.add(at(400)), 2);
        assert_eq!(window.add(at(999)), 3);
        assert_eq!(window.count(at(999)), 3);
        assert_eq!(window.count(at(1_000)), 2, "a second is over");
        assert_eq!(window.add(at(1_400)), 2);
        assert_eq!(window.count(at(9_000)), 0);
    }
}
