use super::*;
use proptest::prelude::*;
use sise_domain::{Market, Phase, PriceLimit, Seoul, Status};

fn symbol() -> Symbol {
    "0126Z0".parse().unwrap()
}

fn optional_number() -> impl Strategy<Value = Option<i64>> {
    proptest::option::of(prop_oneof![
        Just(0_i64),
        -10_i64..10,
        -1_000_000_i64..1_000_000,
        any::<i64>(),
    ])
}

prop_compose! {
    fn quotes()(
        name in prop_oneof![Just("삼성전자".to_owned()), "[a-zA-Z가-힣 ]{0,12}", "\\PC{0,8}"],
        price in prop_oneof![1_i64..10_000_000, any::<i64>()],
        numbers in proptest::collection::vec(optional_number(), 7),
        rate in proptest::option::of(prop_oneof![
            (-30_000_i32..30_000).prop_map(|hundredths| f64::from(hundredths) / 100.0),
            proptest::num::f64::NORMAL,
        ]),
        seconds in 0_i64..4_000_000_000,
        fetched in 0_i64..4_000_000_000_000,
        choice in 0_usize..4,
    ) -> Quote {
        let at = |millis| {
            chrono::DateTime::from_timestamp_millis(millis).unwrap().with_timezone(&Seoul)
        };
        Quote {
            stock_code: symbol(),
            stock_name: name.into(),
            price,
            change: numbers[0],
            change_rate: rate,
            volume: numbers[1],
            timestamp: at(seconds * 1_000).naive_local(),
            market: [None, Some(Market::Kospi), Some(Market::Kosdaq), None][choice],
            open: numbers[2],
            high: numbers[3],
            low: numbers[4],
            base_price: numbers[5],
            value: numbers[6],
            venue: ["KRX", "NXT", "KRX", "KRX"][choice].into(),
            session: [Phase::Regular, Phase::Closed, Phase::AfterMarket, Phase::OpeningAuction][choice],
            status: [Status::Trading, Status::Halted, Status::Untraded, Status::Trading][choice],
            limit: [None, Some(PriceLimit::Upper), Some(PriceLimit::Lower), None][choice],
            source: ["kis.multi", "kis.single", "kis.ws", "kis.multi"][choice].into(),
            simulated: choice == 3,
            fetched_at: at(fetched),
        }
    }
}

fn by_serde(bytes: &[u8]) -> Option<Box<Quote>> {
    serde_json::from_slice(bytes).ok()
}

const OWN: &str = r#"{"stock_code":"0126Z0","stock_name":"삼성에피스홀딩스","price":559000,"change":7000,"change_rate":1.27,"volume":12345,"timestamp":"2026-11-20T14:30:00","market":"KOSPI","open":551000,"high":560000,"low":550000,"base_price":552000,"value":6229000000,"venue":"KRX","session":"regular","status":"trading","source":"kis.multi","fetched_at":"2026-11-20T14:30:00.123+09:00"}"#;

fn read(text: &str) -> Option<Box<Quote>> {
    Decoder::default().read(symbol(), text.as_bytes())
}

