//! `volume-rank` and `ranking/market-cap`: the top thirty (contract 4.8, 8.10, 8.11).

use std::cmp::Reverse;

use super::answer::{Answer, Refusal};
use super::body::Row;
use super::endpoint::Call;
use super::index::Index;
use super::price::capitalisation;
use super::query::Query;
use super::stock::{Figures, Stock, hundredths, sign_of};

/// Rows in one answer.
const ROWS: usize = 30;

/// Ranks by volume or value of the day.
pub(super) fn volume(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    let ranked_by: fn(&Stock, &Figures) -> i64 = match query.get("FID_BLNG_CLS_CODE")? {
        "0" => |_, now| now.volume,
        "1" => |stock, now| hundredths(now.volume, stock.previous_volume),
        "2" => |stock, now| hundredths(now.volume, stock.shares),
        "3" => |_, now| now.value,
        "4" => |stock, now| hundredths(now.value, capitalisation(stock, now)),
        _ => return Err(Refusal::WRONG_FIELD),
    };
    let ranked = ranked(call, query, "20171", ranked_by)?;
    Ok(rows(&ranked, |row, stock, now| {
        row.number("acml_vol", now.volume)
            .number("prdy_vol", stock.previous_volume)
            .number("lstn_stcn", stock.shares)
            .number("avrg_vol", now.volume)
            .decimal("n_befr_clpr_vrss_prpr_rate", now.rate)
            // A ratio, despite its name.
            .decimal("vol_inrt", hundredths(now.volume, stock.previous_volume))
            .decimal("vol_tnrt", hundredths(now.volume, stock.shares))
            .decimal("nday_vol_tnrt", hundredths(now.volume, stock.shares))
            .number("avrg_tr_pbmn", now.value)
            .decimal("tr_pbmn_tnrt", hundredths(now.volume, stock.shares))
            .decimal("nday_tr_pbmn_tnrt", hundredths(now.volume, stock.shares))
            .number("acml_tr_pbmn", now.value);
    }))
}

/// Ranks by market capitalisation.
pub(super) fn capital(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    let ranked = ranked(call, query, "20174", capitalisation)?;
    let all = call.market.look(|figures| {
        let stocks = call.market.stocks().iter().enumerate();
        let capital = |(place, stock)| Some(capitalisation(stock, &figures(place)?));
        stocks.filter_map(capital).sum::<i64>()
    });
    Ok(rows(&ranked, |row, stock, now| {
        let capital = capitalisation(stock, now);
        row.number("acml_vol", now.volume)
            .number("lstn_stcn", stock.shares)
            .number("stck_avls", capital)
            .decimal("mrkt_whol_avls_rlim", hundredths(capital, all));
    }))
}

/// Returns the stocks that the query selects, ordered by `measure`, highest first.
fn ranked<'a>(
    call: Call<'a>,
    query: &Query<'_>,
    screen: &str,
    measure: impl Fn(&Stock, &Figures) -> i64,
) -> Result<Vec<(&'a Stock, Figures)>, Refusal> {
    if query.get("FID_COND_MRKT_DIV_CODE")? != "J" {
        return Err(Refusal::WRONG_DIVISION);
    }
    if query.get("FID_COND_SCR_DIV_CODE")? != screen {
        return Err(Refusal::WRONG_FIELD);
    }
    // Required parameters that do not narrow the selection here.
    for name in [
        "FID_TRGT_CLS_CODE",
        "FID_TRGT_EXLS_CLS_CODE",
        "FID_INPUT_PRICE_1",
        "FID_INPUT_PRICE_2",
        "FID_VOL_CNT",
    ] {
        query.get(name)?;
    }
    let is_of_class: fn(&Stock) -> bool = match query.get("FID_DIV_CLS_CODE")? {
        "0" => |_| true,
        "1" => |stock| stock.preferred_class() == "0",
        "2" => |stock| stock.preferred_class() != "0",
        _ => return Err(Refusal::WRONG_FIELD),
    };
    let index = match query.get("FID_INPUT_ISCD")? {
        "0000" => None,
        code => Some(Index::with_code(code).ok_or(Refusal::WRONG_FIELD)?),
    };
    let stocks = call.market.stocks().iter().enumerate();
    let mut ranked: Vec<(&Stock, Figures)> = call.market.look(|figures| {
        stocks
            .filter(|(_, stock)| is_of_class(stock))
            .filter(|(_, stock)| index.is_none_or(|index| index.holds(stock)))
            .filter_map(|(place, stock)| Some((stock, figures(place)?)))
            .collect()
    });
    ranked.sort_by_key(|(stock, now)| Reverse(measure(stock, now)));
    ranked.truncate(ROWS);
    Ok(ranked)
}

fn rows(ranked: &[(&Stock, Figures)], more: impl Fn(&mut Row<'_>, &Stock, &Figures)) -> Answer {
    let mut payload = String::with_capacity(16_000);
    payload.push_str("\"output\":[");
    for ((stock, now), rank) in ranked.iter().zip(1..) {
        if rank > 1 {
            payload.push(',');
        }
        let mut row = Row::new(&mut payload);
        row.text("hts_kor_isnm", &stock.name)
            .text("mksc_shrn_iscd", stock.code.as_str())
            .number("data_rank", rank)
            .number("stck_prpr", now.price)
            .text("prdy_vrss_sign", sign_of(now.change()))
            .number("prdy_vrss", now.change())
            .decimal("prdy_ctrt", now.rate);
        more(&mut row, stock, now);
        row.end();
    }
    payload.push(']');
    Answer::new(payload)
}
