//! When it works and when it does not: closed markets, runs that are due once, hosts that sleep.

use chrono::{DateTime, TimeDelta};
use serde_json::Value;
use tokio::time::Instant;

use super::lying_proxy::LyingProxy;
use super::{MovedTime, WHOLE_SWEEP, daemon, says_again};
use crate::support::faked_time::FakedTime;
use crate::support::program::Running;
use crate::support::world::World;
use crate::support::{http, until};

/// What `sise why --last-skip` says, in words.
async fn last_skip(world: &World) -> String {
    let asked = world.sise(&["why", "--last-skip"]).run().await;
    asked.exits(0).stdout
}

/// The close of a day is kept: nothing is asked for out of session for want of it.
async fn has_close_of(world: &World, day: &str) {
    let mut connection = world.redis.connection().await;
    let mut mark = redis::cmd("SET");
    mark.arg("sise:closed_on").arg(day);
    let () = mark.query_async(&mut connection).await.unwrap();
}

/// Runs are skipped, each with a line and the next run; the journal, `why` and `status` say so,
/// while the daemon runs and after it.
async fn says_why_it_skips(world: &World, daemon: Running, slug: &str, why: &str, next: &str) {
    let skipped = ["run skipped", why, &format!("{next} KST")];
    until("runs are skipped", async || {
        (daemon.count(&skipped) >= 3).then_some(())
    })
    .await;
    assert_eq!(daemon.count(&["run skipped"]), daemon.count(&skipped));
    assert_eq!(daemon.count(&["sweep done"]), 0);
    // However often it is skipped: one entry.
    let is_counted = |entry: &Value| entry["reason"] == slug && entry["times"].as_u64() >= Some(3);
    let skip = world.redis.entry("skip", is_counted).await;
    assert!(skip["why"].as_str().unwrap().contains(why), "{skip}");
    let entries = world.redis.journal().await;
    let skips = entries.iter().filter(|entry| entry["kind"] == "skip");
    assert_eq!(skips.count(), 1, "{entries:?}");
    let status = world.sise(&["status"]).run().await.exits(0).stdout;
    assert!(status.contains(why), "{status}");
    daemon.signal("TERM");
    daemon.end().await.exits(143);
    let words = last_skip(world).await;
    for part in ["runs skipped from", why, next, "no sweep since then"] {
        assert!(words.contains(part), "'{part}' in:\n{words}");
    }
    let calls = world.broker.stats().calls;
    assert!(
        calls <= 1,
        "{calls} calls, where holidays are asked for once"
    );
}

