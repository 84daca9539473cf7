//! `search-stock-info` and `search-info`: details of a stock (contract 4.10, 4.12, 8.13).

use super::answer::{Answer, Refusal};
use super::body::Row;
use super::endpoint::Call;
use super::price::PAR;
use super::query::Query;
use super::stock::{Figures, Stock};
use sise_domain::Market;

/// The product type of stocks.
const STOCKS: &str = "300";

pub(super) fn stock(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    let (stock, now) = find(call, query)?;
    let date = call.market.day(call.now).format("%Y%m%d").to_string();
    let mut payload = String::with_capacity(3_000);
    payload.push_str("\"output\":");
    let mut row = Row::new(&mut payload);
    listing(&mut row, stock);
    names(&mut row, stock);
    state(&mut row, stock, &now, &date);
    row.end();
    Ok(Answer::new(payload))
}

pub(super) fn product(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    let (stock, _) = find(call, query)?;
    let listed = stock.listed.format("%Y%m%d").to_string();
    let mut payload = String::with_capacity(1_000);
    payload.push_str("\"output\":");
    let mut row = Row::new(&mut payload);
    row.text("pdno", &product_number(stock))
        .text("prdt_type_cd", STOCKS)
        .text("prdt_name", &stock.name)
        .text("prdt_name120", &stock.name)
        .text("prdt_abrv_name", &stock.name)
        .text("prdt_eng_name", stock.code.as_str())
        .text("prdt_eng_name120", stock.code.as_str())
        .text("prdt_eng_abrv_name", stock.code.as_str())
        .text("std_pdno", &stock.isin)
        .text("shtn_pdno", stock.code.as_str())
        .texts(&[
            ("prdt_sale_stat_cd", ""),
            ("prdt_risk_grad_cd", "02"),
            ("prdt_clsf_cd", "101210"),
            ("prdt_clsf_name", "국내주식"),
        ])
        .text("sale_strt_dt", &listed)
        .texts(&[
            ("sale_end_dt", ""),
            ("wrap_asst_type_cd", "06"),
            ("ivst_prdt_type_cd", "1012"),
            ("ivst_prdt_type_cd_name", "주식"),
        ])
        .text("frst_erlm_dt", &listed);
    row.end();
    Ok(Answer::new(payload))
}

fn find<'a>(call: Call<'a>, query: &Query<'_>) -> Result<(&'a Stock, Figures), Refusal> {
    let kind = query.get("PRDT_TYPE_CD")?;
    let code = query.get("PDNO")?;
    let place = Some(code).filter(|_| kind == STOCKS);
    place
        .and_then(|code| call.market.place(code))
        .and_then(|place| Some((call.market.stock(place)?, call.market.figures(place)?)))
        .ok_or(Refusal::NOTHING_FOUND)
}

fn product_number(stock: &Stock) -> String {
    format!("{:0>12}", format!("A{}", stock.code))
}

fn listing(row: &mut Row<'_>, stock: &Stock) {
    let listed = stock.listed.format("%Y%m%d").to_string();
    let (market, division, kospi, kosdaq) = match stock.market {
        Market::Kospi => ("STK", "02", listed.as_str(), ""),
        Market::Kosdaq => ("KSQ", "03", "", listed.as_str()),
    };
    let kind = match stock.preferred_class() {
        "0" => "101",
        _ => "201",
    };
    row.text("pdno", &product_number(stock))
        .text("prdt_type_cd", STOCKS)
        .text("mket_id_cd", market)
        .text("scty_grp_id_cd", stock.group.code())
        .text("excg_dvsn_cd", division)
        .text("setl_mmdd", "12")
        .number("lstg_stqt", stock.shares)
        .text("lstg_cptl_amt", "0")
        .number("cpta", stock.shares.saturating_mul(PAR))
        .number("papr", PAR)
        .text("issu_pric", "0")
        .flag("kospi200_item_yn", stock.large)
        .text("scts_mket_lstg_dt", kospi)
        .text("scts_mket_lstg_abol_dt", "")
        .text("kosdaq_mket_lstg_dt", kosdaq)
        .texts(&[
            ("kosdaq_mket_lstg_abol_dt", ""),
            ("frbd_mket_lstg_dt", ""),
            ("frbd_mket_lstg_abol_dt", ""),
            ("reits_kind_cd", ""),
            ("etf_dvsn_cd", "0"),
            ("oilf_fund_yn", "N"),
            ("idx_bztp_lcls_cd", "002"),
            ("idx_bztp_mcls_cd", "013"),
            ("idx_bztp_scls_cd", "013"),
        ])
        .text("stck_kind_cd", kind)
        .texts(&[
            ("mfnd_opng_dt", ""),
            ("mfnd_end_dt", ""),
            ("dpsi_erlm_cncl_dt", ""),
            ("etf_cu_qty", "0"),
        ]);
}

fn names(row: &mut Row<'_>, stock: &Stock) {
    let share = match stock.preferred_class() {
        "0" => "보통주",
        _ => "우선주",
    };
    let long = format!("{}{share}", stock.name);
    row.text("prdt_name", &long)
        .text("prdt_name120", &long)
        .text("prdt_abrv_name", &stock.name)
        .text("std_pdno", &stock.isin)
        // The stock list has no English names.
        .text("prdt_eng_name", stock.code.as_str())
        .text("prdt_eng_name120", stock.code.as_str())
        .text("prdt_eng_abrv_name", stock.code.as_str())
        .texts(&[
            ("dpsi_aptm_erlm_yn", "Y"),
            ("etf_txtn_type_cd", "00"),
            ("etf_type_cd", ""),
            ("lstg_abol_dt", ""),
            ("nwst_odst_dvsn_cd", ""),
        ]);
}

fn state(row: &mut Row<'_>, stock: &Stock, now: &Figures, date: &str) {
    let substitute = now.base * 78 / 100 / 10 * 10;
    let issuer: String = stock.code.as_str().chars().take(5).collect();
    row.number("sbst_pric", substitute)
        .number("thco_sbst_pric", substitute)
        .text("thco_sbst_pric_chng_dt", date)
        .flag("tr_stop_yn", stock.halted)
        .text("admn_item_yn", "N")
        .number("thdt_clpr", now.price)
        .number("bfdy_clpr", now.base)
        .text("clpr_chng_dt", date)
        .texts(&[
            ("std_idst_clsf_cd", "032604"),
            ("std_idst_clsf_cd_name", "통신 및 방송 장비 제조업"),
            ("idx_bztp_lcls_cd_name", "시가총액규모대"),
            ("idx_bztp_mcls_cd_name", "전기·전자"),
            ("idx_bztp_scls_cd_name", "전기·전자"),
            ("ocr_no", ""),
            ("crfd_item_yn", "N"),
            ("elec_scty_yn", "Y"),
        ])
        .text("issu_istt_cd", &issuer)
        .texts(&[
            ("etf_chas_erng_rt_dbnb", "0"),
            ("etf_etn_ivst_heed_item_yn", "N"),
            ("stln_int_rt_dvsn_cd", "01"),
            ("frnr_psnl_lmt_rt", "0.00000000"),
            ("lstg_rqsr_issu_istt_cd", ""),
            ("lstg_rqsr_item_cd", ""),
            ("trst_istt_issu_istt_cd", ""),
            ("cptt_trad_tr_psbl_yn", "Y"),
            ("nxt_tr_stop_yn", "N"),
        ]);
}
