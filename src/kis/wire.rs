//! The broker's payloads and their conversion into quotes (contract 1.5, 4.0, 4.1, 4.3).
//!
//! Every field is optional and no field spoils another: what is missing, blank or of the wrong
//! type is absent.

mod body;
mod index;
mod match_phase;
mod row;
mod text;

use crate::domain::{KrxTime, Listing, Market, Phase, Quote, Status, Symbol};
pub(super) use body::rows;
pub(super) use match_phase::{is_expected_match, shows_last_trades};
pub(super) use row::row;
pub(super) use text::Text;
pub(super) use text::{parse_whole, percentage};

row! {
    /// One row of `intstock-multprice` (contract 4.3).
    MultiRow {
        hour_cls_code,
        kospi_kosdaq_cls_name,
        inter_shrn_iscd,
        inter_kor_isnm,
        inter2_prpr,
        inter2_prdy_vrss,
        prdy_ctrt,
        acml_vol,
        inter2_oprc,
        inter2_hgpr,
        inter2_lwpr,
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
        stck_prpr,
        prdy_vrss,
        prdy_ctrt,
        acml_vol,
        acml_tr_pbmn,
        stck_oprc,
        stck_hgpr,
        stck_lwpr,
        stck_sdpr,
    }
}

/// What a conversion needs beside the row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) symbol: Symbol,
    pub(super) listing: Option<&'a Listing>,
    /// When the broker was asked.
    pub(super) asked_at: KrxTime,
    pub(super) session: Phase,
}

/// Why a row gives no quote.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoQuote {
    /// Nothing in the row speaks of a stock (contract 4.0.7).
    Unknown,
    /// There is a stock, but no price.
    Refused(String),
    /// The price may be that of a match that is only expected.
    Expected,
}

/// The fields that both price calls share, under one name each.
struct Fields<'a> {
    name: &'a str,
    /// What the row calls the market.
    market: &'a str,
    price: &'a Text<'a>,
    change: &'a Text<'a>,
    change_rate: &'a Text<'a>,
    volume: &'a Text<'a>,
    value: &'a Text<'a>,
    open: &'a Text<'a>,
    high: &'a Text<'a>,
    low: &'a Text<'a>,
    base_price: Option<i64>,
    /// What the row itself says of a halt.
    halted: Option<bool>,
    source: &'static str,
}

impl MultiRow<'_> {
    pub(super) fn quote(&self, context: Context<'_>) -> Result<Quote, NoQuote> {
        quote(
            &Fields {
                name: self.inter_kor_isnm.as_str(),
                market: self.kospi_kosdaq_cls_name.as_str(),
                price: &self.inter2_prpr,
                change: &self.inter2_prdy_vrss,
                change_rate: &self.prdy_ctrt,
                volume: &self.acml_vol,
                value: &self.acml_tr_pbmn,
                open: &self.inter2_oprc,
                high: &self.inter2_hgpr,
                low: &self.inter2_lwpr,
                base_price: self.inter2_sdpr.positive(),
                halted: None,
                source: Quote::MULTI_PRICE,
            },
            context,
        )
    }
}

impl SingleRow<'_> {
    pub(super) fn quote(&self, context: Context<'_>) -> Result<Quote, NoQuote> {
        let halted = self.iscd_stat_cls_code.as_str() == "58" || self.temp_stop_yn.as_str() == "Y";
        quote(
            &Fields {
                name: "",
                market: self.rprs_mrkt_kor_name.as_str(),
                price: &self.stck_prpr,
                change: &self.prdy_vrss,
                change_rate: &self.prdy_ctrt,
                volume: &self.acml_vol,
                value: &self.acml_tr_pbmn,
                open: &self.stck_oprc,
                high: &self.stck_hgpr,
                low: &self.stck_lwpr,
                base_price: self.stck_sdpr.positive(),
                halted: halted.then_some(true),
                source: Quote::SINGLE_PRICE,
            },
            context,
        )
    }
}

fn quote(fields: &Fields<'_>, context: Context<'_>) -> Result<Quote, NoQuote> {
    let Some(price) = fields.price.positive() else {
        return Err(no_quote(fields));
    };
    let volume = fields.volume.whole().filter(|volume| *volume >= 0);
    let open = fields.open.positive();
    let change = fields
        .change
        .whole()
        .or_else(|| fields.base_price.map(|base| price - base));
    let change_rate = fields.change_rate.percent().or_else(|| {
        let (base, change) = (fields.base_price?, change?);
        #[expect(clippy::cast_precision_loss, reason = "won prices are far below 2^52")]
        percentage(change as f64 / base as f64 * 100.0)
    });
    // Neither volume nor open: not traded today (contract 4.0.8, 4.0.9). Where the answer lacks
    // both, that is not known.
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
    Ok(Quote {
        stock_code: context.symbol,
        stock_name: name,
        price,
        change,
        change_rate,
        volume,
        timestamp: context.asked_at.naive_local(),
        market: match context.listing {
            Some(listing) => Some(listing.market),
            None => market_called(fields.market),
        },
        open,
        high: fields.high.positive(),
        low: fields.low.positive(),
        base_price: fields.base_price,
        value: fields.value.whole().filter(|value| *value >= 0),
        venue: "KRX".into(),
        session: context.session,
        status,
        limit: None,
        source: fields.source.into(),
        simulated: false,
        fetched_at: context.asked_at,
    }
    .as_stored())
}

/// The market of a code that is not in the list, where the row calls it by a name that is known: the
/// broker has several for each (contract 4.1, 4.3).
fn market_called(name: &str) -> Option<Market> {
    match name {
        "KOSPI" | "코스피" | "거래소" | "유가증권" | "KOSPI200" => Some(Market::Kospi),
        "KOSDAQ" | "코스닥" | "KOSDAQ150" | "KSQ150" => Some(Market::Kosdaq),
        _ => None,
    }
}

fn no_quote(fields: &Fields<'_>) -> NoQuote {
    let text = fields.price.as_str();
    let nothing = |text: &Text<'_>| text.positive().is_none();
    let of_no_stock = fields.base_price.is_none() && nothing(fields.volume) && nothing(fields.high);
    match text {
        "" | "0" if of_no_stock => NoQuote::Unknown,
        "" => NoQuote::Refused("blank price".to_owned()),
        _ if parse_whole(text) == Some(0) => NoQuote::Refused("zero price".to_owned()),
        _ => {
            // A long text may be anything, and nothing that should be shown.
            let is_short = text.len() <= 20 && !text.contains(char::is_control);
            NoQuote::Refused(if is_short {
                format!("unparsable price '{text}'")
            } else {
                format!("unparsable price, a text of {} bytes", text.len())
            })
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(super) mod oracle;
#[cfg(test)]
mod tests;
