//! Trading days and phases of the exchange, and reasons why it is closed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use chrono::{Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Weekday};
use serde::Deserialize;

use super::{Closed, KrxTime, Moment, Phase, Seoul, Span, Venue};

/// Every weekday since 2010 that is not an ordinary session.
const DAYS: &str = include_str!("calendar_days.csv");
/// The phases of a trading day, and the dates from and to which they apply.
const HOURS: &str = include_str!("calendar_hours.csv");

/// The days that the shipped table covers.
const COVERED_FROM: NaiveDate = NaiveDate::from_ymd_opt(2010, 1, 1).expect("a day");
const COVERED_THROUGH: NaiveDate = NaiveDate::from_ymd_opt(2027, 12, 31).expect("a day");

/// How long before the end of the table a warning is given.
const WARN_BEFORE: Days = Days::new(60);

/// Upper bound for closures of the exchange, in days: a search for a session stops there.
const LONGEST_CLOSURE: usize = 60;

/// Columns that an override file must have.
const COLUMNS: [&str; 5] = ["date", "kind", "open", "close", "note"];

/// Plausible years; others are typing errors.
const YEARS: RangeInclusive<i32> = 1956..=2999;

/// Time from the session's end until the close is final.
///
/// The closing cross may come up to half a minute late.
const CLOSE_SETTLES: TimeDelta = TimeDelta::seconds(60);

static SHIPPED: LazyLock<Calendar> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "compiled in, and a test reads every row"
    )]
    Calendar::read(DAYS, HOURS).expect("the shipped calendar is well formed")
});

/// A calendar file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("calendar file, line {line}: {trouble}")]
pub struct CalendarError {
    line: u64,
    trouble: String,
}

/// What is special about a day.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Day {
    Closed { note: String },
    Hours { open: NaiveTime, close: NaiveTime },
    Ordinary,
}

#[derive(Debug, Deserialize)]
struct DayRow {
    date: NaiveDate,
    kind: String,
    open: String,
    close: String,
    note: String,
}

#[derive(Debug, Clone, Deserialize)]
struct HoursRow {
    venue: Venue,
    phase: Phase,
    effective_from: NaiveDate,
    #[serde(deserialize_with = "csv::invalid_option")]
    effective_to: Option<NaiveDate>,
    #[serde(deserialize_with = "clock_time")]
    start: NaiveTime,
    #[serde(deserialize_with = "clock_time")]
    end: NaiveTime,
}

/// Trading days and hours of the Korean exchange.
///
/// It reads no clock: every query takes an instant or a date.
#[derive(Debug, Clone)]
pub struct Calendar {
    days: BTreeMap<NaiveDate, Day>,
    hours: Vec<HoursRow>,
    covered_through: NaiveDate,
}

impl Calendar {
    /// Returns the calendar that is compiled into the program.
    #[must_use]
    pub fn shipped() -> Self {
        SHIPPED.clone()
    }

    fn read(days: &str, hours: &str) -> Result<Self, CalendarError> {
        let hours = rows(hours, &[])?.into_iter().map(|(_, row)| row).collect();
        let mut calendar = Self {
            days: BTreeMap::new(),
            hours,
            covered_through: COVERED_THROUGH,
        };
        calendar.override_with(days)?;
        Ok(calendar)
    }

    /// Applies the rows of an override file.
    ///
    /// Columns `date,kind,open,close,note`; kind is `closed`, `hours` (with times `HH:MM`),
    /// `ordinary` (a session after all) or `covered` (the table is complete through this day).
    ///
    /// # Errors
    ///
    /// Returns an error with the line of the first row that is not valid. The calendar is then
    /// unchanged.
    pub fn override_with(&mut self, csv: &str) -> Result<(), CalendarError> {
        let mut changed = self.clone();
        for (line, row) in rows::<DayRow>(csv, &COLUMNS)? {
            changed
                .lay(row)
                .map_err(|trouble| CalendarError { line, trouble })?;
        }
        *self = changed;
        Ok(())
    }

    /// Applies one row.
    fn lay(&mut self, row: DayRow) -> Result<(), String> {
        let date = row.date;
        if !YEARS.contains(&date.year()) {
            return Err(format!("the exchange does not trade in the year of {date}"));
        }
        let time = |text: &str| {
            NaiveTime::parse_from_str(text.trim(), "%H:%M")
                .map_err(|_| format!("'{text}' is not a time such as 09:00"))
        };
        let day = match row.kind.trim() {
            "closed" => Day::Closed { note: row.note },
            "ordinary" => Day::Ordinary,
            "hours" => {
                let (open, close) = (time(&row.open)?, time(&row.close)?);
                if open >= close {
                    return Err(format!(
                        "the opening at {open} is not before the close at {close}"
                    ));
                }
                Day::Hours { open, close }
            }
            "covered" => {
                self.covered_through = self.covered_through.max(date);
                return Ok(());
            }
            kind => {
                return Err(format!(
                    "kind '{kind}' is not one of closed, hours, ordinary, covered"
                ));
            }
        };
        self.days.insert(date, day);
        let phases = self.phases(Venue::Krx, date);
        let is_within = |span: &Span| {
            span.start < span.end && [span.start, span.end].map(|at| at.date_naive()) == [date; 2]
        };
        if !phases.iter().all(is_within) {
            return Err(format!(
                "a session from {} to {} has no room for its auctions",
                row.open, row.close
            ));
        }
        Ok(())
    }

