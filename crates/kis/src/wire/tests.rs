use chrono::TimeZone as _;
use serde_json::{Value, json};

use super::*;
use sise_domain::{Group, Market, Seoul};
use sise_port::Remedy;

macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/kis/", $name)).as_slice()
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
        listed: None,
        in_liquidation: None,
    }
}

fn multi(body: &str, listing: Option<&Listing>) -> Result<Quote, NoQuote> {
    let body = format!(r#"{{"output":[{body}],"rt_cd":"0"}}"#);
    let body = Body::new(body.as_bytes());
    let rows: Vec<MultiRow<'_>> = body.rows(200).unwrap();
    let read = rows[0].read(Context {
        symbol: "005930".parse().unwrap(),
        listing,
        asked_at: now(),
        session: Phase::Regular,
        basis: None,
    });
    read.map(|read| read.quote)
}

fn single(body: &[u8]) -> Quote {
    let body = Body::new(body);
    let rows: Vec<SingleRow<'_>> = body.rows(200).unwrap();
    rows[0]
        .read(Context {
            symbol: "005930".parse().unwrap(),
            listing: Some(&listing("005930", Some(false))),
            asked_at: now(),
            session: Phase::Regular,
            basis: None,
        })
        .unwrap()
        .quote
}

#[test]
fn the_recorded_multi_price_body_decodes() {
    let body = Body::new(recorded!("intstock-multprice-FHKST11300006.json"));
    let rows: Vec<MultiRow<'_>> = body.rows(200).unwrap();
    assert_eq!(rows.len(), 3);
    let context = |code: &str| Context {
        symbol: code.parse().unwrap(),
        listing: None,
        asked_at: now(),
        session: Phase::Regular,
        basis: None,
    };
    let quote = rows[0].read(context("005930")).unwrap().quote;
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
    // The third row is an index: its level is not a price in won.
    assert_eq!(
        rows[2].read(context("000001")).unwrap_err(),
        NoQuote::Refused(Refusal::NoPrice("unparsable price '2724.62'".to_owned()))
    );
}

/// For a code in the list, the list takes precedence.
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
    let body = Body::new(body.as_bytes());
    let rows: Vec<SingleRow<'_>> = body.rows(200).unwrap();
    let read = rows[0].read(Context {
        symbol: "999990".parse().unwrap(),
        listing: None,
        asked_at: now(),
        session: Phase::Regular,
        basis: None,
    });
    assert_eq!(read.unwrap().quote.market, Some(Market::Kosdaq));
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
        let error = Body::new(body).rows::<MultiRow<'_>>(status).unwrap_err();
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
        assert_eq!(
            refused,
            NoQuote::Refused(Refusal::NoPrice(why.to_owned())),
            "{price}"
        );
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
    // If the answer lacks both volume and open, only the list is known.
    let sparse = r#"{"inter2_prpr":"9900","inter2_sdpr":"9900"}"#;
    for (halted, expected) in [
        (Some(true), Status::Halted),
        (Some(false), Status::Trading),
        (None, Status::Trading),
    ] {
        let listing = listing("005930", halted);
        assert_eq!(multi(sparse, Some(&listing)).unwrap().status, expected);
    }
    // The morning's list said halted, but it trades.
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
    let body = Body::new(body);
    let rows: Vec<MultiRow<'_>> = body.rows(200).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].inter2_prpr.as_str(), "72000");
}

#[test]
fn a_field_that_is_there_twice_spoils_nothing() {
    let row = r#"{"acml_vol":"1","inter2_prpr":"72000","acml_vol":"2"}"#;
    let quote = multi(row, None).unwrap();
    assert_eq!((quote.price, quote.volume), (72_000, None));
    let row = r#"{"acml_vol":"1","inter2_prpr":"x","inter2_prpr":"72000","acml_vol":"1"}"#;
    let quote = multi(row, None).unwrap();
    assert_eq!((quote.price, quote.volume), (72_000, Some(1)));
}

