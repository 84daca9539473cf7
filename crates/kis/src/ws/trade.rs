//! Conversion of live feed trades into quotes (contract 5.5).

use super::admission::{NoTrade, traded_at};
use super::frame::Record;
use crate::bases::Basis;
use crate::wire::{Contradicted, Known, Told, parse_whole, percentage};
use sise_domain::{Implausible, KrxTime, Listing, Phase, Quote, Status, Symbol};

/// Input of a conversion besides the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The code as it was subscribed to.
    pub(super) symbol: Symbol,
    pub(super) listing: Option<&'a Listing>,
    /// When the frame arrived.
    pub(super) arrived_at: KrxTime,
    pub(super) session: Phase,
    /// Base price and limits from the day's price calls.
    pub(super) basis: Option<Basis>,
}

/// Reason why a record yields no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPrice {
    /// The record is not a trade of this moment.
    NoTrade(NoTrade),
    /// The figures of the record are implausible.
    Implausible(Implausible),
}

/// Returns the quote in a record, and the values of the record that contradict it.
///
/// # Errors
///
/// Returns an error if the record is not a trade of this moment, or an implausible one.
pub(super) fn read(
    record: &Record<'_>,
    context: Context<'_>,
) -> Result<(Quote, Vec<Contradicted>), NoPrice> {
    let whole = |number| parse_whole(record.field(number));
    let positive = |number| whole(number).filter(|amount| *amount > 0);
    let amount = |number| whole(number).filter(|amount| *amount >= 0);
    let timestamp = traded_at(record, context.arrived_at).map_err(NoPrice::NoTrade)?;
    let price = positive(3).ok_or(NoPrice::NoTrade(NoTrade::NoPrice))?;
    let told = Told {
        price,
        base: None,
        change: whole(5),
        sign: record.field(4),
        rate: record.field(6).parse().ok().and_then(percentage),
        open: positive(8),
        high: positive(9),
        low: positive(10),
        volume: amount(14),
        value: amount(15),
        limits: None,
        // The second character of the market operation code (contract 5.5).
        in_liquidation: record.field(35).ends_with('7'),
    };
    let settled = told.settle(&Known {
        listing: context.listing,
        basis: context.basis,
        at: context.arrived_at,
        session: context.session,
    });
    let settled = settled.map_err(NoPrice::Implausible)?;
    let quote = Quote {
        stock_code: context.symbol,
        stock_name: context
            .listing
            .map(|listing| listing.name.as_str().into())
            .unwrap_or_default(),
        price,
        change: settled.change,
        change_rate: settled.rate,
        volume: told.volume,
        timestamp,
        market: context.listing.map(|listing| listing.market),
        open: told.open,
        high: told.high,
        low: told.low,
        base_price: settled.base,
        value: told.value,
        venue: "KRX".into(),
        session: context.session,
        status: match record.field(36) {
            "Y" => Status::Halted,
            _ => Status::Trading,
        },
        limit: settled.limit,
        source: Quote::LIVE_FEED.into(),
        simulated: false,
        fetched_at: context.arrived_at,
    };
    Ok((quote.as_stored(), settled.contradicted))
}

#[cfg(test)]
mod tests {
    use super::super::frame::Frame;
    use super::*;
    use chrono::{NaiveDateTime, TimeDelta, TimeZone as _};
    use sise_domain::{Group, Market, Seoul};

    const FRAMES: &str = include_str!("../../../../tests/fixtures/kis/H0STCNT0-frames.txt");
    const OFFICIAL: &str =
        include_str!("../../../../tests/fixtures/kis/official-frame-H0STCNT0.txt");
    const OTHERS: [&str; 2] = [
        include_str!("../../../../tests/fixtures/kis/H0STASP0-frames.txt"),
        include_str!("../../../../tests/fixtures/kis/official-frame-H0UPCNT0.txt"),
    ];

