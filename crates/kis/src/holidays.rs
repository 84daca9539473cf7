//! The broker's trading calendar, as a cross-check of the built-in one (contract 4.9).

use chrono::{Datelike as _, NaiveDate};
use metrics::counter;

use super::call::{Call, Caller};
use super::fields;
use super::wire::{Body, row};
use sise_port::{SourceError, Urgency};

/// Days taken from one answer; the broker sends about three weeks.
const MOST_DAYS: i64 = 100;

const HOLIDAYS: Call = Call {
    path: "/uapi/domestic-stock/v1/quotations/chk-holiday",
    tr_id: "CTCA0903R",
    fields: &fields::HOLIDAYS,
};

row! {
    /// One day of `chk-holiday` (contract 4.9).
    DayRow {
        bass_dt,
        wday_dvsn_cd,
        opnd_yn,
    }
}

/// A trading day according to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerDay {
    /// The day.
    pub date: NaiveDate,
    /// Whether the stock market opens.
    pub is_open: bool,
}

impl Caller {
    /// Returns the days from `from` on that are on the broker's first page, about three weeks.
    ///
    /// The broker asks clients to make this call at most once a day. Paper accounts do not have it.
    ///
    /// # Errors
    ///
    /// Returns an error if the call fails.
    pub async fn open_days(&self, from: NaiveDate) -> Result<Vec<BrokerDay>, SourceError> {
        let first = from.format("%Y%m%d").to_string();
        let query = [
            ("BASS_DT", first.as_str()),
            ("CTX_AREA_NK", ""),
            ("CTX_AREA_FK", ""),
        ];
        let read = |_, reply: &super::transport::Reply| {
            let body = Body::new(&reply.body);
            let rows: Vec<DayRow<'_>> = body.rows(reply.status)?;
            Ok(days(&rows, from))
        };
        self.call(&HOLIDAYS, &query, Urgency::Sweep, read).await.0
    }
}

/// Returns the requested days of an answer, each once.
///
/// Rows of other days are dropped, and so are days whose rows contradict each other.
fn days(rows: &[DayRow<'_>], from: NaiveDate) -> Vec<BrokerDay> {
    let read: Vec<BrokerDay> = rows.iter().filter_map(day).collect();
    let is_asked = |day: &&BrokerDay| (0..MOST_DAYS).contains(&(day.date - from).num_days());
    let is_contradicted = |day: &BrokerDay| {
        let mut others = read.iter().filter(|other| other.date == day.date);
        others.any(|other| other.is_open != day.is_open)
    };
    let mut days: Vec<BrokerDay> = Vec::new();
    for day in read.iter().filter(is_asked) {
        let is_new = days.iter().all(|known| known.date != day.date);
        if is_new && !is_contradicted(day) {
            days.push(*day);
        }
    }
    let refused = rows.len().saturating_sub(days.len());
    if refused > 0 {
        let refused = u64::try_from(refused).unwrap_or(u64::MAX);
        counter!("sise_rows_refused_total", "call" => "holidays", "reason" => "other_day")
            .increment(refused);
    }
    days
}

/// Reads a row; `None` if it is unreadable or its date does not match its day of the week.
fn day(row: &DayRow<'_>) -> Option<BrokerDay> {
    let text = row.bass_dt.as_str();
    // A truncated date would be another day.
    let is_whole = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let date = NaiveDate::parse_from_str(text, "%Y%m%d").ok();
    // 01 is Sunday (contract 4.9).
    let is_weekday = |date: &NaiveDate| match row.wday_dvsn_cd.as_str().parse::<u32>() {
        Ok(number @ 1..=7) => date.weekday().num_days_from_sunday() + 1 == number,
        _ => true,
    };
    Some(BrokerDay {
        date: date.filter(|_| is_whole).filter(is_weekday)?,
        is_open: match row.opnd_yn.as_str() {
            "Y" => true,
            "N" => false,
            _ => return None,
        },
    })
}

/// Invariants that hold for every answer, whatever it contains.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle {
    use super::{Body, DayRow, day};

    /// Reads `bytes` as the broker's calendar; panics if a day differs from the one in its row.
    pub fn check(bytes: &[u8]) {
        let body = Body::new(bytes);
        let rows: Vec<DayRow<'_>> = body.rows(200).unwrap_or_default();
        for row in &rows {
            if let Some(day) = day(row) {
                let said = (row.bass_dt.as_str(), row.opnd_yn.as_str());
                let text = day.date.format("%Y%m%d").to_string();
                assert_eq!((text.as_str(), if day.is_open { "Y" } else { "N" }), said);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_body_decodes() {
        let body = include_bytes!("../../../tests/fixtures/kis/chk-holiday-CTCA0903R.json");
        let body = Body::new(body);
        let rows: Vec<DayRow<'_>> = body.rows(200).unwrap();
        let days: Vec<BrokerDay> = rows.iter().filter_map(day).collect();
        assert_eq!(days.len(), rows.len());
        assert!(days.iter().any(|day| day.is_open) && days.iter().any(|day| !day.is_open));
        assert_eq!(super::days(&rows, days[0].date), days);
        // From the second day on, the first is not a requested one.
        assert_eq!(super::days(&rows, days[1].date), days[1..]);
    }

    #[test]
    fn a_row_of_another_day_and_rows_that_contradict_each_other_say_nothing() {
        let row = |date: &str, weekday: &str, open: &str| {
            format!(r#"{{"bass_dt":"{date}","wday_dvsn_cd":"{weekday}","opnd_yn":"{open}"}}"#)
        };
        let rows = [
            row("20261119", "05", "Y"),
            row("20261120", "06", "Y"),
            // A Saturday with the weekday number of a Friday.
            row("20261121", "06", "Y"),
            row("20261122", "01", "N"),
            row("20261122", "01", "Y"),
            row("20261123", "", "Y"),
            row("20261123", "02", "Y"),
            row("20271123", "03", "Y"),
        ];
        let body = format!(r#"{{"output":[{}],"rt_cd":"0"}}"#, rows.join(","));
        let body = Body::new(body.as_bytes());
        let rows: Vec<DayRow<'_>> = body.rows(200).unwrap();
        let from = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let days = super::days(&rows, from);
        let dates: Vec<String> = days.iter().map(|day| day.date.to_string()).collect();
        assert_eq!(dates, ["2026-11-20", "2026-11-23"]);
    }
}
