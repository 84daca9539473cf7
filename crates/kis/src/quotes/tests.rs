use std::sync::Mutex;
use std::time::Duration;

use chrono::TimeZone as _;
use reqwest::Request;
use serde_json::{Value, json};

use super::*;
use crate::{Auth, Credentials, Keep, Reply, Rest, Transport};
use sise_domain::{Caps, Seoul};
use sise_pace::{LocalBudget, Pacer, Rate};
use sise_port::clock::Clock;
use sise_store::MemoryTokens;

/// A broker that answers every price call with the given rows.
struct Broker {
    rows: Mutex<Value>,
}

#[async_trait]
impl Transport for Broker {
    async fn exchange(&self, request: Request) -> Result<Reply, SourceError> {
        let body = match request.url().path() {
            "/oauth2/tokenP" => json!({"access_token": "abc", "expires_in": 86_400}),
            _ => json!({"output": *self.rows.lock().unwrap(), "rt_cd": "0"}),
        };
        Ok(Reply {
            status: 200,
            body: body.to_string().into_bytes(),
            date: None,
            simulated: false,
        })
    }
}

fn source(calling: Calling, rows: Value) -> (KisQuotes, Arc<Broker>) {
    let broker = Arc::new(Broker {
        rows: Mutex::new(rows),
    });
    let clock: Clock = Arc::new(|| Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap());
    let caps = Caps {
        per_second: 1_000.0,
        per_minute: None,
        per_day: None,
        late: Duration::ZERO,
    };
    let budget = Arc::new(LocalBudget::new(caps, Arc::clone(&clock)));
    let pacer = Arc::new(Pacer::new(budget, None, Rate::new(1_000.0, 100)));
    let rest = Rest::new("http://broker", broker.clone(), pacer, Arc::clone(&clock));
    let rest = Arc::new(rest.unwrap());
    let credentials = Credentials {
        app_key: "the-app-key".to_owned().into(),
        app_secret: "the-secret".to_owned().into(),
    };
    let keep = Keep {
        shared: Arc::new(MemoryTokens::default()),
        file: None,
        process: "a-process".to_owned(),
    };
    let auth = Auth::new(Arc::clone(&rest), credentials, keep, clock);
    let source = KisQuotes::new(
        Caller::new(rest, Arc::new(auth)),
        Arc::new(ArcSwap::from_pointee(Calendar::shipped())),
        Arc::new(ArcSwap::from_pointee(Universe::default())),
        Arc::default(),
        calling,
    );
    (source, broker)
}

/// Returns the outcome of each code: its price or the error text.
async fn asked(source: &KisQuotes, codes: &[&str]) -> Vec<Result<i64, String>> {
    let codes: Vec<Symbol> = codes.iter().map(|code| code.parse().unwrap()).collect();
    let asking = source.quotes(&codes, Urgency::Sweep);
    let answers = tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .unwrap();
    let outcome = |(code, answer)| match answer {
        Answer::Quote(quote) => {
            assert_eq!(quote.stock_code, code);
            Ok(quote.price)
        }
        Answer::Unknown => Err("unknown".to_owned()),
        Answer::Refused(why) => Err(why),
        Answer::Failed(error) => Err(error.to_string()),
    };
    answers.answers.into_iter().map(outcome).collect()
}

fn row(code: &str, price: &str) -> Value {
    json!({"inter_shrn_iscd": code, "inter2_prpr": price, "inter2_sdpr": "1000"})
}

