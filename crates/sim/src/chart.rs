//! `inquire-daily-itemchartprice`: bars of days, weeks, months, years (contract 4.4, 8.7).

use chrono::{Datelike, NaiveDate};

use super::answer::{Answer, Refusal};
use super::body::Row;
use super::endpoint::{Call, place};
use super::history::{Bar, History};
use super::multi::Book;
use super::price::{EOK, PAR, Ratios, capitalisation};
use super::query::Query;
use super::stock::{Figures, Stock, hundredths, sign_of};

/// Rows in one answer.
const ROWS: usize = 100;

/// Length of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Period {
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    pub(super) fn with_code(code: &str) -> Option<Self> {
        Some(match code {
            "D" => Self::Day,
            "W" => Self::Week,
            "M" => Self::Month,
            "Y" => Self::Year,
            _ => return None,
        })
    }

    /// Returns a key that is the same for all days of one period.
    fn of(self, date: NaiveDate) -> (i32, u32) {
        match self {
            Self::Day => (date.year(), date.ordinal()),
            Self::Week => (date.iso_week().year(), date.iso_week().week()),
            Self::Month => (date.year(), date.month()),
            Self::Year => (date.year(), 0),
        }
    }
}

pub(super) fn answer(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    let place = place(call.market, query)?;
    let from = date(query.get("FID_INPUT_DATE_1")?)?;
    let until = date(query.get("FID_INPUT_DATE_2")?)?;
    let period = Period::with_code(query.get("FID_PERIOD_DIV_CODE")?);
    let period = period.ok_or(Refusal::WRONG_FIELD)?;
    // The parameter is required but has no effect: the made-up past has no splits to adjust for.
    query.get("FID_ORG_ADJ_PRC")?;

    let found =
        place.and_then(|place| Some((call.market.stock(place)?, call.market.figures(place)?)));
    let Some((stock, now)) = found else {
        return Ok(Answer::new(unknown()));
    };
    let day = call.market.day(call.now);
    let past = || History::before(day, stock, call.market.calendar(), call.market.seed());
    let mut payload = String::with_capacity(24_000);
    payload.push_str("\"output1\":");
    today(&mut payload, stock, &now, past().next());
    payload.push_str(",\"output2\":[");
    let days = std::iter::once(Bar::running(day, &now))
        .chain(past())
        .skip_while(|bar| bar.date > until)
        .take_while(|bar| bar.date >= from);
    let bars = in_periods(days, period, ROWS);
    for (number, bar) in bars.iter().enumerate() {
        if number > 0 {
            payload.push(',');
        }
        write_bar(&mut payload, bar);
    }
    // The broker pads an answer that is not full with an empty row (contract 4.4).
    match bars.len() {
        0 => payload.push_str("{}"),
        ROWS.. => {}
        _ => payload.push_str(",{}"),
    }
    payload.push(']');
    Ok(Answer::new(payload))
}

pub(super) fn date(text: &str) -> Result<NaiveDate, Refusal> {
    NaiveDate::parse_from_str(text, "%Y%m%d").map_err(|_| Refusal::WRONG_FIELD)
}

/// Groups `days`, newest first, into at most `most` periods.
///
/// Each period is dated by its first day, so that the next page begins before the whole of the
/// oldest period.
pub(super) fn in_periods(days: impl Iterator<Item = Bar>, period: Period, most: usize) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for day in days {
        let same = |bar: &&mut Bar| period.of(bar.date) == period.of(day.date);
        if let Some(bar) = bars.last_mut().filter(same) {
            lengthen(bar, &day);
        } else if bars.len() < most {
            bars.push(day);
        } else {
            break;
        }
    }
    bars
}

/// Extends a bar by the day before it.
fn lengthen(bar: &mut Bar, day: &Bar) {
    bar.date = day.date;
    bar.base = day.base;
    bar.volume = bar.volume.saturating_add(day.volume);
    bar.value = bar.value.saturating_add(day.value);
    // A day without trades has no open, high or low.
    if day.volume > 0 {
        bar.open = day.open;
        bar.high = bar.high.max(day.high);
        bar.low = match bar.low {
            0 => day.low,
            low => low.min(day.low),
        };
    }
}

fn today(out: &mut String, stock: &Stock, now: &Figures, yesterday: Option<Bar>) {
    let (lower, upper) = now.limits();
    let book = Book::of(now);
    let ratios = Ratios::of(now);
    let (open, high, low) = yesterday.map_or((0, 0, 0), |bar| (bar.open, bar.high, bar.low));
    let mut row = Row::new(out);
    row.number("prdy_vrss", now.change())
        .text("prdy_vrss_sign", now.sign())
        .decimal("prdy_ctrt", now.rate)
        .number("stck_prdy_clpr", now.base)
        .number("acml_vol", now.volume)
        .number("acml_tr_pbmn", now.value)
        .text("hts_kor_isnm", &stock.name)
        .number("stck_prpr", now.price)
        .text("stck_shrn_iscd", stock.code.as_str())
        .number("prdy_vol", stock.previous_volume)
        .number("stck_mxpr", upper)
        .number("stck_llam", lower)
        .number("stck_oprc", now.open)
        .number("stck_hgpr", now.high)
        .number("stck_lwpr", now.low)
        .number("stck_prdy_oprc", open)
        .number("stck_prdy_hgpr", high)
        .number("stck_prdy_lwpr", low)
        .number("askp", book.ask)
        .number("bidp", book.bid)
        .number("prdy_vrss_vol", now.volume - stock.previous_volume)
        .decimal("vol_tnrt", hundredths(now.volume, stock.shares))
        .number("stck_fcam", PAR)
        .number("lstn_stcn", stock.shares)
        .number("cpfn", stock.shares.saturating_mul(PAR) / EOK)
        .number("hts_avls", capitalisation(stock, now))
        .decimal("per", ratios.per)
        .decimal("eps", ratios.eps)
        .decimal("pbr", ratios.pbr)
        // The space in the name is as the broker sends it (contract 4.4).
        .text("itewhol_loan_rmnd_ratem name", "0.28");
    row.end();
}

fn write_bar(out: &mut String, bar: &Bar) {
    let mut row = Row::new(out);
    row.text("stck_bsop_date", &bar.date.format("%Y%m%d").to_string())
        .number("stck_clpr", bar.close)
        .number("stck_oprc", bar.open)
        .number("stck_hgpr", bar.high)
        .number("stck_lwpr", bar.low)
        .number("acml_vol", bar.volume)
        .number("acml_tr_pbmn", bar.value)
        .texts(&[("flng_cls_code", "00"), ("prtt_rate", "0.00")])
        .flag("mod_yn", bar.volume == 0)
        .text("prdy_vrss_sign", sign_of(bar.close - bar.base))
        .number("prdy_vrss", bar.close - bar.base)
        .text("revl_issu_reas", "");
    row.end();
}

fn unknown() -> String {
    let mut payload = String::from("\"output1\":");
    let mut row = Row::new(&mut payload);
    row.texts(&[
        ("prdy_vrss", "0"),
        ("prdy_vrss_sign", "3"),
        ("prdy_ctrt", "0.00"),
        ("stck_prdy_clpr", "0"),
        ("acml_vol", "0"),
        ("acml_tr_pbmn", "0"),
        ("hts_kor_isnm", ""),
        ("stck_prpr", "0"),
        ("stck_shrn_iscd", ""),
    ]);
    row.end();
    payload.push_str(",\"output2\":[{}]");
    payload
}
