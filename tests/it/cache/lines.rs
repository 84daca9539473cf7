//! The lines of the day, as a server finds them that starts late in a session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeZone as _;
use redis::{cmd, pipe};
use sise::board::{History, QuoteBoard};
use sise::clock::Clock;
use sise::domain::{Seoul, Shipped, Symbol};
use sise::supervisor::Supervisor;

use crate::cache::cache_within;
use crate::support::redis::RedisServer;
use crate::support::until;

/// Minutes of a session, and the first of them.
const MINUTES: u32 = 390;
const OPEN: u32 = 9 * 60;

/// Sixteen megabytes: read in one answer they would take longer than the store may, and delay whatever
/// else goes over the connection.
#[tokio::test]
async fn a_whole_day_of_the_whole_market_is_read_in_small_pieces() {
    let redis = RedisServer::start().await;
    let mut connection = redis.connection().await;
    let key = "shop:test:profile:lines:2026-11-20";
    let symbols: Vec<Symbol> = Shipped::get().universe().symbols().collect();
    for minute in 0..MINUTES {
        let price = |symbol: &Symbol| (symbol.to_string(), 10_000 + minute);
        let prices: BTreeMap<String, u32> = symbols.iter().map(price).collect();
        let field = format!("{:02}{:02}", (OPEN + minute) / 60, (OPEN + minute) % 60);
        let json = match minute {
            7 => "damaged".to_owned(),
            _ => serde_json::to_string(&prices).unwrap(),
        };
        let mut set = cmd("HSET");
        set.arg(key).arg(field).arg(json);
        let _: () = set.query_async(&mut connection).await.unwrap();
    }
    let _: () = cmd("CONFIG")
        .arg("RESETSTAT")
        .query_async(&mut connection)
        .await
        .unwrap();

    let board = Arc::new(QuoteBoard::new(Duration::from_secs(120)));
    let clock: Clock = Arc::new(|| Seoul.with_ymd_and_hms(2026, 11, 20, 15, 30, 10).unwrap());
    let cache = cache_within(&redis.url(), Duration::from_secs(5));
    let history = History::new(Arc::clone(&board), &cache, clock);
    let supervisor = Supervisor::default();
    history.start(|| false, supervisor.tasks());
    let last = symbols[symbols.len() - 1];
    let line = until("the whole line", async || {
        let line = board.line(last)?;
        (line.points.len() == 389).then_some(line)
    })
    .await;
    assert_eq!((line.points[0].minute, line.points[0].price), (540, 10_000));
    assert_eq!(line.points[388].price, 10_389);
    supervisor.finish().await;

    let (commands, replied): (String, String) = pipe()
        .cmd("INFO")
        .arg("commandstats")
        .cmd("INFO")
        .arg("stats")
        .query_async(&mut connection)
        .await
        .unwrap();
    let figure = |text: &str, name: &str| -> f64 {
        let after = text.split(name).nth(1).unwrap();
        let digits = after.split(|sign: char| !sign.is_ascii_digit());
        digits.into_iter().next().unwrap().parse().unwrap()
    };
    assert!(!commands.contains("cmdstat_hgetall"), "{commands}");
    let pieces = figure(&commands, "cmdstat_hmget:calls=");
    let bytes = figure(&replied, "total_net_output_bytes:");
    assert!(bytes > 12e6, "{bytes} bytes were read");
    assert!(bytes / pieces < 300e3, "{bytes} bytes in {pieces} pieces");
}
