//! State of one watched code.

use chrono::NaiveDate;

use super::Mark;
use super::series::Series;
use crate::{KrxTime, Quote, Seoul};

/// State of one code.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) day: NaiveDate,
    /// Time of the last price.
    pub(super) last: Option<KrxTime>,
    pub(super) high: Option<i64>,
    pub(super) low: Option<i64>,
    pub(super) series: Vec<Series>,
    pub(super) marks: Vec<(u32, Mark)>,
}

impl Track {
    /// Drops all measurements, because their continuity is not known. Marks are kept.
    pub(super) fn begin(&mut self) {
        self.last = None;
        self.high = None;
        self.low = None;
        for series in &mut self.series {
            series.clear();
        }
    }

    pub(super) fn note(&mut self, quote: &Quote) {
        let at = quote.fetched_at.timestamp_millis();
        let high = quote.high.map_or(quote.price, |high| high.max(quote.price));
        self.high = self.high.max(Some(high));
        self.low = Some(self.low.map_or(i64::MAX, |low| low).min(lowest(quote)));
        for series in &mut self.series {
            series.note(at, quote.price, quote.volume);
        }
        self.last = Some(quote.fetched_at);
    }

    pub(super) fn keep_series(&mut self, window: i64) {
        if self.series_over(window).is_none() {
            self.series.push(Series::new(window));
        }
    }

    pub(super) fn series_over(&self, window: i64) -> Option<&Series> {
        self.series.iter().find(|series| series.is_over(window))
    }

    pub(super) fn mark(&self, number: u32) -> Option<Mark> {
        let mut marks = self.marks.iter();
        let (_, mark) = marks.find(|(held, _)| *held == number)?;
        Some(*mark)
    }

    pub(super) fn set_mark(&mut self, number: u32, mark: Mark) {
        match self.marks.iter_mut().find(|(held, _)| *held == number) {
            Some((_, held)) => *held = mark,
            None => self.marks.push((number, mark)),
        }
    }
}

/// Returns the lowest price of the day that a quote reports.
pub(super) fn lowest(quote: &Quote) -> i64 {
    let low = quote.low.filter(|low| *low > 0);
    low.map_or(quote.price, |low| low.min(quote.price))
}

/// Returns the day in Seoul.
pub(super) fn day_of(milliseconds: i64) -> Option<NaiveDate> {
    let time = chrono::DateTime::from_timestamp_millis(milliseconds)?;
    Some(time.with_timezone(&Seoul).date_naive())
}
