//! Records that are not current trades (contract 5.5).

use chrono::{Days, NaiveDate};

/// Positions of fields in a record, from 0.
const TIME: usize = 1;
const PRICE: usize = 2;
const CHANGE: usize = 4;
const VOLUME: usize = 13;
const DAY: usize = 33;
const OPERATION: usize = 34;
const HOUR: usize = 43;

/// In what way a record is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// It reports the match that is expected at the end of a VI.
    Expected,
    /// It is a block trade, a tenth below the market.
    Block,
    /// It is from the same weekday a week ago, with a thousand times the volume.
    OtherDay,
    /// It is from another hour, with a thousand times the volume.
    OtherHour,
}

impl Oddity {
    /// Returns the oddity with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "expected" => Self::Expected,
            "block" => Self::Block,
            "other_day" => Self::OtherDay,
            "other_hour" => Self::OtherHour,
            _ => return None,
        })
    }

    /// Returns `record` with this oddity applied.
    pub(super) fn applied(self, record: &str, day: NaiveDate) -> String {
        let mut fields: Vec<String> = record.split('^').map(str::to_owned).collect();
        let whole = |fields: &[String], place: usize| -> i64 {
            let number = fields.get(place).and_then(|text| text.parse().ok());
            number.unwrap_or(0)
        };
        let volume = whole(&fields, VOLUME).saturating_mul(1_000).to_string();
        let mut changes = Vec::new();
        match self {
            Self::Expected => changes.push((HOUR, "C".to_owned())),
            Self::Block => changes.push((OPERATION, "22".to_owned())),
            Self::OtherDay => {
                let day = day.checked_sub_days(Days::new(7)).unwrap_or(day);
                changes.push((DAY, day.format("%Y%m%d").to_string()));
                changes.push((VOLUME, volume));
            }
            Self::OtherHour => {
                // Far from the actual time of the record.
                let is_late = fields.get(TIME).is_some_and(|time| time.as_str() > "12");
                changes.push((TIME, if is_late { "000001" } else { "235959" }.to_owned()));
                changes.push((VOLUME, volume));
            }
        }
        // A price that no other record has, so that it is noticed if a client takes it.
        let away = whole(&fields, PRICE) / 10;
        changes.push((PRICE, (whole(&fields, PRICE) - away).to_string()));
        changes.push((CHANGE, (whole(&fields, CHANGE) - away).to_string()));
        for (place, text) in changes {
            if let Some(field) = fields.get_mut(place) {
                *field = text;
            }
        }
        fields.join("^")
    }
}
