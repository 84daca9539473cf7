//! The broker's own trading calendar, as a cross-check of ours (contract 4.9).

use chrono::NaiveDate;

use super::call::{Call, Caller};
use super::fields;
use super::wire::{row, rows};
use crate::port::{SourceError, Urgency};

const HOLIDAYS: Call = Call {
    path: "/uapi/domestic-stock/v1/quotations/chk-holiday",
    tr_id: "CTCA0903R",
    fields: &fields::HOLIDAYS,
};

row! {
    /// One day of `chk-holiday` (contract 4.9).
    DayRow {
        bass_dt,
        opnd_yn,
    }
}

/// A day as the broker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerDay {
    /// The day.
    pub date: NaiveDate,
    /// Whether the stock market opens.
    pub is_open: bool,
}

impl Caller {
    /// The days from `from` on that the broker's first page holds, about three weeks. The broker
    /// asks for one such call a day at most; paper accounts have none.
    ///
    /// # Errors
    ///
    /// The call failed.
    pub async fn open_days(&self, from: NaiveDate) -> Result<Vec<BrokerDay>, SourceError> {
        let from = from.format("%Y%m%d").to_string();
        let query = [
            ("BASS_DT", from.as_str()),
            ("CTX_AREA_NK", ""),
            ("CTX_AREA_FK", ""),
        ];
        let read = |_, reply: &super::transport::Reply| {
            let rows: Vec<DayRow<'_>> = rows(reply.status, &reply.body)?;
            Ok(rows.iter().filter_map(day).collect())
        };
        self.call(&HOLIDAYS, &query, Urgency::Sweep, read).await.0
    }
}

/// A row that cannot be read says nothing of its day.
fn day(row: &DayRow<'_>) -> Option<BrokerDay> {
    let text = row.bass_dt.as_str();
    // A date that was cut off is another day.
    let is_whole = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let date = NaiveDate::parse_from_str(text, "%Y%m%d").ok();
    Some(BrokerDay {
        date: date.filter(|_| is_whole)?,
        is_open: match row.opnd_yn.as_str() {
            "Y" => true,
            "N" => false,
            _ => return None,
        },
    })
}

/// What must hold of every answer, whatever stands in it.
#[cfg(any(test, fuzzing))]
pub(crate) mod oracle {
    use super::{DayRow, day, rows};

    /// Reads `bytes` as the broker's calendar and panics where a day is another than the one said.
    pub(crate) fn check(bytes: &[u8]) {
        let rows: Vec<DayRow<'_>> = rows(200, bytes).unwrap_or_default();
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
        let body = include_bytes!("../../tests/fixtures/kis/chk-holiday-CTCA0903R.json");
        let rows: Vec<DayRow<'_>> = rows(200, body).unwrap();
        let days: Vec<BrokerDay> = rows.iter().filter_map(day).collect();
        assert_eq!(days.len(), rows.len());
        assert!(days.iter().any(|day| day.is_open) && days.iter().any(|day| !day.is_open));
    }
}
