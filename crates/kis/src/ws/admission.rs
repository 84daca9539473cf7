//! Decides which records are trades of this moment (contract 5.5).
//!
//! The stream also carries expected matches of auctions, off-market trades, and now and then a
//! record of another day or hour.

use chrono::{NaiveDateTime, TimeDelta};

use super::frame::Record;
use crate::wire::SessionCode;
use sise_domain::KrxTime;

/// Maximum age at which a trade is accepted.
const LATE: TimeDelta = TimeDelta::seconds(60);

/// How far the clock here, which also follows the clock of the store, may lag behind the exchange.
///
/// A record that is farther ahead would outrank trades that come after it, so it is refused.
const AHEAD: TimeDelta = TimeDelta::seconds(2);

/// Reason why a record yields no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoTrade {
    /// The record has no price.
    NoPrice,
    /// The record describes the expected match of an auction or a VI.
    Expected,
    /// The trade is an off-market block trade.
    Block,
    /// The trade is an off-market basket trade.
    Basket,
    /// The trade is a buy-in, which is a separate market.
    BuyIn,
    /// The record is from before the open, when there are no trades.
    BeforeOpen,
    /// The field that tells a trade from an expected match, or a market trade from others, is
    /// damaged.
    NoKind,
    /// Day or time of the record cannot be read.
    NoTime,
    /// The record is of another day.
    OtherDay,
    /// The record is of another time of this day.
    OtherHour,
}

impl NoTrade {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::NoPrice,
        Self::Expected,
        Self::Block,
        Self::Basket,
        Self::BuyIn,
        Self::BeforeOpen,
        Self::NoKind,
        Self::NoTime,
        Self::OtherDay,
        Self::OtherHour,
    ];

    /// Returns the label used in metrics.
    pub fn slug(self) -> &'static str {
        match self {
            Self::NoPrice => "no_price",
            Self::Expected => "expected_match",
            Self::Block => "block_trade",
            Self::Basket => "basket_trade",
            Self::BuyIn => "buy_in",
            Self::BeforeOpen => "before_open",
            Self::NoKind => "no_kind",
            Self::NoTime => "no_time",
            Self::OtherDay => "other_day",
            Self::OtherHour => "other_hour",
        }
    }

    /// Returns whether it may be a damaged trade of this moment, or one hidden by a wrong clock.
    ///
    /// The price is then requested.
    pub(super) fn may_be_a_trade(self) -> bool {
        matches!(
            self,
            Self::NoPrice | Self::NoKind | Self::NoTime | Self::OtherDay | Self::OtherHour
        )
    }
}

/// Returns the time of the trade, if `record` is a market trade from just before `arrived_at`.
///
/// Only the record's own time counts. Trades arrive some seconds after they happen, so with the
/// arrival time one would outrank trades that come after it.
pub(super) fn traded_at(
    record: &Record<'_>,
    arrived_at: KrxTime,
) -> Result<NaiveDateTime, NoTrade> {
    market(record)?;
    let arrived_at = arrived_at.naive_local();
    let day = record.day().ok_or(NoTrade::NoTime)?;
    let time = record.time().ok_or(NoTrade::NoTime)?;
    if day != arrived_at.date() {
        return Err(NoTrade::OtherDay);
    }
    let traded_at = day.and_time(time);
    let late = arrived_at - traded_at;
    if late > LATE || late < -AHEAD {
        return Err(NoTrade::OtherHour);
    }
    Ok(traded_at)
}

