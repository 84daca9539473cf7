//! Payloads of the broker and their conversion into quotes (contract 1.5, 4.0, 4.1, 4.3).
//!
//! Every field is optional, and no field affects another: one that is missing, blank or of the
//! wrong type counts as absent.

mod body;
mod index;
mod match_phase;
mod mend;
mod row;
mod settle;
mod text;

use super::bases::Basis;
use super::refusal::Refusal;
pub(super) use body::Body;
#[cfg(feature = "feed")]
pub(super) use match_phase::SessionCode;
pub(super) use match_phase::shows_last_trades;
pub(super) use row::row;
pub(super) use settle::{Contradicted, Known, Told};
use sise_domain::{KrxTime, Listing, Market, Phase, Quote, Status, Symbol};
pub(super) use text::Text;
pub(super) use text::{parse_whole, percentage};

row! {
    /// One row of `intstock-multprice` (contract 4.3).
    MultiRow {
        hour_cls_code,
        mrkt_trtm_cls_name,
        kospi_kosdaq_cls_name,
        inter_shrn_iscd,
        inter_kor_isnm,
        inter2_prpr,
        inter2_prdy_vrss,
        prdy_vrss_sign,
        prdy_ctrt,
        acml_vol,
        inter2_oprc,
        inter2_hgpr,
        inter2_lwpr,
        inter2_llam,
        inter2_mxpr,
        acml_tr_pbmn,
        intr_antc_cntg_vrss,
        intr_antc_vol,
        inter2_sdpr,
        inter2_prdy_clpr,
    }
}

row! {
    /// The body of `inquire-price` (contract 4.1).
    SingleRow {
        iscd_stat_cls_code,
        rprs_mrkt_kor_name,
        temp_stop_yn,
        sltr_yn,
        stck_shrn_iscd,
        stck_prpr,
        prdy_vrss,
        prdy_vrss_sign,
        prdy_ctrt,
        acml_vol,
        acml_tr_pbmn,
        stck_oprc,
        stck_hgpr,
        stck_lwpr,
        stck_llam,
        stck_mxpr,
        stck_sdpr,
    }
}

/// The exchange's term for the last trading days of a stock before delisting.
const LIQUIDATION: &str = "정리매매";

/// Input of a conversion besides the row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) symbol: Symbol,
    pub(super) listing: Option<&'a Listing>,
    /// When the broker was asked.
    pub(super) asked_at: KrxTime,
    pub(super) session: Phase,
    /// Base price and limits from earlier answers of the day.
    pub(super) basis: Option<Basis>,
}

/// A quote, and further results of reading its row.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) quote: Quote,
    /// Base price and limits in the row itself.
    pub(super) basis: Option<Basis>,
    /// Values of the row that contradict the quote.
    pub(super) contradicted: Vec<Contradicted>,
}

/// Reason why a row yields no quote.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoQuote {
    /// Nothing in the row describes a stock (contract 4.0.7).
    Unknown,
    /// There is a stock, but no price.
    Refused(Refusal),
    /// The price may be that of an expected match.
    Expected,
}

/// The fields that both price calls share, under one name each.
struct Fields<'a> {
    name: &'a str,
    /// Name of the market in the row.
    market: &'a str,
    price: &'a Text<'a>,
    change: &'a Text<'a>,
    sign: &'a Text<'a>,
    change_rate: &'a Text<'a>,
    volume: &'a Text<'a>,
    value: &'a Text<'a>,
    open: &'a Text<'a>,
    high: &'a Text<'a>,
    low: &'a Text<'a>,
    base_price: Option<i64>,
    lower: &'a Text<'a>,
    upper: &'a Text<'a>,
    in_liquidation: bool,
    /// Whether the row itself reports a halt.
    halted: Option<bool>,
    source: &'static str,
}

