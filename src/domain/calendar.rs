//! When the exchange trades: days, phases, and the words for why not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use chrono::{Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Weekday};
use serde::{Deserialize, Serialize};

use super::{KrxTime, Seoul};

/// Every weekday since 2010 that is not an ordinary session.
const DAYS: &str = include_str!("calendar_days.csv");
/// The phases of a trading day and since when they hold.
const HOURS: &str = include_str!("calendar_hours.csv");

/// The days that the shipped table speaks of.
const COVERED_FROM: NaiveDate = NaiveDate::from_ymd_opt(2010, 1, 1).expect("a day");
const COVERED_THROUGH: NaiveDate = NaiveDate::from_ymd_opt(2027, 12, 31).expect("a day");

/// How long before the end of the table a warning is due.
const WARN_BEFORE: Days = Days::new(60);

/// No closure of the exchange is longer; a search that finds no session in so many days stops.
const LONGEST_CLOSURE: usize = 60;

/// The close is final this long after the session's end: the closing cross may come up to half
/// a minute late.
const CLOSE_SETTLES: TimeDelta = TimeDelta::seconds(60);

static SHIPPED: LazyLock<Calendar> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "compiled in, and a test reads every row"
    )]
    Calendar::read(DAYS, HOURS).expect("the shipped calendar is well formed")
});

/// A phase of a trading day (contract chapter 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Orders are collected for the cross at the open.
    OpeningAuction,
    /// Continuous trading of the regular session.
    Regular,
    /// Orders are collected for the cross at the close. Part of the session, not continuous.
    ClosingAuction,
    /// Trades at the closing price only.
    PostClosePrice,
    /// A cross every ten minutes; abolished in September 2026.
    SinglePrice,
    /// Continuous trading in the evening.
    AfterMarket,
    /// NXT's morning session.
    PreMarket,
    /// NXT's main session.
    Main,
    /// No phase.
    Closed,
}

impl Phase {
    /// The phase's name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpeningAuction => "opening-auction",
            Self::Regular => "regular",
            Self::ClosingAuction => "closing-auction",
            Self::PostClosePrice => "post-close-price",
            Self::SinglePrice => "single-price",
            Self::AfterMarket => "after-market",
            Self::PreMarket => "pre-market",
            Self::Main => "main",
            Self::Closed => "closed",
        }
    }

    /// Whether trades happen at any moment of the phase. An auction is not continuous.
    #[must_use]
    pub fn is_continuous(self) -> bool {
        matches!(
            self,
            Self::Regular | Self::AfterMarket | Self::PreMarket | Self::Main
        )
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A trading venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Venue {
    /// The exchange.
    Krx,
    /// Nextrade, the alternative trading system.
    Nxt,
}

/// One phase of one day: from `start` until just before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Which phase.
    pub phase: Phase,
    /// First instant.
    pub start: KrxTime,
    /// First instant after it.
    pub end: KrxTime,
}

/// Why the regular session is not on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// Saturday or Sunday.
    Weekend,
    /// The exchange is closed that day; the note says why, where it is known.
    Holiday(String),
    /// A trading day, before the session.
    BeforeOpen,
    /// A trading day, after the session.
    AfterClose,
}

impl Closed {
    /// One word, for metrics.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Weekend => "weekend",
            Self::Holiday(_) => "holiday",
            Self::BeforeOpen => "before_open",
            Self::AfterClose => "after_close",
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weekend => f.write_str("weekend"),
            Self::Holiday(note) if note.is_empty() => f.write_str("holiday"),
            Self::Holiday(note) => write!(f, "holiday: {note}"),
            Self::BeforeOpen => f.write_str("before the open"),
            Self::AfterClose => f.write_str("after the close"),
        }
    }
}

/// The calendar's answer for one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The instant asked for.
    pub at: KrxTime,
    /// Phase on the exchange.
    pub phase: Phase,
    /// Phase on NXT.
    pub nxt_phase: Phase,
    /// Why the regular session is not on; `None` while it is (closing auction included).
    pub closed: Option<Closed>,
    /// Start of the next regular session after this instant; `None` only where the calendar
    /// knows none.
    pub next_open: Option<KrxTime>,
    /// End of the regular session that is on.
    pub closes_at: Option<KrxTime>,
    /// Whether the calendar's table speaks of this day. Where it does not, weekdays are taken
    /// for ordinary sessions.
    pub covered: bool,
}

impl Moment {
    /// Whether the regular session is on, its closing auction included.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }
}

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

