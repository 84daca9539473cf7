//! The quotation calls that are simulated.

use super::answer::{Answer, Refusal};
use super::faults::Dice;
use super::market::Market;
use super::query::Query;
use super::stock::{Figures, Stock};
use super::{chart, daily, flags, holiday, index_chart, index_price, info, multi, price, rank};
use sise_domain::KrxTime;

/// A quotation call (contract chapter 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Price,
    Flags,
    Multi,
    Chart,
    Daily,
    IndexPrice,
    IndexChart,
    Holiday,
    StockInfo,
    ProductInfo,
    VolumeRank,
    CapitalRank,
}

/// The inputs of an answer besides the query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) market: &'a Market,
    pub(super) dice: &'a Dice,
    pub(super) now: KrxTime,
    /// Whether the header `tr_cont` asks for the next page.
    pub(super) next_page: bool,
}

impl Endpoint {
    /// Returns the call at `quotations/{name}`; those at `ranking` are named with `ranking/` in
    /// front.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "inquire-price" => Self::Price,
            "inquire-price-2" => Self::Flags,
            "intstock-multprice" => Self::Multi,
            "inquire-daily-itemchartprice" => Self::Chart,
            "inquire-daily-price" => Self::Daily,
            "inquire-index-price" => Self::IndexPrice,
            "inquire-daily-indexchartprice" => Self::IndexChart,
            "chk-holiday" => Self::Holiday,
            "search-stock-info" => Self::StockInfo,
            "search-info" => Self::ProductInfo,
            "volume-rank" => Self::VolumeRank,
            "ranking/market-cap" => Self::CapitalRank,
            _ => return None,
        })
    }

    /// Returns the transaction id, which is the same for paper trading.
    pub(super) fn transaction(self) -> &'static str {
        match self {
            Self::Price => "FHKST01010100",
            Self::Flags => "FHPST01010000",
            Self::Multi => "FHKST11300006",
            Self::Chart => "FHKST03010100",
            Self::Daily => "FHKST01010400",
            Self::IndexPrice => "FHPUP02100000",
            Self::IndexChart => "FHKUP03500100",
            Self::Holiday => "CTCA0903R",
            Self::StockInfo => "CTPF1002R",
            Self::ProductInfo => "CTPF1604R",
            Self::VolumeRank => "FHPST01710000",
            Self::CapitalRank => "FHPST01740000",
        }
    }

    /// Whether paper trading supports the call (contract 1.2).
    pub(super) fn is_on_paper(self) -> bool {
        matches!(
            self,
            Self::Price | Self::Chart | Self::Daily | Self::IndexChart
        )
    }

    pub(super) fn answer(self, call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
        match self {
            Self::Price => price::answer(call, query),
            Self::Flags => flags::answer(call, query),
            Self::Multi => multi::answer(call, query),
            Self::Chart => chart::answer(call, query),
            Self::Daily => daily::answer(call, query),
            Self::IndexPrice => index_price::answer(call, query),
            Self::IndexChart => index_chart::answer(call, query),
            Self::Holiday => holiday::answer(call, query),
            Self::StockInfo => info::stock(call, query),
            Self::ProductInfo => info::product(call, query),
            Self::VolumeRank => rank::volume(call, query),
            Self::CapitalRank => rank::capital(call, query),
        }
    }
}

/// Returns a stock other than the one asked for, and its figures.
pub(super) fn another<'a>(call: Call<'a>, asked: &Stock) -> Option<(&'a Stock, Figures)> {
    let stocks = call.market.stocks().len();
    let place = call.market.place(asked.code.as_str())?;
    let place = (place + 1 + call.dice.below(stocks.saturating_sub(1))) % stocks;
    Some((call.market.stock(place)?, call.market.figures(place)?))
}

/// Returns the place of the stock that a call asks for, or `None` if its code is unknown.
pub(super) fn place(market: &Market, query: &Query<'_>) -> Result<Option<usize>, Refusal> {
    match query.get("FID_COND_MRKT_DIV_CODE")? {
        // The other venue is not simulated separately: its prices are those of the exchange.
        "J" | "NX" | "UN" => Ok(market.place(query.get("FID_INPUT_ISCD")?)),
        // Warrants: the division exists, but no code in it is known.
        "W" => query.get("FID_INPUT_ISCD").map(|_| None),
        _ => Err(Refusal::WRONG_DIVISION),
    }
}
