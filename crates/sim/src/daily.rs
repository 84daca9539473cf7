//! `inquire-daily-price`: the last thirty days, weeks or months (contract 4.5).

use super::answer::{Answer, Refusal};
use super::body::Row;
use super::chart::{Period, in_periods};
use super::endpoint::{Call, place};
use super::history::{Bar, History};
use super::query::Query;
use super::stock::{hundredths, sign_of};

/// Rows in one answer.
const ROWS: usize = 30;

pub(super) fn answer(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    let place = place(call.market, query)?;
    let period = Period::with_code(query.get("FID_PERIOD_DIV_CODE")?);
    let period = period.filter(|period| *period != Period::Year);
    let period = period.ok_or(Refusal::WRONG_FIELD)?;
    // The parameter is required but has no effect: the made-up past has no splits to adjust for.
    query.get("FID_ORG_ADJ_PRC")?;

    let found =
        place.and_then(|place| Some((call.market.stock(place)?, call.market.figures(place)?)));
    let Some((stock, now)) = found else {
        return Ok(Answer::new("\"output\":[]".to_owned()));
    };
    let day = call.market.day(call.now);
    let past = History::before(day, stock, call.market.calendar(), call.market.seed());
    let days = std::iter::once(Bar::running(day, &now)).chain(past);
    // One more, against which the oldest row is measured.
    let bars = in_periods(days, period, ROWS + 1);
    let mut payload = String::with_capacity(9_000);
    payload.push_str("\"output\":[");
    for (number, bar) in bars.iter().take(ROWS).enumerate() {
        if number > 0 {
            payload.push(',');
        }
        write_bar(&mut payload, bar, bars.get(number + 1));
    }
    payload.push(']');
    Ok(Answer::new(payload))
}

fn write_bar(out: &mut String, bar: &Bar, before: Option<&Bar>) {
    let volume_before = before.map_or(0, |before| before.volume);
    let change = bar.close - bar.base;
    let mut row = Row::new(out);
    row.text("stck_bsop_date", &bar.date.format("%Y%m%d").to_string())
        .number("stck_oprc", bar.open)
        .number("stck_hgpr", bar.high)
        .number("stck_lwpr", bar.low)
        .number("stck_clpr", bar.close)
        .number("acml_vol", bar.volume)
        // Here a change, unlike in `inquire-price`.
        .decimal(
            "prdy_vrss_vol_rate",
            hundredths(bar.volume - volume_before, volume_before),
        )
        .number("prdy_vrss", change)
        .text("prdy_vrss_sign", sign_of(change))
        .decimal("prdy_ctrt", hundredths(change, bar.base))
        .texts(&[
            ("hts_frgn_ehrt", "0.00"),
            ("frgn_ntby_qty", "0"),
            ("flng_cls_code", "00"),
            ("acml_prtt_rate", "0.00"),
        ]);
    row.end();
}