impl MultiRow<'_> {
    pub(super) fn read(&self, context: Context<'_>) -> Result<Read, NoQuote> {
        read(
            &Fields {
                name: self.inter_kor_isnm.readable(),
                market: self.kospi_kosdaq_cls_name.as_str(),
                price: &self.inter2_prpr,
                change: &self.inter2_prdy_vrss,
                sign: &self.prdy_vrss_sign,
                change_rate: &self.prdy_ctrt,
                volume: &self.acml_vol,
                value: &self.acml_tr_pbmn,
                open: &self.inter2_oprc,
                high: &self.inter2_hgpr,
                low: &self.inter2_lwpr,
                base_price: self.inter2_sdpr.positive(),
                lower: &self.inter2_llam,
                upper: &self.inter2_mxpr,
                in_liquidation: self.mrkt_trtm_cls_name.as_str().contains(LIQUIDATION),
                halted: None,
                source: Quote::MULTI_PRICE,
            },
            context,
        )
    }
}

impl MultiRow<'_> {
    /// Returns whether both rows have the same price and figures.
    pub(super) fn tells_the_same(&self, other: &Self) -> bool {
        let figures = |row: &Self| {
            [
                row.inter2_prpr.whole(),
                row.inter2_sdpr.whole(),
                row.acml_vol.whole(),
                row.inter2_hgpr.whole(),
                row.inter2_lwpr.whole(),
            ]
        };
        figures(self) == figures(other)
    }
}

impl SingleRow<'_> {
    /// Reads the quote, unless the row names another code than the requested one.
    pub(super) fn read_of(&self, context: Context<'_>) -> Result<Read, NoQuote> {
        let named = self.stck_shrn_iscd.as_str();
        if !may_name(named, context.symbol) {
            return Err(NoQuote::Refused(Refusal::OtherCode(shown(named, ""))));
        }
        self.read(context)
    }

    pub(super) fn read(&self, context: Context<'_>) -> Result<Read, NoQuote> {
        let halted = self.iscd_stat_cls_code.as_str() == "58" || self.temp_stop_yn.as_str() == "Y";
        read(
            &Fields {
                name: "",
                market: self.rprs_mrkt_kor_name.as_str(),
                price: &self.stck_prpr,
                change: &self.prdy_vrss,
                sign: &self.prdy_vrss_sign,
                change_rate: &self.prdy_ctrt,
                volume: &self.acml_vol,
                value: &self.acml_tr_pbmn,
                open: &self.stck_oprc,
                high: &self.stck_hgpr,
                low: &self.stck_lwpr,
                base_price: self.stck_sdpr.positive(),
                lower: &self.stck_llam,
                upper: &self.stck_mxpr,
                in_liquidation: self.sltr_yn.as_str() == "Y",
                halted: halted.then_some(true),
                source: Quote::SINGLE_PRICE,
            },
            context,
        )
    }
}

/// Returns whether `named` is the requested code.
///
/// Notes may be named without the `Q` with which they are requested.
pub(super) fn names(named: &str, asked: Symbol) -> bool {
    let asked = asked.as_str();
    named == asked || Some(named) == asked.strip_prefix('Q')
}

/// Returns whether the row of a code requested alone may belong to it.
///
/// The name may be blank, or lack its leading zeros. Of a damaged name, the readable beginning and
/// end count.
fn may_name(named: &str, asked: Symbol) -> bool {
    let damage = char::REPLACEMENT_CHARACTER;
    match (named.split_once(damage), named.rsplit_once(damage)) {
        (Some((beginning, _)), Some((_, end))) => {
            let asked = asked.as_str();
            beginning.len() + end.len() < asked.len()
                && asked.starts_with(beginning)
                && asked.ends_with(end)
        }
        _ => named.is_empty() || names(&format!("{named:0>6}"), asked),
    }
}

/// Returns a text of the broker in `quotes`, or only its length if it is not safe to show.
fn shown(text: &str, quotes: &str) -> String {
    let is_short = text.len() <= 20 && !text.contains(char::is_control);
    if is_short {
        format!("{quotes}{text}{quotes}")
    } else {
        format!("a text of {} bytes", text.len())
    }
}

