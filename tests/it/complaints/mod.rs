//! What users of such systems complain about, each one a test of the same name: the real program,
//! a real Redis and a simulated broker.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod broker;
mod fleet;
mod lying_proxy;
mod prices;
mod schedule;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::faked_time::MovedTime;
use crate::support::program::{Program, Running};
use crate::support::world::World;
use crate::support::{list, until};

/// Codes of the small list: two calls a sweep, of which the second has room for the indices.
const CODES: usize = 57;

/// `run` over a small list, every second, on a machine of its own.
fn daemon(world: &World, home: &TempDir, arguments: &[&str]) -> Program {
    let codes = list::codes(CODES).join("\n");
    std::fs::write(home.path().join("list.csv"), format!("code\n{codes}\n")).unwrap();
    world
        .sise_in(home.path(), &[&["run"], arguments].concat())
        .set("SISE__KIS__RATE_PER_SECOND", "2000")
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .set("SISE__SCHEDULE__INTERVAL", "1s")
}

/// Waits for this many more lines with all of these parts.
async fn says_again(daemon: &Running, count: usize, parts: &[&str]) {
    let before = daemon.count(parts);
    until(&format!("{parts:?}"), async || {
        (daemon.count(parts) >= before + count).then_some(())
    })
    .await;
}

const WHOLE_SWEEP: [&str; 2] = ["sweep done", "written=57"];

fn number(report: &Value, field: &str) -> u64 {
    let number = report[field].as_u64();
    number.unwrap_or_else(|| panic!("no number {field} in {report}"))
}
