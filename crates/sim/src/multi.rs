//! `intstock-multprice`: up to thirty codes in one call (contract 4.3).

use super::answer::{Answer, Refusal};
use super::body::Row;
use super::endpoint::{Call, another};
use super::faults::Alteration;
use super::index::{Index, IndexFigures};
use super::query::Query;
use super::stock::{Figures, Stock, hundredths, sign_of};
use sise_domain::{Market, tick_size};

/// Slots in one call.
const SLOTS: usize = 30;

/// Bytes of a typical row, for the initial capacity.
const ROW: usize = 960;

/// The content of one slot of the query.
enum Asked<'a> {
    Stock(&'a Stock, Figures),
    /// A stock without a price.
    Unpriced(&'a Stock),
    Index(Index, IndexFigures),
    Unknown(&'a str),
}

pub(super) fn answer(call: Call<'_>, query: &Query<'_>) -> Result<Answer, Refusal> {
    let slots = slots(query)?;
    let mut asked = find(call, &slots);
    let faults = call.dice.faults();
    let mut faulty = false;
    if call.dice.strikes(faults.short) {
        faulty = true;
        for _ in 0..=call.dice.below(3) {
            if !asked.is_empty() {
                asked.remove(call.dice.below(asked.len()));
            }
        }
    }
    let mut payload = String::with_capacity(asked.len() * ROW + 200);
    payload.push_str("\"output\":[");
    for (number, asked) in asked.iter().enumerate() {
        if number > 0 {
            payload.push(',');
        }
        match asked {
            Asked::Stock(stock, now) => {
                let other = call.dice.strikes(faults.misnamed);
                let other = other.then(|| another(call, stock)).flatten();
                let (stock, now) = other.as_ref().map_or((*stock, now), |(s, now)| (*s, now));
                let alteration = call.dice.alteration();
                let expected = call
                    .dice
                    .strikes(faults.expected)
                    .then(|| expected_match(now));
                let shown = expected.as_ref().map_or(now.price, |now| now.price);
                let (price, is_wrong) = call.dice.price(shown);
                faulty |= is_wrong || other.is_some() || expected.is_some() || alteration.is_any();
                let seen = Seen {
                    now,
                    expected,
                    price,
                };
                stock_row(&mut payload, stock, &seen, alteration);
            }
            Asked::Unpriced(stock) => empty_row(&mut payload, stock.code.as_str(), Some(stock)),
            Asked::Index(index, now) => index_row(&mut payload, *index, now),
            Asked::Unknown(code) => empty_row(&mut payload, code, None),
        }
    }
    payload.push(']');
    Ok(Answer {
        faulty,
        ..Answer::new(payload)
    })
}

/// Returns division and code of every slot, in order, up to the first empty slot.
fn slots<'q>(query: &'q Query<'_>) -> Result<Vec<(&'q str, &'q str)>, Refusal> {
    let mut divisions = [None; SLOTS];
    let mut codes = [None; SLOTS];
    for (name, value) in query.pairs() {
        let Some((name, number)) = name.rsplit_once('_') else {
            continue;
        };
        let column = if name.eq_ignore_ascii_case("FID_COND_MRKT_DIV_CODE") {
            &mut divisions
        } else if name.eq_ignore_ascii_case("FID_INPUT_ISCD") {
            &mut codes
        } else {
            continue;
        };
        let slot = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        if let Some(place) = slot.and_then(|slot| column.get_mut(slot)) {
            *place = Some(value.trim());
        }
    }
    let mut slots = Vec::with_capacity(SLOTS);
    for (number, pair) in divisions.into_iter().zip(codes).enumerate() {
        match pair {
            (Some(division), Some(code)) if !code.is_empty() => slots.push((division, code)),
            (None, _) if number == 0 => {
                return Err(Refusal::missing("FID_COND_MRKT_DIV_CODE_1"));
            }
            (_, None) if number == 0 => return Err(Refusal::missing("FID_INPUT_ISCD_1")),
            _ => break,
        }
    }
    Ok(slots)
}

fn find<'a>(call: Call<'a>, slots: &[(&str, &'a str)]) -> Vec<Asked<'a>> {
    let market = call.market;
    let places: Vec<_> = slots
        .iter()
        .map(|(division, code)| match *division {
            "U" => None,
            _ => market.place(code),
        })
        .collect();
    let mut figures = Vec::with_capacity(places.len());
    market.look(|now| figures.extend(places.iter().map(|place| place.and_then(now))));
    slots
        .iter()
        .zip(places.iter().zip(figures))
        .map(|((division, code), (place, figures))| {
            let index = Index::with_code(code).filter(|_| *division == "U");
            match (place.and_then(|place| market.stock(place)), figures, index) {
                (Some(stock), Some(figures), _) => Asked::Stock(stock, figures),
                (Some(stock), None, _) => Asked::Unpriced(stock),
                (_, _, Some(index)) => match market.index(index) {
                    Some(now) => Asked::Index(index, now),
                    None => Asked::Unknown(code),
                },
                _ => Asked::Unknown(code),
            }
        })
        .collect()
}

/// Returns the label of a market in rows.
fn label(market: Market) -> &'static str {
    match market {
        Market::Kospi => "거래소",
        Market::Kosdaq => "코스닥",
    }
}

/// The figures of a stock as a row shows them.
struct Seen<'a> {
    now: &'a Figures,
    /// The figures of the match expected in a VI, if there is one.
    expected: Option<Figures>,
    /// The price that the row shows.
    price: i64,
}

/// Returns the figures expected at the end of a VI: another price, at which nothing has traded yet.
fn expected_match(now: &Figures) -> Figures {
    let (lower, upper) = now.limits();
    let up = now.price + 3 * tick_size(now.price);
    let price = if up <= upper { up } else { lower };
    Figures {
        price,
        rate: hundredths(price - now.base, now.base),
        ..*now
    }
}

fn stock_row(out: &mut String, stock: &Stock, seen: &Seen<'_>, alteration: Alteration) {
    let price = seen.price;
    let now = seen.expected.as_ref().unwrap_or(seen.now);
    let (lower, upper) = now.limits();
    let label = label(stock.market);
    let book = Book::of(now);
    let mut row = Row::altered(out, alteration);
    let treatment = match now.is_in_liquidation() {
        true => "정리매매",
        false => label,
    };
    row.text("kospi_kosdaq_cls_name", label)
        .text("mrkt_trtm_cls_name", treatment)
        .text(
            "hour_cls_code",
            if seen.expected.is_some() { "C" } else { "0" },
        )
        .text("inter_shrn_iscd", stock.code.as_str())
        .text("inter_kor_isnm", &stock.name)
        .number("inter2_prpr", price)
        .number("inter2_prdy_vrss", now.change())
        .text("prdy_vrss_sign", now.sign())
        .decimal("prdy_ctrt", now.rate)
        .number("acml_vol", now.volume)
        .number("inter2_oprc", now.open)
        .number("inter2_hgpr", now.high)
        .number("inter2_lwpr", now.low)
        .number("inter2_llam", lower)
        .number("inter2_mxpr", upper)
        .number("inter2_askp", book.ask)
        .number("inter2_bidp", book.bid)
        .number("seln_rsqn", book.ask_size)
        .number("shnu_rsqn", book.bid_size)
        .number("total_askp_rsqn", book.ask_size * 17)
        .number("total_bidp_rsqn", book.bid_size * 19)
        .number("acml_tr_pbmn", now.value)
        .number("inter2_prdy_clpr", now.base)
        .decimal(
            "oprc_vrss_hgpr_rate",
            hundredths(now.high - now.open, now.open),
        )
        .number(
            "intr_antc_cntg_vrss",
            seen.expected.map_or(0, |figures| figures.change()),
        )
        .text(
            "intr_antc_cntg_vrss_sign",
            seen.expected.map_or("3", |figures| figures.sign()),
        )
        .decimal(
            "intr_antc_cntg_prdy_ctrt",
            seen.expected.map_or(0, |figures| figures.rate),
        )
        // At the upper limit nobody offers shares, but an expected match has a volume.
        .number(
            "intr_antc_vol",
            seen.expected.map_or(0, |_| book.ask_size.max(1)),
        )
        .number("inter2_sdpr", now.base);
    row.end();
}

/// Writes a row for an index: points with two decimals, and blanks for values that only stocks
/// have.
fn index_row(out: &mut String, index: Index, now: &IndexFigures) {
    let level = now.level.in_hundredths();
    let mut row = Row::new(out);
    row.text("kospi_kosdaq_cls_name", "업종")
        .text("mrkt_trtm_cls_name", "")
        .text("hour_cls_code", "2")
        .text("inter_shrn_iscd", index.code())
        .text("inter_kor_isnm", index.name())
        .decimal("inter2_prpr", level.now)
        .decimal("inter2_prdy_vrss", level.now - level.base)
        .text("prdy_vrss_sign", sign_of(level.now - level.base))
        .decimal("prdy_ctrt", hundredths(level.now - level.base, level.base))
        .number("acml_vol", now.volume)
        .decimal("inter2_oprc", level.open)
        .decimal("inter2_hgpr", level.high)
        .decimal("inter2_lwpr", level.low)
        .texts(&[
            ("inter2_llam", ""),
            ("inter2_mxpr", ""),
            ("inter2_askp", ""),
            ("inter2_bidp", ""),
            ("seln_rsqn", ""),
            ("shnu_rsqn", ""),
        ])
        .number("total_askp_rsqn", now.volume / 30)
        .number("total_bidp_rsqn", now.volume / 25)
        .number("acml_tr_pbmn", now.value)
        .decimal("inter2_prdy_clpr", level.base)
        .text("oprc_vrss_hgpr_rate", "")
        .decimal("intr_antc_cntg_vrss", level.open - level.base)
        .text("intr_antc_cntg_vrss_sign", sign_of(level.open - level.base))
        .decimal(
            "intr_antc_cntg_prdy_ctrt",
            hundredths(level.open - level.base, level.base),
        )
        .number("intr_antc_vol", now.volume / 50)
        .decimal("inter2_sdpr", level.base);
    row.end();
}

/// Writes a row without a price.
///
/// The contract does not document the broker's answer for an unknown code (4.3); here it has the
/// code, blanks and zeros. For a stock without a price, it also has the name and the last close.
fn empty_row(out: &mut String, code: &str, stock: Option<&Stock>) {
    let market = stock.map_or("", |stock| label(stock.market));
    let mut row = Row::new(out);
    row.texts(&[
        ("kospi_kosdaq_cls_name", market),
        ("mrkt_trtm_cls_name", market),
        ("hour_cls_code", ""),
        ("inter_shrn_iscd", code),
        ("inter_kor_isnm", stock.map_or("", |stock| &stock.name)),
        ("inter2_prpr", "0"),
        ("inter2_prdy_vrss", "0"),
        ("prdy_vrss_sign", "3"),
        ("prdy_ctrt", ""),
        ("acml_vol", "0"),
        ("inter2_oprc", "0"),
        ("inter2_hgpr", "0"),
        ("inter2_lwpr", "0"),
        ("inter2_llam", "0"),
        ("inter2_mxpr", "0"),
        ("inter2_askp", "0"),
        ("inter2_bidp", "0"),
        ("seln_rsqn", "0"),
        ("shnu_rsqn", "0"),
        ("total_askp_rsqn", "0"),
        ("total_bidp_rsqn", "0"),
        ("acml_tr_pbmn", "0"),
    ]);
    let base = stock.map_or(0, |stock| stock.base);
    row.number("inter2_prdy_clpr", base)
        .texts(&[
            ("oprc_vrss_hgpr_rate", ""),
            ("intr_antc_cntg_vrss", "0"),
            ("intr_antc_cntg_vrss_sign", "3"),
            ("intr_antc_cntg_prdy_ctrt", ""),
            ("intr_antc_vol", "0"),
        ])
        .number("inter2_sdpr", base);
    row.end();
}

/// The top of the order book, in won and shares; all 0 without trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Book {
    pub(super) ask: i64,
    pub(super) bid: i64,
    pub(super) ask_size: i64,
    pub(super) bid_size: i64,
}

impl Book {
    /// Returns a book in which the last trade was at the bid.
    pub(super) fn of(now: &Figures) -> Self {
        let (lower, upper) = now.limits();
        if now.volume == 0 {
            return Self {
                ask: 0,
                bid: 0,
                ask_size: 0,
                bid_size: 0,
            };
        }
        let above = now.price + tick_size(now.price);
        Self {
            ask: if above <= upper { above } else { 0 },
            bid: now.price.max(lower),
            ask_size: now.volume % 9_973 + 1,
            bid_size: now.volume % 7_919 + 1,
        }
    }
}
