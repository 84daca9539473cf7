//! Prices and volumes of one code over the last minutes, condensed to a few numbers.

use std::collections::VecDeque;

/// Number of steps in a window.
const STEPS: i64 = 30;

/// Number of windows that must precede the one they are compared with.
const BASE: i64 = 3;

/// Summary of one step.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// When it began, milliseconds since 1970.
    start: i64,
    /// Time of its last price.
    at: i64,
    low: i64,
    high: i64,
    volume: Option<i64>,
}

/// Prices and volumes over a window.
#[derive(Debug, Clone)]
pub(super) struct Series {
    window: i64,
    steps: VecDeque<Step>,
    /// Time and value of the first volume seen.
    first: Option<(i64, i64)>,
}

impl Series {
    /// Creates a series over a window given in milliseconds.
    pub(super) fn new(window: i64) -> Self {
        Self {
            window,
            steps: VecDeque::new(),
            first: None,
        }
    }

    /// Returns whether it covers a window of this length.
    pub(super) fn is_over(&self, window: i64) -> bool {
        self.window == window
    }

    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.first = None;
    }

    /// Adds a price. Prices from before the latest step are ignored.
    pub(super) fn note(&mut self, at: i64, price: i64, volume: Option<i64>) {
        if self.first.is_none() {
            self.first = volume.map(|volume| (at, volume));
        }
        let length = (self.window / STEPS).max(1);
        let start = at.div_euclid(length) * length;
        match self.steps.back_mut() {
            Some(step) if step.start == start => {
                step.at = at;
                step.low = step.low.min(price);
                step.high = step.high.max(price);
                // Two sources may differ slightly; volume never shrinks.
                step.volume = step.volume.max(volume);
            }
            Some(step) if step.start > start => {}
            _ => self.steps.push_back(Step {
                start,
                at,
                low: price,
                high: price,
                volume,
            }),
        }
        // Keep one step older than the window: volumes are counted from there.
        while let Some(second) = self.steps.get(1)
            && second.at <= at - self.window
        {
            self.steps.pop_front();
        }
    }

    /// Returns the lowest and the highest price within the window before `at`.
    pub(super) fn extremes(&self, at: i64) -> Option<(i64, i64)> {
        let from = at - self.window;
        let within = self.steps.iter().filter(|step| step.start >= from);
        let pair = within.map(|step| (step.low, step.high));
        pair.reduce(|(low, high), (lower, higher)| (low.min(lower), high.max(higher)))
    }

    /// Returns how many times as fast the volume grew in the last window as before on that day.
    ///
    /// `None` while too little is known.
    pub(super) fn pace(&self, at: i64, volume: i64) -> Option<f64> {
        let from = at - self.window;
        let begin = self.steps.iter().rev().find(|step| step.at <= from)?;
        let (first_at, first) = self.first?;
        let held = begin.volume?;
        let is_recent = at - begin.at <= self.window * 2;
        let is_based = begin.at - first_at >= self.window * BASE;
        if !is_recent || !is_based || held <= first || volume < held {
            return None;
        }
        let now = real(volume - held) / real(at - begin.at);
        let before = real(held - first) / real(begin.at - first_at);
        Some(now / before)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "volumes and milliseconds of a day are far below 2^52"
)]
pub(super) fn real(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn a_window_never_reaches_back_further_than_it_is_long() {
        let mut series = Series::new(5 * MINUTE);
        for second in 0..1_200 {
            series.note(second * 1_000, second, None);
            let (low, high) = series.extremes(second * 1_000).unwrap();
            assert_eq!(high, second);
            let back = second - low;
            assert!(back <= 300 && back >= second.min(290), "{back} at {second}");
        }
        assert!(series.steps.len() <= 33, "{}", series.steps.len());
        assert_eq!(series.extremes(1_200_000 + 6 * MINUTE), None);
    }

    #[test]
    fn a_volume_is_compared_with_what_came_before_it() {
        let mut series = Series::new(MINUTE);
        let mut volume = 1_000_000;
        let mut paces = Vec::new();
        for second in 0..600 {
            // Trades before the first look, such as the opening auction, do not count.
            volume += if second < 540 { 10 } else { 40 };
            let at = second * 1_000;
            paces.push(series.pace(at, volume));
            series.note(at, 100, Some(volume));
        }
        assert!(paces[..235].iter().all(Option::is_none));
        let steady = paces[245].unwrap();
        assert!((0.95..1.05).contains(&steady), "{steady}");
        let fast = paces[599].unwrap();
        assert!((3.9..4.1).contains(&fast), "{fast}");
        assert_eq!(series.pace(600_000, volume - 10_000), None, "it shrank");
    }
}