    /// Sets whether the exchange trades on `date`. Returns whether that changed anything.
    ///
    /// A trading day keeps its hours.
    pub fn correct(&mut self, date: NaiveDate, is_open: bool) -> bool {
        if self.is_trading_day(date) == is_open {
            return false;
        }
        let day = if is_open {
            Day::Ordinary
        } else {
            Day::Closed {
                note: "reported by the broker".to_owned(),
            }
        };
        self.days.insert(date, day);
        true
    }

    /// Returns the last day that the table covers.
    #[must_use]
    pub fn covered_through(&self) -> NaiveDate {
        self.covered_through
    }

    /// Returns the warning due on `today`, if the table has ended or ends within 60 days.
    #[must_use]
    pub fn cover_warning(&self, today: NaiveDate) -> Option<String> {
        let through = self.covered_through;
        let from = through.checked_sub_days(WARN_BEFORE)?;
        (today >= from).then(|| {
            format!(
                "the trading calendar ends on {through}: install a newer sise, \
                 or add the days after it to the calendar override file with a row \
                 '<last day>,covered,,,'"
            )
        })
    }

    /// Returns whether the exchange trades on `date`.
    #[must_use]
    pub fn is_trading_day(&self, date: NaiveDate) -> bool {
        self.closed_on(date).is_none()
    }

    /// Returns the regular session of `date`: its start, and its end (exclusive).
    ///
    /// The closing auction is part of it.
    #[must_use]
    pub fn session(&self, date: NaiveDate) -> Option<(KrxTime, KrxTime)> {
        let spans = self.phases(Venue::Krx, date);
        let of = |phase| spans.iter().find(move |span| span.phase == phase);
        Some((of(Phase::Regular)?.start, of(Phase::ClosingAuction)?.end))
    }

    /// Returns the phases of `date` on a venue in order; empty on a day without trading.
    #[must_use]
    pub fn phases(&self, venue: Venue, date: NaiveDate) -> Vec<Span> {
        if !self.is_trading_day(date) {
            return Vec::new();
        }
        let rows: Vec<&HoursRow> = self
            .hours
            .iter()
            .filter(|row| {
                row.venue == venue
                    && row.effective_from <= date
                    && row.effective_to.is_none_or(|last| date <= last)
            })
            .collect();
        let (late_open, late_close) = self.shifts(date);
        let mut spans: Vec<Span> = rows
            .into_iter()
            .filter_map(|row| {
                let (start, end) = match row.phase {
                    Phase::OpeningAuction => (late_open, late_open),
                    Phase::Regular | Phase::Main => (late_open, late_close),
                    Phase::ClosingAuction | Phase::PostClosePrice => (late_close, late_close),
                    // The evening ends at its usual hour, even after a late opening.
                    Phase::SinglePrice | Phase::AfterMarket => (late_close, TimeDelta::zero()),
                    // There is no pre-market on a day with a late opening.
                    Phase::PreMarket if !late_open.is_zero() => return None,
                    Phase::PreMarket | Phase::Closed => (TimeDelta::zero(), TimeDelta::zero()),
                };
                Some(Span {
                    phase: row.phase,
                    start: at(date, row.start)? + start,
                    end: at(date, row.end)? + end,
                })
            })
            .collect();
        spans.sort_by_key(|span| span.start);
        spans
    }

    /// Returns all that the calendar knows about one instant.
    #[must_use]
    pub fn moment(&self, at: KrxTime) -> Moment {
        let at = at.with_timezone(&Seoul);
        let date = at.date_naive();
        let session = self.session(date);
        let closed = match (self.closed_on(date), session) {
            (Some(closed), _) => Some(closed),
            (None, Some((open, _))) if at < open => Some(Closed::BeforeOpen),
            (None, Some((_, close))) if at < close => None,
            (None, _) => Some(Closed::AfterClose),
        };
        Moment {
            at,
            phase: self.phase(Venue::Krx, at),
            nxt_phase: self.phase(Venue::Nxt, at),
            next_open: self.next_open(at),
            closes_at: session.filter(|_| closed.is_none()).map(|(_, close)| close),
            closed,
            covered: (COVERED_FROM..=self.covered_through).contains(&date),
        }
    }

    /// Returns the phase on a venue at an instant.
    #[must_use]
    pub fn phase(&self, venue: Venue, at: KrxTime) -> Phase {
        self.phases(venue, at.date_naive())
            .into_iter()
            .find(|span| span.start <= at && at < span.end)
            .map_or(Phase::Closed, |span| span.phase)
    }