#[tokio::test]
async fn a_closed_market_check_that_was_wrong_and_left_no_line_in_the_log() {
    // A holiday, the late open of exam day, an early morning, an evening.
    for (closed_on, time, slug, why, next) in [
        (
            "2026-12-24",
            "2026-12-25 10:00:00",
            "holiday",
            "holiday",
            "2026-12-28 09:00:00",
        ),
        (
            "2026-11-18",
            "2026-11-19 09:30:00",
            "before_open",
            "before the open",
            "2026-11-19 10:00:00",
        ),
        (
            "2026-11-19",
            "2026-11-20 06:30:00",
            "before_open",
            "before the open",
            "2026-11-20 09:00:00",
        ),
        (
            "2026-11-20",
            "2026-11-20 17:00:00",
            "after_close",
            "after the close",
            "2026-11-23 09:00:00",
        ),
    ] {
        let world = World::at(FakedTime::from(time), &["--limit", "0"]).await;
        has_close_of(&world, closed_on).await;
        let daemon = daemon(&world, &world.home, &[]).start();
        says_why_it_skips(&world, daemon, slug, why, next).await;
    }
    // A Friday like any other, and a check that is wrong: somebody wrote a closure that is none.
    let friday = || World::at(FakedTime::from("2026-11-20 10:00:00"), &["--limit", "0"]);
    let world = friday().await;
    let rows = "date,kind,open,close,note\n2026-11-20,closed,,,a notice of another year\n";
    let calendar = world.file("calendar.csv", rows);
    has_close_of(&world, "2026-11-19").await;
    let wrong = daemon(&world, &world.home, &[])
        .set("SISE__CALENDAR__FILE", calendar.to_str().unwrap())
        .start();
    let why = "holiday: a notice of another year";
    says_why_it_skips(&world, wrong, "holiday", why, "2026-11-23 09:00:00").await;
    // The broker knows of a closure that the shipped calendar does not.
    let world = friday().await;
    let day = |opens| {
        let fields = r#""bass_dt":"20261120","wday_dvsn_cd":"06","bzdy_yn":"Y","tr_day_yn":"Y""#;
        format!(r#"{fields},"opnd_yn":"{opens}""#)
    };
    let way = LyingProxy::to(world.broker.port(), &day("Y"), &day("N")).await;
    has_close_of(&world, "2026-11-19").await;
    let told = daemon(&world, &world.home, &[])
        .set("KIS_BASE_URL", way.url())
        .start();
    let differs = ["WARN", "the broker's calendar differs", "2026-11-20"];
    told.says(&[&differs[..], &["is_open=false"]].concat())
        .await;
    let why = "holiday: reported by the broker";
    says_why_it_skips(&world, told, "holiday", why, "2026-11-23 09:00:00").await;
}

fn time_of(entry: &Value, field: &str) -> DateTime<chrono::FixedOffset> {
    DateTime::parse_from_rfc3339(entry[field].as_str().unwrap()).unwrap()
}

/// The sweeps in the journal, by the time of their start.
async fn sweeps(world: &World) -> Vec<Value> {
    let mut entries = world.redis.journal().await;
    entries.retain(|entry| entry["kind"] == "sweep");
    entries.sort_by_key(|sweep| time_of(sweep, "started_at"));
    entries
}

/// Waits until the journal has so many sweeps.
async fn made(world: &World, count: usize) -> Vec<Value> {
    until("sweeps are made", async || {
        Some(sweeps(world).await).filter(|sweeps| sweeps.len() >= count)
    })
    .await
}

#[tokio::test]
async fn beat_running_a_job_twice_or_thousands_of_times() {
    let time = MovedTime::at("2026-11-17 10:00:00");
    // A sweep takes longer than the interval of a second.
    let world = World::at(time.faked(), &["--limit", "0", "--latency", "1500ms"]).await;
    let homes = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let daemons = homes
        .each_ref()
        .map(|home| daemon(&world, home, &["--always-open"]).start());
    made(&world, 2).await;
    until("a run is skipped for the one before", async || {
        let skipped = ["run skipped", "the previous run is still going"];
        daemons.iter().find(|daemon| daemon.count(&skipped) > 0)
    })
    .await;
    let before = sweeps(&world).await.len();
    let start = Instant::now();
    // Both wake up to 32,400 ticks that were missed.
    time.set("2026-11-17 19:00:00");
    let all = made(&world, before + 4).await;
    let due = usize::try_from(start.elapsed().as_secs()).unwrap() + 3;
    let count = all.len() - before;
    assert!(count <= due, "{count} sweeps where {due} were due");
    // One process sweeps, one sweep at a time.
    for pair in all.windows(2) {
        assert_eq!(pair[0]["process"], pair[1]["process"]);
        let (end, next) = (time_of(&pair[0], "at"), time_of(&pair[1], "started_at"));
        assert!(next + TimeDelta::seconds(1) > end, "{pair:?}");
        assert!(next >= end, "{pair:?}");
    }
    // Two calls a sweep, those of the one under way included, and no more have reached the broker.
    let calls = world.broker.stats().calls;
    let begun = sweeps(&world).await.len() as u64 + 1;
    assert!(calls <= 2 * begun, "{calls} calls, {begun} sweeps");
    let swept: usize = daemons.iter().map(|one| one.count(&["sweep done"])).sum();
    assert!(swept as u64 <= begun, "{swept} sweeps in the logs");
}

#[tokio::test]
async fn a_host_that_slept_nineteen_hours_and_froze_all_timers() {
    // From Thursday afternoon to the Friday after it.
    let time = MovedTime::at("2026-11-26 14:30:00");
    let world = World::at(time.faked(), &["--limit", "0"]).await;
    let daemon = daemon(&world, &world.home, &[]).start();
    says_again(&daemon, 2, &WHOLE_SWEEP).await;
    daemon.signal("STOP");
    let before = sweeps(&world).await.len();
    time.set("2026-11-27 09:30:00");
    let woken = Instant::now();
    daemon.signal("CONT");
    // It knows that it slept, and says so...
    daemon
        .says(&["WARN", "the clock jumped ahead by", "the host slept"])
        .await;
    let is_ahead = |entry: &Value| entry["jump"] == "ahead";
    let jump = world.redis.entry("clock", is_ahead).await;
    let hours = jump["by_ms"].as_f64().unwrap() / 3_600_000.0;
    assert!((18.9..19.1).contains(&hours), "{jump}");
    let address = daemon.health_address().await;
    let metrics = http::get(&address, "/metrics").unwrap().body;
    let counted = "sise_clock_jumps_total{kind=\"ahead\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    let asked = world.sise(&["why", "--at", "2026-11-27T09:25"]).run().await;
    let words = asked.exits(0).stdout;
    assert!(words.contains("its host slept, or was set"), "{words}");
    // ... and works on in the open session, without a burst for what was missed.
    says_again(&daemon, 3, &WHOLE_SWEEP).await;
    let all = sweeps(&world).await;
    let due = usize::try_from(woken.elapsed().as_secs()).unwrap() + 4;
    let count = all.len() - before;
    assert!(count <= due, "{count} sweeps where {due} were due");
    let last = all.last().unwrap()["started_at"].as_str().unwrap();
    assert!(last.starts_with("2026-11-27T09:3"), "{last}");
    for quote in world.redis.realtime().await.values() {
        let fetched_at = quote["fetched_at"].as_str().unwrap();
        assert!(fetched_at.starts_with("2026-11-27T09:3"), "{quote}");
    }
}