/// Checks that the record is a trade of the stock's own market.
///
/// `HOUR_CLS_CODE` marks expected matches, the two characters of `NEW_MKOP_CLS_CODE` mark trades
/// agreed elsewhere.
fn market(record: &Record<'_>) -> Result<(), NoTrade> {
    match SessionCode::of(record.field(44)) {
        SessionCode::ExpectedMatch => return Err(NoTrade::Expected),
        SessionCode::Unreadable => return Err(NoTrade::NoKind),
        SessionCode::Trades | SessionCode::Blank => {}
    }
    match record.field(35).as_bytes() {
        code if code.len() > 2 || !code.iter().all(u8::is_ascii_alphanumeric) => {
            Err(NoTrade::NoKind)
        }
        [b'7' | b'8', ..] | [_, b'8', ..] => Err(NoTrade::BuyIn),
        [_, b'2', ..] => Err(NoTrade::Block),
        [_, b'3', ..] => Err(NoTrade::Basket),
        [b'1', ..] => Err(NoTrade::BeforeOpen),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Frame;
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;

    /// Reads a record with these fields that arrived half a second after 10:00 on a Friday.
    fn of(changes: &[(usize, &str)]) -> Result<String, NoTrade> {
        let mut fields = vec!["1"; 47];
        for (number, text) in [
            (1, "005930"),
            (2, "100000"),
            (34, "20261120"),
            (35, "20"),
            (44, "0"),
        ]
        .iter()
        .chain(changes)
        {
            fields[number - 1] = text;
        }
        let text = format!("0|H0STCNT0|001|{}", fields.join("^"));
        let frame = Frame::read(&text).unwrap();
        let record = frame.records(frame.data).unwrap().remove(0);
        let ten = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        let arrived_at = ten + TimeDelta::milliseconds(500);
        traded_at(&record, arrived_at).map(|at| at.to_string())
    }

    #[test]
    fn only_trades_of_the_market_are_trades() {
        for code in ["A", "B", "C", "D", "a", "E"] {
            assert_eq!(of(&[(44, code)]), Err(NoTrade::Expected), "{code}");
        }
        for code in ["0", "", "2"] {
            assert!(of(&[(44, code)]).is_ok(), "{code}");
        }
        // Damaged, so that the price is asked for.
        for code in ["\u{fffd}", "?", "0\u{fffd}", "가"] {
            for field in [44, 35] {
                assert_eq!(of(&[(field, code)]), Err(NoTrade::NoKind), "{code}");
            }
        }
        assert_eq!(of(&[(35, "2\u{fffd}")]), Err(NoTrade::NoKind));
        assert!(NoTrade::NoKind.may_be_a_trade());
        for (code, why) in [
            ("12", NoTrade::Block),
            ("22", NoTrade::Block),
            ("32", NoTrade::Block),
            ("42", NoTrade::Block),
            ("23", NoTrade::Basket),
            ("33", NoTrade::Basket),
            ("70", NoTrade::BuyIn),
            ("80", NoTrade::BuyIn),
            ("28", NoTrade::BuyIn),
            ("10", NoTrade::BeforeOpen),
            ("11", NoTrade::BeforeOpen),
            ("17", NoTrade::BeforeOpen),
        ] {
            assert_eq!(of(&[(35, code)]), Err(why), "{code}");
        }
        // Normal, at the closing price, and of a stock about to be delisted.
        for code in ["20", "21", "31", "27", "30", ""] {
            assert!(of(&[(35, code)]).is_ok(), "{code}");
        }
    }

    #[test]
    fn a_trade_is_of_this_day_and_this_hour() {
        for day in ["20200102", "20261113", "20261119", "20261121", "20271120"] {
            assert_eq!(of(&[(34, day)]), Err(NoTrade::OtherDay), "{day}");
        }
        for time in [
            "000001", "235959", "095859", "100003", "100010", "100100", "090000", "153000",
        ] {
            assert_eq!(of(&[(2, time)]), Err(NoTrade::OtherHour), "{time}");
        }
        // Each keeps its own time, even if the clock here is slightly behind.
        for (time, at) in [
            ("100000", "2026-11-20 10:00:00"),
            ("095955", "2026-11-20 09:59:55"),
            ("095901", "2026-11-20 09:59:01"),
            ("100001", "2026-11-20 10:00:01"),
            ("100002", "2026-11-20 10:00:02"),
        ] {
            assert_eq!(of(&[(2, time)]).unwrap(), at, "{time}");
        }
    }

    #[test]
    fn a_day_or_time_that_cannot_be_read_is_none() {
        for time in [
            "", "x", "256199", "10000", "1000000", "10:0:0", "10000 ", "-10000",
        ] {
            assert_eq!(of(&[(2, time)]), Err(NoTrade::NoTime), "{time}");
        }
        for day in [
            "",
            "x",
            "20261340",
            "2026112",
            "261120",
            "2026-11-20",
            "+2026112",
        ] {
            assert_eq!(of(&[(34, day)]), Err(NoTrade::NoTime), "{day}");
        }
        assert_eq!(of(&[(34, ""), (2, "235959")]), Err(NoTrade::NoTime));
    }
}
