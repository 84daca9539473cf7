//! `inquire-price-2`: flags and previous close (contract 4.2, 8.5).

use super::answer::{Answer, Refusal};
use super::body::Row;
use super::endpoint::{Call, place};
use super::price::represented_by;
use super::query::Query;
use super::stock::{Figures, Stock, hundredths, sign_of};

pub(super) fn answer(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    let place = place(call.market, query)?;
    let found =
        place.and_then(|place| Some((call.market.stock(place)?, call.market.figures(place)?)));
    let mut payload = String::with_capacity(2_400);
    payload.push_str("\"output\":");
    let Some((stock, now)) = found else {
        let mut row = Row::new(&mut payload);
        row.texts(&[
            ("rprs_mrkt_kor_name", ""),
            ("stck_prpr", "0"),
            ("prdy_vrss", "0"),
            ("prdy_vrss_sign", "3"),
            ("prdy_ctrt", "0.00"),
            ("acml_vol", "0"),
            ("stck_sdpr", "0"),
            ("stck_prdy_clpr", "0"),
        ]);
        row.end();
        return Ok(Answer::new(payload));
    };
    let alteration = call.dice.alteration();
    let (price, is_wrong) = call.dice.price(now.price);
    let faulty = is_wrong || alteration.is_any();
    let mut row = Row::altered(&mut payload, alteration);
    let (lower, upper) = now.limits();
    row.text("rprs_mrkt_kor_name", represented_by(stock))
        .text("crdt_able_yn", "Y")
        .number("stck_mxpr", upper)
        .flag("elw_pblc_yn", stock.large)
        .texts(&[("crdt_rate", "45.00"), ("marg_rate", "40.00")]);
    differences(&mut row, &now);
    row.texts(&[
        ("mang_issu_yn", "N"),
        ("divi_app_cls_code", "  "),
        ("short_over_yn", "N"),
        ("mrkt_warn_cls_code", "00"),
        ("invt_caful_yn", "N"),
        ("stange_runup_yn", "N"),
        ("ssts_hot_yn", " "),
        ("low_current_yn", "N"),
        ("vi_cls_code", "N"),
        ("short_over_cls_code", "          "),
    ])
    .number("stck_llam", lower)
    .texts(&[("new_lstn_cls_name", ""), ("vlnt_deal_cls_name", " ")]);
    trading(&mut row, stock, &now, price);
    row.end();
    Ok(Answer {
        faulty,
        ..Answer::new(payload)
    })
}

/// Open, high and low, against price and previous close.
fn differences(row: &mut Row<'_>, now: &Figures) {
    // Before the first trade there is nothing to compare with.
    let from = |price: i64| if price == 0 { 0 } else { now.price - price };
    let rate = |price: i64| match price {
        0 => 0,
        _ => hundredths(price - now.base, now.base),
    };
    row.decimal("prdy_clpr_vrss_oprc_rate", rate(now.open))
        .number("lwpr_vrss_prpr", from(now.low))
        .text("lwpr_vrss_prpr_sign", sign_of(from(now.low)))
        .decimal("prdy_clpr_vrss_lwpr_rate", rate(now.low))
        .number("stck_lwpr", now.low)
        .number("hgpr_vrss_prpr", from(now.high))
        .text("hgpr_vrss_prpr_sign", sign_of(from(now.high)))
        .decimal("prdy_clpr_vrss_hgpr_rate", rate(now.high))
        .number("stck_hgpr", now.high)
        .number("oprc_vrss_prpr", from(now.open))
        .text("oprc_vrss_prpr_sign", sign_of(from(now.open)))
        .number("stck_oprc", now.open);
}

fn trading(row: &mut Row<'_>, stock: &Stock, now: &Figures, price: i64) {
    row.number("stck_sdpr", now.base)
        // The broker sends the code of the stock where that of the sector belongs.
        .text("bstp_cls_code", stock.code.as_str())
        .number("stck_prdy_clpr", now.base)
        .text("insn_pbnt_yn", "N")
        .number("stck_prpr", price)
        .number("prdy_vrss", now.change())
        .text("prdy_vrss_sign", now.sign())
        .decimal("prdy_ctrt", now.rate)
        .number("acml_tr_pbmn", now.value)
        .number("acml_vol", now.volume)
        .decimal(
            "prdy_vrss_vol_rate",
            hundredths(now.volume, stock.previous_volume),
        )
        .text(
            "bstp_kor_isnm",
            stock.sector.map_or("", |sector| sector.name),
        )
        .flag("sltr_yn", now.is_in_liquidation())
        .flag("trht_yn", stock.halted)
        .texts(&[("oprc_rang_cont_yn", "N"), ("vlnt_fin_cls_code", "")])
        .number("prdy_vol", stock.previous_volume);
}
