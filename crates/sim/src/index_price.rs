//! `inquire-index-price`: one index (contract 4.6, 8.8).

use super::answer::{Answer, Refusal};
use super::body::Row;
use super::endpoint::Call;
use super::index::{Index, IndexFigures};
use super::query::Query;
use super::stock::{hundredths, sign_of};

pub(super) fn answer(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    if query.get("FID_COND_MRKT_DIV_CODE")? != "U" {
        return Err(Refusal::WRONG_DIVISION);
    }
    let index = Index::with_code(query.get("FID_INPUT_ISCD")?);
    let mut payload = String::from("\"output\":");
    let mut row = Row::new(&mut payload);
    match index.and_then(|index| call.market.index(index)) {
        Some(now) => {
            let date = call.market.day(call.now).format("%Y%m%d").to_string();
            level(&mut row, &now);
            counts(&mut row, &now, &date);
        }
        None => {
            row.texts(&[
                ("bstp_nmix_prpr", "0.00"),
                ("bstp_nmix_prdy_vrss", "0.00"),
                ("prdy_vrss_sign", "3"),
                ("bstp_nmix_prdy_ctrt", "0.00"),
            ]);
        }
    }
    row.end();
    Ok(Answer::new(payload))
}

fn level(row: &mut Row<'_>, now: &IndexFigures) {
    let level = now.level.in_hundredths();
    let from_base = |points: i64| points - level.base;
    let rate = |points: i64| hundredths(points - level.base, level.base);
    row.decimal("bstp_nmix_prpr", level.now)
        .decimal("bstp_nmix_prdy_vrss", from_base(level.now))
        .text("prdy_vrss_sign", sign_of(from_base(level.now)))
        .decimal("bstp_nmix_prdy_ctrt", rate(level.now))
        .number("acml_vol", now.volume)
        .number("prdy_vol", now.previous_volume)
        .number("acml_tr_pbmn", now.value)
        .number("prdy_tr_pbmn", now.value)
        .decimal("bstp_nmix_oprc", level.open)
        .decimal("prdy_nmix_vrss_nmix_oprc", from_base(level.open))
        .text("oprc_vrss_prpr_sign", sign_of(from_base(level.open)))
        .decimal("bstp_nmix_oprc_prdy_ctrt", rate(level.open))
        .decimal("bstp_nmix_hgpr", level.high)
        .decimal("prdy_nmix_vrss_nmix_hgpr", from_base(level.high))
        .text("hgpr_vrss_prpr_sign", sign_of(from_base(level.high)))
        .decimal("bstp_nmix_hgpr_prdy_ctrt", rate(level.high))
        .decimal("bstp_nmix_lwpr", level.low)
        .decimal("prdy_clpr_vrss_lwpr", from_base(level.low))
        .text("lwpr_vrss_prpr_sign", sign_of(from_base(level.low)))
        .decimal("prdy_clpr_vrss_lwpr_rate", rate(level.low));
}

fn counts(row: &mut Row<'_>, now: &IndexFigures, date: &str) {
    let level = now.level.in_hundredths();
    let [up, upper, same, down, lower] = now.counts;
    let (asks, bids) = (now.volume / 30, now.volume / 25);
    row.number("ascn_issu_cnt", up)
        .number("uplm_issu_cnt", upper)
        .number("stnr_issu_cnt", same)
        .number("down_issu_cnt", down)
        .number("lslm_issu_cnt", lower)
        .decimal("dryy_bstp_nmix_hgpr", level.high)
        .decimal(
            "dryy_hgpr_vrss_prpr_rate",
            hundredths(level.high - level.now, level.high),
        )
        .text("dryy_bstp_nmix_hgpr_date", date)
        .decimal("dryy_bstp_nmix_lwpr", level.low)
        .decimal(
            "dryy_lwpr_vrss_prpr_rate",
            hundredths(level.low - level.now, level.low),
        )
        .text("dryy_bstp_nmix_lwpr_date", date)
        .number("total_askp_rsqn", asks)
        .number("total_bidp_rsqn", bids)
        .decimal("seln_rsqn_rate", hundredths(asks, asks + bids))
        .decimal("shnu_rsqn_rate", hundredths(bids, asks + bids))
        .number("ntby_rsqn", bids - asks);
}
