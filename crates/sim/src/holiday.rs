//! `chk-holiday`: the trading calendar, page by page (contract 4.9, 8.12).

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::answer::{Answer, Refusal};
use super::body::Row;
use super::endpoint::Call;
use super::query::Query;

/// Days on one page.
const PAGE: u64 = 24;

/// Width to which the broker pads the paging keys.
const KEY: usize = 20;

/// `msg_cd` and `msg1` if more pages follow, padded as the broker does.
const MORE: (&str, &str) = (
    "KIOK0500",
    "조회가 계속됩니다..다음버튼을 Click 하십시오.                                   ",
);
/// `msg_cd` and `msg1` of the last page.
const LAST: (&str, &str) = (
    "KIOK0510",
    "조회가 완료되었습니다                                                           ",
);

pub(super) fn answer(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    let asked = query.get("BASS_DT")?;
    let next = query.get("CTX_AREA_NK")?;
    query.get("CTX_AREA_FK")?;
    let continued = call.next_page && !next.is_empty();
    let first = if continued { next } else { asked };
    let first = NaiveDate::parse_from_str(first, "%Y%m%d").map_err(|_| Refusal::WRONG_FIELD)?;
    let calendar = call.market.calendar();
    let last = calendar.covered_through();

    let mut payload = String::with_capacity(3_200);
    payload.push_str("\"output\":[");
    let page = first.iter_days().take_while(|date| *date <= last);
    for (number, date) in (0..PAGE).zip(page) {
        if number > 0 {
            payload.push(',');
        }
        write_day(&mut payload, date, calendar.is_trading_day(date));
    }
    payload.push(']');
    let following = first
        .checked_add_days(Days::new(PAGE))
        .filter(|date| *date <= last);
    let key = following.map(|date| date.format("%Y%m%d").to_string());
    let (message, pages) = match (&key, continued) {
        (Some(_), false) => (MORE, "F"),
        (Some(_), true) => (MORE, "M"),
        (None, false) => (LAST, "D"),
        (None, true) => (LAST, "E"),
    };
    let next = key.unwrap_or_default();
    payload.push_str(&format!(
        r#","ctx_area_nk":"{next:<KEY$}","ctx_area_fk":"{:<KEY$}""#,
        first.format("%Y%m%d").to_string()
    ));
    Ok(Answer {
        message,
        pages,
        ..Answer::new(payload)
    })
}

fn write_day(out: &mut String, date: NaiveDate, opens: bool) {
    let weekday = date.weekday();
    let weekend = matches!(weekday, Weekday::Sat | Weekday::Sun);
    // On the last days of the year the exchange is closed, but banks are open.
    let banks = opens || (!weekend && (date.month(), date.day()) >= (12, 29));
    let mut row = Row::new(out);
    row.text("bass_dt", &date.format("%Y%m%d").to_string())
        .text(
            "wday_dvsn_cd",
            &format!("{:02}", weekday.num_days_from_sunday() + 1),
        )
        .flag("bzdy_yn", banks)
        // The broker answers `Y` even for weekends.
        .flag("tr_day_yn", true)
        .flag("opnd_yn", opens)
        .flag("sttl_day_yn", opens);
    row.end();
}
