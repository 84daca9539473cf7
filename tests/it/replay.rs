//! Proves that what a recorded day holds is what stands in Redis: every price, to the won.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::support::world::World;

/// A row of a recorded day; without a price all of it is blank.
#[derive(Debug, Clone, Deserialize)]
struct Row {
    committed_at: String,
    code: String,
    market: String,
    close: Option<i64>,
    change: Option<i64>,
    change_pct: Option<f64>,
    open: Option<i64>,
    high: Option<i64>,
    low: Option<i64>,
    volume: Option<i64>,
    amount: Option<i64>,
}

impl Row {
    /// Time of day, `HH:MM:SS`.
    fn time(&self) -> &str {
        self.committed_at.get(11..19).unwrap()
    }

    fn has_traded(&self) -> bool {
        self.volume.is_some_and(|volume| volume > 0)
    }
}

/// A day in a file, read here with no help of the program.
struct Day {
    path: PathBuf,
    rows: Vec<Row>,
}

impl Day {
    fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap();
        let text: Box<dyn Read> = match path.extension() {
            Some(ending) if ending == "gz" => Box::new(flate2::read::GzDecoder::new(file)),
            _ => Box::new(file),
        };
        let rows = csv::Reader::from_reader(text).into_deserialize();
        Self {
            path: path.to_owned(),
            rows: rows.collect::<Result<_, _>>().unwrap(),
        }
    }

    /// The last row with a price of each code, at `time` of the day or before.
    fn at(&self, time: &str) -> BTreeMap<&str, &Row> {
        let mut rows: Vec<&Row> = self
            .rows
            .iter()
            .filter(|row| row.time() <= time && row.close.is_some())
            .collect();
        rows.sort_by_key(|row| row.time());
        rows.into_iter()
            .map(|row| (row.code.as_str(), row))
            .collect()
    }

    /// Halted is what trades at no time of the day.
    fn is_halted(&self, code: &str) -> bool {
        let mut rows = self.rows.iter().filter(|row| row.code == code);
        !rows.any(Row::has_traded)
    }
}

/// A number that stands in the object, or that must not where it is zero or unknown.
fn assert_number(quote: &Value, field: &str, expected: Option<i64>) {
    assert_eq!(quote[field].as_i64(), expected, "{field} in {quote}");
    let is_there = quote.as_object().unwrap().contains_key(field);
    assert_eq!(is_there, expected.is_some(), "{field} in {quote}");
}

/// Replays the day at `time` into Redis and compares every price; gives back how many there are.
async fn replayed(day: &Day, time: &str, calling: &[&str]) -> usize {
    let path = day.path.to_str().unwrap();
    let arguments = [
        "--replay", path, "--speed", "0", "--from", time, "--limit", "0",
    ];
    let world = World::new(&[&arguments, calling].concat()).await;
    let outcome = world
        .fast_sise(&["run", "--once", "--json"])
        .set("SISE__UNIVERSE__SOURCE", "master")
        .run()
        .await
        .exits(0);
    let expected = day.at(time);
    let report = outcome.json();
    let universe = report["universe"].as_u64().unwrap();
    assert_eq!(report["written"].as_u64(), Some(universe));
    let written = world.redis.realtime().await;
    let codes: Vec<&str> = written.keys().map(String::as_str).collect();
    let expected_codes: Vec<&str> = expected.keys().copied().collect();
    assert_eq!(codes, expected_codes);
    for (code, row) in &expected {
        let quote = &written[*code];
        let positive = |number: Option<i64>| number.filter(|number| *number > 0);
        assert_eq!(quote["stock_code"].as_str(), Some(*code));
        assert_eq!(
            quote["market"].as_str(),
            Some(row.market.as_str()),
            "{quote}"
        );
        assert_number(quote, "price", row.close);
        assert_number(quote, "change", row.change);
        assert_number(quote, "volume", row.volume);
        assert_number(quote, "value", row.amount);
        assert_number(quote, "open", positive(row.open));
        assert_number(quote, "high", positive(row.high));
        assert_number(quote, "low", positive(row.low));
        let rate = quote["change_rate"].as_f64().unwrap();
        let recorded = row.change_pct.unwrap();
        assert!((rate - recorded).abs() < 0.001, "{quote}, {recorded}");
        let status = match (row.has_traded(), day.is_halted(code)) {
            (true, _) => "trading",
            (false, true) => "halted",
            (false, false) => "untraded",
        };
        assert_eq!(quote["status"].as_str(), Some(status), "{quote}");
    }
    written.len()
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn a_small_recorded_day_comes_out_as_it_was() {
    let day = Day::read(&folder().join("tests/fixtures/sim/recorded-day.csv"));
    for time in ["10:32:57", "11:29:56", "15:26:38", "15:59:23"] {
        assert!(!day.at(time).is_empty());
        for calling in [[].as_slice(), &["--no-multi"]] {
            assert_eq!(replayed(&day, time, calling).await, 9);
        }
    }
    // Halted stocks keep the price that they had.
    assert!(day.is_halted("001570") && day.is_halted("006380"));
}

/// The whole market of a day; where the file is not at hand there is nothing to compare with.
#[tokio::test]
async fn a_whole_recorded_day_comes_out_as_it_was() {
    let path = folder().join("../shared/data/intraday/krx-snapshots-2026-03-10.csv.gz");
    if !path.exists() {
        println!("{} is not there", path.display());
        return;
    }
    let day = Day::read(&path);
    for time in ["10:32:57", "13:20:13", "15:59:23"] {
        assert!(replayed(&day, time, &[]).await > 2_700);
    }
}
