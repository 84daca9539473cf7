//! Proves one contract of journal, ledger, coverage and roster in memory, on one Redis and in a cluster,
//! and of Redis what it alone has: bounds, ends, and values that somebody else wrote there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use ::redis::AsyncCommands as _;
use chrono::{NaiveDate, NaiveTime, TimeDelta, TimeZone as _};
use sise::domain::{
    Coverage, Entry, Event, KrxTime, Presence, RateMode, Reason, Role, Row, Seoul, Skipped, Status,
    Symbol, Watching,
};
use sise::port::{
    CoverageLog as _, Journal as _, Lead, Ledger as _, Records, Roster as _, StoreError,
};
use sise::store::{MemoryStore, RedisSettings, RedisStore};

use crate::support::cluster::Cluster;
use crate::support::redis::RedisServer;
use crate::support::{list, until};

fn at(second: i64) -> KrxTime {
    let start = Seoul.with_ymd_and_hms(2026, 11, 20, 9, 0, 0).unwrap();
    start + TimeDelta::seconds(second)
}

fn entry(process: &str, number: u64) -> Entry {
    let event = Event::Skip(Skipped {
        reason: "weekend".to_owned(),
        why: "the market is closed: weekend".to_owned(),
        next_run: Some(at(60)),
    });
    Entry::new(process.to_owned(), number, at(0), event)
}

fn row(second: i64) -> Row {
    let mut row = Row::default();
    row.poll(at(second), at(second + 1), 72_000, Status::Halted);
    row.miss(at(second + 60), Reason::Refused, "price is '0'");
    row
}

fn symbols(count: usize) -> Vec<Symbol> {
    let codes = list::codes(count);
    codes.iter().map(|code| code.parse().unwrap()).collect()
}

fn presence(process: &str, role: Role) -> Presence {
    Presence {
        process: process.to_owned(),
        host: "host".to_owned(),
        pid: 7,
        version: "0".to_owned(),
        role,
        since: at(0),
        key: Some("0011223344556677".to_owned()),
        scope: Some("real account's list".to_owned()),
        rate: RateMode::Shared,
        doing: "sweeping 삼성전자".to_owned(),
        watched: (role == Role::Leading).then(|| Watching {
            codes: 4,
            interval_ms: 2_000,
            refreshed_at: at(0),
        }),
        live: (role == Role::Leading).then_some(2),
    }
}

async fn entries_are_read_newest_first(store: &dyn Records) {
    assert!(store.entries(10).await.unwrap().is_empty());
    for number in 1..=1_200 {
        store.append(&entry("a", number), None).await.unwrap();
    }
    let numbers =
        |entries: Vec<Entry>| -> Vec<u64> { entries.iter().map(|entry| entry.number).collect() };
    let all = numbers(store.entries(5_000).await.unwrap());
    assert_eq!(all, (1..=1_200).rev().collect::<Vec<u64>>());
    let newest = numbers(store.entries(3).await.unwrap());
    assert_eq!(newest, [1_200, 1_199, 1_198]);
    assert_eq!(store.entries(1).await.unwrap(), [entry("a", 1_200)]);
}

async fn an_entry_that_grew_takes_the_place_of_its_earlier_writing(store: &dyn Records) {
    let mut grown = entry("a", 1);
    let mut place = store.append(&grown, None).await.unwrap();
    let other = entry("b", 1);
    store.append(&other, None).await.unwrap();
    for times in 2..=5 {
        grown.last_at = at(times);
        grown.times += 1;
        place = store.append(&grown, Some(&place)).await.unwrap();
    }
    assert_eq!(store.entries(10).await.unwrap(), [grown, other]);
}

async fn rows_are_kept_by_code(store: &dyn Records) {
    let symbols = symbols(2_769);
    assert_eq!(store.row(symbols[0]).await.unwrap(), None);
    assert!(store.rows().await.unwrap().is_empty());
    let rows: Vec<(Symbol, Row)> = symbols.iter().map(|symbol| (*symbol, row(0))).collect();
    store.keep_rows(&rows, Some(Lead(7))).await.unwrap();
    store
        .keep_rows(&[(symbols[1], row(60))], Some(Lead(7)))
        .await
        .unwrap();
    store.keep_rows(&[], Some(Lead(7))).await.unwrap();
    assert_eq!(store.row(symbols[0]).await.unwrap(), Some(row(0)));
    assert_eq!(store.row(symbols[1]).await.unwrap(), Some(row(60)));
    let mut read = store.rows().await.unwrap();
    read.sort_unstable_by_key(|(symbol, _)| *symbol);
    let mut expected = rows;
    expected[1].1 = row(60);
    expected.sort_unstable_by_key(|(symbol, _)| *symbol);
    assert_eq!(read, expected);
}