    /// Returns the quotes of a frame that arrived a second after its last trade.
    fn quotes(text: &str) -> Vec<Quote> {
        let frame = Frame::read(text).unwrap();
        let records = frame.records(frame.data).unwrap();
        let read = |record: &Record<'_>| {
            let symbol = record.field(1).parse().unwrap();
            let listing = Listing {
                code: symbol,
                name: "회사".to_owned(),
                market: Market::Kospi,
                group: Group::Stock,
                halted: None,
                shares: None,
                sector: None,
                listed: None,
                in_liquidation: None,
            };
            let own = format!("{}{}", record.field(34), record.field(2));
            let own = NaiveDateTime::parse_from_str(&own, "%Y%m%d%H%M%S");
            let arrived_at = own.map_or_else(
                |_| Seoul.with_ymd_and_hms(2026, 9, 22, 14, 6, 11).unwrap(),
                |own| Seoul.from_local_datetime(&own).unwrap() + TimeDelta::seconds(1),
            );
            let context = Context {
                symbol,
                listing: Some(&listing),
                arrived_at,
                session: Phase::Regular,
                basis: None,
            };
            super::read(record, context).ok().map(|(quote, _)| quote)
        };
        records.iter().filter_map(read).collect()
    }

    #[test]
    fn every_recorded_frame_of_trades_decodes() {
        let mut records = 0;
        for line in FRAMES.lines() {
            let frame = Frame::read(line).unwrap();
            assert!(frame.is_of_trades());
            for quote in quotes(line) {
                records += 1;
                assert!(quote.price > 0 && quote.volume.is_some_and(|volume| volume > 0));
                let (open, high, low) = (quote.open, quote.high, quote.low);
                assert!(low <= open && open <= high && low <= Some(quote.price));
                assert_eq!(quote.base_price, Some(quote.price - quote.change.unwrap()));
                assert_eq!(
                    (quote.source.as_ref(), quote.status),
                    ("kis.ws", Status::Trading)
                );
            }
        }
        assert_eq!((FRAMES.lines().count(), records), (11, 15));
        let official = format!("0|H0STCNT0|001|{}", OFFICIAL.trim_end());
        assert_eq!(quotes(&official)[0].price, 71_900);
    }

    #[test]
    fn recorded_frames_of_other_streams_are_told_from_those_of_trades() {
        for text in OTHERS {
            for line in text.lines() {
                assert!(!Frame::read(line).unwrap().is_of_trades(), "{line}");
            }
        }
    }

    #[test]
    fn a_trade_has_its_own_time_and_all_its_figures() {
        let line = FRAMES.lines().last().unwrap();
        let quote = quotes(line).remove(0);
        assert_eq!(quote.stock_code.as_str(), "005930");
        assert_eq!((quote.price, quote.change), (277_750, Some(3_750)));
        assert_eq!(quote.change_rate, Some(1.37));
        assert_eq!(quote.timestamp.to_string(), "2026-09-22 14:06:10");
        assert_eq!(quote.fetched_at.to_rfc3339(), "2026-09-22T14:06:11+09:00");
        assert_eq!(quote.volume, Some(11_955_000));
        assert_eq!(quote.value, Some(3_352_130_122_500));
        assert_eq!(
            (quote.open, quote.high, quote.low),
            (Some(283_000), Some(283_500), Some(276_500))
        );
        assert_eq!(quote.base_price, Some(274_000));
    }

    #[test]
    fn no_price_is_no_quote_and_no_other_field_spoils_one() {
        let line = FRAMES.lines().last().unwrap();
        for nothing in ["0", "", "-277750", "x", "1.5", "99999999999999999999"] {
            let spoilt = line.replacen("277750", nothing, 1);
            assert_eq!(quotes(&spoilt), [], "{nothing}");
        }
        // With its arrival time it would be newer than trades that come after it.
        assert_eq!(quotes(&line.replacen("140610", "256199", 1)), []);
        let spoilt = line
            .replacen("^3750^1.37", "^^x", 1)
            .replacen("^11955000^", "^-1^", 1)
            .replacen("^20^N^", "^20^Y^", 1);
        let quote = quotes(&spoilt).remove(0);
        assert_eq!(quote.timestamp.to_string(), "2026-09-22 14:06:10");
        assert_eq!((quote.change, quote.change_rate), (None, None));
        assert_eq!((quote.volume, quote.base_price), (None, None));
        assert_eq!(quote.status, Status::Halted);
    }

    /// Reads the last recorded trade (277,750 won, 3,750 above its base price) with some fields
    /// replaced.
    fn other(
        fields: &[(usize, &str)],
        basis: Option<Basis>,
    ) -> Result<(Quote, Vec<Contradicted>), NoPrice> {
        let line = FRAMES.lines().last().unwrap();
        let (head, data) = line.rsplit_once('|').unwrap();
        let mut all: Vec<&str> = data.split('^').collect();
        for (number, text) in fields {
            all[number - 1] = text;
        }
        let text = format!("{head}|{}", all.join("^"));
        let frame = Frame::read(&text).unwrap();
        let records = frame.records(frame.data).unwrap();
        let context = Context {
            symbol: "005930".parse().unwrap(),
            listing: None,
            arrived_at: Seoul.with_ymd_and_hms(2026, 9, 22, 14, 6, 11).unwrap(),
            session: Phase::Regular,
            basis,
        };
        read(&records[0], context)
    }

    #[test]
    fn a_trade_that_cannot_be_is_refused_with_its_reason() {
        let basis = |base, limits| Some(Basis { base, limits });
        for (fields, basis, words) in [
            (
                &[(3, "1")][..],
                None,
                "price 1 is not between low 276500 and high 283500",
            ),
            (
                &[(3, "9223372036854775807")],
                None,
                "price 9223372036854775807 is not a valid price",
            ),
            (
                &[(9, "277000")],
                None,
                "price 277750 is not between low 276500 and high 277000",
            ),
            (&[(9, "276000")], None, "high 276000 is below low 276500"),
            (
                &[(5, "9223372036854775807")],
                None,
                "change 9223372036854775807 does not fit price 277750",
            ),
            (
                &[(14, "9223372036854775807")],
                None,
                "volume 9223372036854775807 is more than can be traded",
            ),
            (&[(15, "1")], None, "value 1 does not fit 11955000 shares"),
            // All of it fits, except for base price or limits reported by the price call.
            (
                &[],
                basis(300_000, None),
                "base price 274000 was 300000 before",
            ),
            (
                &[
                    (3, "1"),
                    (5, "-273999"),
                    (8, ""),
                    (9, ""),
                    (10, ""),
                    (14, ""),
                    (4, "5"),
                    (6, "-99.99"),
                ],
                basis(274_000, Some((192_000, 356_000))),
                "change -273999 does not fit price 1",
            ),
            (
                &[
                    (3, "150000"),
                    (5, "-124000"),
                    (8, ""),
                    (9, ""),
                    (10, ""),
                    (14, ""),
                    (4, "5"),
                    (6, "-45.26"),
                ],
                basis(274_000, Some((192_000, 356_000))),
                "price 150000 is outside the limits 192000 to 356000",
            ),
        ] {
            let Err(NoPrice::Implausible(refused)) = other(fields, basis) else {
                panic!("{fields:?}");
            };
            assert_eq!(refused.to_string(), words.to_owned(), "{fields:?}");
        }
        assert!(other(&[], basis(274_000, Some((192_000, 356_000)))).is_ok());
    }

    #[test]
    fn a_change_without_its_sign_does_not_turn_the_base_price() {
        let basis = |base| Some(Basis { base, limits: None });
        for (change, rate, basis) in [
            ("-3750", "-1.33", None),
            ("3750", "-1.33", None),
            ("3750", "1.33", None),
            ("3750", "", None),
            ("3750", "", basis(281_500)),
            ("3750", "1.33", basis(281_500)),
        ] {
            let (quote, contradicted) = other(&[(4, "5"), (5, change), (6, rate)], basis).unwrap();
            assert_eq!(
                (quote.base_price, quote.change),
                (Some(281_500), Some(-3_750))
            );
            assert_eq!(quote.change_rate, Some(-1.33));
            assert_eq!(
                contradicted.is_empty(),
                change == "-3750",
                "{change} {rate}"
            );
        }
        // The sign is wrong if rate and base price say so.
        for basis in [None, basis(274_000)] {
            let (quote, _) = other(&[(4, "5")], basis).unwrap();
            assert_eq!(
                (quote.base_price, quote.change),
                (Some(274_000), Some(3_750))
            );
        }
    }

    #[test]
    fn a_trade_at_a_limit_says_so() {
        use sise_domain::PriceLimit;
        let at = |price, change, sign| {
            let fields = [
                (3, price),
                (5, change),
                (4, sign),
                (6, ""),
                (8, ""),
                (9, ""),
                (10, ""),
            ];
            other(&fields, None).unwrap().0.limit
        };
        // 30 percent from 274,000, truncated to the tick.
        assert_eq!(at("356000", "82000", "1"), Some(PriceLimit::Upper));
        assert_eq!(at("192000", "-82000", "4"), Some(PriceLimit::Lower));
        assert_eq!(at("355500", "81500", "1"), None);
        assert_eq!(at("356000", "82000", "2"), None);
    }
}
