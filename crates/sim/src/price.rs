//! `inquire-price`: all figures of one stock (contract 4.1, 8.4).

use chrono::{Days, NaiveDate};

use super::answer::{Answer, Refusal};
use super::body::Row;
use super::endpoint::{Call, another, place};
use super::query::Query;
use super::stock::{Figures, Stock, hundredths};
use sise_domain::{Market, tick_size};

/// The unit of capitalisation and capital, in won.
pub(super) const EOK: i64 = 100_000_000;

/// Par value in won. It is not in the stock list; most companies have this one.
pub(super) const PAR: i64 = 500;

pub(super) fn answer(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    let place = place(call.market, query)?;
    let Some(stock) = place.and_then(|place| call.market.stock(place)) else {
        return Ok(Answer::new(empty(None)));
    };
    let Some(now) = place.and_then(|place| call.market.figures(place)) else {
        return Ok(Answer::new(empty(Some(stock))));
    };
    let is_misnamed = call.dice.strikes(call.dice.faults().misnamed);
    let other = is_misnamed.then(|| another(call, stock)).flatten();
    let (stock, now) = other.unwrap_or((stock, now));
    let alteration = call.dice.alteration();
    let (price, is_wrong) = call.dice.price(now.price);
    let faulty = is_wrong || other.is_some() || alteration.is_any();
    let mut payload = String::with_capacity(3_600);
    payload.push_str("\"output\":");
    let mut row = Row::altered(&mut payload, alteration);
    state(&mut row, stock);
    trading(&mut row, stock, &now, price);
    figures(&mut row, stock, &now);
    extremes(&mut row, &now, call.market.day(call.now));
    warnings(&mut row, stock, &now);
    row.end();
    Ok(Answer {
        faulty,
        ..Answer::new(payload)
    })
}

/// Returns the answer for an unknown code, or for a stock without a price.
///
/// Contract 8.15: only the price of "0" is certain. A stock without a price also has its code,
/// market and last close.
fn empty(stock: Option<&Stock>) -> String {
    let mut payload = String::from("\"output\":");
    let mut row = Row::new(&mut payload);
    row.texts(&[
        ("iscd_stat_cls_code", "00"),
        ("rprs_mrkt_kor_name", stock.map_or("", represented_by)),
        ("bstp_kor_isnm", ""),
        ("stck_prpr", "0"),
        ("prdy_vrss", "0"),
        ("prdy_vrss_sign", "3"),
        ("prdy_ctrt", "0.00"),
        ("acml_tr_pbmn", "0"),
        ("acml_vol", "0"),
        ("stck_oprc", "0"),
        ("stck_hgpr", "0"),
        ("stck_lwpr", "0"),
        ("stck_mxpr", "0"),
        ("stck_llam", "0"),
    ])
    .number("stck_sdpr", stock.map_or(0, |stock| stock.base))
    .texts(&[
        ("lstn_stcn", "0"),
        ("hts_avls", "0"),
        (
            "stck_shrn_iscd",
            stock.map_or("", |stock| stock.code.as_str()),
        ),
    ]);
    row.end();
    payload
}

fn state(row: &mut Row<'_>, stock: &Stock) {
    row.text("iscd_stat_cls_code", if stock.halted { "58" } else { "55" })
        .text("marg_rate", "40.00")
        .text("rprs_mrkt_kor_name", represented_by(stock))
        .text(
            "bstp_kor_isnm",
            stock.sector.map_or("", |sector| sector.name),
        )
        .flag("temp_stop_yn", stock.halted)
        .texts(&[
            ("oprc_rang_cont_yn", "N"),
            ("clpr_rang_cont_yn", "N"),
            ("crdt_able_yn", "Y"),
            ("grmn_rate_cls_code", "40"),
        ])
        .flag("elw_pblc_yn", stock.large);
}

/// Returns the index or market that the stock is part of.
pub(super) fn represented_by(stock: &Stock) -> &'static str {
    match stock.market {
        Market::Kospi if stock.large => "KOSPI200",
        Market::Kospi => "KOSPI",
        Market::Kosdaq => "KOSDAQ",
    }
}

fn trading(row: &mut Row<'_>, stock: &Stock, now: &Figures, price: i64) {
    let (lower, upper) = now.limits();
    row.number("stck_prpr", price)
        .number("prdy_vrss", now.change())
        .text("prdy_vrss_sign", now.sign())
        .decimal("prdy_ctrt", now.rate)
        .number("acml_tr_pbmn", now.value)
        .number("acml_vol", now.volume)
        .decimal(
            "prdy_vrss_vol_rate",
            hundredths(now.volume, stock.previous_volume),
        )
        .number("stck_oprc", now.open)
        .number("stck_hgpr", now.high)
        .number("stck_lwpr", now.low)
        .number("stck_mxpr", upper)
        .number("stck_llam", lower)
        .number("stck_sdpr", now.base)
        .decimal(
            "wghn_avrg_stck_prc",
            hundredths(now.value, now.volume) / 100,
        )
        .texts(&[("hts_frgn_ehrt", "12.34")])
        .number("frgn_ntby_qty", -now.volume / 50)
        .number("pgtr_ntby_qty", now.volume / 70);
}