/// Trading days and hours of the Korean exchange. Pure: every question names its instant.
#[derive(Debug, Clone)]
pub struct Calendar {
    days: BTreeMap<NaiveDate, Day>,
    hours: Vec<HoursRow>,
    covered_through: NaiveDate,
}

impl Calendar {
    /// The calendar that ships inside the program.
    #[must_use]
    pub fn shipped() -> Self {
        SHIPPED.clone()
    }

    fn read(days: &str, hours: &str) -> Result<Self, CalendarError> {
        let hours = rows(hours)?.into_iter().map(|(_, row)| row).collect();
        let mut calendar = Self {
            days: BTreeMap::new(),
            hours,
            covered_through: COVERED_THROUGH,
        };
        calendar.override_with(days)?;
        Ok(calendar)
    }

    /// Lays the rows of an override file over the calendar.
    ///
    /// Columns `date,kind,open,close,note`; kind is `closed`, `hours` (with times `HH:MM`),
    /// `ordinary` (a session after all) or `covered` (the table is complete through this day).
    ///
    /// # Errors
    ///
    /// A row that cannot be read, named by its line; the calendar is then unchanged.
    pub fn override_with(&mut self, csv: &str) -> Result<(), CalendarError> {
        let mut days = self.days.clone();
        let mut covered_through = self.covered_through;
        for (line, row) in rows::<DayRow>(csv)? {
            let trouble = |trouble: String| CalendarError { line, trouble };
            let time = |text: &str| {
                NaiveTime::parse_from_str(text.trim(), "%H:%M")
                    .map_err(|_| trouble(format!("'{text}' is not a time such as 09:00")))
            };
            let day = match row.kind.trim() {
                "closed" => Day::Closed { note: row.note },
                "ordinary" => Day::Ordinary,
                "hours" => {
                    let (open, close) = (time(&row.open)?, time(&row.close)?);
                    if open >= close {
                        return Err(trouble(format!("opens at {open}, not before {close}")));
                    }
                    Day::Hours { open, close }
                }
                "covered" => {
                    covered_through = covered_through.max(row.date);
                    continue;
                }
                kind => {
                    return Err(trouble(format!(
                        "kind '{kind}' is none of closed, hours, ordinary, covered"
                    )));
                }
            };
            days.insert(row.date, day);
        }
        self.days = days;
        self.covered_through = covered_through;
        Ok(())
    }

    /// The last day that the table speaks of.
    #[must_use]
    pub fn covered_through(&self) -> NaiveDate {
        self.covered_through
    }

    /// The warning that is due on `today`: the table ends within 60 days, or has ended.
    #[must_use]
    pub fn cover_warning(&self, today: NaiveDate) -> Option<String> {
        let through = self.covered_through;
        let from = through.checked_sub_days(WARN_BEFORE)?;
        (today >= from).then(|| {
            format!(
                "the trading calendar is covered through {through} only: install a newer sise, \
                 or add the days after it to the calendar override file with a row \
                 '<last day>,covered,,,'"
            )
        })
    }

    /// Whether the exchange trades on `date`.
    #[must_use]
    pub fn is_trading_day(&self, date: NaiveDate) -> bool {
        self.closed_on(date).is_none()
    }

    /// The regular session of `date`, closing auction included: its first instant and the first
    /// instant after it.
    #[must_use]
    pub fn session(&self, date: NaiveDate) -> Option<(KrxTime, KrxTime)> {
        let spans = self.phases(Venue::Krx, date);
        let of = |phase| spans.iter().find(move |span| span.phase == phase);
        Some((of(Phase::Regular)?.start, of(Phase::ClosingAuction)?.end))
    }

    /// The phases of `date` on a venue, in order; none on a day without trading.
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
                    // The evening ends at its hour, however late the day began.
                    Phase::SinglePrice | Phase::AfterMarket => (late_close, TimeDelta::zero()),
                    // There is no early market on a day that begins late.
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

    /// Everything the calendar has to say of one instant.
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

    /// The phase on a venue at an instant.
    #[must_use]
    pub fn phase(&self, venue: Venue, at: KrxTime) -> Phase {
        self.phases(venue, at.date_naive())
            .into_iter()
            .find(|span| span.start <= at && at < span.end)
            .map_or(Phase::Closed, |span| span.phase)
    }

    /// The start of the first regular session after `at`.
    #[must_use]
    pub fn next_open(&self, at: KrxTime) -> Option<KrxTime> {
        at.date_naive()
            .iter_days()
            .take(LONGEST_CLOSURE)
            .filter_map(|date| self.session(date))
            .map(|(open, _)| open)
            .find(|open| *open > at)
    }