/// Optional fields of `intstock-multprice`, each with the members of the price object derived from
/// it.
const OF_MULTI: [(&str, &[&str]); 13] = [
    ("inter_kor_isnm", &["stock_name"]),
    ("mrkt_trtm_cls_name", &[]),
    ("inter2_prdy_vrss", &[]),
    ("prdy_vrss_sign", &[]),
    ("prdy_ctrt", &[]),
    ("acml_vol", &["volume", "status"]),
    ("inter2_oprc", &["open"]),
    ("inter2_hgpr", &["high"]),
    ("inter2_lwpr", &["low"]),
    ("acml_tr_pbmn", &["value"]),
    ("inter2_llam", &[]),
    ("inter2_mxpr", &[]),
    ("inter2_sdpr", &[]),
];

/// The same for `inquire-price`.
const OF_SINGLE: [(&str, &[&str]); 14] = [
    ("iscd_stat_cls_code", &[]),
    ("temp_stop_yn", &[]),
    ("stck_shrn_iscd", &[]),
    ("prdy_vrss", &[]),
    ("prdy_vrss_sign", &[]),
    ("prdy_ctrt", &[]),
    ("acml_vol", &["volume", "status"]),
    ("acml_tr_pbmn", &["value"]),
    ("stck_oprc", &["open"]),
    ("stck_hgpr", &["high"]),
    ("stck_lwpr", &["low"]),
    ("stck_llam", &[]),
    ("stck_mxpr", &[]),
    ("stck_sdpr", &[]),
];

/// Fields, each with members of the price object.
type Optional = &'static [(&'static str, &'static [&'static str])];

/// Returns a complete recorded row of each call.
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

/// Returns the price object for a row of either call; `None` if its figures are implausible.
fn object_of(row: &Value) -> Option<Value> {
    let body = json!({"output": row, "rt_cd": "0"}).to_string();
    let listing = listing("005930", Some(false));
    let context = Context {
        symbol: "005930".parse().unwrap(),
        listing: Some(&listing),
        asked_at: now(),
        session: Phase::Regular,
        basis: None,
    };
    let read = if row.get("stck_prpr").is_some() {
        let body = Body::new(body.as_bytes());
        let rows: Vec<SingleRow<'_>> = body.rows(200).unwrap();
        rows[0].read(context)
    } else {
        let body = Body::new(body.as_bytes());
        let rows: Vec<MultiRow<'_>> = body.rows(200).unwrap();
        rows[0].read(context)
    };
    let quote = match read {
        Ok(read) => read.quote,
        Err(NoQuote::Refused(Refusal::Implausible(_))) => return None,
        Err(why) => panic!("{why:?} of {row}"),
    };
    let text = serde_json::to_string(&quote).unwrap();
    assert_eq!(serde_json::from_str::<Quote>(&text).unwrap(), quote);
    Some(serde_json::from_str(&text).unwrap())
}