fn read(fields: &Fields<'_>, context: Context<'_>) -> Result<Read, NoQuote> {
    let Some(price) = fields.price.positive() else {
        return Err(no_quote(fields));
    };
    let volume = fields.volume.whole().filter(|volume| *volume >= 0);
    let value = fields.value.whole().filter(|value| *value >= 0);
    let (open, high, low) = (
        fields.open.positive(),
        fields.high.positive(),
        fields.low.positive(),
    );
    let told = Told {
        price,
        base: fields.base_price,
        change: fields.change.whole(),
        sign: fields.sign.as_str(),
        rate: fields.change_rate.percent(),
        open,
        high,
        low,
        volume,
        value,
        limits: fields.lower.positive().zip(fields.upper.positive()),
        in_liquidation: fields.in_liquidation,
    };
    let settled = told.settle(&Known {
        listing: context.listing,
        basis: context.basis,
        at: context.asked_at,
        session: context.session,
    });
    let settled = settled.map_err(|why| NoQuote::Refused(why.into()))?;
    // Neither volume nor open means not traded today (contract 4.0.8, 4.0.9). If the answer lacks
    // both fields, that is not known.
    let has_traded = match (volume, open) {
        (Some(1..), _) | (_, Some(_)) => Some(true),
        (Some(_), None) => Some(false),
        (None, None) => None,
    };
    let listed_halted = context.listing.and_then(|listing| listing.halted);
    let status = match (fields.halted, listed_halted, has_traded) {
        (Some(true), _, _) => Status::Halted,
        (_, _, Some(true)) => Status::Trading,
        (_, Some(true), _) | (_, None, Some(false)) => Status::Halted,
        (_, Some(false), Some(false)) => Status::Untraded,
        (_, _, None) => Status::Trading,
    };
    let name = match (fields.name, context.listing) {
        ("", Some(listing)) => listing.name.clone(),
        (name, _) => name.to_owned(),
    };
    let quote = Quote {
        stock_code: context.symbol,
        stock_name: name.into(),
        price,
        change: settled.change,
        change_rate: settled.rate,
        volume,
        timestamp: context.asked_at.naive_local(),
        market: match context.listing {
            Some(listing) => Some(listing.market),
            None => market_called(fields.market),
        },
        open,
        high,
        low,
        base_price: settled.base,
        value,
        venue: "KRX".into(),
        session: context.session,
        status,
        limit: settled.limit,
        source: fields.source.into(),
        simulated: false,
        fetched_at: context.asked_at,
    };
    Ok(Read {
        quote: quote.as_stored(),
        basis: fields.base_price.map(|base| Basis {
            base,
            limits: settled.limits,
        }),
        contradicted: settled.contradicted,
    })
}

/// Returns the market by its name in the row, for a code that is not in the universe.
///
/// The broker has several names for each market (contract 4.1, 4.3).
fn market_called(name: &str) -> Option<Market> {
    match name {
        "KOSPI" | "코스피" | "거래소" | "유가증권" | "KOSPI200" => Some(Market::Kospi),
        "KOSDAQ" | "코스닥" | "KOSDAQ150" | "KSQ150" => Some(Market::Kosdaq),
        _ => None,
    }
}

fn no_quote(fields: &Fields<'_>) -> NoQuote {
    let text = fields.price.as_str();
    let refused = |what| NoQuote::Refused(Refusal::NoPrice(what));
    let nothing = |text: &Text<'_>| text.positive().is_none();
    let of_no_stock = fields.base_price.is_none() && nothing(fields.volume) && nothing(fields.high);
    match text {
        "" | "0" if of_no_stock => NoQuote::Unknown,
        "" => refused("blank price".to_owned()),
        _ if parse_whole(text) == Some(0) => refused("zero price".to_owned()),
        _ => refused(format!("unparsable price {}", shown(text, "'"))),
    }
}

#[cfg(any(test, feature = "testing"))]
pub(super) mod oracle;
#[cfg(test)]
mod tests;
