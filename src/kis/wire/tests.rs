use chrono::TimeZone as _;
use serde_json::{Value, json};

use super::*;
use crate::domain::{Group, Market, Seoul};
use crate::port::Remedy;

macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/kis/", $name)).as_slice()
    };
}

fn now() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 20, 14, 30, 0).unwrap()
}

fn listing(code: &str, halted: Option<bool>) -> Listing {
    Listing {
        code: code.parse().unwrap(),
        name: "목록의 이름".to_owned(),
        market: Market::Kospi,
        group: Group::Stock,
        halted,
        shares: None,
        sector: None,
    }
}

fn multi(body: &str, listing: Option<&Listing>) -> Result<Quote, NoQuote> {
    let body = format!(r#"{{"output":[{body}],"rt_cd":"0"}}"#);
    let rows: Vec<MultiRow<'_>> = rows(200, body.as_bytes()).unwrap();
    rows[0].quote(Context {
        symbol: "005930".parse().unwrap(),
        listing,
        asked_at: now(),
        session: Phase::Regular,
    })
}

fn single(body: &[u8]) -> Quote {
    let rows: Vec<SingleRow<'_>> = rows(200, body).unwrap();
    rows[0]
        .quote(Context {
            symbol: "005930".parse().unwrap(),
            listing: Some(&listing("005930", Some(false))),
            asked_at: now(),
            session: Phase::Regular,
        })
        .unwrap()
}

#[test]
fn the_recorded_multi_price_body_decodes() {
    let rows: Vec<MultiRow<'_>> =
        rows(200, recorded!("intstock-multprice-FHKST11300006.json")).unwrap();
    assert_eq!(rows.len(), 3);
    let context = |code: &str| Context {
        symbol: code.parse().unwrap(),
        listing: None,
        asked_at: now(),
        session: Phase::Regular,
    };
    let quote = rows[0].quote(context("005930")).unwrap();
    let json = serde_json::to_string(&quote).unwrap();
    assert_eq!(
        json,
        "{\"stock_code\":\"005930\",\"stock_name\":\"삼성전자\",\"price\":77400,\"change\":-800,\
         \"change_rate\":-1.02,\"volume\":15713440,\"timestamp\":\"2026-11-20T14:30:00\",\
         \"market\":\"KOSPI\",\"open\":78600,\"high\":78800,\"low\":77200,\"base_price\":78200,\"value\":1221686345500,\
         \"venue\":\"KRX\",\"session\":\"regular\",\"status\":\"trading\",\"source\":\"kis.multi\",\
         \"fetched_at\":\"2026-11-20T14:30:00.000+09:00\"}"
    );
    assert_eq!(serde_json::from_str::<Quote>(&json).unwrap(), quote);
    // The third row is an index: its level is no price in won.
    assert_eq!(
        rows[2].quote(context("000001")).unwrap_err(),
        NoQuote::Refused("unparsable price '2724.62'".to_owned())
    );
}

/// The list knows better where it knows the code.
#[test]
fn a_code_of_no_list_keeps_the_market_that_its_row_names() {
    let listed = listing("005930", None);
    let of = |name: &str, listing| {
        let row = format!(r#"{{"inter2_prpr":"1000","kospi_kosdaq_cls_name":"{name}"}}"#);
        multi(&row, listing).unwrap().market
    };
    for (name, market) in [
        ("거래소", Some(Market::Kospi)),
        ("KOSPI", Some(Market::Kospi)),
        ("코스닥", Some(Market::Kosdaq)),
        ("KOSDAQ", Some(Market::Kosdaq)),
        ("", None),
        ("업종", None),
    ] {
        assert_eq!(of(name, None), market, "{name}");
        assert_eq!(of(name, Some(&listed)), Some(listed.market), "{name}");
    }
    let body = r#"{"output":{"stck_prpr":"1000","rprs_mrkt_kor_name":"KSQ150"},"rt_cd":"0"}"#;
    let rows: Vec<SingleRow<'_>> = rows(200, body.as_bytes()).unwrap();
    let quote = rows[0].quote(Context {
        symbol: "999990".parse().unwrap(),
        listing: None,
        asked_at: now(),
        session: Phase::Regular,
    });
    assert_eq!(quote.unwrap().market, Some(Market::Kosdaq));
}

#[test]
fn recorded_single_price_bodies_decode() {
    let quote = single(recorded!(
        "recorded-inquire-price-FHKST01010100-005930-20250725T094731.json"
    ));
    assert_eq!(
        (quote.price, quote.change, quote.change_rate),
        (65_850, Some(-150), Some(-0.23))
    );
    assert_eq!(
        (quote.open, quote.high, quote.low),
        (Some(65_700), Some(66_000), Some(65_500))
    );
    assert_eq!(
        (quote.volume, quote.value),
        (Some(1_943_202), Some(127_737_129_950))
    );
    assert_eq!(
        (quote.base_price, quote.stock_name.as_str()),
        (Some(66_000), "목록의 이름")
    );
    assert_eq!(
        single(recorded!("recorded-inquire-price-1-2024.json")).price,
        75_700
    );
    assert_eq!(
        single(recorded!("inquire-price-FHKST01010100.json")).price,
        128_500
    );
}

#[test]
fn recorded_errors_are_known() {
    let table = [
        (
            500,
            recorded!("EGW00123-http500-2025-07-25.json"),
            Remedy::RenewToken,
        ),
        (
            200,
            recorded!("EGW00123-http500-2025-07-25.json"),
            Remedy::RenewToken,
        ),
        (
            500,
            recorded!("EGW00201-http500.json"),
            Remedy::AskAgainSoon,
        ),
        (
            403,
            recorded!("EGW00133-http403-2026-04-06.json"),
            Remedy::AskAgainSoon,
        ),
        (
            403,
            recorded!("EGW00133-body-variant.json"),
            Remedy::AskAgainSoon,
        ),
        (500, recorded!("EGW02004.json"), Remedy::GiveUp),
        (
            500,
            recorded!("IGW00007-http500-2025-07-31.json"),
            Remedy::AskAgainLater,
        ),
        (
            500,
            b"Internal Server Error".as_slice(),
            Remedy::AskAgainLater,
        ),
        (200, b"<html>".as_slice(), Remedy::AskAgainLater),
        (200, b"{}".as_slice(), Remedy::AskAgainLater),
        (502, b"{}".as_slice(), Remedy::AskAgainLater),
    ];
    for (status, body, remedy) in table {
        let error = rows::<MultiRow<'_>>(status, body).unwrap_err();
        assert_eq!(error.remedy(), remedy, "{status} {error}");
    }
}

#[test]
fn what_is_no_price_is_never_a_quote() {
    let with_base = |price: &str| format!(r#"{{"inter2_prpr":{price},"inter2_sdpr":"71000"}}"#);
    for (price, why) in [
        (r#""0""#, "zero price"),
        (r#""000""#, "zero price"),
        (r#""""#, "blank price"),
        (r#""   ""#, "blank price"),
        ("null", "blank price"),
        ("[]", "blank price"),
        (r#""12a""#, "unparsable price '12a'"),
        (r#""-100""#, "unparsable price '-100'"),
        (r#""NaN""#, "unparsable price 'NaN'"),
        (
            r#""99999999999999999999""#,
            "unparsable price '99999999999999999999'",
        ),
    ] {
        let refused = multi(&with_base(price), None).unwrap_err();
        assert_eq!(refused, NoQuote::Refused(why.to_owned()), "{price}");
    }
    let nothing =
        r#"{"inter_shrn_iscd":"005930","inter2_prpr":"0","acml_vol":"0","inter2_sdpr":"0"}"#;
    assert_eq!(multi(nothing, None).unwrap_err(), NoQuote::Unknown);
}

#[test]
fn a_missing_or_broken_field_spoils_nothing_else() {
    let quote = multi(r#"{"inter2_prpr":"72000"}"#, None).unwrap();
    assert_eq!(quote.price, 72_000);
    assert_eq!(
        (quote.change, quote.change_rate, quote.volume),
        (None, None, None)
    );
    let quote = multi(
        r#"{"inter2_prpr":72000,"inter2_sdpr":" 71000 ","prdy_ctrt":"","acml_vol":"x",
            "inter2_oprc":{"deep":[1]},"acml_tr_pbmn":true,"inter2_hgpr":"0","new":[{}]}"#,
        None,
    )
    .unwrap();
    assert_eq!((quote.change, quote.change_rate), (Some(1_000), Some(1.41)));
    assert_eq!(
        (quote.volume, quote.open, quote.value, quote.high),
        (None, None, None, None)
    );
}

#[test]
fn a_stock_without_a_trade_is_halted_or_untraded() {
    let row = r#"{"inter2_prpr":"9900","inter2_sdpr":"9900","acml_vol":"0","inter2_oprc":"0","inter2_hgpr":"0","inter2_lwpr":"0"}"#;
    let status = |halted| {
        let listing = listing("005930", halted);
        let quote = multi(row, Some(&listing)).unwrap();
        assert_eq!((quote.price, quote.open, quote.high), (9_900, None, None));
        quote.status
    };
    assert_eq!(status(Some(true)), Status::Halted);
    assert_eq!(status(Some(false)), Status::Untraded);
    assert_eq!(status(None), Status::Halted);
    // Where the answer lacks both volume and open, the list is all that is known.
    let sparse = r#"{"inter2_prpr":"9900","inter2_sdpr":"9900"}"#;
    for (halted, expected) in [
        (Some(true), Status::Halted),
        (Some(false), Status::Trading),
        (None, Status::Trading),
    ] {
        let listing = listing("005930", halted);
        assert_eq!(multi(sparse, Some(&listing)).unwrap().status, expected);
    }
    // The list of the morning said halted, but it trades.
    let traded = r#"{"inter2_prpr":"9900","acml_vol":"10","inter2_oprc":"9900"}"#;
    let listing = listing("005930", Some(true));
    assert_eq!(
        multi(traded, Some(&listing)).unwrap().status,
        Status::Trading
    );
}

#[test]
fn what_is_no_row_takes_no_row_along() {
    let body =
        br#"{"output":[null,7,-7,1.5,true,"x",[{"a":1}],{"inter2_prpr":"72000"}],"rt_cd":"0"}"#;
    let rows: Vec<MultiRow<'_>> = rows(200, body).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].inter2_prpr.as_str(), "72000");
}

#[test]
fn a_field_that_is_there_twice_spoils_nothing() {
    let row = r#"{"acml_vol":"1","inter2_prpr":"72000","acml_vol":"2"}"#;
    let quote = multi(row, None).unwrap();
    assert_eq!((quote.price, quote.volume), (72_000, Some(2)));
}

/// Optional fields of `intstock-multprice`, each with the members of the price object that follow
/// from it.
const OF_MULTI: [(&str, &[&str]); 9] = [
    ("inter_kor_isnm", &["stock_name"]),
    ("inter2_prdy_vrss", &["change"]),
    ("prdy_ctrt", &["change_rate"]),
    ("acml_vol", &["volume", "status"]),
    ("inter2_oprc", &["open"]),
    ("inter2_hgpr", &["high"]),
    ("inter2_lwpr", &["low"]),
    ("acml_tr_pbmn", &["value"]),
    ("inter2_sdpr", &["base_price"]),
];

/// The same of `inquire-price`.
const OF_SINGLE: [(&str, &[&str]); 10] = [
    ("iscd_stat_cls_code", &[]),
    ("temp_stop_yn", &[]),
    ("prdy_vrss", &["change"]),
    ("prdy_ctrt", &["change_rate"]),
    ("acml_vol", &["volume", "status"]),
    ("acml_tr_pbmn", &["value"]),
    ("stck_oprc", &["open"]),
    ("stck_hgpr", &["high"]),
    ("stck_lwpr", &["low"]),
    ("stck_sdpr", &["base_price"]),
];

/// Fields, each with members.
type Optional = &'static [(&'static str, &'static [&'static str])];

/// A whole row of each call, as it was recorded.
fn recorded_rows() -> [(Value, Optional); 2] {
    let multi: Value =
        serde_json::from_slice(recorded!("intstock-multprice-FHKST11300006.json")).unwrap();
    let single: Value =
        serde_json::from_slice(recorded!("recorded-inquire-price-1-2024.json")).unwrap();
    [
        (multi["output"][0].clone(), &OF_MULTI),
        (single["output"].clone(), &OF_SINGLE),
    ]
}

/// The price object that a row of either call makes.
fn object_of(row: &Value) -> Value {
    let body = json!({"output": row, "rt_cd": "0"}).to_string();
    let listing = listing("005930", Some(false));
    let context = Context {
        symbol: "005930".parse().unwrap(),
        listing: Some(&listing),
        asked_at: now(),
        session: Phase::Regular,
    };
    let quote = if row.get("stck_prpr").is_some() {
        let rows: Vec<SingleRow<'_>> = rows(200, body.as_bytes()).unwrap();
        rows[0].quote(context).unwrap()
    } else {
        let rows: Vec<MultiRow<'_>> = rows(200, body.as_bytes()).unwrap();
        rows[0].quote(context).unwrap()
    };
    let text = serde_json::to_string(&quote).unwrap();
    assert_eq!(serde_json::from_str::<Quote>(&text).unwrap(), quote);
    serde_json::from_str(&text).unwrap()
}

/// What may stand where a field of text should; `None` for nothing at all.
fn oddities() -> Vec<Option<Value>> {
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(-3.5),
        json!(1e308),
        json!(u64::MAX),
        json!([]),
        json!(["1", {"deep": [[[]]]}]),
        json!({}),
        json!({"inter2_prpr": "1", "stck_prpr": "1"}),
        json!(""),
        json!("   "),
        json!("-"),
        json!("garbage"),
        json!("NaN"),
        json!("1e308"),
        json!("99999999999999999999"),
        json!("-9223372036854775808"),
        json!("\u{0}\"\\"),
    ];
    [None].into_iter().chain(values.map(Some)).collect()
}

#[test]
fn one_broken_field_takes_only_its_own_value_along() {
    for (row, optional) in recorded_rows() {
        let whole = object_of(&row);
        for (field, members) in optional {
            for oddity in oddities() {
                let mut broken = row.clone();
                put(&mut broken, field, oddity.clone());
                let object = object_of(&broken);
                for (member, value) in whole.as_object().unwrap() {
                    if !members.contains(&member.as_str()) {
                        let got = object.get(member);
                        assert_eq!(got, Some(value), "{field} {oddity:?} spoils {member}");
                    }
                }
            }
        }
    }
}

fn put(row: &mut Value, field: &str, value: Option<Value>) {
    let row = row.as_object_mut().unwrap();
    match value {
        Some(value) => row.insert(field.to_owned(), value),
        None => row.remove(field),
    };
}

proptest::proptest! {
    /// Whatever the body, decoding neither panics nor yields a price of zero or less.
    #[test]
    fn no_body_gives_a_false_price(price in "\\PC{0,12}", other in "\\PC{0,6}") {
        let body = serde_json::json!({
            "inter2_prpr": price, "inter2_sdpr": other, "acml_vol": other, "prdy_ctrt": other,
        });
        if let Ok(quote) = multi(&body.to_string(), None) {
            proptest::prop_assert!(quote.price > 0);
        }
    }

    /// Whatever stands in the optional fields, in any number of them, the price survives.
    #[test]
    fn no_optional_field_spoils_a_quote(
        breaks in proptest::collection::vec((0..10_usize, 0..20_usize), 0..10),
        text in "\\PC{0,30}",
    ) {
        let oddities = oddities();
        for (mut row, optional) in recorded_rows() {
            let price = object_of(&row)["price"].clone();
            for (place, oddity) in &breaks {
                let value = match oddities.get(*oddity) {
                    Some(oddity) => oddity.clone(),
                    None => Some(json!(text)),
                };
                put(&mut row, optional[*place % optional.len()].0, value);
            }
            proptest::prop_assert_eq!(&object_of(&row)["price"], &price);
        }
    }
}