/// Values that may occur in place of a text field; `None` for a missing field.
fn oddities() -> Vec<Option<Value>> {
    let values = [
        json!(null),
        json!(true),
        json!("7 won"),
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
        let whole = object_of(&row).unwrap();
        for (field, members) in optional {
            for oddity in oddities() {
                // An impossible change is refused, not ignored as damage.
                if field.ends_with("prdy_vrss") && oddity == Some(json!(i64::MIN.to_string())) {
                    continue;
                }
                let mut broken = row.clone();
                put(&mut broken, field, oddity.clone());
                let object = object_of(&broken).unwrap();
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
    /// Decoding neither panics nor yields a price of zero or less, whatever the body.
    #[test]
    fn no_body_gives_a_false_price(price in "\\PC{0,12}", other in "\\PC{0,6}") {
        let body = serde_json::json!({
            "inter2_prpr": price, "inter2_sdpr": other, "acml_vol": other, "prdy_ctrt": other,
        });
        if let Ok(quote) = multi(&body.to_string(), None) {
            proptest::prop_assert!(quote.price > 0);
        }
    }

    /// The price survives any content of any number of optional fields.
    #[test]
    fn no_optional_field_spoils_a_quote(
        breaks in proptest::collection::vec((0..14_usize, 0..20_usize), 0..10),
        text in "\\PC{0,30}",
    ) {
        let oddities = oddities();
        for (mut row, optional) in recorded_rows() {
            let price = object_of(&row).unwrap()["price"].clone();
            for (place, oddity) in &breaks {
                let value = match oddities.get(*oddity) {
                    Some(oddity) => oddity.clone(),
                    None => Some(json!(text)),
                };
                put(&mut row, optional[*place % optional.len()].0, value);
            }
            if let Some(object) = object_of(&row) {
                proptest::prop_assert_eq!(&object["price"], &price);
            }
        }
    }
}

/// Asserts `price - base price = change`, with a matching rate, for a quote of any source.
fn assert_measured(quote: &Quote) {
    let (change, base) = (quote.change.unwrap(), quote.base_price.unwrap());
    assert_eq!(quote.price - base, change, "{quote:?}");
    let rate = change as f64 / base as f64 * 100.0;
    assert!(
        (rate - quote.change_rate.unwrap()).abs() < 0.011,
        "{quote:?}"
    );
}

#[test]
fn the_change_of_every_recorded_body_is_measured_against_the_base_price() {
    let body = Body::new(recorded!("intstock-multprice-FHKST11300006.json"));
    let rows: Vec<MultiRow<'_>> = body.rows(200).unwrap();
    for (row, code) in rows.iter().zip(["005930", "000660"]) {
        let read = row
            .read(Context {
                symbol: code.parse().unwrap(),
                ..context()
            })
            .unwrap();
        assert_measured(&read.quote);
        assert_eq!(read.contradicted, []);
    }
    for body in [
        recorded!("recorded-inquire-price-FHKST01010100-005930-20250725T094731.json"),
        recorded!("recorded-inquire-price-1-2024.json"),
        recorded!("inquire-price-FHKST01010100.json"),
    ] {
        let body = Body::new(body);
        let rows: Vec<SingleRow<'_>> = body.rows(200).unwrap();
        let read = rows[0].read(context()).unwrap();
        assert_measured(&read.quote);
        assert_eq!(read.contradicted, []);
    }
}

fn context() -> Context<'static> {
    Context {
        symbol: "005930".parse().unwrap(),
        listing: None,
        asked_at: now(),
        session: Phase::Regular,
        basis: None,
    }
}

/// Reads a row of either call with these members.
fn reads(members: &Value) -> [Result<Read, NoQuote>; 2] {
    let multi = [
        ("price", "inter2_prpr"),
        ("change", "inter2_prdy_vrss"),
        ("sign", "prdy_vrss_sign"),
        ("rate", "prdy_ctrt"),
        ("volume", "acml_vol"),
        ("value", "acml_tr_pbmn"),
        ("open", "inter2_oprc"),
        ("high", "inter2_hgpr"),
        ("low", "inter2_lwpr"),
        ("lower", "inter2_llam"),
        ("upper", "inter2_mxpr"),
        ("base", "inter2_sdpr"),
        ("previous", "inter2_prdy_clpr"),
    ];
    let single = [
        ("price", "stck_prpr"),
        ("change", "prdy_vrss"),
        ("sign", "prdy_vrss_sign"),
        ("rate", "prdy_ctrt"),
        ("volume", "acml_vol"),
        ("value", "acml_tr_pbmn"),
        ("open", "stck_oprc"),
        ("high", "stck_hgpr"),
        ("low", "stck_lwpr"),
        ("lower", "stck_llam"),
        ("upper", "stck_mxpr"),
        ("base", "stck_sdpr"),
        ("previous", "stck_prdy_clpr"),
    ];
    let named = |names: &[(&str, &str)]| {
        let members = members.as_object().unwrap().iter();
        let of = |key: &str| {
            names
                .iter()
                .find(|(name, _)| *name == key)
                .unwrap()
                .1
                .to_owned()
        };
        let row: serde_json::Map<String, Value> = members
            .map(|(key, value)| (of(key), json!(value.to_string().trim_matches('"'))))
            .collect();
        json!({"output": row, "rt_cd": "0"}).to_string()
    };
    let (multi, single) = (named(&multi), named(&single));
    let (multi, single) = (Body::new(multi.as_bytes()), Body::new(single.as_bytes()));
    let row = |rows: Vec<MultiRow<'_>>| rows[0].read(context());
    let multi = row(multi.rows(200).unwrap());
    let row = |rows: Vec<SingleRow<'_>>| rows[0].read(context());
    [multi, row(single.rows(200).unwrap())]
}

#[test]
fn after_a_capital_reduction_the_base_price_is_what_the_change_is_measured_against() {
    // As the broker reports it, and as it would be against the previous close.
    for (change, rate, contradicted) in [
        (70, "1.11", &[][..]),
        (
            6_189,
            "2933.18",
            &[Contradicted::Change, Contradicted::Rate],
        ),
    ] {
        for read in reads(&json!({
            "price": 6_400, "base": 6_330, "previous": 211, "change": change, "sign": "2",
            "rate": rate, "open": 6_330, "high": 6_450, "low": 6_330, "lower": 4_440,
            "upper": 8_220, "volume": 100, "value": 640_000,
        })) {
            let read = read.unwrap();
            assert_measured(&read.quote);
            assert_eq!(read.quote.base_price, Some(6_330));
            assert_eq!(read.quote.change_rate, Some(1.11));
            assert_eq!(read.contradicted, contradicted);
        }
    }
}

#[test]
fn price_and_base_price_decide_where_the_broker_contradicts_them() {
    use Contradicted::{Change, Limits, Rate, Sign};
    for (members, change, rate, contradicted) in [
        // A change that lacks its sign, with and without a rate that lacks it too.
        (
            json!({"price": 9_900, "base": 10_000, "change": 100, "sign": "5", "rate": "-1.00"}),
            -100,
            -1.0,
            &[Change][..],
        ),
        (
            json!({"price": 9_900, "base": 10_000, "change": 100, "sign": "5", "rate": "1.00"}),
            -100,
            -1.0,
            &[Change, Rate],
        ),
        (
            json!({"price": 9_900, "base": 10_000, "change": -100, "sign": "2", "rate": "-1.00"}),
            -100,
            -1.0,
            &[Sign],
        ),
        (
            json!({"price": 9_900, "base": 10_000, "change": 7, "sign": "3", "rate": "x"}),
            -100,
            -1.0,
            &[Sign, Change],
        ),
        (
            json!({"price": 9_900, "base": 10_000, "rate": "99.00"}),
            -100,
            -1.0,
            &[Rate],
        ),
        // Without a base price, the change decides, and its sign if the amount has none.
        (
            json!({"price": 9_900, "change": -100, "sign": "5", "rate": "-1.00"}),
            -100,
            -1.0,
            &[],
        ),
        (
            json!({"price": 9_900, "change": 100, "sign": "5", "rate": "-1.00"}),
            -100,
            -1.0,
            &[Change],
        ),
        (
            json!({"price": 9_900, "change": 100, "sign": "5"}),
            -100,
            -1.0,
            &[Change],
        ),
        (json!({"price": 9_900, "change": 100}), 100, 1.02, &[]),
        // Impossible limits are ignored.
        (
            json!({"price": 9_900, "base": 10_000, "lower": 13_000, "upper": 7_000}),
            -100,
            -1.0,
            &[Limits],
        ),
    ] {
        for read in reads(&members) {
            let read = read.unwrap();
            assert_measured(&read.quote);
            assert_eq!(read.quote.change, Some(change), "{members}");
            assert_eq!(read.quote.change_rate, Some(rate), "{members}");
            assert_eq!(read.contradicted, contradicted, "{members}");
        }
    }
}

#[test]
fn a_price_at_a_limit_says_so() {
    use sise_domain::PriceLimit::{Lower, Upper};
    let day = json!({"base": 10_000, "lower": 7_000, "upper": 13_000});
    for (price, sign, limits, expected, is_contradicted) in [
        (13_000, "1", true, Some(Upper), false),
        (7_000, "4", true, Some(Lower), false),
        (13_000, "2", true, Some(Upper), false),
        (12_990, "1", true, None, true),
        (7_010, "4", true, None, true),
        (12_990, "2", true, None, false),
        (13_000, "1", false, Some(Upper), false),
        (7_000, "4", false, Some(Lower), false),
        (12_000, "1", false, None, true),
        (13_000, "2", false, None, false),
    ] {
        let mut members = if limits {
            day.clone()
        } else {
            json!({"base": 10_000})
        };
        members["price"] = json!(price);
        members["sign"] = json!(sign);
        for read in reads(&members) {
            let read = read.unwrap();
            assert_eq!(read.quote.limit, expected, "{members}");
            assert_eq!(!read.contradicted.is_empty(), is_contradicted, "{members}");
        }
    }
}

#[test]
fn a_row_that_cannot_be_is_refused_with_its_reason() {
    let whole = json!({
        "price": 10_000, "base": 10_000, "change": 0, "sign": "3", "rate": "0.00", "open": 10_000,
        "high": 10_000, "low": 10_000, "lower": 7_000, "upper": 13_000, "volume": 10, "value": 100_000,
    });
    for (member, value, words) in [
        (
            "price",
            1,
            "price 1 is not between low 10000 and high 10000",
        ),
        (
            "price",
            i64::MAX,
            "price 9223372036854775807 is not a valid price",
        ),
        (
            "base",
            i64::MAX,
            "base price 9223372036854775807 is not a valid price",
        ),
        ("high", 9_990, "high 9990 is below low 10000"),
        (
            "high",
            i64::MAX,
            "high 9223372036854775807 is not a valid price",
        ),
        ("low", 10_010, "high 10000 is below low 10010"),
        (
            "open",
            9_000,
            "open 9000 is not between low 10000 and high 10000",
        ),
        ("low", 1, "low 1 is outside the limits 7000 to 13000"),
        (
            "upper",
            9_990,
            "price 10000 is outside the limits 7000 to 9990",
        ),
        (
            "base",
            5_000,
            "base price 5000 is outside the limits 7000 to 13000",
        ),
        (
            "change",
            i64::MAX,
            "change 9223372036854775807 does not fit price 10000",
        ),
        (
            "change",
            i64::MIN,
            "change -9223372036854775808 does not fit price 10000",
        ),
        ("change", 20_000, "change 20000 does not fit price 10000"),
        (
            "volume",
            i64::MAX,
            "volume 9223372036854775807 is more than can be traded",
        ),
        ("volume", 1_000, "value 100000 does not fit 1000 shares"),
        ("volume", 0, "value 100000 does not fit 0 shares"),
        (
            "value",
            i64::MAX,
            "value 9223372036854775807 is more than can be traded",
        ),
        ("value", 1, "value 1 does not fit 10 shares"),
    ] {
        let mut members = whole.clone();
        members[member] = json!(value);
        for read in reads(&members) {
            let Err(NoQuote::Refused(refused)) = read else {
                panic!("{members}")
            };
            assert_eq!(refused.to_string(), format!("implausible: {words}"));
        }
    }
    for read in reads(&whole) {
        assert!(read.is_ok());
    }
}

#[test]
fn a_row_alone_is_held_against_what_is_known_of_the_day_and_the_stock() {
    let known = Context {
        basis: Some(Basis {
            base: 10_000,
            limits: Some((7_000, 13_000)),
        }),
        ..context()
    };
    fn read(row: &str, context: Context<'_>) -> Result<i64, NoQuote> {
        let body = format!(r#"{{"output":{row},"rt_cd":"0"}}"#);
        let body = Body::new(body.as_bytes());
        let rows: Vec<MultiRow<'_>> = body.rows(200).unwrap();
        rows[0].read(context).map(|read| read.quote.price)
    }
    assert_eq!(read(r#"{"inter2_prpr":"6990"}"#, context()), Ok(6_990));
    assert!(read(r#"{"inter2_prpr":"6990"}"#, known).is_err());
    assert_eq!(read(r#"{"inter2_prpr":"7000"}"#, known), Ok(7_000));
    // The usual range applies to a listed share that is neither new nor about to be delisted.
    let mut stock = listing("005930", None);
    stock.in_liquidation = Some(false);
    let row = r#"{"inter2_prpr":"6990","inter2_sdpr":"10000"}"#;
    fn of(stock: &Listing) -> Context<'_> {
        Context {
            listing: Some(stock),
            ..context()
        }
    }
    assert!(read(row, of(&stock)).is_err());
    stock.in_liquidation = Some(true);
    assert_eq!(read(row, of(&stock)), Ok(6_990));
    (stock.in_liquidation, stock.listed) = (Some(false), Some(now().date_naive()));
    assert_eq!(read(row, of(&stock)), Ok(6_990));
    assert!(
        read(
            r#"{"inter2_prpr":"5990","inter2_sdpr":"10000"}"#,
            of(&stock)
        )
        .is_err()
    );
    let named = r#"{"inter2_prpr":"6990","inter2_sdpr":"10000","inter2_llam":"7000","inter2_mxpr":"13000","mrkt_trtm_cls_name":"정리매매"}"#;
    assert_eq!(read(named, context()), Ok(6_990));
    assert_eq!(
        read(r#"{"inter2_prpr":"10001"}"#, of(&stock)).unwrap_err(),
        NoQuote::Refused(Refusal::Implausible(sise_domain::Implausible::OffGrid {
            which: sise_domain::Figure::Price,
            number: 10_001,
            tick: 10
        }))
    );
}

#[test]
fn a_single_row_of_another_code_is_no_answer() {
    let read = |code: &str, asked: &str| {
        let body = format!(
            r#"{{"output":{{"stck_shrn_iscd":"{code}","stck_prpr":"1007000"}},"rt_cd":"0"}}"#
        );
        let body = Body::new(body.as_bytes());
        let rows: Vec<SingleRow<'_>> = body.rows(200).unwrap();
        rows[0]
            .read_of(Context {
                symbol: asked.parse().unwrap(),
                ..context()
            })
            .map(|read| read.quote.price)
    };
    assert_eq!(read("035720", "035720"), Ok(1_007_000));
    assert_eq!(read("500001", "Q500001"), Ok(1_007_000));
    assert_eq!(read("", "035720"), Ok(1_007_000));
    for damaged in ["03572\\ud800", "\\ud80035720", "03\\ud80020", "\\ud800"] {
        assert_eq!(read(damaged, "035720"), Ok(1_007_000), "{damaged}");
    }
    assert_eq!(read("10", "000010"), Ok(1_007_000));
    for other in [
        "000660",
        "A000660",
        "KR7000660001",
        "660",
        "0126z0",
        "000010 / 035720",
        "00066\u{fffd}",
        "\u{fffd}05930",
        "0\u{fffd}5930",
    ] {
        let refused = NoQuote::Refused(Refusal::OtherCode(other.to_owned()));
        assert_eq!(read(other, "035720"), Err(refused));
    }
}

/// Reads a row of base price 9,900 with these limits, for a listing with this liquidation flag.
fn of_9900(
    price: i64,
    limits: [&str; 2],
    in_liquidation: Option<bool>,
) -> Result<(i64, Vec<Contradicted>), String> {
    let mut stock = listing("005930", Some(false));
    stock.in_liquidation = in_liquidation;
    let context = Context {
        listing: Some(&stock),
        ..context()
    };
    let [lower, upper] = limits;
    let change = price - 9_900;
    let multi = format!(
        r#"{{"output":{{"inter2_prpr":"{price}","inter2_sdpr":"9900","inter2_prdy_vrss":"{change}","inter2_llam":"{lower}","inter2_mxpr":"{upper}"}},"rt_cd":"0"}}"#
    );
    let single = format!(
        r#"{{"output":{{"stck_prpr":"{price}","stck_sdpr":"9900","prdy_vrss":"{change}","stck_llam":"{lower}","stck_mxpr":"{upper}"}},"rt_cd":"0"}}"#
    );
    let (multi, single) = (Body::new(multi.as_bytes()), Body::new(single.as_bytes()));
    let multi: Vec<MultiRow<'_>> = multi.rows(200).unwrap();
    let single: Vec<SingleRow<'_>> = single.rows(200).unwrap();
    let [multi, single] =
        [multi[0].read(context), single[0].read(context)].map(|read| match read {
            Ok(read) => Ok((read.quote.price, read.contradicted)),
            Err(NoQuote::Refused(why)) => Err(why.to_string()),
            Err(why) => panic!("{why:?}"),
        });
    assert_eq!(multi, single);
    multi
}

#[test]
fn a_row_without_limits_goes_no_farther_than_any_share_can() {
    for limits in [["", ""], ["0", "0"], ["x", "90000"]] {
        for (price, words) in [
            (
                50_000,
                "implausible: price 50000 is outside the limits 5940 to 39600",
            ),
            (
                5_000,
                "implausible: price 5000 is outside the limits 5940 to 39600",
            ),
        ] {
            let refused = of_9900(price, limits, None);
            assert_eq!(refused, Err(words.to_owned()), "{limits:?}");
            // The list marks it as in liquidation.
            assert_eq!(of_9900(price, limits, Some(true)), Ok((price, vec![])));
        }
        assert_eq!(of_9900(30_000, limits, None), Ok((30_000, vec![])));
        assert!(of_9900(30_000, limits, Some(false)).is_err());
    }
}

#[test]
fn limits_wider_than_the_day_can_have_are_counted() {
    let wide = ["5000", "90000"];
    for in_liquidation in [None, Some(false)] {
        assert!(of_9900(50_000, wide, in_liquidation).is_err());
        let counted = Ok((12_000, vec![Contradicted::Limits]));
        assert_eq!(of_9900(12_000, wide, in_liquidation), counted);
        let usual = ["6930", "12870"];
        assert_eq!(of_9900(12_870, usual, in_liquidation), Ok((12_870, vec![])));
        assert!(of_9900(12_880, usual, in_liquidation).is_err());
    }
    assert!(of_9900(5_900, wide, None).is_err());
}

#[test]
fn the_limits_of_recorded_bodies_are_those_of_the_usual_range() {
    let mut stock = listing("005930", Some(false));
    stock.in_liquidation = Some(false);
    let context = Context {
        listing: Some(&stock),
        ..context()
    };
    let body = Body::new(recorded!("intstock-multprice-FHKST11300006.json"));
    let rows: Vec<MultiRow<'_>> = body.rows(200).unwrap();
    for row in rows.iter().take(2) {
        assert_eq!(row.read(context).unwrap().contradicted, []);
    }
    for body in [
        recorded!("recorded-inquire-price-FHKST01010100-005930-20250725T094731.json"),
        recorded!("recorded-inquire-price-1-2024.json"),
        recorded!("inquire-price-FHKST01010100.json"),
    ] {
        let body = Body::new(body);
        let rows: Vec<SingleRow<'_>> = body.rows(200).unwrap();
        assert_eq!(rows[0].read(context).unwrap().contradicted, []);
    }
}
