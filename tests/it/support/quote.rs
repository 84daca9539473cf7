//! A price object to change as a test needs it.

use sise::domain::{KrxTime, Phase, Status};
use sise::{Quote, Symbol};

/// A quote of which no more than the price is known.
pub(crate) fn quote(code: &str, price: i64, fetched_at: KrxTime) -> Quote {
    let stock_code: Symbol = code.parse().unwrap();
    Quote {
        stock_code,
        stock_name: "회사".into(),
        price,
        change: None,
        change_rate: None,
        volume: None,
        timestamp: fetched_at.naive_local(),
        market: None,
        open: None,
        high: None,
        low: None,
        base_price: None,
        value: None,
        venue: "KRX".into(),
        session: Phase::Regular,
        status: Status::Trading,
        limit: None,
        source: "kis.multi".into(),
        simulated: false,
        fetched_at,
    }
}
