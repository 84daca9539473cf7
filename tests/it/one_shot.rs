//! Proves that `sise run --once` accounts for every code, keeps to the broker's limit, writes
//! only what is a price, and ends with the exit code that says how it went.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::faked_time::{FakedTime, MovedTime};
use crate::support::list;
use crate::support::program::{Outcome, Program};
use crate::support::world::{APP_KEY, APP_SECRET, World};

/// Codes of the list that ships inside the program.
const WHOLE_LIST: u64 = 2_769;

/// `run --once --json` for so many codes of the list.
fn codes_argument(count: usize) -> String {
    list::codes(count).join(",")
}

fn number(report: &Value, field: &str) -> u64 {
    let number = report[field].as_u64();
    number.unwrap_or_else(|| panic!("no number {field} in {report}"))
}

/// The codes that a report names as missing, each with a reason that exists.
fn missing(report: &Value) -> BTreeSet<String> {
    let missing = report["missing"].as_array().unwrap();
    missing
        .iter()
        .map(|missing| {
            let reason = missing["reason"].as_str().unwrap();
            let reasons = ["unknown", "refused", "not_reached", "not_stored"];
            assert!(reasons.contains(&reason), "{missing}");
            missing["code"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// Every code of the pass is written or named, and in Redis stands what the report says.
async fn accounted_for(world: &World, report: &Value, universe: &[String]) -> BTreeSet<String> {
    let missing = missing(report);
    assert_eq!(number(report, "universe"), universe.len() as u64);
    let written = number(report, "written");
    assert_eq!(written + missing.len() as u64, universe.len() as u64);
    let coverage = report["coverage"].as_f64().unwrap();
    let share = written as f64 / universe.len() as f64;
    assert!((coverage - share).abs() < 0.000_1, "{coverage}, {share}");
    let realtime = world.redis.realtime().await;
    for (code, quote) in &realtime {
        assert!(quote["price"].as_i64().unwrap() > 0, "{code}: {quote}");
    }
    let in_redis: BTreeSet<String> = realtime.into_keys().collect();
    let promised: BTreeSet<String> = universe
        .iter()
        .filter(|code| !missing.contains(*code))
        .cloned()
        .collect();
    assert_eq!(in_redis, promised);
    missing
}

#[tokio::test]
async fn the_whole_list_is_written_at_the_brokers_pace() {
    let world = World::new(&[]).await;
    let outcome = world
        .sise(&["run", "--once", "--json"])
        .run()
        .await
        .exits(0);
    let report = outcome.json();
    assert_eq!(number(&report, "universe"), WHOLE_LIST);
    assert_eq!(number(&report, "written"), WHOLE_LIST);
    assert_eq!(report["coverage"].as_f64(), Some(1.0));
    assert_eq!(number(&report, "calls"), 93);
    assert_eq!(number(&report, "refused_calls"), 0);
    assert_eq!(number(&report, "retries"), 0);
    assert!(number(&report, "elapsed_ms") > 0);
    let universe = list::every_code();
    assert!(accounted_for(&world, &report, &universe).await.is_empty());
    let keys: Vec<String> = universe
        .iter()
        .map(|code| format!("realtime:price:{code}"))
        .collect();
    for (key, life) in keys.iter().zip(world.redis.lives(&keys).await) {
        assert!((60_000..=120_000).contains(&life), "{key}: {life} ms");
    }
    let stats = world.broker.stats();
    assert_eq!(stats.calls, 93);
    assert_eq!(stats.tokens_issued, 1);
    assert!(stats.max_calls_per_second_window <= 18, "{stats:?}");
}

#[tokio::test]
async fn a_price_object_keeps_the_contract() {
    let world = World::new(&[]).await;
    let outcome = world
        .sise(&["run", "--once", "--codes", "005930,000660", "--json"])
        .run()
        .await;
    outcome.exits(0);
    let realtime = world.redis.realtime().await;
    assert_eq!(realtime.len(), 2);
    let quote = &realtime["005930"];
    assert_eq!(quote["stock_code"].as_str(), Some("005930"));
    assert_eq!(quote["stock_name"].as_str(), Some("삼성전자"));
    for field in [
        "price",
        "change",
        "volume",
        "open",
        "high",
        "low",
        "base_price",
        "value",
    ] {
        assert!(quote[field].is_i64(), "{field} in {quote}");
    }
    assert!(quote["change_rate"].is_f64(), "{quote}");
    let timestamp = quote["timestamp"].as_str().unwrap();
    let naive = chrono::NaiveDateTime::parse_from_str(timestamp, "%Y-%m-%dT%H:%M:%S").unwrap();
    let fetched_at = quote["fetched_at"].as_str().unwrap();
    assert!(fetched_at.ends_with("+09:00"), "{fetched_at}");
    let fetched_at = chrono::DateTime::parse_from_rfc3339(fetched_at).unwrap();
    let apart = fetched_at.naive_local() - naive;
    assert!(apart.num_milliseconds().abs() < 1_000, "{quote}");
    for (field, text) in [
        ("market", "KOSPI"),
        ("venue", "KRX"),
        ("status", "trading"),
        ("source", "kis.multi"),
    ] {
        assert_eq!(quote[field].as_str(), Some(text), "{quote}");
    }
    assert!(quote["session"].is_string(), "{quote}");
}

#[tokio::test]
async fn data_goes_to_standard_output_and_nothing_else_does() {
    let world = World::new(&[]).await;
    let json = world
        .sise(&["run", "--once", "--codes", "005930", "--json"])
        .run()
        .await
        .exits(0);
    assert!(json.json().is_object());
    let words = world
        .sise(&["run", "--once", "--codes", "005930"])
        .run()
        .await
        .exits(0);
    assert!(words.stdout.contains("1 of 1 codes written"), "{words:?}");
    for Outcome { stdout, stderr, .. } in [json, words] {
        for text in [stdout, stderr] {
            assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
        }
    }
}

#[tokio::test]
async fn codes_come_from_the_command_line_or_a_file() {
    let world = World::new(&[]).await;
    let file = world.file(
        "codes.txt",
        "# mine\n005930 000660\n035720,00104K\n005930\n",
    );
    let outcome = world
        .sise(&[
            "run",
            "--once",
            "--json",
            "--codes-file",
            file.to_str().unwrap(),
        ])
        .run()
        .await
        .exits(0);
    assert_eq!(number(&outcome.json(), "universe"), 4);
    let codes: Vec<String> = world.redis.realtime().await.into_keys().collect();
    assert_eq!(codes, ["000660", "00104K", "005930", "035720"]);
    let missing = world
        .sise(&["run", "--once", "--codes-file", "nowhere.txt"])
        .run()
        .await;
    missing.exits(2).says(&["nowhere.txt"]);
}

#[tokio::test]
async fn a_code_unknown_to_the_broker_is_named() {
    let world = World::new(&[]).await;
    let outcome = world
        .sise(&["run", "--once", "--codes", "005930,999998", "--json"])
        .run()
        .await
        .exits(3);
    let report = outcome.json();
    assert_eq!(number(&report, "written"), 1);
    assert_eq!(report["missing"][0]["code"].as_str(), Some("999998"));
    assert_eq!(report["missing"][0]["reason"].as_str(), Some("unknown"));
    assert_eq!(report["missing"].as_array().unwrap().len(), 1);
    let words = world
        .sise(&["run", "--once", "--codes", "005930,999998"])
        .run()
        .await
        .exits(3);
    assert!(words.stdout.contains("999998"), "{words:?}");
}

#[tokio::test]
async fn a_text_that_means_no_one_stock_is_wrong_usage() {
    let world = World::new(&[]).await;
    for codes in ["99999", "005930,삼성전", "0059300", ""] {
        let outcome = world.sise(&["run", "--once", "--codes", codes]).run().await;
        let outcome = outcome.exits(2);
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    }
    assert_eq!(world.broker.stats().calls, 0);
}

#[tokio::test]
async fn without_redis_no_call_is_spent() {
    let mut world = World::new(&[]).await;
    world.redis.kill().await;
    let outcome = world.sise(&["run", "--once", "--json"]).run().await;
    let address = format!("127.0.0.1:{}", world.redis.port());
    let outcome = outcome.exits(1).says(&[&address, "REDIS_URL"]);
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    let stats = world.broker.stats();
    assert_eq!((stats.calls, stats.token_requests), (0, 0));
}

#[tokio::test]
async fn without_credentials_it_says_what_to_set() {
    let world = World::new(&[]).await;
    let outcome = world
        .sise(&["run", "--once"])
        .unset("KIS_APP_KEY")
        .run()
        .await;
    outcome.exits(2).says(&["KIS_APP_KEY", "KIS_APP_SECRET"]);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_without_hammering() {
    let world = World::new(&["--app-secret", "another"]).await;
    let outcome = world.sise(&["run", "--once"]).run().await.exits(2);
    let outcome = outcome.says(&["KIS_APP_SECRET"]);
    assert!(!outcome.stderr.contains(APP_SECRET), "{outcome:?}");
    let stats = world.broker.stats();
    assert_eq!(stats.calls, 0);
    assert!(stats.token_requests <= 2, "{stats:?}");
}

#[tokio::test]
async fn a_paper_account_is_asked_one_code_a_call_and_one_call_a_second() {
    let world = World::new(&["--mode", "paper"]).await;
    let outcome = world
        .sise(&["run", "--once", "--json", "--codes", "005930,000660,035720"])
        .set("KIS_ENV", "paper")
        .run()
        .await
        .exits(0);
    assert_eq!(number(&outcome.json(), "calls"), 3);
    for (code, quote) in world.redis.realtime().await {
        assert_eq!(quote["source"].as_str(), Some("kis.single"), "{code}");
    }
    let stats = world.broker.stats();
    assert_eq!(stats.max_calls_per_second_window, 1, "{stats:?}");
}

#[tokio::test]
async fn a_new_customer_makes_at_most_three_calls_a_second() {
    let world = World::new(&["--mode", "new-customer"]).await;
    let codes = codes_argument(12);
    let outcome = world
        .sise(&["run", "--once", "--json", "--codes", &codes])
        .set("SISE__KIS__NEW_CUSTOMER", "true")
        .set("SISE__SWEEP__BATCH_SIZE", "2")
        .run()
        .await
        .exits(0);
    assert_eq!(number(&outcome.json(), "calls"), 6);
    let stats = world.broker.stats();
    assert!(stats.max_calls_per_second_window <= 3, "{stats:?}");
}

#[tokio::test]
async fn where_the_multi_price_call_is_refused_single_calls_take_its_place() {
    let world = World::new(&["--no-multi"]).await;
    let codes = codes_argument(10);
    let outcome = world
        .sise(&["run", "--once", "--json", "--codes", &codes])
        .run()
        .await
        .exits(0);
    assert_eq!(number(&outcome.json(), "written"), 10);
    for (code, quote) in world.redis.realtime().await {
        assert_eq!(quote["source"].as_str(), Some("kis.single"), "{code}");
    }
}

/// The whole list against a broker with a fault; gives back the report and what is missing.
async fn with_fault(fault: &[&str]) -> (Value, BTreeSet<String>) {
    let arguments = [&["--limit", "0", "--seed", "7"], fault].concat();
    let world = World::new(&arguments).await;
    let outcome = world
        .fast_sise(&["run", "--once", "--json"])
        .set("SISE__UNIVERSE__SOURCE", "shipped")
        .set("SISE__KIS__TIMEOUT", "1s")
        .run()
        .await;
    let report = outcome.json();
    let missing = accounted_for(&world, &report, &list::every_code()).await;
    outcome.exits(if missing.is_empty() { 0 } else { 3 });
    (report, missing)
}

#[tokio::test]
async fn refusals_below_the_limit_are_repeated() {
    let (report, missing) = with_fault(&["--refuse", "0.2"]).await;
    assert!(number(&report, "refused_calls") > 0, "{report}");
    assert!(missing.is_empty(), "{report}");
}

#[tokio::test]
async fn errors_without_json_are_repeated() {
    let (report, missing) = with_fault(&["--http-500", "0.2"]).await;
    assert!(number(&report, "retries") > 0, "{report}");
    assert!(missing.is_empty(), "{report}");
}

#[tokio::test]
async fn garbled_answers_are_repeated() {
    let (report, missing) = with_fault(&["--garbage", "0.1"]).await;
    assert!(number(&report, "retries") > 0, "{report}");
    assert!(missing.is_empty(), "{report}");
}

#[tokio::test]
async fn connections_that_break_are_repeated() {
    let (report, missing) = with_fault(&["--reset", "0.1"]).await;
    assert!(number(&report, "retries") > 0, "{report}");
    assert!(missing.is_empty(), "{report}");
}

#[tokio::test]
async fn answers_that_come_too_late_are_repeated() {
    let (report, missing) = with_fault(&["--slow", "0.2", "--slow-for", "5s"]).await;
    assert!(number(&report, "retries") > 0, "{report}");
    assert!(missing.is_empty(), "{report}");
}

#[tokio::test]
async fn codes_that_a_short_answer_left_out_are_asked_for_again() {
    let (report, missing) = with_fault(&["--short", "0.5"]).await;
    assert!(number(&report, "calls") > 93, "{report}");
    assert!(missing.len() < 100, "{report}");
}

#[tokio::test]
async fn a_price_of_zero_is_never_written() {
    let (report, missing) = with_fault(&["--zero", "0.2"]).await;
    assert!(!missing.is_empty(), "{report}");
    assert!(missing.len() < 300, "asked again once: {}", missing.len());
    for missing in report["missing"].as_array().unwrap() {
        assert_eq!(missing["reason"].as_str(), Some("refused"), "{missing}");
    }
}

#[tokio::test]
async fn fields_that_are_missing_spoil_no_price() {
    let (report, missing) = with_fault(&["--missing-fields", "0.5"]).await;
    assert!(missing.is_empty(), "{report}");
}

/// The whole list, one code a call: a pass that was planned for 93 calls makes 2,769.
#[tokio::test]
async fn the_whole_list_is_written_without_the_multi_price_call() {
    let (report, missing) = with_fault(&["--no-multi"]).await;
    assert!(missing.is_empty(), "{report}");
    assert_eq!(number(&report, "written"), WHOLE_LIST);
    // Those in flight when the first was refused were refused too.
    let calls = number(&report, "calls");
    assert!(
        (WHOLE_LIST + 1..=WHOLE_LIST + 40).contains(&calls),
        "{calls}"
    );
}

#[tokio::test]
async fn all_faults_at_once_lose_no_code_in_silence() {
    with_fault(&[
        "--refuse",
        "0.05",
        "--http-500",
        "0.05",
        "--garbage",
        "0.05",
        "--reset",
        "0.05",
        "--slow",
        "0.05",
        "--short",
        "0.1",
        "--zero",
        "0.01",
        "--missing-fields",
        "0.2",
    ])
    .await;
}

#[tokio::test]
async fn repeated_calls_keep_to_the_limit_too() {
    let world = World::new(&["--http-500", "0.3", "--refuse", "0.2", "--reset", "0.1"]).await;
    let codes = codes_argument(200);
    let outcome = world
        .sise(&["run", "--once", "--json", "--codes", &codes])
        .set("SISE__SWEEP__BATCH_SIZE", "5")
        .run()
        .await;
    let report = outcome.json();
    assert!(number(&report, "retries") > 10, "{report}");
    let missing = accounted_for(&world, &report, &list::codes(200)).await;
    outcome.exits(if missing.is_empty() { 0 } else { 3 });
    let stats = world.broker.stats();
    assert!(stats.max_calls_per_second_window <= 18, "{stats:?}");
    assert!(stats.calls <= number(&report, "calls"), "{stats:?}");
}

/// One token a minute: whoever lost the last one waits for the next, and can be stopped.
#[tokio::test]
async fn a_signal_is_heard_while_it_waits_for_a_token() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let world = World::new(&[]).await;
        let once = || world.sise(&["run", "--once", "--codes", "005930"]);
        once().run().await.exits(0);
        world.forget_token().await;
        let waiting = once().start();
        waiting.says(&["within the minute"]).await;
        waiting.signal(signal);
        waiting.end().await.exits(code);
    }
}

/// `run --once` over 300 codes in 60 calls: long enough to be caught in the middle.
fn long_pass(world: &World) -> Program {
    let codes = codes_argument(300);
    world
        .sise(&["run", "--once", "--json", "--codes", &codes])
        .set("SISE__SWEEP__BATCH_SIZE", "5")
}

#[tokio::test]
async fn a_token_that_dies_in_the_middle_is_renewed_once() {
    let time = MovedTime::at("2026-11-17 10:00:00");
    let world = World::at(time.faked(), &[]).await;
    let running = long_pass(&world).start();
    world.broker.has_seen(10).await;
    // A token may be asked for once a minute.
    time.set("2026-11-17 10:02:00");
    world.broker.kill_tokens();
    let report = running.end().await.exits(0).json();
    assert_eq!(number(&report, "written"), 300);
    let stats = world.broker.stats();
    assert_eq!(stats.tokens_issued, 2, "{stats:?}");
}

#[tokio::test]
async fn a_broker_that_dies_in_the_middle_leaves_every_code_accounted_for() {
    let mut world = World::new(&[]).await;
    let codes = codes_argument(75);
    let running = world
        .sise(&["run", "--once", "--json", "--codes", &codes])
        .set("SISE__SWEEP__BATCH_SIZE", "5")
        .start();
    world.broker.has_seen(8).await;
    world.broker.kill().await;
    let report = running.end().await.exits(3).json();
    let missing = accounted_for(&world, &report, &list::codes(75)).await;
    assert!(!missing.is_empty() && missing.len() < 75, "{report}");
    for missing in report["missing"].as_array().unwrap() {
        assert_eq!(missing["reason"].as_str(), Some("not_reached"));
        assert!(!missing["detail"].as_str().unwrap().is_empty(), "{missing}");
    }
}

#[tokio::test]
async fn a_store_that_dies_in_the_middle_leaves_every_code_accounted_for() {
    let mut world = World::new(&[]).await;
    let running = long_pass(&world).start();
    world.broker.has_seen(10).await;
    world.redis.kill().await;
    let report = running.end().await.exits(3).json();
    let missing = missing(&report);
    assert_eq!(number(&report, "written") + missing.len() as u64, 300);
    assert!(!missing.is_empty() && missing.len() < 300, "{report}");
    for missing in report["missing"].as_array().unwrap() {
        assert_eq!(missing["reason"].as_str(), Some("not_stored"), "{missing}");
    }
}

#[tokio::test]
async fn a_signal_in_the_middle_ends_with_a_report() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let world = World::new(&[]).await;
        let running = long_pass(&world).start();
        world.broker.has_seen(10).await;
        running.signal(signal);
        let report = running.end().await.exits(code).json();
        let missing = accounted_for(&world, &report, &list::codes(300)).await;
        assert!(!missing.is_empty() && missing.len() < 300, "{report}");
    }
}

#[tokio::test]
async fn the_next_run_takes_the_token_from_disk() {
    let world = World::new(&[]).await;
    for _ in 0..2 {
        let outcome = world
            .sise(&["run", "--once", "--codes", "005930"])
            .run()
            .await;
        outcome.exits(0);
    }
    let stats = world.broker.stats();
    assert_eq!((stats.tokens_issued, stats.token_requests), (1, 1));
    let rights = std::fs::metadata(world.token_file()).unwrap().permissions();
    assert_eq!(rights.mode() & 0o777, 0o600);
}

#[tokio::test]
async fn no_secret_is_ever_shown() {
    let world = World::new(&[]).await;
    let mut shown = String::new();
    for kill in [false, true] {
        if kill {
            world.broker.kill_tokens();
        }
        let outcome = world
            .sise(&["run", "--once", "--codes", "005930"])
            .set("SISE__LOG__LEVEL", "trace")
            .run()
            .await
            .exits(0);
        shown += &outcome.stdout;
        shown += &outcome.stderr;
        let kept = std::fs::read_to_string(world.token_file()).unwrap();
        let tokens = world.broker.tokens();
        assert!(!tokens.is_empty());
        let tokens = tokens.iter().map(String::as_str);
        for secret in tokens.chain([APP_KEY, APP_SECRET]) {
            assert!(!shown.contains(secret), "{secret} is shown");
            assert!(!kept.contains(secret), "{secret} is on disk");
        }
    }
}

#[tokio::test]
async fn a_closed_market_is_no_reason_to_fail() {
    let world = World::at(FakedTime::from("2026-11-21 10:00:00"), &[]).await;
    let outcome = world
        .sise(&["run", "--once", "--if-open", "--codes", "005930"])
        .run()
        .await;
    let outcome = outcome.exits(0).says(&["skipped", "weekend", "2026-11-23"]);
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    assert_eq!(world.broker.stats().calls, 0);
    // Without --if-open it works at any hour.
    let outcome = world
        .sise(&["run", "--once", "--codes", "005930"])
        .run()
        .await;
    outcome.exits(0);
    assert_eq!(world.redis.realtime().await.len(), 1);
    assert!(world.redis.close().await.is_empty());
}

#[tokio::test]
async fn in_the_session_no_close_is_written() {
    let world = World::at(FakedTime::from("2026-11-20 10:00:00"), &[]).await;
    let outcome = world
        .sise(&["run", "--once", "--if-open", "--codes", "005930"])
        .run()
        .await;
    outcome.exits(0);
    let realtime = world.redis.realtime().await;
    assert_eq!(realtime["005930"]["session"].as_str(), Some("regular"));
    let timestamp = realtime["005930"]["timestamp"].as_str().unwrap();
    assert!(timestamp.starts_with("2026-11-20T10:00:"), "{timestamp}");
    assert!(world.redis.close().await.is_empty());
}

#[tokio::test]
async fn after_the_close_the_prices_are_kept_as_the_close() {
    let world = World::at(FakedTime::from("2026-11-20 15:40:00"), &[]).await;
    let outcome = world
        .sise(&["run", "--once", "--codes", "005930,000660"])
        .run()
        .await;
    outcome.exits(0);
    let close = world.redis.close().await;
    assert_eq!(close, world.redis.realtime().await);
    assert_eq!(close.len(), 2);
    let keys: Vec<String> = close.keys().map(|c| format!("close:price:{c}")).collect();
    assert_eq!(world.redis.lives(&keys).await, [-1, -1]);
}

/// How far in the future the price of a code says it was asked for, milliseconds.
async fn ahead(world: &World, code: &str) -> i64 {
    let fetched_at = fetched_at(world, code).await;
    let now = (sise::clock::system())();
    fetched_at.signed_duration_since(now).num_milliseconds()
}

async fn fetched_at(world: &World, code: &str) -> chrono::DateTime<chrono::FixedOffset> {
    let realtime = world.redis.realtime().await;
    let fetched_at = realtime[code]["fetched_at"].as_str().unwrap();
    chrono::DateTime::parse_from_rfc3339(fetched_at).unwrap()
}

#[tokio::test]
async fn a_machine_whose_clock_is_wrong_reads_and_writes_as_the_others_do() {
    let world = World::new(&[]).await;
    let once = ["run", "--once", "--codes", "005930"];
    world.sise(&once).run().await.exits(0);
    let wrong = |offset: &str, arguments: &[&str]| {
        let program = world.sise(arguments);
        program.at(&FakedTime::off_by(offset)).run()
    };
    let calls = world.broker.stats().calls;
    for (offset, words) in [
        (
            "+4m",
            " ahead of Redis's, and according to the broker's clock this machine's",
        ),
        (
            "-4m",
            " behind Redis's, and according to the broker's clock this machine's",
        ),
    ] {
        // What lives is not too old, nor from the future, and its age is known.
        let outcome = wrong(offset, &["get", "005930", "--max-age", "100s", "--json"]).await;
        let reading = outcome.exits(0).json()[0].clone();
        assert_eq!(reading["source"], "redis", "{offset} {reading}");
        assert!(reading["age_ms"].as_i64().unwrap() < 60_000, "{reading}");
        let told = wrong(offset, &["status"]).await.exits(0);
        told.says(&["Redis's, and one of the two is wrong"]);
        let found = wrong(offset, &["doctor"]).await;
        assert!(found.stdout.contains(words), "{offset} {found:?}");
    }
    for offset in ["+9h", "-9h"] {
        // Too far off to be corrected: by its life.
        let outcome = wrong(offset, &["get", "005930", "--json"]).await;
        let reading = outcome.exits(0).json()[0].clone();
        assert_eq!(reading["source"], "redis", "{offset} {reading}");
        assert!(reading["age_ms"].as_i64().unwrap() < 60_000, "{reading}");
    }
    assert!(
        world.broker.stats().calls <= calls + 4,
        "the doctors alone asked"
    );
    for offset in ["+4m", "-4m"] {
        let before = fetched_at(&world, "005930").await;
        wrong(offset, &once).await.exits(0);
        let after = fetched_at(&world, "005930").await;
        assert!(before < after, "{offset} {before} {after}");
        let ahead = ahead(&world, "005930").await;
        assert!((-60_000..=1_000).contains(&ahead), "{offset} {ahead}");
    }
    let before = ahead(&world, "005930").await;
    let outcome = wrong("+9h", &once).await;
    assert_ne!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("clock"), "{outcome:?}");
    assert!(ahead(&world, "005930").await <= before);
}