    /// The window of `date` in which a price is the official close: from a minute after the
    /// session's end until prices may move again in the evening (contract chapter 7).
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

    /// How much later than usual a day begins and ends.
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

fn rows<T: serde::de::DeserializeOwned>(text: &str) -> Result<Vec<(u64, T)>, CalendarError> {
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headers = reader.headers().cloned().unwrap_or_default();
    reader
        .records()
        .map(|record| {
            let record = record.map_err(|error| CalendarError {
                line: error.position().map_or(0, csv::Position::line),
                trouble: error.to_string(),
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            let row = record.deserialize(Some(&headers));
            let row = row.map_err(|error| CalendarError {
                line,
                trouble: error.to_string(),
            })?;
            Ok((line, row))
        })
        .collect()
}

fn clock_time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    NaiveTime::parse_from_str(&text, "%H:%M:%S")
        .or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M"))
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kst(text: &str) -> KrxTime {
        let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        Seoul.from_local_datetime(&naive).unwrap()
    }

    fn moment(text: &str) -> Moment {
        Calendar::shipped().moment(kst(text))
    }

    #[test]
    fn an_ordinary_day_goes_through_its_phases() {
        let day = [
            ("08:29:59", Phase::Closed, false),
            ("08:30:00", Phase::OpeningAuction, false),
            ("08:59:59", Phase::OpeningAuction, false),
            ("09:00:00", Phase::Regular, true),
            ("15:19:59", Phase::Regular, true),
            ("15:20:00", Phase::ClosingAuction, true),
            ("15:29:59", Phase::ClosingAuction, true),
            ("15:30:00", Phase::Closed, false),
            ("15:40:00", Phase::PostClosePrice, false),
            ("16:00:00", Phase::AfterMarket, false),
            ("19:59:59", Phase::AfterMarket, false),
            ("20:00:00", Phase::Closed, false),
        ];
        for (time, phase, open) in day {
            let moment = moment(&format!("2026-11-20 {time}"));
            assert_eq!((moment.phase, moment.is_open()), (phase, open), "{time}");
        }
    }

    #[test]
    fn an_auction_is_not_continuous() {
        assert!(!moment("2026-11-20 08:45:00").phase.is_continuous());
        assert!(!moment("2026-11-20 15:25:00").phase.is_continuous());
        assert!(moment("2026-11-20 10:00:00").phase.is_continuous());
    }

    #[test]
    fn a_closed_day_says_why_and_when_it_opens_again() {
        let saturday = moment("2026-11-21 10:00:00");
        assert_eq!(saturday.closed, Some(Closed::Weekend));
        assert_eq!(saturday.next_open, Some(kst("2026-11-23 09:00:00")));
        let constitution_day = moment("2026-07-17 10:00:00");
        assert!(
            matches!(constitution_day.closed, Some(Closed::Holiday(note)) if note.contains("Constitution"))
        );
        assert_eq!(
            moment("2026-12-31 10:00:00").next_open,
            Some(kst("2027-01-04 10:00:00"))
        );
        assert_eq!(
            moment("2026-11-20 08:00:00").closed,
            Some(Closed::BeforeOpen)
        );
        assert_eq!(
            moment("2026-11-20 15:30:00").closed,
            Some(Closed::AfterClose)
        );
        assert_eq!(
            moment("2026-11-20 09:00:00").next_open,
            Some(kst("2026-11-23 09:00:00"))
        );
        assert_eq!(
            moment("2026-11-20 09:00:00").closes_at,
            Some(kst("2026-11-20 15:30:00"))
        );
    }

    #[test]
    fn the_exam_day_is_an_hour_late_and_the_evening_ends_as_usual() {
        assert_eq!(moment("2026-11-19 09:30:00").phase, Phase::OpeningAuction);
        assert_eq!(moment("2026-11-19 10:00:00").phase, Phase::Regular);
        assert_eq!(moment("2026-11-19 15:50:00").phase, Phase::Regular);
        assert_eq!(moment("2026-11-19 16:25:00").phase, Phase::ClosingAuction);
        assert_eq!(
            moment("2026-11-19 16:25:00").closes_at,
            Some(kst("2026-11-19 16:30:00"))
        );
        assert_eq!(moment("2026-11-19 16:45:00").phase, Phase::PostClosePrice);
        assert_eq!(moment("2026-11-19 19:59:00").phase, Phase::AfterMarket);
        assert_eq!(moment("2026-11-19 08:30:00").nxt_phase, Phase::Closed);
        assert_eq!(moment("2026-11-20 08:30:00").nxt_phase, Phase::PreMarket);
    }

    #[test]
    fn the_first_trading_day_opens_late_and_closes_as_usual() {
        assert_eq!(
            moment("2026-01-02 09:59:59").closed,
            Some(Closed::BeforeOpen)
        );
        assert_eq!(moment("2026-01-02 10:00:00").phase, Phase::Regular);
        assert_eq!(
            moment("2026-01-02 15:30:00").closed,
            Some(Closed::AfterClose)
        );
    }

    #[test]
    fn old_evenings_had_single_price_and_old_days_ended_at_three() {
        assert_eq!(moment("2026-09-11 17:00:00").phase, Phase::SinglePrice);
        assert_eq!(moment("2026-09-14 17:00:00").phase, Phase::AfterMarket);
        assert_eq!(
            moment("2015-06-01 14:55:00").closes_at,
            Some(kst("2015-06-01 15:00:00"))
        );
        assert!(!moment("2015-06-01 15:10:00").is_open());
    }

    #[test]
    fn the_close_is_final_between_the_cross_and_the_evening() {
        let window = |text: &str| {
            let date = kst(&format!("{text} 12:00:00")).date_naive();
            Calendar::shipped().close_window(date)
        };
        let of = |from, until| Some((kst(from), kst(until)));
        assert_eq!(
            window("2026-11-20"),
            of("2026-11-20 15:31:00", "2026-11-20 16:00:00")
        );
        assert_eq!(
            window("2026-11-19"),
            of("2026-11-19 16:31:00", "2026-11-19 17:00:00")
        );
        assert_eq!(window("2026-11-21"), None);
    }

    #[test]
    fn the_end_of_the_table_is_warned_of_and_said() {
        let calendar = Calendar::shipped();
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert!(calendar.cover_warning(day("2027-10-31")).is_none());
        assert!(
            calendar
                .cover_warning(day("2027-11-01"))
                .unwrap()
                .contains("2027-12-31")
        );
        assert!(!moment("2028-01-03 10:00:00").covered);
    }

    #[test]
    fn an_override_closes_opens_shifts_and_extends() {
        let mut calendar = Calendar::shipped();
        calendar
            .override_with(
                "date,kind,open,close,note\n# announced late\n2026-11-23,closed,,,temporary holiday\n\
                 2026-12-25,ordinary,,,\n2026-11-24,hours,10:00,16:30,\n2028-12-31,covered,,,\n",
            )
            .unwrap();
        let moment = |text| calendar.moment(kst(text));
        assert!(matches!(
            moment("2026-11-23 10:00:00").closed,
            Some(Closed::Holiday(_))
        ));
        assert!(moment("2026-12-25 10:00:00").is_open());
        assert_eq!(
            moment("2026-11-20 16:00:00").next_open,
            Some(kst("2026-11-24 10:00:00"))
        );
        assert!(moment("2028-06-01 10:00:00").covered);
    }

    #[test]
    fn a_broken_override_names_its_line_and_changes_nothing() {
        let mut calendar = Calendar::shipped();
        for (row, word) in [
            ("2026-13-01,closed,,,", "line 3"),
            ("2026-11-24,hours,10:00,,", "not a time"),
            ("2026-11-24,hours,16:00,10:00,", "not before"),
            ("2026-11-24,holiday,,,", "kind 'holiday'"),
        ] {
            let text = format!("date,kind,open,close,note\n2026-11-23,closed,,,\n{row}\n");
            let error = calendar.override_with(&text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
            assert!(calendar.is_trading_day("2026-11-23".parse().unwrap()));
        }
    }

    #[test]
    fn every_listed_day_answers_as_listed() {
        for (_, row) in rows::<DayRow>(DAYS).unwrap() {
            let session = Calendar::shipped().session(row.date);
            match row.kind.as_str() {
                "closed" => assert_eq!(session, None, "{}", row.date),
                _ => {
                    let (open, close) = session.unwrap();
                    assert_eq!(open.format("%H:%M").to_string(), row.open, "{}", row.date);
                    assert_eq!(close.format("%H:%M").to_string(), row.close, "{}", row.date);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_next_open_is_open_and_never_past(minutes in 0_i64..9_460_800) {
            let at = kst("2010-01-01 00:00:00") + TimeDelta::minutes(minutes);
            let calendar = Calendar::shipped();
            let next = calendar.next_open(at).unwrap();
            prop_assert!(next > at);
            prop_assert!(calendar.moment(next).is_open());
            prop_assert!(!calendar.moment(next - TimeDelta::seconds(1)).is_open());
        }
    }
}