#[test]
fn what_sise_writes_is_read_in_every_phase_and_from_every_source() {
    assert_eq!(read(OWN), by_serde(OWN.as_bytes()));
    for session in ["after-market", "post-close-price", "single-price", "closed"] {
        for source in ["kis.ws", "kis.single", "other", "mine"] {
            let text = OWN.replace("regular", session).replace("kis.multi", source);
            let quote = read(&text).unwrap();
            assert_eq!((quote.session.as_str(), &*quote.source), (session, source));
            assert_eq!(Some(quote), by_serde(text.as_bytes()));
        }
    }
    let of_leader = OWN.replace('}', r#","lead":1795392000123}"#);
    assert_eq!(read(&of_leader), read(OWN));
}

#[test]
fn the_seven_fields_of_the_contract_are_a_price_however_they_are_written() {
    let seven = r#"{"stock_code": "0126Z0", "stock_name": "\uc0bc\uc131", "price": 559000, "change": 7000, "change_rate": 1.27, "volume": 12345, "timestamp": "2026-11-20T14:30:00"}"#;
    let quote = read(seven).unwrap();
    assert_eq!((quote.price, quote.volume), (559_000, Some(12_345)));
    assert_eq!(
        (quote.stock_name.as_str(), &*quote.source),
        ("삼성", "other")
    );
    assert_eq!(quote.fetched_at.to_rfc3339(), "2026-11-20T14:30:00+09:00");
    // Times as other languages write them, with the members in any order.
    for (time, millis) in [
        ("2026-11-20T14:30:00.250000", 250),
        ("2026-11-20 14:30:00", 0),
        ("2026-11-20T05:30:00Z", 0),
        ("2026-11-20T14:30:00.250+09:00", 250),
    ] {
        let text = format!(
            r#"{{ "timestamp" : "{time}" , "price":559000,"mine":[{{"price":1}}],"stock_code":"0126Z0"}}"#
        );
        let quote = read(&text).unwrap();
        assert_eq!(quote.price, 559_000, "{text}");
        let fetched_at = quote.fetched_at.timestamp_millis();
        assert_eq!(fetched_at, 1_795_152_600_000 + millis, "{text}");
    }
    assert_eq!(read(r#"{"stock_code":"0126Z0","price":559000}"#), None);
    assert_eq!(read(&seven.replace("0126Z0", "005930")), None);
}

/// Damage in one member leaves the others readable.
#[test]
fn a_damaged_value_costs_that_value_alone() {
    let damages: [&[u8]; 24] = [
        b"NaN",
        b"Infinity",
        b"-",
        b"1e999",
        b"99999999999999999999",
        b"00012",
        b"0x10",
        b"1.5.2",
        b"null",
        b"true",
        b"\"x\"",
        b"\"",
        b"\"\"x\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xff\xfe\"",
        b"\"\x00\"",
        b"\"\\ud800\"",
        b"\"\\x\"",
        b"[1,2",
        b"{\"a\":",
        b"{\"a\":{\"b\":[1]}}",
        b"[[[[[",
        b"",
        b"'x'",
    ];
    let whole: serde_json::Value = serde_json::from_str(OWN).unwrap();
    let members = whole.as_object().unwrap();
    let needed = ["stock_code", "price"];
    for name in members
        .keys()
        .filter(|name| !needed.contains(&name.as_str()))
    {
        let (before, after) = OWN.split_once(&format!("\"{name}\":")).unwrap();
        let end = after.find(",\"").or_else(|| after.find('}')).unwrap();
        for damage in damages {
            let text = [
                before.as_bytes(),
                format!("\"{name}\":").as_bytes(),
                damage,
                &after.as_bytes()[end..],
            ]
            .concat();
            let shown = String::from_utf8_lossy(&text).into_owned();
            let quote = Decoder::default().read(symbol(), &text).expect(&shown);
            let read = serde_json::to_value(&quote).unwrap();
            for (other, value) in members {
                // Each time replaces the other, with a resolution of one second.
                let is_time = other == "timestamp" || other == "fetched_at";
                if other != name && !is_time {
                    assert_eq!(&read[other], value, "{other} of {shown}");
                }
            }
            assert!(
                read["fetched_at"]
                    .as_str()
                    .unwrap()
                    .starts_with("2026-11-20T14:30:00")
            );
        }
    }
}

#[test]
fn one_call_reads_prices_of_every_kind_one_after_the_other() {
    let mut decoder = Decoder::default();
    let halted = OWN.replace("trading", "halted");
    let at_limit = OWN.replace(r#""source""#, r#""limit":"upper","source""#);
    let simulated = OWN.replace(r#""fetched_at""#, r#""simulated":true,"fetched_at""#);
    let of_another = OWN.replace("kis.multi", "mine");
    let twice = OWN.replace('}', r#","status":"halted"}"#);
    for text in [
        OWN,
        &halted,
        OWN,
        &at_limit,
        OWN,
        &simulated,
        &of_another,
        &twice,
        OWN,
    ] {
        assert_eq!(
            decoder.read(symbol(), text.as_bytes()),
            read(text),
            "{text}"
        );
    }
    assert_eq!(read(&halted).unwrap().status, Status::Halted);
    assert_eq!(read(&at_limit).unwrap().limit, Some(PriceLimit::Upper));
    assert!(read(&simulated).unwrap().simulated);
}

#[test]
fn what_other_programs_add_or_write_otherwise_costs_no_price() {
    for (from, to) in [
        ("{", r#"{"per":NaN,"#),
        ("}", r#","per":NaN}"#),
        ("}", r#","pbr":-Infinity,"per": NaN }"#),
        (r#","market""#, ",\"note\":\"a\u{1}b\",\"market\""),
        ("559000", "559000.0"),
        ("559000", "5.59e5"),
        ("559000", r#""559000""#),
        ("{", "\u{feff}{"),
    ] {
        let text = OWN.replacen(from, to, 1);
        assert_eq!(read(&text).as_deref(), read(OWN).as_deref(), "{text}");
    }
    for price in [r#""""#, "559000.5", "true", "1e300", r#""x""#, "null"] {
        assert_eq!(read(&OWN.replacen("559000", price, 1)), None, "{price}");
    }
    // The last brace closes the inner object; the outer one is cut off.
    let cut = OWN.replace('}', r#","extra":{"a":1}"#);
    assert_eq!(read(&cut), None);
}

#[test]
fn what_is_cut_off_is_no_price() {
    for length in 0..OWN.len() {
        let cut = OWN.get(..length).and_then(read);
        assert_eq!(cut, None, "{:?}", OWN.get(..length));
    }
}

#[test]
fn a_member_may_stand_twice_if_both_say_the_same() {
    for (second, price) in [
        ("559000", Some(559_000)),
        ("NaN", Some(559_000)),
        ("\"\"", Some(559_000)),
        ("558000", None),
    ] {
        let text = OWN.replace('}', &format!(",\"price\":{second}}}"));
        assert_eq!(read(&text).map(|quote| quote.price), price, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_reads_what_serde_reads(quote in quotes()) {
        let bytes = serde_json::to_vec(&quote).unwrap();
        let serde = by_serde(&bytes);
        prop_assert_eq!(Decoder::default().read(symbol(), &bytes), serde);
    }

    #[test]
    fn what_was_read_before_changes_nothing(quotes in proptest::collection::vec(quotes(), 6)) {
        let mut decoder = Decoder::default();
        for quote in quotes {
            let bytes = serde_json::to_vec(&quote).unwrap();
            for cut in [0, 1] {
                let bytes = &bytes[..bytes.len() - cut];
                let read = decoder.read(symbol(), bytes);
                prop_assert_eq!(read, Decoder::default().read(symbol(), bytes));
            }
        }
    }

    /// As other programs write: members in one or several orders, with or without blanks.
    #[test]
    fn it_reads_what_serde_reads_in_any_order(
        quotes in proptest::collection::vec((quotes(), any::<bool>(), 0_usize..3), 6),
        orders in proptest::collection::vec(any::<u64>(), 3),
    ) {
        let mut decoder = Decoder::default();
        for (quote, is_spaced, order) in quotes {
            let object = serde_json::to_value(&quote).unwrap();
            let mut members: Vec<_> = object.as_object().unwrap().iter().collect();
            fastrand::Rng::with_seed(orders[order]).shuffle(&mut members);
            let blank = if is_spaced { " " } else { "" };
            let members = members.iter().map(|(name, value)| format!("\"{name}\":{blank}{value}"));
            let members: Vec<String> = members.collect();
            let text = format!("{{{}}}", members.join(&format!(",{blank}")));
            prop_assert_eq!(decoder.read(symbol(), text.as_bytes()), by_serde(text.as_bytes()), "{}", text);
        }
    }

    /// Bytes are changed, removed or inserted: what serde can read is read in the same way.
    #[test]
    fn it_reads_what_serde_reads_of_what_is_damaged(
        quote in quotes(),
        lead in proptest::option::of(any::<u64>()),
        place in any::<prop::sample::Index>(),
        length in 0_usize..4,
        new in "[-0-9.eE\"\\\\:,{}a-z +]{0,3}",
    ) {
        let mut bytes = serde_json::to_vec(&quote).unwrap();
        let mut decoder = Decoder::default();
        decoder.read(symbol(), &bytes);
        if let Some(lead) = lead {
            bytes.pop();
            bytes.extend(format!(",\"lead\":{lead}}}").bytes());
        }
        let start = place.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, new.bytes());
        if let Some(serde) = by_serde(&bytes).filter(|quote| quote.stock_code == symbol()) {
            prop_assert_eq!(Decoder::default().read(symbol(), &bytes), Some(serde));
        }
        let fresh = Decoder::default().read(symbol(), &bytes);
        prop_assert_eq!(decoder.read(symbol(), &bytes), fresh);
    }
}
