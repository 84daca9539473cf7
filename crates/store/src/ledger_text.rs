//! A row of the ledger as text: a JSON array. It is short because there is one for every code.

use chrono::{DateTime, TimeZone as _};

use sise_domain::{KrxTime, Missed, Polled, Reason, Row, Seoul, Status};

/// Time of the price, sweep, price, unchanged since, status. Times are milliseconds since 1970.
type PolledText = (i64, i64, i64, i64, Status);
/// Since, sweep, reason, detail.
type MissedText = (i64, i64, Reason, String);

/// Maximum length of a detail, in characters.
const DETAIL: usize = 160;

/// Returns the text of a row.
pub(super) fn write(row: &Row) -> String {
    let polled: Option<PolledText> = row.polled.map(|polled| {
        (
            polled.at.timestamp_millis(),
            polled.sweep.timestamp_millis(),
            polled.price,
            polled.unchanged_since.timestamp_millis(),
            polled.status,
        )
    });
    let missed: Option<MissedText> = row.missed.as_ref().map(|missed| {
        (
            missed.since.timestamp_millis(),
            missed.sweep.timestamp_millis(),
            missed.reason,
            missed.detail.chars().take(DETAIL).collect(),
        )
    });
    // Numbers and strings can always be serialized.
    serde_json::to_string(&(polled, missed)).unwrap_or_default()
}

/// Parses a row; `None` if the text is not one.
pub(super) fn read(text: &[u8]) -> Option<Row> {
    let (polled, missed): (Option<PolledText>, Option<MissedText>) =
        serde_json::from_slice(text).ok()?;
    let polled = match polled {
        Some((at, sweep, price, unchanged_since, status)) => Some(Polled {
            at: time(at)?,
            sweep: time(sweep)?,
            price,
            unchanged_since: time(unchanged_since)?,
            status,
        }),
        None => None,
    };
    let missed = match missed {
        Some((since, sweep, reason, detail)) => Some(Box::new(Missed {
            since: time(since)?,
            sweep: time(sweep)?,
            reason,
            detail,
        })),
        None => None,
    };
    Some(Row { polled, missed })
}

fn time(millis: i64) -> Option<KrxTime> {
    let utc = DateTime::from_timestamp_millis(millis)?.naive_utc();
    Some(Seoul.from_utc_datetime(&utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times() -> impl Strategy<Value = KrxTime> {
        (0_i64..4_000_000_000_000).prop_map(|millis| time(millis).unwrap())
    }

    prop_compose! {
        fn rows()(
            polled in proptest::option::of((times(), times(), 1_i64.., times(), 0_usize..3)),
            missed in proptest::option::of((times(), times(), 0_usize..4, "\\PC{0,20}")),
        ) -> Row {
            let statuses = [Status::Trading, Status::Halted, Status::Untraded];
            Row {
                polled: polled.map(|(at, sweep, price, unchanged_since, status)| Polled {
                    at, sweep, price, unchanged_since, status: statuses[status],
                }),
                missed: missed.map(|(since, sweep, reason, detail)| Box::new(Missed {
                    since, sweep, reason: Reason::ALL[reason], detail,
                })),
            }
        }
    }

    proptest! {
        #[test]
        fn a_row_comes_back_from_its_text(row in rows()) {
            prop_assert_eq!(read(write(&row).as_bytes()), Some(row));
        }

        #[test]
        fn what_is_no_row_is_none_and_no_panic(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&text);
        }
    }

    #[test]
    fn times_that_no_calendar_has_are_no_row() {
        let text = format!("[[{},0,1,0,\"trading\"],null]", i64::MAX);
        assert_eq!(read(text.as_bytes()), None);
    }
}
