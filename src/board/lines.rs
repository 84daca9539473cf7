//! Price lines of the day: one price per minute and code.

use chrono::{NaiveDate, Timelike as _};
use serde::Serialize;

use sise_domain::Quote;

/// Maximum number of minutes kept per code and day: twelve hours.
const MOST: usize = 720;

/// The last price within a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Minutes since midnight in Seoul.
    pub minute: u16,
    /// Won.
    pub price: i64,
}

/// The prices of one code over a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The day.
    pub date: NaiveDate,
    /// In order; minutes without a price are left out.
    pub points: Vec<Point>,
}

/// The lines of all codes over the day, by place.
#[derive(Debug, Default)]
pub(super) struct Lines {
    date: Option<NaiveDate>,
    /// Points are compact: there are a million at the end of a day.
    points: Vec<Vec<(u16, u32)>>,
}

impl Lines {
    /// Notes a price. A price of an earlier day is ignored; one of a later day starts new lines.
    pub(super) fn note(&mut self, place: usize, quote: &Quote) {
        let date = quote.timestamp.date();
        if self.date.is_some_and(|held| date < held) {
            return;
        }
        if self.date != Some(date) {
            self.date = Some(date);
            self.points.clear();
        }
        if self.points.len() <= place {
            self.points.resize_with(place + 1, Vec::new);
        }
        let minute = u16::try_from(quote.timestamp.num_seconds_from_midnight() / 60);
        let (Ok(minute), Ok(price), Some(points)) = (
            minute,
            u32::try_from(quote.price),
            self.points.get_mut(place),
        ) else {
            return;
        };
        let is_full = points.len() >= MOST;
        match points.last_mut() {
            Some((last, held)) if *last == minute => *held = price,
            // A clock that was set back adds no points.
            Some((last, _)) if *last > minute => {}
            _ if is_full => {}
            _ => points.push((minute, price)),
        }
    }

    /// Adds an earlier point of `date`, if that minute has none.
    pub(super) fn restore(&mut self, place: usize, date: NaiveDate, minute: u16, price: i64) {
        if *self.date.get_or_insert(date) != date {
            return;
        }
        if self.points.len() <= place {
            self.points.resize_with(place + 1, Vec::new);
        }
        if let (Some(points), Ok(price)) = (self.points.get_mut(place), u32::try_from(price))
            && let Err(gap) = points.binary_search_by_key(&minute, |(minute, _)| *minute)
            && points.len() < MOST
        {
            points.insert(gap, (minute, price));
        }
    }

    /// Returns the price at a minute of each place that has one.
    pub(super) fn minute(&self, date: NaiveDate, minute: u16) -> Vec<(usize, i64)> {
        if self.date != Some(date) {
            return Vec::new();
        }
        let lines = self.points.iter().enumerate();
        let of_minute = |points: &Vec<(u16, u32)>| {
            let found = points.binary_search_by_key(&minute, |(minute, _)| *minute);
            found.ok().and_then(|place| points.get(place)).copied()
        };
        lines
            .filter_map(|(place, points)| Some((place, i64::from(of_minute(points)?.1))))
            .collect()
    }

    /// Returns the line of the code at a place.
    #[must_use]
    pub(super) fn of(&self, place: usize) -> Option<Line> {
        let points = self.points.get(place)?;
        let point = |(minute, price): &(u16, u32)| Point {
            minute: *minute,
            price: i64::from(*price),
        };
        Some(Line {
            date: self.date?,
            points: points.iter().map(point).collect(),
        })
    }
}
