//! Trades of the live feed as quotes (contract 5.5).

use super::admission::{NoTrade, traded_at};
use super::frame::Record;
use crate::domain::{KrxTime, Listing, Phase, Quote, Status, Symbol};
use crate::kis::wire::{parse_whole, percentage};

/// What a conversion needs beside the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The code, as it was subscribed to.
    pub(super) symbol: Symbol,
    pub(super) listing: Option<&'a Listing>,
    /// When the frame arrived.
    pub(super) arrived_at: KrxTime,
    pub(super) session: Phase,
}

/// The quote in a record, where it is a trade of this moment.
pub(super) fn quote(record: &Record<'_>, context: Context<'_>) -> Result<Quote, NoTrade> {
    let whole = |number| parse_whole(record.field(number));
    let positive = |number| whole(number).filter(|amount| *amount > 0);
    let amount = |number| whole(number).filter(|amount| *amount >= 0);
    let timestamp = traded_at(record, context.arrived_at)?;
    let price = positive(3).ok_or(NoTrade::NoPrice)?;
    let change = whole(5);
    let quote = Quote {
        stock_code: context.symbol,
        stock_name: context
            .listing
            .map(|listing| listing.name.clone())
            .unwrap_or_default(),
        price,
        change,
        change_rate: record.field(6).parse().ok().and_then(percentage),
        volume: amount(14),
        timestamp,
        market: context.listing.map(|listing| listing.market),
        open: positive(8),
        high: positive(9),
        low: positive(10),
        base_price: change
            .and_then(|change| price.checked_sub(change))
            .filter(|base| *base > 0),
        value: amount(15),
        venue: "KRX".into(),
        session: context.session,
        status: match record.field(36) {
            "Y" => Status::Halted,
            _ => Status::Trading,
        },
        limit: None,
        source: Quote::LIVE_FEED.into(),
        simulated: false,
        fetched_at: context.arrived_at,
    };
    Ok(quote.as_stored())
}

#[cfg(test)]
mod tests {
    use super::super::frame::Frame;
    use super::*;
    use crate::domain::{Group, Market, Seoul};
    use chrono::{NaiveDateTime, TimeDelta, TimeZone as _};

    const FRAMES: &str = include_str!("../../../tests/fixtures/kis/H0STCNT0-frames.txt");
    const OFFICIAL: &str = include_str!("../../../tests/fixtures/kis/official-frame-H0STCNT0.txt");
    const OTHERS: [&str; 2] = [
        include_str!("../../../tests/fixtures/kis/H0STASP0-frames.txt"),
        include_str!("../../../tests/fixtures/kis/official-frame-H0UPCNT0.txt"),
    ];

    /// The quotes of a frame that arrived a second after its last trade, on the day of it.
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
            };
            quote(record, context).ok()
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
        let spoilt = line
            .replacen("140610", "256199", 1)
            .replacen("^3750^1.37", "^^x", 1)
            .replacen("^11955000^", "^-1^", 1)
            .replacen("^20^N^", "^20^Y^", 1);
        let quote = quotes(&spoilt).remove(0);
        assert_eq!(quote.timestamp.to_string(), "2026-09-22 14:06:11");
        assert_eq!((quote.change, quote.change_rate), (None, None));
        assert_eq!((quote.volume, quote.base_price), (None, None));
        assert_eq!(quote.status, Status::Halted);
    }
}