async fn a_leader_that_was_paused_does_not_overwrite_the_ledger(store: &dyn Records) {
    let symbol = symbols(1)[0];
    let lead = Lead(1_795_392_000_000);
    let next = Some(Lead(lead.0 + 1));
    store
        .keep_rows(&[(symbol, row(0))], Some(lead))
        .await
        .unwrap();
    store.keep_rows(&[(symbol, row(60))], next).await.unwrap();
    let refused = store.keep_rows(&[(symbol, row(0))], Some(lead)).await;
    assert_eq!(refused, Err(StoreError::Superseded { lead }));
    assert_eq!(store.row(symbol).await.unwrap(), Some(row(60)));
    // A single pass that a person asked for carries no lead.
    store.keep_rows(&[(symbol, row(120))], None).await.unwrap();
    assert_eq!(store.row(symbol).await.unwrap(), Some(row(120)));
}

async fn minutes_are_kept_by_day(store: &dyn Records) {
    let day = at(0).date_naive();
    let minute = |minute| NaiveTime::from_hms_opt(9, minute, 0).unwrap();
    let coverage = |live| Coverage { live, codes: 2_769 };
    assert!(store.minutes(day).await.unwrap().is_empty());
    let first = [(minute(1), coverage(10)), (minute(0), coverage(2_769))];
    store.keep_minutes(day, &first).await.unwrap();
    store.keep_minutes(day, &[]).await.unwrap();
    let second = [
        (minute(1), coverage(11)),
        (minute(2), Coverage::NOT_COUNTED),
    ];
    store.keep_minutes(day, &second).await.unwrap();
    let expected = [
        (minute(0), coverage(2_769)),
        (minute(1), coverage(11)),
        (minute(2), Coverage::NOT_COUNTED),
    ];
    assert_eq!(store.minutes(day).await.unwrap(), expected);
    let yesterday = day.pred_opt().unwrap();
    assert!(store.minutes(yesterday).await.unwrap().is_empty());
}

async fn a_process_is_there_until_it_says_nothing_any_more(store: &dyn Records) {
    let long = Duration::from_secs(60);
    let leader = presence("a", Role::Leading);
    let standby = presence("b", Role::StandingBy);
    let reader = presence("c", Role::Reader);
    assert!(store.present().await.unwrap().is_empty());
    for process in [&reader, &standby, &leader] {
        store.sign_in(process, long).await.unwrap();
    }
    let all = [leader.clone(), standby.clone(), reader.clone()];
    assert_eq!(store.present().await.unwrap(), all);
    store.sign_out("c").await.unwrap();
    store.sign_out("nobody").await.unwrap();
    assert_eq!(store.present().await.unwrap(), [leader.clone(), standby]);
    let promoted = presence("b", Role::Leading);
    store.sign_in(&promoted, long).await.unwrap();
    // The leader was killed: nobody signs in for it again.
    let short = Duration::from_millis(200);
    store.sign_in(&leader, short).await.unwrap();
    let only = [promoted];
    until("the dead process is forgotten", async || {
        (store.present().await.unwrap() == only).then_some(())
    })
    .await;
}

crate::support::contract::contract!(
    super::MemoryStore::default(),
    super::store,
    [in_redis: super::RedisServer, in_a_cluster: super::Cluster],
    (
    entries_are_read_newest_first,
    an_entry_that_grew_takes_the_place_of_its_earlier_writing,
    rows_are_kept_by_code,
    a_leader_that_was_paused_does_not_overwrite_the_ledger,
    minutes_are_kept_by_day,
    a_process_is_there_until_it_says_nothing_any_more,
)
);

/// A store as the program makes it, with time-outs for a machine full of tests.
fn store(url: &str) -> RedisStore {
    RedisStore::new(&RedisSettings {
        url,
        namespace: "app",
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(2),
    })
    .unwrap()
}