    /// Returns the start of the first regular session after `at`.
    #[must_use]
    pub fn next_open(&self, at: KrxTime) -> Option<KrxTime> {
        at.date_naive()
            .iter_days()
            .take(LONGEST_CLOSURE)
            .filter_map(|date| self.session(date))
            .map(|(open, _)| open)
            .find(|open| *open > at)
    }

    /// Returns the last regular session that has ended by `at`.
    #[must_use]
    pub fn last_session(&self, at: KrxTime) -> Option<(KrxTime, KrxTime)> {
        let days = std::iter::successors(Some(at.date_naive()), NaiveDate::pred_opt);
        days.take(LONGEST_CLOSURE)
            .filter_map(|date| self.session(date))
            .find(|(_, close)| *close <= at)
    }

    /// Returns whether a price taken at `at` is the official close of that day.
    #[must_use]
    pub fn is_close(&self, at: KrxTime) -> bool {
        let window = self.close_window(at.date_naive());
        window.is_some_and(|(from, until)| from <= at && at < until)
    }

    /// Returns the window of `date` in which a price is the official close.
    ///
    /// It lasts from a minute after the session's end until prices may move again in the evening
    /// (contract chapter 7).
    #[must_use]
    pub fn close_window(&self, date: NaiveDate) -> Option<(KrxTime, KrxTime)> {
        let (_, close) = self.session(date)?;
        let evening = self
            .phases(Venue::Krx, date)
            .into_iter()
            .find(|span| matches!(span.phase, Phase::AfterMarket | Phase::SinglePrice))
            .map_or(close + TimeDelta::minutes(30), |span| span.start);
        Some((close + CLOSE_SETTLES, evening))
    }

    fn closed_on(&self, date: NaiveDate) -> Option<Closed> {
        match self.days.get(&date) {
            Some(Day::Closed { note }) => Some(Closed::Holiday(note.clone())),
            Some(_) => None,
            None => {
                matches!(date.weekday(), Weekday::Sat | Weekday::Sun).then_some(Closed::Weekend)
            }
        }
    }

    /// Returns how much later than usual a day begins and ends.
    fn shifts(&self, date: NaiveDate) -> (TimeDelta, TimeDelta) {
        let Some(Day::Hours { open, close }) = self.days.get(&date) else {
            return (TimeDelta::zero(), TimeDelta::zero());
        };
        let usual = |phase| {
            self.hours.iter().find(|row| {
                row.venue == Venue::Krx
                    && row.phase == phase
                    && row.effective_from <= date
                    && row.effective_to.is_none_or(|last| date <= last)
            })
        };
        match (usual(Phase::Regular), usual(Phase::ClosingAuction)) {
            (Some(regular), Some(closing)) => (*open - regular.start, *close - closing.end),
            _ => (TimeDelta::zero(), TimeDelta::zero()),
        }
    }
}

fn at(date: NaiveDate, time: NaiveTime) -> Option<KrxTime> {
    Seoul.from_local_datetime(&date.and_time(time)).earliest()
}

/// Returns the rows of a table that must have `columns`, each with its line.
fn rows<T: serde::de::DeserializeOwned>(
    text: &str,
    columns: &[&str],
) -> Result<Vec<(u64, T)>, CalendarError> {
    // To the parser, a comment ends only with a line feed. Without one it would swallow the rows
    // after it, and at the very end it would be taken for a row.
    let text = text.replace("\r\n", "\n").replace('\r', "\n") + "\n";
    let text = text.as_str();
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headers = reader.headers().cloned().unwrap_or_default();
    let is_there = |column: &&str| headers.iter().any(|header| header == *column);
    // Without its header, a table would lose its first row, which may be the only one.
    let is_blank = headers.iter().all(str::is_empty);
    if !is_blank && !columns.iter().all(is_there) {
        return Err(CalendarError {
            line: line_at(text, headers.position()),
            trouble: format!("the header is not {}", columns.join(",")),
        });
    }
    reader
        .records()
        .map(|record| {
            let record = record.map_err(|error| CalendarError {
                line: line_at(text, error.position()),
                trouble: error.to_string(),
            })?;
            let line = line_at(text, record.position());
            let row = record.deserialize(Some(&headers));
            let row = row.map_err(|error| CalendarError {
                line,
                trouble: error.to_string(),
            })?;
            Ok((line, row))
        })
        .collect()
}

/// Returns the line of a record.
///
/// The position from the parser is before any blank lines and comments that precede the record.
fn line_at(text: &str, position: Option<&csv::Position>) -> u64 {
    let start = position.map_or(0, csv::Position::byte);
    let mut end = 0;
    let mut line = 0;
    for content in text.split_inclusive('\n') {
        end += u64::try_from(content.len()).unwrap_or(0);
        line += 1;
        if end > start && !content.starts_with(['\n', '#']) {
            break;
        }
    }
    line
}

fn clock_time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    NaiveTime::parse_from_str(&text, "%H:%M:%S")
        .or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M"))
        .map_err(serde::de::Error::custom)
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