#[tokio::test(start_paused = true)]
async fn a_multi_price_row_is_taken_for_its_own_code_and_no_other() {
    let other = |code: &str| Err(format!("the broker's row is for another code, {code}"));
    let twice = || Err("two rows of the broker are for the code but differ".to_owned());
    let unknown = || Err("unknown".to_owned());
    for (rows, expected) in [
        (
            json!([row("000020", "1020"), row("000010", "1010")]),
            [Ok(1_010), Ok(1_020)],
        ),
        // A row for a code that was not requested, in place of one that was.
        (
            json!([row("000010", "1010"), row("005930", "999")]),
            [Ok(1_010), other("005930")],
        ),
        // A row for the other requested code: that one is doubtful too.
        (
            json!([row("000010", "1010"), row("000010", "1020")]),
            [twice(), other("000010")],
        ),
        (
            json!([row("000010", "1010"), row("000010", "1010")]),
            [Ok(1_010), other("000010")],
        ),
        // No row in its place.
        (json!([row("000010", "1010")]), [Ok(1_010), unknown()]),
        (
            json!([row("000010", "1010"), row("0000\u{fffd}0", "1020")]),
            [Ok(1_010), unknown()],
        ),
        // Rows of indices were requested too.
        (
            json!([row("000010", "1010"), row("0001", "2724.62")]),
            [Ok(1_010), unknown()],
        ),
    ] {
        let (source, _) = source(Calling::Multi, rows.clone());
        assert_eq!(
            asked(&source, &["000010", "000020"]).await,
            expected,
            "{rows}"
        );
    }
    let (source, _) = source(Calling::Multi, json!([row("500001", "1010")]));
    assert_eq!(asked(&source, &["Q500001"]).await, [Ok(1_010)]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_lost_its_session_code_may_still_be_of_an_expected_match() {
    let with = |mut row: Value, fields: &[(&str, &str)]| {
        for (name, value) in fields {
            row[*name] = json!(value);
        }
        row
    };
    let first = |fields: &[(&str, &str)]| with(row("000010", "1020"), fields);
    let second = |fields: &[(&str, &str)]| with(row("000020", "1020"), fields);
    let in_vi: [(&str, &str); 3] = [
        ("hour_cls_code", "C"),
        ("intr_antc_cntg_vrss", "20"),
        ("intr_antc_vol", "5"),
    ];
    let expected = || Err("the price of an expected match, which is not a trade".to_owned());
    for (rows, outcome) in [
        // The expected volume tells.
        (
            json!([
                first(&[("hour_cls_code", "0")]),
                second(&[("intr_antc_vol", "5")])
            ]),
            [Ok(1_020), expected()],
        ),
        (
            json!([first(&in_vi), second(&[("intr_antc_vol", "0")])]),
            [expected(), Ok(1_020)],
        ),
        // Nothing tells.
        (
            json!([first(&in_vi), second(&[])]),
            [expected(), expected()],
        ),
        (
            json!([first(&[("hour_cls_code", "0")]), second(&[])]),
            [Ok(1_020), Ok(1_020)],
        ),
    ] {
        let (source, _) = source(Calling::Multi, rows.clone());
        let asked = asked(&source, &["000010", "000020"]).await;
        assert_eq!(asked, outcome, "{rows}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_base_price_is_believed_when_it_is_told_again() {
    let day = |base: &str, price: &str| json!({"stck_shrn_iscd": "000010", "stck_prpr": price, "stck_sdpr": base});
    let (source, broker) = source(Calling::Single, day("211", "211"));
    assert_eq!(asked(&source, &["000010"]).await, [Ok(211)]);
    *broker.rows.lock().unwrap() = day("6330", "6400");
    let doubted = "implausible: base price 6330 was 211 before".to_owned();
    assert_eq!(asked(&source, &["000010"]).await, [Err(doubted)]);
    assert_eq!(asked(&source, &["000010"]).await, [Ok(6_400)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_row_says_otherwise_is_counted_as_drift() {
    let row = json!({"stck_prpr": "9900", "stck_sdpr": "10000", "prdy_vrss": "100", "prdy_vrss_sign": "5"});
    let (source, _) = source(Calling::Single, row);
    for _ in 0..2 {
        assert_eq!(asked(&source, &["000010"]).await, [Ok(9_900)]);
    }
    let found: Vec<String> = source
        .caller
        .drifted()
        .iter()
        .map(ToString::to_string)
        .collect();
    let said = "single: change contradicts price and base price, 2 times".to_owned();
    assert!(found.contains(&said), "{found:?}");
}