#[tokio::test]
async fn what_is_kept_in_redis_has_bounds_or_an_end() {
    let server = RedisServer::start().await;
    let store = store(&server.url());
    let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
    let minute = (NaiveTime::MIN, Coverage { live: 1, codes: 1 });
    store.keep_minutes(day, &[minute]).await.unwrap();
    let life = Duration::from_secs(60);
    store
        .sign_in(&presence("a", Role::Reader), life)
        .await
        .unwrap();
    let keys = ["app:sise:coverage:2026-11-20", "app:sise:processes"];
    let lives = server.lives(&keys.map(str::to_owned)).await;
    assert!((1..=7 * 86_400_000).contains(&lives[0]), "{lives:?}");
    assert!((1..=60_000).contains(&lives[1]), "{lives:?}");
    // A skip that repeats for a week leaves one entry, not ten thousand.
    let mut grown = entry("a", 1);
    let mut place = store.append(&grown, None).await.unwrap();
    for _ in 0..2_000 {
        grown.times += 1;
        place = store.append(&grown, Some(&place)).await.unwrap();
    }
    let mut connection = server.connection().await;
    let length: usize = ::redis::cmd("XLEN")
        .arg("app:sise:journal")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(length, 1);
}

#[tokio::test]
async fn an_answer_that_was_lost_does_not_double_an_entry() {
    let server = RedisServer::start().await;
    let store = store(&server.url());
    let mut grown = entry("a", 1);
    store.append(&grown, None).await.unwrap();
    grown.times = 2;
    // Where the first writing went is not known.
    store.append(&grown, None).await.unwrap();
    assert_eq!(store.entries(10).await.unwrap(), [grown]);
}

#[tokio::test]
async fn what_others_wrote_there_is_left_out() {
    let server = RedisServer::start().await;
    let store = store(&server.url());
    let mut connection = server.connection().await;
    let symbol = symbols(1)[0];
    let day = at(0).date_naive();
    for garbage in [
        b"".as_slice(),
        b"{}",
        b"\xff\xfe",
        b"[1,2]",
        &[b'x'; 100_000],
    ] {
        let () = ::redis::cmd("XADD")
            .arg("app:sise:journal")
            .arg("*")
            .arg("entry")
            .arg(garbage)
            .query_async(&mut connection)
            .await
            .unwrap();
        for key in [
            "app:sise:ledger",
            "app:sise:processes",
            "app:sise:coverage:2026-11-20",
        ] {
            let () = connection.hset(key, garbage, garbage).await.unwrap();
            let () = connection
                .hset(key, symbol.as_str(), garbage)
                .await
                .unwrap();
        }
    }
    assert!(store.entries(10).await.unwrap().is_empty());
    assert_eq!(store.row(symbol).await.unwrap(), None);
    assert!(store.rows().await.unwrap().is_empty());
    assert!(store.present().await.unwrap().is_empty());
    assert!(store.minutes(day).await.unwrap().is_empty());
    store.append(&entry("a", 1), None).await.unwrap();
    store
        .keep_rows(&[(symbol, row(0))], Some(Lead(1)))
        .await
        .unwrap();
    assert_eq!(store.entries(10).await.unwrap().len(), 1);
    assert_eq!(store.rows().await.unwrap().len(), 1);
    // A key of another kind is nothing to those who read, and gives way to those who write.
    let keys = [
        "app:sise:journal",
        "app:sise:ledger",
        "app:sise:processes",
        "app:sise:coverage:2026-11-20",
    ];
    let () = connection.del(&keys).await.unwrap();
    for key in keys {
        let () = connection.set(key, "text").await.unwrap();
    }
    assert!(store.entries(10).await.unwrap().is_empty());
    assert_eq!(store.row(symbol).await.unwrap(), None);
    assert!(store.rows().await.unwrap().is_empty());
    assert!(store.present().await.unwrap().is_empty());
    assert!(store.minutes(day).await.unwrap().is_empty());
    store.append(&entry("a", 1), None).await.unwrap();
    store
        .keep_rows(&[(symbol, row(0))], Some(Lead(1)))
        .await
        .unwrap();
    let member = presence("a", Role::Reader);
    store
        .sign_in(&member, Duration::from_secs(600))
        .await
        .unwrap();
    let minute = (NaiveTime::MIN, Coverage { live: 1, codes: 2 });
    store.keep_minutes(day, &[minute]).await.unwrap();
    assert_eq!(store.entries(10).await.unwrap().len(), 1);
    assert_eq!(store.rows().await.unwrap().len(), 1);
    assert_eq!(store.present().await.unwrap().len(), 1);
    assert_eq!(store.minutes(day).await.unwrap(), [minute]);
    // A lead that nobody can have had does not keep the others out.
    let () = connection
        .hset("app:sise:ledger", "lead", "9e15")
        .await
        .unwrap();
    store
        .keep_rows(&[(symbol, row(1))], Some(Lead(1)))
        .await
        .unwrap();
}
