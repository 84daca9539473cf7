//! Which records are trades of this moment (contract 5.5): the stream also carries expected matches of
//! auctions, trades beside the market, and now and then a record of another day or hour.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use super::frame::Record;
use crate::domain::KrxTime;
use crate::kis::wire::is_expected_match;

/// A trade is told within this time, and the clocks of exchange and host differ by less.
const APART: TimeDelta = TimeDelta::seconds(60);

/// Why a record gives no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NoTrade {
    /// It has no price.
    NoPrice,
    /// It tells of the match that an auction or a VI is expected to bring.
    Expected,
    /// It was agreed on beside the market, for a block.
    Block,
    /// It was agreed on beside the market, for a basket.
    Basket,
    /// It is a buy-in, a market of its own.
    BuyIn,
    /// It is of another day.
    OtherDay,
    /// It is of another hour of this day.
    OtherHour,
}

impl NoTrade {
    /// All of them.
    #[cfg(feature = "daemon")]
    pub(crate) const ALL: [Self; 7] = [
        Self::NoPrice,
        Self::Expected,
        Self::Block,
        Self::Basket,
        Self::BuyIn,
        Self::OtherDay,
        Self::OtherHour,
    ];

    /// One word, for metrics.
    #[cfg(feature = "daemon")]
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::NoPrice => "no_price",
            Self::Expected => "expected_match",
            Self::Block => "block_trade",
            Self::Basket => "basket_trade",
            Self::BuyIn => "buy_in",
            Self::OtherDay => "other_day",
            Self::OtherHour => "other_hour",
        }
    }
}

/// When the trade of `record` happened, if it is a trade of the market just before `arrived_at`.
///
/// A day or time that cannot be read leaves those of the arrival, a moment later. A time ahead of
/// the arrival is taken for the arrival's, so that no record outranks what arrives after it.
pub(super) fn traded_at(
    record: &Record<'_>,
    arrived_at: KrxTime,
) -> Result<NaiveDateTime, NoTrade> {
    market(record)?;
    let arrived_at = arrived_at.naive_local();
    let day = NaiveDate::parse_from_str(record.field(34), "%Y%m%d").ok();
    if day.is_some_and(|day| day != arrived_at.date()) {
        return Err(NoTrade::OtherDay);
    }
    let Ok(time) = NaiveTime::parse_from_str(record.field(2), "%H%M%S") else {
        return Ok(arrived_at);
    };
    let traded_at = arrived_at.date().and_time(time);
    if (traded_at - arrived_at).abs() > APART {
        return Err(NoTrade::OtherHour);
    }
    Ok(traded_at.min(arrived_at))
}

/// Whether it is a trade of the stock's own market: `HOUR_CLS_CODE` tells expected matches, the two
/// characters of `NEW_MKOP_CLS_CODE` what was agreed on elsewhere.
fn market(record: &Record<'_>) -> Result<(), NoTrade> {
    if is_expected_match(record.field(44)) {
        return Err(NoTrade::Expected);
    }
    match record.field(35).as_bytes() {
        [b'7' | b'8', ..] | [_, b'8', ..] => Err(NoTrade::BuyIn),
        [_, b'2', ..] => Err(NoTrade::Block),
        [_, b'3', ..] => Err(NoTrade::Basket),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Frame;
    use super::*;
    use crate::domain::Seoul;
    use chrono::TimeZone as _;

    /// What is made of a record with these fields, that arrived half a second after 10:00 on a Friday.
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
        ] {
            assert_eq!(of(&[(35, code)]), Err(why), "{code}");
        }
        // Normal, at the closing price, and of a stock that is to be delisted.
        for code in ["20", "21", "31", "27", "30", ""] {
            assert!(of(&[(35, code)]).is_ok(), "{code}");
        }
    }

    #[test]
    fn a_trade_is_of_this_day_and_this_hour() {
        for day in ["20200102", "20261113", "20261119", "20261121", "20271120"] {
            assert_eq!(of(&[(34, day)]), Err(NoTrade::OtherDay), "{day}");
        }
        for time in ["000001", "235959", "095858", "100102", "090000", "153000"] {
            assert_eq!(of(&[(2, time)]), Err(NoTrade::OtherHour), "{time}");
        }
        for (time, at) in [
            ("100000", "2026-11-20 10:00:00"),
            ("095901", "2026-11-20 09:59:01"),
            // Ahead: of the arrival.
            ("100001", "2026-11-20 10:00:00.500"),
            ("100059", "2026-11-20 10:00:00.500"),
        ] {
            assert_eq!(of(&[(2, time)]).unwrap(), at, "{time}");
        }
        // What cannot be read is of the arrival.
        for (number, text) in [(2, ""), (2, "256199"), (2, "x"), (34, ""), (34, "20261340")] {
            assert!(of(&[(number, text)]).is_ok(), "{number} {text}");
        }
        assert_eq!(
            of(&[(34, ""), (2, "235959")]),
            Err(NoTrade::OtherHour),
            "the day does not say it, the time does"
        );
    }
}
