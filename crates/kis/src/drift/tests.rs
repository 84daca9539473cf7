use serde_json::json;

use super::super::fields::{HOLIDAYS, MULTI, SINGLE};
use super::*;

macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/kis/", $name)).as_slice()
    };
}

fn words(fields: &'static Fields, body: &Value) -> Vec<String> {
    let found = drifted(fields, body.to_string().as_bytes()).unwrap();
    found.iter().map(ToString::to_string).collect()
}

fn multi() -> Value {
    serde_json::from_slice(recorded!("intstock-multprice-FHKST11300006.json")).unwrap()
}

#[test]
fn recorded_answers_do_not_drift() {
    for (fields, body) in [
        (&MULTI, recorded!("intstock-multprice-FHKST11300006.json")),
        (&SINGLE, recorded!("inquire-price-FHKST01010100.json")),
        (&SINGLE, recorded!("recorded-inquire-price-1-2024.json")),
        (
            &SINGLE,
            recorded!("recorded-inquire-price-FHKST01010100-005930-20250725T094731.json"),
        ),
        (&HOLIDAYS, recorded!("chk-holiday-CTCA0903R.json")),
    ] {
        assert_eq!(drifted(fields, body), Some(Vec::new()), "{}", fields.call);
    }
}

#[test]
fn the_tables_are_whole() {
    for (fields, count) in [(&MULTI, 29), (&SINGLE, 82), (&HOLIDAYS, 6)] {
        let names: HashSet<&str> = fields.all().map(|(name, _)| name).collect();
        assert_eq!(names.len(), count, "{}", fields.call);
        assert!(names.contains(fields.proof));
        assert!(fields.conditional.iter().all(|name| names.contains(name)));
    }
}

#[test]
fn unknown_missing_and_renamed_fields_are_named_without_their_values() {
    let mut body = multi();
    let row = body["output"][0].as_object_mut().unwrap();
    row.insert("nxt_name".to_owned(), json!("삼성 A-7"));
    row.remove("intr_antc_vol");
    let volume = row.remove("acml_vol").unwrap();
    row.insert("acml_vol2".to_owned(), volume);
    assert_eq!(
        words(&MULTI, &body),
        [
            "multi: acml_vol seems to be named acml_vol2 now, such as '99999999'",
            "multi: nxt_name is not documented, such as '가가 x-9'",
            "multi: intr_antc_vol is missing",
        ]
    );
}

#[test]
fn the_only_two_whose_values_look_alike_are_one_field() {
    let mut body = multi();
    let row = body["output"][0].as_object_mut().unwrap();
    let price = row.remove("inter2_prpr").unwrap();
    row.insert("now".to_owned(), price);
    let renamed = ["multi: inter2_prpr seems to be named now now, such as '99999'"];
    assert_eq!(words(&MULTI, &body), renamed);
    let row = body["output"][0].as_object_mut().unwrap();
    row.insert("now".to_owned(), json!("N"));
    assert_eq!(words(&MULTI, &body).len(), 2, "a flag is no price");
}

#[test]
fn what_stands_around_the_rows_is_looked_at_too() {
    let mut body = multi();
    let envelope = body.as_object_mut().unwrap();
    let rows = envelope.remove("output").unwrap();
    envelope.insert("output1".to_owned(), rows);
    let found = words(&MULTI, &body);
    assert_eq!(
        found,
        ["multi: output seems to be named output1 now, such as '[..]'"]
    );
}

#[test]
fn a_row_of_an_unknown_code_says_nothing() {
    let row = json!({"stck_prpr": "0", "acml_vol": "0"});
    let body = json!({"output": row, "rt_cd": "0", "msg_cd": "MCA00000", "msg1": ""});
    assert_eq!(drifted(&SINGLE, body.to_string().as_bytes()), None);
    let row = json!({"inter_shrn_iscd": "999999", "inter2_prpr": "0"});
    let mut body = multi();
    body["output"][0] = row;
    assert_eq!(
        words(&MULTI, &body),
        [] as [String; 0],
        "the next row is whole"
    );
}

#[tokio::test(start_paused = true)]
async fn one_answer_a_minute_is_looked_at_and_each_finding_is_remembered() {
    let drift = Drift::default();
    let good = multi().to_string();
    let mut body = multi();
    let row = body["output"][0].as_object_mut().unwrap();
    row.insert("new".to_owned(), json!("1"));
    let bad = body.to_string();
    drift.look(&MULTI, good.as_bytes());
    drift.look(&MULTI, bad.as_bytes());
    assert_eq!(drift.found(), []);
    tokio::time::advance(LOOK_AGAIN).await;
    drift.look(&MULTI, bad.as_bytes());
    assert_eq!(drift.found().len(), 1);
    // Calls are checked independently.
    drift.look(&SINGLE, recorded!("recorded-inquire-price-1-2024.json"));
    assert_eq!(drift.found().len(), 1);
    tokio::time::advance(LOOK_AGAIN).await;
    drift.look(&MULTI, good.as_bytes());
    assert_eq!(drift.found(), []);
}

proptest::proptest! {
    /// No value is shown, and only a limited part of its shape, whatever the broker sends.
    #[test]
    fn no_value_is_shown(name in "\\PC{0,60}", value in "\\PC{0,60}") {
        let mut body = multi();
        let row = body["output"][0].as_object_mut().unwrap();
        row.insert(format!("+{name}"), json!(value));
        for drifted in drifted(&MULTI, body.to_string().as_bytes()).unwrap() {
            proptest::prop_assert!(drifted.field.chars().count() <= LONGEST);
            proptest::prop_assert!(drifted.sample.chars().count() <= LONGEST);
            let shows = |c: char| c.is_alphanumeric() && !"9x가".contains(c);
            proptest::prop_assert!(!drifted.sample.contains(shows), "{drifted}");
        }
    }
}
