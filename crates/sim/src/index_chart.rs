//! `inquire-daily-indexchartprice`: bars of an index (contract 4.7, 8.9).

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::NaiveDate;
use fastrand::Rng;

use super::answer::{Answer, Refusal};
use super::body::Row;
use super::chart::{Period, date, in_periods};
use super::endpoint::Call;
use super::history::Bar;
use super::index::{Index, IndexFigures};
use super::query::Query;
use super::stock::{hundredths, sign_of};

/// Rows in one answer.
const ROWS: usize = 50;

/// How far back the made-up past reaches, in trading days.
const PAST: usize = 2_500;

pub(super) fn answer(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    if query.get("FID_COND_MRKT_DIV_CODE")? != "U" {
        return Err(Refusal::WRONG_DIVISION);
    }
    let index = Index::with_code(query.get("FID_INPUT_ISCD")?);
    let from = date(query.get("FID_INPUT_DATE_1")?)?;
    let until = date(query.get("FID_INPUT_DATE_2")?)?;
    let period = Period::with_code(query.get("FID_PERIOD_DIV_CODE")?);
    let period = period.ok_or(Refusal::WRONG_FIELD)?;
    let found = index.and_then(|index| Some((index, call.market.index(index)?)));
    let Some((index, now)) = found else {
        let unknown = r#""output1":{"bstp_nmix_prpr":"0.00","prdy_vrss_sign":"3"},"output2":[]"#;
        return Ok(Answer::new(unknown.to_owned()));
    };
    let day = call.market.day(call.now);
    let past = past(call, index, &now, day);
    let mut payload = String::with_capacity(12_000);
    payload.push_str("\"output1\":");
    today(&mut payload, index, &now, past.first());
    payload.push_str(",\"output2\":[");
    let days = std::iter::once(running(day, &now))
        .chain(past)
        .skip_while(|bar| bar.date > until)
        .take_while(|bar| bar.date >= from);
    for (number, bar) in in_periods(days, period, ROWS).iter().enumerate() {
        if number > 0 {
            payload.push(',');
        }
        write_bar(&mut payload, bar);
    }
    payload.push(']');
    Ok(Answer::new(payload))
}

/// Returns the bar of the running day, with levels in hundredths of a point.
fn running(date: NaiveDate, now: &IndexFigures) -> Bar {
    let level = now.level.in_hundredths();
    Bar {
        date,
        open: level.open,
        high: level.high,
        low: level.low,
        close: level.now,
        base: level.base,
        volume: now.volume,
        value: now.value,
    }
}

/// Returns the trading days before `day`, newest first.
///
/// The same seed gives the same days. The newest day closes at the base.
fn past(call: Call<'_>, index: Index, now: &IndexFigures, day: NaiveDate) -> Vec<Bar> {
    let mut hasher = DefaultHasher::new();
    (index.code(), call.market.seed()).hash(&mut hasher);
    let mut rng = Rng::with_seed(hasher.finish());
    let base = now.level.in_hundredths().base;
    let mut close = base;
    let calendar = call.market.calendar();
    let days = std::iter::successors(day.pred_opt(), NaiveDate::pred_opt);
    let days = days.filter(|day| calendar.is_trading_day(*day));
    let bar = |date| {
        // Drifts back to the present level, so that old levels stay plausible.
        let away = hundredths(close - base, base);
        let rate = rng.i64(-100..=100) + away / 20;
        let before = close * 10_000 / (10_000 + rate);
        let open = before + before * rng.i64(-30..=30) / 10_000;
        let beyond = close / 400;
        let bar = Bar {
            date,
            open,
            high: open.max(close) + rng.i64(0..=beyond),
            low: open.min(close) - rng.i64(0..=beyond),
            close,
            base: before,
            volume: now.previous_volume * rng.i64(70..130) / 100,
            value: now.value,
        };
        close = before;
        bar
    };
    days.take(PAST).map(bar).collect()
}

fn today(out: &mut String, index: Index, now: &IndexFigures, yesterday: Option<&Bar>) {
    let level = now.level.in_hundredths();
    let change = level.now - level.base;
    let (open, high, low) = yesterday.map_or((0, 0, 0), |bar| (bar.open, bar.high, bar.low));
    let mut row = Row::new(out);
    row.decimal("bstp_nmix_prdy_vrss", change)
        .text("prdy_vrss_sign", sign_of(change))
        .decimal("bstp_nmix_prdy_ctrt", hundredths(change, level.base))
        .decimal("prdy_nmix", level.base)
        .number("acml_vol", now.volume)
        .number("acml_tr_pbmn", now.value)
        .text("hts_kor_isnm", index.name())
        .decimal("bstp_nmix_prpr", level.now)
        .text("bstp_cls_code", index.code())
        .number("prdy_vol", now.previous_volume)
        .decimal("bstp_nmix_oprc", level.open)
        .decimal("bstp_nmix_hgpr", level.high)
        .decimal("bstp_nmix_lwpr", level.low)
        .decimal("futs_prdy_oprc", open)
        .decimal("futs_prdy_hgpr", high)
        .decimal("futs_prdy_lwpr", low);
    row.end();
}

fn write_bar(out: &mut String, bar: &Bar) {
    let mut row = Row::new(out);
    row.text("stck_bsop_date", &bar.date.format("%Y%m%d").to_string())
        .decimal("bstp_nmix_prpr", bar.close)
        .decimal("bstp_nmix_oprc", bar.open)
        .decimal("bstp_nmix_hgpr", bar.high)
        .decimal("bstp_nmix_lwpr", bar.low)
        .number("acml_vol", bar.volume)
        .number("acml_tr_pbmn", bar.value)
        .text("mod_yn", "N");
    row.end();
}