fn figures(row: &mut Row<'_>, stock: &Stock, now: &Figures) {
    let (_, upper) = now.limits();
    let tick = tick_size(now.base);
    let capital = stock.shares.saturating_mul(PAR) / EOK;
    let ratios = Ratios::of(now);
    row.number("pvt_scnd_dmrs_prc", now.base + 4 * tick)
        .number("pvt_frst_dmrs_prc", now.base + 2 * tick)
        .number("pvt_pont_val", now.base)
        .number("pvt_frst_dmsp_prc", now.base - 2 * tick)
        .number("pvt_scnd_dmsp_prc", now.base - 4 * tick)
        .number("dmrs_val", now.base + 3 * tick)
        .number("dmsp_val", now.base - 3 * tick)
        .number("cpfn", capital)
        .number("rstc_wdth_prc", (upper - now.base).max(0))
        .number("stck_fcam", PAR)
        .number("stck_sspr", now.base * 78 / 100 / 10 * 10)
        .number("aspr_unit", tick_size(now.price))
        .text("hts_deal_qty_unit_val", "1")
        .number("lstn_stcn", stock.shares)
        .number("hts_avls", capitalisation(stock, now))
        .decimal("per", ratios.per)
        .decimal("pbr", ratios.pbr)
        .text("stac_month", "12")
        .decimal("vol_tnrt", hundredths(now.volume, stock.shares))
        .decimal("eps", ratios.eps)
        .decimal("bps", ratios.bps);
}

/// Returns price times shares, in units of 100 million won.
pub(super) fn capitalisation(stock: &Stock, now: &Figures) -> i64 {
    now.price.saturating_mul(stock.shares) / EOK
}

/// Made-up ratios, in hundredths.
///
/// The company earns a twelfth of its base price per share, and its book value is the base price.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ratios {
    pub(super) per: i64,
    pub(super) pbr: i64,
    pub(super) eps: i64,
    bps: i64,
}

impl Ratios {
    pub(super) fn of(now: &Figures) -> Self {
        let earned = (now.base / 12).max(1);
        Self {
            per: hundredths(now.price, earned) / 100,
            pbr: hundredths(now.price, now.base) / 100,
            eps: earned * 100,
            bps: now.base * 100,
        }
    }
}

/// Writes highs and lows of longer periods. The made-up past never leaves the limits of today.
fn extremes(row: &mut Row<'_>, now: &Figures, day: NaiveDate) {
    let (low, high) = now.limits();
    let ago = |days| {
        let date = day.checked_sub_days(Days::new(days)).unwrap_or(day);
        date.format("%Y%m%d").to_string()
    };
    let (high_date, low_date) = (ago(40), ago(200));
    let from_high = hundredths(now.price - high, high);
    let from_low = hundredths(now.price - low, low);
    row.number("d250_hgpr", high)
        .text("d250_hgpr_date", &high_date)
        .decimal("d250_hgpr_vrss_prpr_rate", from_high)
        .number("d250_lwpr", low)
        .text("d250_lwpr_date", &low_date)
        .decimal("d250_lwpr_vrss_prpr_rate", from_low)
        .number("stck_dryy_hgpr", high)
        .decimal("dryy_hgpr_vrss_prpr_rate", from_high)
        .text("dryy_hgpr_date", &high_date)
        .number("stck_dryy_lwpr", low)
        .decimal("dryy_lwpr_vrss_prpr_rate", from_low)
        .text("dryy_lwpr_date", &low_date)
        .number("w52_hgpr", high)
        .decimal("w52_hgpr_vrss_prpr_ctrt", from_high)
        .text("w52_hgpr_date", &high_date)
        .number("w52_lwpr", low)
        .decimal("w52_lwpr_vrss_prpr_ctrt", from_low)
        .text("w52_lwpr_date", &low_date);
}

fn warnings(row: &mut Row<'_>, stock: &Stock, now: &Figures) {
    let capital = stock.shares.saturating_mul(PAR) / EOK;
    row.texts(&[("whol_loan_rmnd_rate", "0.28"), ("ssts_yn", "Y")])
        .text("stck_shrn_iscd", stock.code.as_str())
        .number("fcam_cnnm", PAR)
        .text("cpfn_cnnm", &format!("{} 억", with_commas(capital)))
        .number("frgn_hldn_qty", stock.shares / 8)
        .texts(&[
            ("vi_cls_code", "N"),
            ("ovtm_vi_cls_code", "N"),
            ("last_ssts_cntg_qty", "0"),
            ("invt_caful_yn", "N"),
            ("mrkt_warn_cls_code", "00"),
            ("short_over_yn", "N"),
            ("mang_issu_cls_code", "N"),
        ])
        .flag("sltr_yn", now.is_in_liquidation());
}

fn with_commas(number: i64) -> String {
    match (number / 1_000, number % 1_000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{},{:03}", with_commas(thousands), rest.abs()),
    }
}
