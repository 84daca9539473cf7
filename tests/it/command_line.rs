//! Proves what a person meets at the command line: exit codes, JSON, words that name what is
//! wrong and how to mend it, and secrets that stay secret.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::faked_time::FakedTime;
use crate::support::free_port;
use crate::support::list;
use crate::support::program::{Outcome, Program};
use crate::support::rights;
use crate::support::world::{APP_KEY, APP_SECRET, World};

/// A command line away from every server: nobody listens where it would ask.
fn alone(home: &Path, arguments: &[&str]) -> Program {
    let nobody = free_port();
    Program::new(home, arguments)
        .set("REDIS_URL", format!("redis://127.0.0.1:{nobody}"))
        .set("KIS_BASE_URL", format!("http://127.0.0.1:{nobody}"))
        .set("KIS_MASTER_URL", format!("http://127.0.0.1:{nobody}"))
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn calendar(arguments: &[&str]) -> Value {
    let home = folder();
    let arguments = [&["calendar", "--json"], arguments].concat();
    alone(home.path(), &arguments).run().await.exits(0).json()
}

#[tokio::test]
async fn the_calendar_answers_for_an_instant() {
    let open = calendar(&["--at", "2026-11-20T10:00"]).await;
    assert_eq!(open["open"].as_bool(), Some(true));
    assert_eq!(open["phase"].as_str(), Some("regular"));
    assert_eq!(open["continuous"].as_bool(), Some(true));
    assert!(open["reason"].is_null());
    assert_eq!(
        open["closes_at"].as_str(),
        Some("2026-11-20T15:30:00+09:00")
    );
    assert_eq!(
        open["next_open"].as_str(),
        Some("2026-11-23T09:00:00+09:00")
    );
    let auction = calendar(&["--at", "2026-11-20T15:25"]).await;
    assert_eq!(auction["open"].as_bool(), Some(true));
    assert_eq!(auction["continuous"].as_bool(), Some(false));
    for (at, reason, next_open) in [
        ("2026-11-21T10:00", "weekend", "2026-11-23T09:00:00+09:00"),
        (
            "2026-11-20T08:59:59",
            "before the open",
            "2026-11-20T09:00:00+09:00",
        ),
        (
            "2026-11-20T15:30:00",
            "after the close",
            "2026-11-23T09:00:00+09:00",
        ),
        ("2026-12-31T10:00", "year-end", "2027-01-04T10:00:00+09:00"),
        (
            "2026-11-19T09:59:59",
            "before the open",
            "2026-11-19T10:00:00+09:00",
        ),
        ("2026-02-17 10:00", "holiday", "2026-02-19T09:00:00+09:00"),
    ] {
        let closed = calendar(&["--at", at]).await;
        assert_eq!(closed["open"].as_bool(), Some(false), "{closed}");
        assert!(
            closed["reason"].as_str().unwrap().contains(reason),
            "{closed}"
        );
        assert_eq!(closed["next_open"].as_str(), Some(next_open), "{closed}");
        assert!(closed["closes_at"].is_null(), "{closed}");
    }
    let exam = calendar(&["--at", "2026-11-19T16:00"]).await;
    assert_eq!(
        exam["closes_at"].as_str(),
        Some("2026-11-19T16:30:00+09:00")
    );
}

#[tokio::test]
async fn a_time_without_zone_is_seouls_wherever_the_machine_is() {
    let naive = ["calendar", "--json", "--at", "2026-11-20T10:00"];
    let zoned = ["calendar", "--json", "--at", "2026-11-20T01:00:00Z"];
    let home = folder();
    let answer = async |arguments: &[&str]| {
        let program = alone(home.path(), arguments).set("TZ", "EST+5");
        program.run().await.exits(0).json()
    };
    let answers = [answer(&naive).await, answer(&zoned).await];
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0]["at"].as_str(), Some("2026-11-20T10:00:00+09:00"));
}

#[tokio::test]
async fn the_calendar_lists_days() {
    let answer = calendar(&["--at", "2026-11-19", "--days", "5"]).await;
    let days = answer["days"].as_array().unwrap();
    let trading: Vec<bool> = days
        .iter()
        .map(|day| day["trading_day"].as_bool().unwrap())
        .collect();
    assert_eq!(trading, [true, true, false, false, true]);
    assert_eq!(days[0]["date"].as_str(), Some("2026-11-19"));
    assert_eq!(
        days[0]["opens_at"].as_str(),
        Some("2026-11-19T10:00:00+09:00")
    );
    let home = folder();
    let words = alone(home.path(), &["calendar", "--days", "3"]).run().await;
    assert!(words.exits(0).stdout.lines().count() > 5);
}

#[tokio::test]
async fn an_override_file_closes_a_day() {
    let home = folder();
    std::fs::create_dir(home.path().join("config")).unwrap();
    let file = home.path().join("config/calendar.csv");
    let rows = "date,kind,open,close,note\n2026-11-20,closed,,,an election\n";
    std::fs::write(&file, rows).unwrap();
    let arguments = ["calendar", "--json", "--at", "2026-11-20T10:00"];
    let answer = alone(home.path(), &arguments).run().await.exits(0).json();
    assert_eq!(answer["open"].as_bool(), Some(false));
    assert!(answer["reason"].as_str().unwrap().contains("an election"));
    std::fs::write(&file, format!("{rows}2026-11-24,holiday,,,\n")).unwrap();
    let outcome = alone(home.path(), &arguments).run().await.exits(2);
    outcome.says(&["calendar.csv", "line 3"]);
}

#[tokio::test]
async fn a_time_that_is_none_is_wrong_usage() {
    let home = folder();
    for at in ["yesterday", "2026-13-01T10:00", "10:00", ""] {
        let outcome = alone(home.path(), &["calendar", "--at", at]).run().await;
        assert!(outcome.exits(2).stdout.is_empty(), "{at}");
    }
}

#[tokio::test]
async fn the_end_of_the_calendar_is_said() {
    let answer = calendar(&["--at", "2027-11-15T10:00"]).await;
    assert!(answer["warning"].as_str().unwrap().contains("2027-12-31"));
    let beyond = calendar(&["--at", "2028-06-01T10:00"]).await;
    assert_eq!(beyond["covered"].as_bool(), Some(false));
}

#[tokio::test]
async fn the_shipped_list_is_complete() {
    let home = folder();
    let arguments = ["universe", "--source", "shipped", "--json"];
    let outcome = alone(home.path(), &arguments).run().await.exits(0);
    let outcome = outcome.says(&["shipped inside the program, of 20"]);
    let list = outcome.json();
    let listings = list.as_array().unwrap();
    assert_eq!(listings.len(), 2_769);
    for listing in listings {
        for field in ["code", "name", "market", "group"] {
            let text = listing[field].as_str().unwrap();
            assert!(!text.is_empty(), "{listing}");
        }
        let market = listing["market"].as_str().unwrap();
        assert!(["KOSPI", "KOSDAQ"].contains(&market), "{listing}");
    }
    let with_letters = listings.iter().find(|row| row["code"] == "00104K");
    assert!(with_letters.is_some());
    let words = alone(home.path(), &arguments[..3]).run().await.exits(0);
    assert!(words.stdout.contains("삼성전자"));
}

#[tokio::test]
async fn the_list_comes_from_the_master_files_and_stays_when_they_are_gone() {
    let mut world = World::new(&[]).await;
    let codes = |outcome: &Outcome| -> Vec<String> {
        let list = outcome.json();
        let rows = list.as_array().unwrap().iter();
        rows.map(|row| row["code"].as_str().unwrap().to_owned())
            .collect()
    };
    let arguments = ["universe", "--json"];
    let first = world.sise(&arguments).run().await.exits(0);
    let mut from_master = codes(&first);
    assert_eq!(from_master.len(), 2_769);
    world.broker.kill().await;
    let second = world.sise(&arguments).run().await.exits(0);
    let second = second.says(&["master", "last good copy"]);
    assert_eq!(codes(&second), from_master);
    // The copy on disk gone, the one in the store is left.
    std::fs::remove_dir_all(world.path().join("state")).unwrap();
    let third = world.sise(&arguments).run().await.exits(0);
    assert_eq!(codes(&third), from_master);
    // Both gone: the list inside the program, and its date is said.
    std::fs::remove_dir_all(world.path().join("state")).unwrap_or_default();
    world.redis.kill().await;
    let fourth = world.sise(&arguments).run().await.exits(0);
    let fourth = fourth.says(&["shipped inside the program, of 20"]);
    let mut shipped = codes(&fourth);
    from_master.sort_unstable();
    shipped.sort_unstable();
    assert_eq!(shipped, from_master);
}

#[tokio::test]
async fn a_broken_list_is_named_with_record_and_byte() {
    let home = folder();
    for (text, parts) in [
        (
            "code,name\n005930,x\n00593,y\n",
            ["record 2, byte 19", "00593"],
        ),
        (
            "code,name\n005930,x\n005930,y\n",
            ["record 2, byte 19", "twice"],
        ),
        ("code,market\n005930,NYSE\n", ["record 1, byte 12", "NYSE"]),
        ("code,name\n005930\n", ["record 1, byte 10", "fields"]),
        ("name,market\n", ["list.csv", "column 'code'"]),
        ("code\n", ["csv", "no code"]),
    ] {
        std::fs::write(home.path().join("list.csv"), text).unwrap();
        let outcome = alone(home.path(), &["universe", "--source", "csv", "--json"])
            .set("SISE__UNIVERSE__FILE", "list.csv")
            .run()
            .await
            .exits(1)
            .says(&parts);
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    }
    let outcome = alone(home.path(), &["universe", "--source", "csv"])
        .run()
        .await;
    outcome.exits(2).says(&["universe.file"]);
    let outcome = alone(home.path(), &["universe", "--source", "heaven"])
        .run()
        .await;
    outcome.exits(2).says(&["universe.source", "shipped"]);
}

#[tokio::test]
async fn a_list_that_shrank_is_refused_until_it_is_accepted() {
    let world = World::new(&[]).await;
    let write = |count| {
        let codes = list::codes(count).join("\n");
        world.file("list.csv", &format!("code\n{codes}\n"));
    };
    let universe = async |arguments: &[&str]| {
        let arguments = [&["universe", "--source", "csv", "--json"], arguments].concat();
        let program = world
            .sise(&arguments)
            .set("SISE__UNIVERSE__FILE", "list.csv");
        program.run().await.exits(0)
    };
    let count = |outcome: &Outcome| outcome.json().as_array().unwrap().len();
    write(100);
    assert_eq!(count(&universe(&[]).await), 100);
    // A tenth less is still taken as it is.
    write(90);
    assert_eq!(count(&universe(&[]).await), 90);
    write(80);
    let refused = universe(&[]).await;
    assert_eq!(count(&refused), 90);
    refused.says(&["refused", "80 codes", "90", "universe --accept"]);
    // It stays refused, and a sweep works through the good one.
    let once = world
        .sise(&["run", "--once", "--json"])
        .set("SISE__UNIVERSE__SOURCE", "csv")
        .set("SISE__UNIVERSE__FILE", "list.csv")
        .run()
        .await
        .exits(0)
        .says(&["refused", "80 codes"]);
    assert_eq!(once.json()["written"].as_u64(), Some(90));
    assert_eq!(count(&universe(&["--accept"]).await), 80);
    let taken = universe(&[]).await;
    assert_eq!(count(&taken), 80);
    assert!(!taken.stderr.contains("refused"), "{taken:?}");
}

/// As many codes as before, but other ones: what was lost counts, not how many are left.
#[tokio::test]
async fn a_list_that_lost_codes_is_refused_though_others_took_their_place() {
    let world = World::new(&[]).await;
    let codes = list::codes(130);
    let universe = async |codes: &[String]| {
        world.file("list.csv", &format!("code\n{}\n", codes.join("\n")));
        let program = world
            .sise(&["universe", "--source", "csv", "--json"])
            .set("SISE__UNIVERSE__FILE", "list.csv");
        program.run().await.exits(0)
    };
    universe(&codes[..100]).await;
    let refused = universe(&codes[30..]).await.says(&["refused", "30"]);
    let kept: Vec<Value> = serde_json::from_str(&refused.stdout).unwrap();
    let kept: Vec<&str> = kept
        .iter()
        .map(|entry| entry["code"].as_str().unwrap())
        .collect();
    assert!(
        codes[..100]
            .iter()
            .all(|code| kept.contains(&code.as_str()))
    );
}

#[tokio::test]
async fn the_last_good_copy_can_be_asked_for() {
    let world = World::new(&[]).await;
    let last_good = || world.sise(&["universe", "--source", "last-good", "--json"]);
    last_good()
        .run()
        .await
        .exits(1)
        .says(&["last-good", "no copy"]);
    let first = world.sise(&["universe", "--json"]).run().await.exits(0);
    let copy = last_good().run().await.exits(0);
    assert_eq!(copy.json(), first.json());
}

#[tokio::test]
async fn a_list_that_breaks_never_shortens_what_is_swept() {
    let world = World::new(&[]).await;
    let once = async || {
        let program = world
            .sise(&["run", "--once", "--json"])
            .set("SISE__UNIVERSE__SOURCE", "csv")
            .set("SISE__UNIVERSE__FILE", "list.csv");
        program.run().await.exits(0)
    };
    let codes = list::codes(100).join("\n");
    world.file("list.csv", &format!("code\n{codes}\n"));
    assert_eq!(once().await.json()["universe"].as_u64(), Some(100));
    world.file("list.csv", &format!("code\n{codes}\nbroken\n"));
    let outcome = once()
        .await
        .says(&["list.csv", "record 101", "last good copy"]);
    assert_eq!(outcome.json()["universe"].as_u64(), Some(100));
}

#[tokio::test]
async fn the_plan_does_the_arithmetic() {
    let home = folder();
    let plan = async |arguments: &[&str], environment: &str| {
        let arguments = [&["plan", "--json"], arguments].concat();
        let program = alone(home.path(), &arguments)
            .set("SISE__UNIVERSE__SOURCE", "shipped")
            .set("KIS_ENV", environment);
        let outcome = program.run().await;
        let plan = outcome.json();
        let works = plan["keeps_alive"].as_bool().unwrap();
        outcome.exits(if works { 0 } else { 3 });
        plan
    };
    let real = plan(&[], "real").await;
    assert_eq!(real["codes"].as_u64(), Some(2_769));
    assert_eq!(real["calls"].as_u64(), Some(93));
    assert_eq!(real["keeps_alive"].as_bool(), Some(true));
    assert_eq!(real["share_alive"].as_f64(), Some(1.0));
    let seconds = real["sweep_seconds"].as_f64().unwrap();
    assert!((seconds - 6.2).abs() < 0.1, "{real}");
    let largest = real["largest_list"].as_u64().unwrap();
    assert!(largest > 40_000, "{real}");
    let paper = plan(&[], "paper").await;
    assert_eq!(paper["calls"].as_u64(), Some(2_769));
    assert_eq!(paper["keeps_alive"].as_bool(), Some(false));
    let share = paper["share_alive"].as_f64().unwrap();
    assert!((share - 0.04).abs() < 0.005, "{paper}");
    // A class of its own, which takes its calls from the sweeps.
    assert_eq!(real["watched"].as_u64(), Some(0));
    let watching = plan(&["--watched", "100"], "real").await;
    assert_eq!(watching["watched_calls"].as_u64(), Some(4));
    assert_eq!(watching["keeps_watched"].as_bool(), Some(true));
    assert_eq!(watching["keeps_alive"].as_bool(), Some(true));
    assert!(
        watching["largest_list"].as_u64().unwrap() < largest,
        "{watching}"
    );
    assert!(
        watching["sweep_seconds"].as_f64().unwrap() > seconds,
        "{watching}"
    );
    // Caps of a minute and a day count too, and the daemon refuses what they do not allow.
    for cap in ["kis.calls_per_minute=10", "kis.calls_per_day=1000"] {
        let capped = plan(&["--set", cap], "real").await;
        assert_eq!(capped["keeps_alive"].as_bool(), Some(false), "{capped}");
        let refused = alone(home.path(), &["run", "--set", cap])
            .set("SISE__API__LISTEN", "127.0.0.1:0")
            .set("SISE__UNIVERSE__SOURCE", "shipped")
            .set("KIS_APP_KEY", "the-app-key")
            .set("KIS_APP_SECRET", "the-app-secret")
            .run()
            .await
            .exits(2);
        let setting = cap.split('=').next().unwrap();
        refused.says(&["cannot keep", setting]);
    }
    // The largest list that it names works, and one more does not.
    let largest = paper["largest_list"].as_u64().unwrap();
    for (codes, works) in [(largest, true), (largest + 1, false)] {
        let codes = codes.to_string();
        let plan = plan(&["--count", &codes], "paper").await;
        assert_eq!(plan["keeps_alive"].as_bool(), Some(works), "{plan}");
    }
    let words = alone(home.path(), &["plan", "--count", "2769"])
        .set("KIS_ENV", "paper")
        .run()
        .await
        .exits(3);
    assert!(words.stdout.contains("does NOT keep"), "{words:?}");
    let arguments = ["plan", "--count", "20", "--watched", "50"];
    let words = alone(home.path(), &arguments)
        .set("KIS_ENV", "paper")
        .run()
        .await
        .exits(0);
    for said in [
        "watched           50 codes every 68.8 s, 50 calls",
        "this set-up keeps every code alive",
        "50 watched codes cannot be refreshed every 10 s",
    ] {
        assert!(words.stdout.contains(said), "{words:?}");
    }
}

/// Watched codes count alike whoever reckons with them: `plan`, the daemon that refuses, `doctor`.
#[tokio::test]
async fn plan_run_and_doctor_do_one_arithmetic() {
    let world = World::new(&["--mode", "paper"]).await;
    let codes = list::codes(150);
    world.file("list.csv", &format!("code\n{}\n", codes.join("\n")));
    let sise = |arguments: &[&str]| {
        world
            .sise(arguments)
            .set("KIS_ENV", "paper")
            .set("SISE__UNIVERSE__SOURCE", "csv")
            .set("SISE__UNIVERSE__FILE", "list.csv")
    };
    let unwatched = sise(&["plan", "--json"]).run().await.exits(3).json();
    let watched: Vec<&str> = codes.iter().take(25).map(String::as_str).collect();
    let add = [&["watch", "add", "mine"], watched.as_slice()].concat();
    sise(&add).run().await.exits(0);
    // The most read count too: they will take calls as soon as something is read.
    let plan = sise(&["plan", "--json", "--set", "watch.hottest=5"]);
    let plan = plan.run().await.exits(3).json();
    assert_eq!(plan["watched"].as_u64(), Some(30));
    let plan = sise(&["plan", "--json"]).run().await.exits(3).json();
    assert_eq!(plan["watched"].as_u64(), Some(25));
    let largest = plan["largest_list"].as_u64().unwrap();
    assert!(largest < unwatched["largest_list"].as_u64().unwrap());
    let said = format!("a list of at most {largest} codes");
    let words = sise(&["plan"]).run().await.exits(3);
    assert!(words.stdout.contains(&said), "{words:?}");
    sise(&["run"]).run().await.exits(2).says(&[&said]);
    let doctor = sise(&["doctor"]).run().await;
    assert!(doctor.stdout.contains(&said), "{doctor:?}");
    // As many as it says are kept alive, and not one more.
    for (count, code) in [(largest, 0), (largest + 1, 3)] {
        let count = count.to_string();
        let plan = sise(&["plan", "--count", &count]).run().await;
        plan.exits(code);
    }
}

#[tokio::test]
async fn later_layers_win_and_their_origin_is_shown() {
    let home = folder();
    let config = async |program: Program| program.run().await.exits(0).json();
    let arguments = ["config", "--json"];
    std::fs::create_dir(home.path().join("config")).unwrap();
    let file = home.path().join("config/sise.toml");
    std::fs::write(&file, "[store]\nttl = \"90s\"\n").unwrap();
    let settings = config(Program::new(home.path(), &arguments)).await;
    assert_eq!(settings["store.ttl"]["value"].as_str(), Some("90s"));
    let origin = settings["store.ttl"]["origin"].as_str().unwrap();
    assert!(origin.contains("sise.toml"), "{origin}");
    assert_eq!(settings["kis.env"]["origin"].as_str(), Some("default"));
    std::fs::write(home.path().join(".env"), "SISE__STORE__TTL=91s\n").unwrap();
    let settings = config(Program::new(home.path(), &arguments)).await;
    assert_eq!(settings["store.ttl"]["value"].as_str(), Some("91s"));
    let variable =
        |arguments: &[&str]| Program::new(home.path(), arguments).set("SISE__STORE__TTL", "92s");
    let settings = config(variable(&arguments)).await;
    assert_eq!(settings["store.ttl"]["value"].as_str(), Some("92s"));
    let flag = [&arguments[..], &["--set", "store.ttl=93s"]].concat();
    let settings = config(variable(&flag)).await;
    assert_eq!(settings["store.ttl"]["value"].as_str(), Some("93s"));
    assert_eq!(settings["store.ttl"]["origin"].as_str(), Some("flag"));
    let other = home.path().join("other.toml");
    std::fs::write(&other, "[store]\nnamespace = \"app\"\n").unwrap();
    let program = Program::new(home.path(), &arguments).set("SISE_CONFIG", other.to_str().unwrap());
    let settings = config(program).await;
    assert_eq!(settings["store.namespace"]["value"].as_str(), Some("app"));
}

#[tokio::test]
async fn secrets_are_redacted() {
    let world = World::new(&[]).await;
    let url = world.redis.url().replace("redis://", "redis://:hidden@");
    for arguments in [
        ["config"].as_slice(),
        &["config", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["get", "005930"],
        &["run", "--once", "--codes", "005930"],
    ] {
        let Outcome { stdout, stderr, .. } = world
            .sise(arguments)
            .set("REDIS_URL", &url)
            .set("SISE__LOG__LEVEL", "trace")
            .run()
            .await;
        for secret in [APP_KEY, APP_SECRET, "hidden"] {
            let shown = stdout.contains(secret) || stderr.contains(secret);
            assert!(!shown, "{arguments:?} shows {secret}");
        }
    }
}

#[tokio::test]
async fn a_setting_that_does_not_exist_is_named() {
    let home = folder();
    let config = || Program::new(home.path(), &["config"]);
    let outcome = config().set("SISE__STORE__TTTL", "3s").run().await;
    outcome.exits(2).says(&["SISE__STORE__TTTL", "store.ttl"]);
    let outcome = Program::new(home.path(), &["config", "--set", "store.tttl=3s"]);
    outcome.run().await.exits(2).says(&["store.tttl"]);
    for (text, part) in [
        ("[store]\ntttl = \"3s\"\n", "store.tttl"),
        ("[stores]\nttl = \"3s\"\n", "stores.ttl"),
        ("ttl = \"3s\"\n", "ttl"),
        ("[store]\nttl = \n", "line 2"),
    ] {
        let file = home.path().join("settings.toml");
        std::fs::write(&file, text).unwrap();
        let outcome = config().set("SISE_CONFIG", "settings.toml").run().await;
        outcome.exits(2).says(&["settings.toml", part]);
    }
    let outcome = config().set("SISE_CONFIG", "nowhere.toml").run().await;
    outcome.exits(2).says(&["nowhere.toml"]);
}

#[tokio::test]
async fn a_value_that_cannot_be_is_named_with_what_is_allowed() {
    let home = folder();
    for (name, value, parts) in [
        ("SISE__STORE__TTL", "0s", ["store.ttl", "1s to 1day"]),
        ("SISE__STORE__TTL", "120", ["store.ttl", "1s to 1day"]),
        (
            "SISE__SCHEDULE__INTERVAL",
            "7s",
            ["schedule.interval", "6s"],
        ),
        ("SISE__SWEEP__BATCH_SIZE", "31", ["sweep.batch_size", "30"]),
        ("SISE__SWEEP__BATCH_SIZE", "0", ["sweep.batch_size", "30"]),
        (
            "SISE__KIS__RATE_PER_SECOND",
            "18",
            ["kis.rate_per_second", "18"],
        ),
        (
            "SISE__KIS__RATE_PER_SECOND",
            "-1",
            ["kis.rate_per_second", "0.01"],
        ),
        ("KIS_ENV", "demo", ["kis.env", "paper"]),
        ("KIS_BASE_URL", "not an address", ["kis.base_url", "http"]),
        ("REDIS_URL", "http://127.0.0.1", ["store.url", "redis://"]),
        (
            "SISE__STORE__NAMESPACE",
            "a b",
            ["store.namespace", "spaces"],
        ),
        (
            "SISE__API__LISTEN",
            "8787",
            ["api.listen", "127.0.0.1:8787"],
        ),
        ("SISE__UNIVERSE__ETF", "maybe", ["universe.etf", "true"]),
        ("SISE__LOG__FORMAT", "xml", ["log.format", "json"]),
        (
            "SISE__CALENDAR__FILE",
            "nowhere.csv",
            ["calendar.file", "exists"],
        ),
    ] {
        let program = Program::new(home.path(), &["config"]).set(name, value);
        let outcome = program.run().await.exits(2);
        outcome.says(&parts);
    }
}

#[tokio::test]
async fn help_and_completions_are_there() {
    let home = folder();
    for command in [
        "run",
        "get",
        "plan",
        "calendar",
        "universe",
        "sim",
        "demo",
        "doctor",
        "config",
        "completions",
    ] {
        let outcome = Program::new(home.path(), &[command, "--help"]).run().await;
        let outcome = outcome.exits(0);
        assert!(outcome.stdout.contains("Usage: sise"), "{outcome:?}");
        assert!(outcome.stderr.is_empty(), "{outcome:?}");
        let outcome = Program::new(home.path(), &[command, "--nonsense"])
            .run()
            .await;
        let outcome = outcome.exits(2);
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let outcome = Program::new(home.path(), &["completions", shell])
            .run()
            .await;
        let outcome = outcome.exits(0);
        assert!(outcome.stdout.contains("universe"), "{shell}");
    }
    for (arguments, code) in [
        (["--version"].as_slice(), 0),
        (&["--help"], 0),
        (&[], 2),
        (&["nonsense"], 2),
        (&["completions", "nonsense"], 2),
        (&["run", "--json"], 2),
        (&["run", "--codes", "005930"], 2),
        (&["run", "--once", "--if-open", "--always-open"], 2),
        (&["get"], 2),
    ] {
        Program::new(home.path(), arguments).run().await.exits(code);
    }
}

#[tokio::test]
async fn nothing_is_written_into_the_folder_it_runs_in() {
    let home = folder();
    for arguments in [
        ["config"].as_slice(),
        &["calendar"],
        &["universe", "--source", "shipped"],
        &["plan", "--count", "10"],
    ] {
        alone(home.path(), arguments).run().await.exits(0);
    }
    let entries = std::fs::read_dir(home.path()).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    let strangers: Vec<_> = names.iter().filter(|name| *name != "state").collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

fn check<'a>(checks: &'a Value, name: &str) -> &'a Value {
    let mut checks = checks.as_array().unwrap().iter();
    let check = checks.find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check {name}"))
}

#[tokio::test]
async fn the_doctor_finds_a_good_set_up_good() {
    let world = World::new(&[]).await;
    let outcome = world.sise(&["doctor", "--json"]).run().await.exits(0);
    let checks = outcome.json();
    for name in [
        "settings",
        "state",
        "redis",
        "memory",
        "processes",
        "clock",
        "token",
        "prices",
        "fields",
        "stock list",
        "plan",
        "calendar",
    ] {
        let check = check(&checks, name);
        assert_eq!(check["verdict"].as_str(), Some("ok"), "{check}");
        assert!(!check["found"].as_str().unwrap().is_empty(), "{check}");
    }
    let simulated = check(&checks, "simulated");
    assert_eq!(simulated["verdict"].as_str(), Some("warn"), "{simulated}");
    world.sise(&["doctor"]).run().await.exits(0);
}

#[tokio::test]
async fn the_doctor_says_how_to_mend() {
    let mut world = World::new(&["--app-secret", "another"]).await;
    let diagnose = async |program: Program, code: i32| program.run().await.exits(code).json();
    let doctor = ["doctor", "--json"];
    let failed = |checks: &Value, name: &str, word: &str| {
        let check = check(checks, name);
        assert_eq!(check["verdict"].as_str(), Some("fail"), "{check}");
        assert!(check["mend"].as_str().unwrap().contains(word), "{check}");
    };
    let checks = diagnose(world.sise(&doctor).unset("KIS_APP_SECRET"), 1).await;
    failed(&checks, "credentials", "KIS_APP_SECRET");
    let mut connection = world.redis.connection().await;
    for (name, value) in [("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")] {
        let () = redis::cmd("CONFIG")
            .arg(&["SET", name, value])
            .query_async(&mut connection)
            .await
            .unwrap();
    }
    let checks = diagnose(world.sise(&doctor), 1).await;
    failed(&checks, "token", "KIS_APP_SECRET");
    let memory = check(&checks, "memory");
    assert_eq!(memory["verdict"].as_str(), Some("warn"), "{memory}");
    assert!(
        memory["mend"]
            .as_str()
            .unwrap()
            .contains("maxmemory-policy")
    );
    world.redis.kill().await;
    world.broker.kill().await;
    let checks = diagnose(world.sise(&doctor), 1).await;
    failed(&checks, "redis", "REDIS_URL");
    failed(&checks, "broker", "KIS_BASE_URL");
    let list = check(&checks, "stock list");
    assert_eq!(list["verdict"].as_str(), Some("warn"), "{list}");
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_with_the_address_of_redis() {
    let world = World::new(&[]).await;
    let diagnose = async |address: &str, mend: &str| {
        let doctor = world.sise(&["doctor", "--json"]).set("REDIS_URL", address);
        let checks = doctor.run().await.exits(1).json();
        let checks = checks.as_array().unwrap().clone();
        let mends = |check: &Value| {
            let told = check["mend"].as_str();
            check["verdict"] == "fail" && told.is_some_and(|told| told.contains(mend))
        };
        assert!(checks.iter().any(mends), "{mend} in {checks:?}");
    };
    let url = world.redis.url();
    let cluster = url.replace("redis://", "redis-cluster://");
    diagnose(&cluster, "set REDIS_URL to a redis:// address").await;
    let encrypted = url.replace("redis://", "rediss://");
    diagnose(&encrypted, "redis:// if it does not").await;
    let mut connection = world.redis.connection().await;
    let mut say = async |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        let () = command
            .arg(&words[1..])
            .query_async(&mut connection)
            .await
            .unwrap();
    };
    say(&["REPLICAOF", "127.0.0.1", "1"]).await;
    diagnose(&url, "set REDIS_URL to its master").await;
    say(&["REPLICAOF", "NO", "ONE"]).await;
    say(&[
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">pw",
        "~*",
        "+@all",
        "-@scripting",
    ])
    .await;
    let app = url.replace("redis://", "redis://app:pw@");
    world
        .sise(&["status"])
        .set("REDIS_URL", app)
        .run()
        .await
        .exits(1)
        .says(&["its user may not do this"]);
    say(&["CONFIG", "SET", "requirepass", "something"]).await;
    let log_in = "set user and password in REDIS_URL";
    diagnose(&url, log_in).await;
    diagnose(&url.replace("redis://", "redis://:wrong@"), log_in).await;
    let get = world.sise(&["status"]).run().await.exits(1);
    get.says(&[log_in]);
}

#[tokio::test]
async fn the_doctor_does_not_take_a_token_on_disk_for_a_good_secret() {
    let world = World::new(&[]).await;
    world.sise(&["doctor"]).run().await.exits(0);
    let doctor = world.sise(&["doctor", "--json"]);
    let outcome = doctor.set("KIS_APP_SECRET", "wrong").run().await.exits(1);
    let checks = outcome.json();
    let token = check(&checks, "token");
    let found = token["found"].as_str().unwrap();
    assert!(!found.contains("accepts key and secret"), "{token}");
}

#[tokio::test]
async fn a_level_of_logs_that_is_none_is_refused_with_what_is_allowed() {
    let world = World::new(&[]).await;
    for level in ["verbose", "sise=loud"] {
        let plan = world.sise(&["plan", "--count", "10"]);
        let outcome = plan.set("SISE__LOG__LEVEL", level).run().await.exits(2);
        outcome.says(&["log.level", level, "info,sise::kis=debug"]);
    }
    let plan = world.sise(&["plan", "--count", "10"]);
    let plan = plan.set("SISE__LOG__LEVEL", "warn,sise::kis=debug");
    plan.run().await.exits(0);
}

#[tokio::test]
async fn the_doctor_compares_the_clock_with_the_brokers() {
    let world = World::new(&[]).await;
    let outcome = world
        .sise(&["doctor", "--json"])
        .at(&FakedTime::off_by("-1h"))
        .run()
        .await
        .exits(1);
    let checks = outcome.json();
    let clock = check(&checks, "clock");
    assert_eq!(clock["verdict"].as_str(), Some("fail"), "{clock}");
    assert!(clock["mend"].as_str().unwrap().contains("time"), "{clock}");
}

#[tokio::test]
async fn prices_are_got_from_redis_first_and_from_the_broker_else() {
    let world = World::new(&[]).await;
    let get = async |codes: &[&str], code: i32| {
        let arguments = [&["get", "--json"], codes].concat();
        world.sise(&arguments).run().await.exits(code).json()
    };
    // One shape, for one code and for many.
    let first = get(&["005930"], 0).await[0].clone();
    assert_eq!(first["source"].as_str(), Some("api"));
    let second = get(&["005930"], 0).await[0].clone();
    assert_eq!(second["source"].as_str(), Some("redis"));
    assert!(second["age_ms"].is_u64(), "{second}");
    for field in [
        "stock_code",
        "stock_name",
        "price",
        "timestamp",
        "fetched_at",
    ] {
        assert_eq!(second[field], first[field]);
    }
    assert_eq!(world.broker.stats().calls, 1);
    let many = get(&["000660", "005930"], 0).await;
    let codes: Vec<&str> = many
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["stock_code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["000660", "005930"]);
    // Nothing found anywhere.
    assert_eq!(get(&["999998"], 3).await, json!([]));
    let found = get(&["999998", "005930"], 3).await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    let words = world.sise(&["get", "005930"]).run().await.exits(0);
    assert!(words.stdout.contains("삼성전자"), "{words:?}");
    let bad = world.sise(&["get", "samsung"]).run().await.exits(2);
    bad.says(&["samsung", "005930"]);
}

#[tokio::test]
async fn without_credentials_prices_come_from_redis_alone() {
    let world = World::new(&[]).await;
    let stored = world.sise(&["run", "--once", "--codes", "005930"]);
    stored.run().await.exits(0);
    let get = |code: &str| world.sise(&["get", code]).unset("KIS_APP_KEY");
    get("005930").run().await.exits(0);
    let outcome = get("000660").run().await.exits(3);
    outcome.says(&["000660", "KIS_APP_KEY"]);
}

#[tokio::test]
async fn a_broker_and_a_store_that_are_both_away_are_an_error() {
    let home = folder();
    let outcome = alone(home.path(), &["get", "005930"])
        .set("KIS_APP_KEY", APP_KEY)
        .set("KIS_APP_SECRET", APP_SECRET)
        .run()
        .await
        .exits(1);
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
    outcome.says(&["005930"]);
}

/// Commands that print data, each with a start of what it needs. Every subcommand is among them,
/// but for those that run on and print addresses as logs.
const PRINTING: &[&[&str]] = &[
    &["--help"],
    &["--version"],
    &["help", "get"],
    &["get", "--help"],
    &["completions", "bash"],
    &["config"],
    &["config", "--json"],
    &["calendar"],
    &["calendar", "--json"],
    &["calendar", "--days", "3"],
    &["universe", "--source", "shipped"],
    &["universe", "--source", "shipped", "--json"],
    &["plan", "--count", "10"],
    &["plan", "--count", "10", "--json"],
    &["run", "--once", "--codes", "005930"],
    &["run", "--once", "--codes", "005930", "--json"],
    &["run", "--once", "--json", "--if-open"],
    &["search", "삼성"],
    &["search", "삼성", "--json"],
    &["get", "005930"],
    &["get", "005930", "000660", "--json"],
    &["doctor"],
    &["doctor", "--json"],
    &["status"],
    &["status", "--json"],
    &["why", "005930"],
    &["why", "005930", "--json"],
    &["why", "--last-skip", "--json"],
    &["why", "--at", "2026-11-20T10:15"],
    &["top", "gainers"],
    &["top", "gainers", "--json"],
    &["watch", "add", "mine", "005930"],
    &["watch", "list", "--json"],
    &["watch", "remove", "mine", "005930"],
    &[
        "alert",
        "add",
        "low",
        "--codes",
        "005930",
        "--price-below",
        "1000",
    ],
    &["alert", "list"],
    &["alert", "list", "--json"],
    &["alert", "list", "--fired", "--json"],
    &["alert", "test", "low", "--json"],
    &["alert", "remove", "low"],
    &["clients", "add", "somebody"],
    &["clients", "list", "--json"],
    &["sim", "--listen", "127.0.0.1:0"],
];

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_a_failure() {
    // A Saturday: nothing is open.
    let time = FakedTime::from("2026-11-21 10:00:00");
    let world = World::at(time, &["--limit", "0"]).await;
    world.fast_sise(&["run", "--once"]).run().await.exits(0);
    for arguments in PRINTING {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let program = world.fast_sise(arguments).onto(full.unwrap());
        let outcome = program.start().end().await;
        let said = format!("{arguments:?}: {outcome:?}");
        assert_eq!(outcome.code, Some(1), "{said}");
        assert!(outcome.stderr.contains("No space left on device"), "{said}");
    }
    let help = alone(world.path(), &["--help"]).run().await.exits(0);
    let commands = help.stdout.split_once("Commands:").unwrap().1;
    let commands = commands.split_once("Options:").unwrap().0.lines();
    let names = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    for name in names.filter(|name| !name.is_empty() && !["serve", "demo"].contains(name)) {
        assert!(PRINTING.iter().any(|words| words[0] == name), "{name}");
    }
    // Not even a descriptor that is open for something else passes for written.
    let unwritable = std::fs::File::open("/dev/null").unwrap();
    let config = alone(world.path(), &["config"]).onto(unwritable).run();
    config.await.exits(1).says(&["Bad file descriptor"]);
}

#[tokio::test]
async fn a_reader_that_has_enough_is_no_failure() {
    let home = folder();
    for arguments in [
        ["universe", "--source", "shipped"].as_slice(),
        &["calendar", "--json"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let program = alone(home.path(), arguments).onto(writer);
        let outcome = program.run().await.exits(0);
        assert!(!outcome.stderr.contains("sise:"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_token_that_nobody_saw_gives_no_access() {
    let world = World::new(&[]).await;
    let add = || world.sise(&["clients", "add", "somebody"]);
    let sessions = async || {
        let list = world.sise(&["clients", "list", "--json"]).run().await;
        list.exits(0).json().as_array().unwrap().len()
    };
    let full = std::fs::File::options().write(true).open("/dev/full");
    let outcome = add().onto(full.unwrap()).run().await.exits(1);
    let outcome = outcome.says(&["No space left on device", "somebody was not given access"]);
    assert!(!outcome.stderr.contains("has access until"), "{outcome:?}");
    assert_eq!(sessions().await, 0);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let outcome = add().onto(writer).run().await.exits(1);
    outcome.says(&["Broken pipe", "somebody was not given access"]);
    assert_eq!(sessions().await, 0);
    // A descriptor that is closed is the null device for a program, which takes everything.
    let null = std::fs::File::options().write(true).open("/dev/null");
    for program in [add().onto(null.unwrap()), add().closed()] {
        let outcome = program.run().await.exits(1);
        outcome.says(&["closed or the null device", "let it go to a terminal"]);
        assert_eq!(sessions().await, 0);
    }
    let outcome = add().run().await.exits(0);
    assert!(outcome.stdout.starts_with("sise_"), "{outcome:?}");
    assert_eq!(sessions().await, 1);
}

/// Commands that Redis has counted since it was started.
async fn counted(connection: &mut redis::aio::MultiplexedConnection) -> Vec<String> {
    let mut info = redis::cmd("INFO");
    let stats: String = info
        .arg("commandstats")
        .query_async(connection)
        .await
        .unwrap();
    let names = stats.lines().filter_map(|line| {
        let name = line.strip_prefix("cmdstat_")?.split(':').next()?;
        Some(name.to_owned())
    });
    names.collect()
}

#[tokio::test]
async fn the_rights_in_the_docs_are_enough_for_everything() {
    let world = World::new(&["--limit", "0"]).await;
    let mut connection = world.redis.connection().await;
    rights::change(&mut connection, &rights::listed()).await;
    let url = rights::url(&world.redis);
    let sise = |arguments: &[&str]| world.fast_sise(arguments).set("REDIS_URL", &url);
    for arguments in [
        ["run", "--once"].as_slice(),
        &["get", "005930"],
        &["watch", "add", "mine", "005930"],
        &["watch", "list"],
        &[
            "alert",
            "add",
            "low",
            "--codes",
            "005930",
            "--price-below",
            "1000",
        ],
        &["alert", "list"],
        &["alert", "test", "low"],
        &["clients", "add", "somebody"],
        &["clients", "list"],
        &["clients", "remove", "somebody"],
        &["top", "gainers"],
        &["why", "005930"],
    ] {
        sise(arguments).run().await.exits(0);
    }
    let daemon = sise(&[
        "run",
        "--always-open",
        "--set",
        "schedule.interval=2s",
        "--set",
        "watch.interval=1s",
    ])
    .set("SISE__WATCH__HOTTEST", "2")
    .start();
    daemon.says(&["sweep done"]).await;
    let server = sise(&["serve"]).start();
    for address in [daemon.health_address().await, server.health_address().await] {
        let what = format!("{address} is ready");
        crate::support::until(&what, async || {
            let ready = crate::support::http::get(&address, "/ready")?;
            (ready.status == 200).then_some(())
        })
        .await;
        for path in [
            "/v1/prices/005930",
            "/v1/market",
            "/v1/status",
            "/v1/movers/gainers",
            "/v1/lines/005930",
        ] {
            let answer = crate::support::http::get(&address, path).unwrap();
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        }
        let metrics = crate::support::http::get(&address, "/metrics")
            .unwrap()
            .body;
        assert!(metrics.contains("sise_changes_heard 1"), "{metrics}");
        assert!(
            !metrics.contains("sise_changes_untold_total 1"),
            "{metrics}"
        );
    }
    sise(&["status"]).run().await.exits(0);
    sise(&["alert", "remove", "low"]).run().await.exits(0);
    sise(&["watch", "remove", "mine"]).run().await.exits(0);
    for running in [daemon, server] {
        running.signal("TERM");
        let said = running.end().await.stderr;
        assert!(!said.contains("lacks the right"), "{said}");
    }
    let outcome = sise(&["doctor", "--json"]).run().await.exits(0).json();
    for name in ["redis", "memory", "rights", "price"] {
        let check = check(&outcome, name);
        assert_eq!(check["verdict"].as_str(), Some("ok"), "{check}");
    }
    let refused = rights::refused(&mut connection).await;
    assert!(refused.is_empty(), "{refused:?}");
    // And nothing is done, in scripts or out of them, that the line does not name.
    let listed = rights::listed();
    for name in counted(&mut connection).await {
        let is_of_the_test = ["acl", "info", "hello", "auth", "client", "select"];
        let command = name.split('|').next().unwrap();
        let is_listed = [&name, command]
            .iter()
            .any(|name| listed.contains(&format!("+{name}")));
        assert!(is_listed || is_of_the_test.contains(&command), "{name}");
    }
}

#[tokio::test]
async fn a_right_that_is_lacking_is_named() {
    let world = World::new(&["--limit", "0"]).await;
    let mut connection = world.redis.connection().await;
    let url = rights::url(&world.redis);
    let store = crate::support::redis::store_at(&url);
    let listed = rights::listed();
    // Each command by itself, as the daemon's own look at its start and the doctor find it.
    for right in listed.iter().filter(|word| word.starts_with('+')) {
        rights::change(&mut connection, &listed).await;
        let taken = right.replacen('+', "-", 1);
        let words = ["SETUSER", "sise", &taken].map(str::to_owned);
        rights::change(&mut connection, &words).await;
        let lacking = store.rights().await.unwrap();
        let named: Vec<&str> = lacking
            .iter()
            .map(|lacking| lacking.right.as_str())
            .collect();
        assert_eq!(named, [right.as_str()], "without {right}");
    }
    let say = async |words: &[&str]| {
        let mut connection = world.redis.connection().await;
        rights::change(&mut connection, &listed).await;
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if !words.is_empty() {
            rights::change(&mut connection, &words).await;
        }
    };
    let doctor = async |code: i32| {
        let doctor = world
            .fast_sise(&["doctor", "--json"])
            .set("REDIS_URL", &url);
        doctor.run().await.exits(code).json()
    };
    // Memory is all that is not known, and a daemon has no need of it.
    say(&["SETUSER", "sise", "-info"]).await;
    let daemon = world
        .fast_sise(&["run", "--always-open"])
        .set("REDIS_URL", &url)
        .start();
    let address = daemon.health_address().await;
    crate::support::until("a daemon without +info is ready", async || {
        let ready = crate::support::http::get(&address, "/ready")?;
        (ready.status == 200).then_some(())
    })
    .await;
    daemon.signal("TERM");
    let said = daemon.end().await.stderr;
    assert!(!said.contains("lacks the right"), "{said}");
    let checks = doctor(0).await;
    for (name, verdict, text) in [
        ("redis", "ok", "version"),
        ("memory", "warn", "+info"),
        ("rights", "warn", "memory not watched without +info"),
        ("price", "ok", "announced"),
    ] {
        let check = check(&checks, name);
        assert_eq!(check["verdict"].as_str(), Some(verdict), "{check}");
        assert!(check["found"].as_str().unwrap().contains(text), "{check}");
    }
    // Redis gives a new user no channels.
    say(&["SETUSER", "sise", "resetchannels"]).await;
    let checks = doctor(0).await;
    let lacking = check(&checks, "rights");
    assert_eq!(lacking["mend"], "ACL SETUSER sise &sise:*", "{lacking}");
    assert_eq!(check(&checks, "price")["verdict"], "warn");
    for (words, right) in [
        (&["SETUSER", "sise", "resetchannels"][..], "&sise:*"),
        (&["SETUSER", "sise", "-publish"], "+publish"),
    ] {
        say(words).await;
        let daemon = world
            .fast_sise(&["run", "--always-open"])
            .set("REDIS_URL", &url)
            .start();
        daemon.says(&["WARN", "lacks the right", right]).await;
        let address = daemon.health_address().await;
        daemon.says(&["sweep done"]).await;
        let ready = crate::support::http::get(&address, "/ready").unwrap();
        assert_eq!(ready.status, 503, "{}", ready.body);
        assert!(ready.body.contains(right), "{}", ready.body);
        crate::support::until("prices that are not told of", async || {
            let metrics = crate::support::http::get(&address, "/metrics")
                .unwrap()
                .body;
            let untold = metrics
                .lines()
                .find(|line| line.starts_with("sise_changes_untold_total "));
            untold.filter(|line| !line.ends_with(" 0")).map(drop)
        })
        .await;
        // Given back, it is found at the next look.
        say(&[]).await;
        crate::support::until("the daemon is ready", async || {
            let ready = crate::support::http::get(&address, "/ready").unwrap();
            (ready.status == 200).then_some(())
        })
        .await;
    }
    // Prices cannot do without.
    say(&["SETUSER", "sise", "-evalsha"]).await;
    let lacking = doctor(1).await;
    assert_eq!(check(&lacking, "rights")["verdict"], "fail");
    say(&["SETUSER", "sise", "resetkeys", "~sise:*", "~close:*"]).await;
    let lacking = doctor(1).await;
    assert_eq!(
        check(&lacking, "rights")["mend"],
        "ACL SETUSER sise ~realtime:*"
    );
}

#[tokio::test]
async fn a_code_without_a_price_says_why() {
    let world = World::new(&[]).await;
    let outcome = world.sise(&["get", "069500"]).run().await.exits(3);
    outcome.says(&[
        "no price of 069500",
        "the broker knows none",
        "not in the stock list",
        "universe.etf",
    ]);
    let outcome = world.sise(&["why", "069500"]).run().await.exits(3);
    assert!(outcome.stdout.contains("universe.etf"), "{outcome:?}");
}

#[tokio::test]
async fn a_password_is_what_stands_in_the_file() {
    let world = World::new(&[]).await;
    let password = "pa$$w0rd${HOME}";
    let redis = crate::support::redis::RedisServer::start_with(
        &["--requirepass", password],
        "default:pa$$w0rd$%7BHOME%7D@",
    )
    .await;
    let port = redis.port();
    let with = async |line: &str, code: i32| {
        world.file(".env", line);
        let program = world.sise(&["status"]).unset("REDIS_URL");
        program.run().await.exits(code)
    };
    for line in [
        format!("REDIS_URL=redis://:{password}@127.0.0.1:{port}\n"),
        format!("\u{feff}REDIS_URL=\"redis://:{password}@127.0.0.1:{port}\"\r\n"),
        format!("export REDIS_URL='redis://:{password}@127.0.0.1:{port}'  # prices\n"),
    ] {
        with(&line, 0).await;
    }
    let outcome = with("# first\nREDIS_URL=\"redis://host\n", 2).await;
    outcome.says(&["line 2: REDIS_URL", "the quote is not closed"]);
    let outcome = with(&format!("REDIS_URL=redis://127.0.0.1:{port}\n"), 1).await;
    outcome.says(&[
        "it requires a password",
        "set user and password in REDIS_URL",
    ]);
    let open = world.redis.port();
    let outcome = with(
        &format!("REDIS_URL=redis://:{password}@127.0.0.1:{open}\n"),
        1,
    )
    .await;
    outcome.says(&["it has no password", "remove the password from REDIS_URL"]);
    let outcome = with(
        &format!("REDIS_URL=redis://app:12/{password}@127.0.0.1:{port}\n"),
        2,
    )
    .await;
    outcome.says(&["percent-encode", "%2F"]);
    world.file(".env", "SISE_STORE_TTL=90s\n");
    let outcome = world.sise(&["status"]).run().await.exits(2);
    outcome.says(&[
        "SISE_STORE_TTL",
        "(from .env",
        "did you mean SISE__STORE__TTL?",
    ]);
    world.file(".env", "KIS_ACCOUNT=1\n");
    let outcome = world.sise(&["status"]).run().await.exits(0);
    outcome.says(&["WARN", "KIS_ACCOUNT is not a setting of sise"]);
}

#[tokio::test]
async fn a_node_of_a_cluster_is_told_from_a_server() {
    let redis = crate::support::redis::RedisServer::start_with(
        &[
            "--cluster-enabled",
            "yes",
            "--cluster-config-file",
            "nodes.conf",
        ],
        "",
    )
    .await;
    let mut connection = redis.connection().await;
    let () = redis::cmd("CLUSTER")
        .arg(&["ADDSLOTSRANGE", "0", "16383"])
        .query_async(&mut connection)
        .await
        .unwrap();
    let world = World::new(&["--limit", "0"]).await;
    let sise = |arguments: &[&str], url: String| world.fast_sise(arguments).set("REDIS_URL", url);
    let write = "write redis-cluster:// instead of redis://";
    let server = redis.url();
    let doctor = sise(&["doctor"], server.clone()).run().await.exits(1);
    assert!(doctor.stdout.contains(write), "{doctor:?}");
    for arguments in [
        ["run"].as_slice(),
        &["run", "--once", "--codes", "005930"],
        &["serve"],
    ] {
        let outcome = sise(arguments, server.clone()).run().await.exits(2);
        outcome.says(&[write]);
    }
    sise(&["get", "005930", "000660"], server.clone())
        .run()
        .await
        .exits(0);
    let cluster = server.replace("redis://", "redis-cluster://");
    crate::support::until("the cluster is whole", async || {
        let once = sise(&["run", "--once", "--codes", "005930"], cluster.clone());
        (once.run().await.code == Some(0)).then_some(())
    })
    .await;
    let checks = sise(&["doctor", "--json"], cluster)
        .run()
        .await
        .exits(0)
        .json();
    assert_eq!(check(&checks, "price")["verdict"], "ok");
}

#[tokio::test]
async fn every_line_of_the_log_has_day_time_and_zone_of_seoul() {
    let home = folder();
    let list = ["universe", "--source", "shipped"];
    let said = async |format: &str| {
        let program = alone(home.path(), &list)
            .set("TZ", "America/New_York")
            .set("SISE__LOG__FORMAT", format);
        program.run().await.exits(0).stderr
    };
    let text = said("text").await;
    let line = text.lines().find(|line| line.contains("WARN")).unwrap();
    let time = line.split(' ').next().unwrap().to_owned();
    let json = said("json").await;
    let line = json.lines().find(|line| line.contains("\"WARN\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    for time in [time.as_str(), line["timestamp"].as_str().unwrap()] {
        let parsed = chrono::DateTime::parse_from_rfc3339(time).unwrap();
        assert_eq!(parsed.offset().local_minus_utc(), 9 * 3_600, "{time}");
    }
}

/// Names of a file, and what stands in Redis, are other people's: nothing in them steers a terminal,
/// turns the letters beside it, or begins a line of its own; JSON keeps their value.
#[tokio::test]
async fn foreign_text_is_shown_and_never_done() {
    let world = World::new(&["--limit", "0"]).await;
    let name = "\u{1b}[2J\u{1b}]0;mine\u{7}\u{202e}evil\u{9b}31m\u{200b}\u{7f}";
    world.file("list.csv", &format!("code,name\n005930,{name}\n"));
    let sise = |arguments: &[&str]| {
        world
            .fast_sise(arguments)
            .set("SISE__UNIVERSE__SOURCE", "csv")
            .set("SISE__UNIVERSE__FILE", "list.csv")
    };
    let is_harmless = |text: &str| {
        let is_bad = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
        !text.contains(is_bad)
    };
    let listed = sise(&["universe", "--json"]).run().await.exits(0);
    assert_eq!(listed.json()[0]["name"], json!(name));
    assert!(is_harmless(&listed.stdout), "{:?}", listed.stdout);
    let mut quote = sise(&["get", "005930", "--json"])
        .run()
        .await
        .exits(0)
        .json()[0]
        .clone();
    quote["stock_name"] = json!(format!("{name}\nforged"));
    let mut redis = world.redis.connection().await;
    let _: () = redis::cmd("SET")
        .arg(&["realtime:price:005930", &quote.to_string()])
        .query_async(&mut redis)
        .await
        .unwrap();
    let got = sise(&["get", "005930"]).run().await.exits(0);
    assert!(got.stdout.contains("\\u{1b}[2J"), "{got:?}");
    assert!(
        !got.stdout.lines().any(|line| line.starts_with("forged")),
        "{got:?}"
    );
    for command in [
        &["universe"][..],
        &["search", "evil"],
        &["get", "005930"],
        &["get", "evil\u{1b}[m"],
        &["top", "no\u{1b}[2Jkind"],
        &["no\u{202e}command"],
        &["why", "005930"],
        &["watch", "add", "mine", "005930"],
        &["watch", "list"],
        &["watch", "list", "no\u{1b}[2Jlist"],
        &["alert", "test", "no\u{1b}[2Jrule"],
        &[
            "alert",
            "add",
            "a\u{1b}[2J",
            "--market",
            "--price-above",
            "1",
        ],
        &["clients", "add", "a\u{1b}[2J"],
        &["run", "--once"],
        &["status"],
        &["plan", "--set", "universe.file=no\u{1b}[2Jfile"],
        &["doctor", "--set", "universe.file=no\u{1b}[2Jfile"],
    ] {
        let outcome = sise(command).run().await;
        assert!(is_harmless(&outcome.stdout), "{command:?}: {outcome:?}");
        assert!(is_harmless(&outcome.stderr), "{command:?}: {outcome:?}");
    }
}

/// One place understands codes and names, whatever command they are given to.
#[tokio::test]
async fn codes_and_names_mean_the_same_in_every_command() {
    let world = World::new(&["--limit", "0"]).await;
    let run = |arguments: &[&str]| world.fast_sise(arguments).run();
    for written in ["삼성전자", "5930", "A005930", "005930.KS", "KR7005930003"] {
        let got = run(&["get", written, "--json"]).await.exits(0).json();
        assert_eq!(got[0]["stock_code"], "005930", "{written}");
    }
    let both = run(&["get", "005930,0126z0", "--json"])
        .await
        .exits(0)
        .json();
    assert_eq!(both.as_array().unwrap().len(), 2, "{both}");
    let once = ["run", "--once", "--codes", "삼성전자,000660", "--json"];
    assert_eq!(
        run(&once).await.exits(0).json()["written"].as_u64(),
        Some(2)
    );
    world.file("codes.txt", "# mine\n삼성전자\nA000660, 5930\n");
    let once = ["run", "--once", "--codes-file", "codes.txt", "--json"];
    assert_eq!(
        run(&once).await.exits(0).json()["written"].as_u64(),
        Some(2)
    );
    run(&["watch", "add", "mine", "삼성전자", "660"])
        .await
        .exits(0);
    let lists = run(&["watch", "list", "--json"]).await.exits(0).json();
    let mine = json!([{"name": "mine", "codes": ["000660", "005930"]}]);
    assert_eq!(lists, mine);
    let named = run(&["get", "--codes", "삼성전자,000660", "--json"]).await;
    assert_eq!(named.exits(0).json().as_array().unwrap().len(), 2);
    run(&["watch", "add", "named", "--codes", "5930"])
        .await
        .exits(0);
    run(&["watch", "remove", "named", "--codes", "5930"])
        .await
        .exits(0);
    run(&["watch", "remove", "mine", "SK하이닉스"])
        .await
        .exits(0);
    let add = [
        "alert",
        "add",
        "low",
        "--codes",
        "삼성전자,0126z0",
        "--price-below",
        "1000",
    ];
    let added = run(&add).await.exits(0);
    assert!(added.stdout.contains("of 005930 0126Z0"), "{added:?}");
    let plan = ["plan", "--codes", "삼성전자,000660", "--json"];
    assert_eq!(run(&plan).await.exits(0).json()["codes"].as_u64(), Some(2));
    let why = run(&["why", "삼성전자", "--json"]).await.exits(0).json();
    assert_eq!(why["code"], "005930");
    // What means several or none is refused alike, with what is likely.
    for command in [
        &["get", "삼성전"][..],
        &["why", "삼성전"],
        &["watch", "add", "mine", "삼성전"],
        &["watch", "remove", "mine", "삼성전"],
        &[
            "alert",
            "add",
            "low",
            "--codes",
            "삼성전",
            "--price-below",
            "1000",
        ],
        &["run", "--once", "--codes", "삼성전"],
        &["plan", "--codes", "삼성전"],
    ] {
        let refused = run(command).await.exits(2);
        refused.says(&["'삼성전' may be 005930 삼성전자, ", "009150 삼성전기"]);
    }
    run(&["get", "005931"])
        .await
        .exits(3)
        .says(&["did you mean", "005930 삼성전자"]);
    run(&["plan", "--codes", "99999"])
        .await
        .exits(2)
        .says(&["--count 99999"]);
}

#[tokio::test]
async fn stocks_are_found_by_name_part_initials_and_code() {
    let home = folder();
    let search = async |text: &str| {
        let program = alone(home.path(), &["search", text, "-n", "3", "--json"]);
        program.run().await.exits(0).json()
    };
    for (text, code) in [
        ("삼성전자", "005930"),
        ("삼성", "005930"),
        ("ㅅㅅㅈㅈ", "005930"),
        ("하이닉스", "000660"),
        ("naver", "035420"),
        ("0126z", "0126Z0"),
        // As other programs write a code.
        ("5930", "005930"),
        ("A005930", "005930"),
        ("005930.KS", "005930"),
        ("KR7005930003", "005930"),
        ("KR7005381009", "005385"),
    ] {
        let found = search(text).await;
        assert_eq!(found[0]["code"], code, "{text}: {found}");
        assert!(
            found[0]["name"].is_string() && found[0]["market"].is_string(),
            "{found}"
        );
    }
    let words = alone(home.path(), &["search", "삼성"]).run().await.exits(0);
    assert!(words.stdout.contains("KOSPI"), "{words:?}");
    words.says(&["20 of "]);
    let none = alone(home.path(), &["search", "nevar", "--json"])
        .run()
        .await
        .exits(3);
    assert_eq!(none.json(), json!([]));
    none.says(&["did you mean", "NAVER"]);
    for command in ["search", "get"] {
        let slip = alone(home.path(), &[command, "KR7005930004"]).run().await;
        let code = if command == "search" { 3 } else { 2 };
        slip.exits(code).says(&["last digit should be 3"]);
    }
}

#[tokio::test]
async fn an_unknown_word_has_a_tip() {
    let world = World::new(&[]).await;
    world
        .sise(&["watch", "add", "mine", "005930"])
        .run()
        .await
        .exits(0);
    let add = [
        "alert",
        "add",
        "low",
        "--codes",
        "005930",
        "--price-below",
        "1000",
    ];
    world.sise(&add).run().await.exits(0);
    world.sise(&["clients", "add", "ann"]).run().await.exits(0);
    for (command, code, tip) in [
        (&["statsu"][..], 2, "status"),
        (&["watch", "ad"], 2, "add"),
        (&["get", "--jsn"], 2, "--json"),
        (&["top", "gainer"], 2, "gainers"),
        (
            &["plan", "--set", "sweep.batchsize=3"],
            2,
            "sweep.batch_size",
        ),
        (&["watch", "list", "mien"], 3, "did you mean mine?"),
        (&["watch", "remove", "mien"], 3, "did you mean mine?"),
        (&["alert", "test", "lwo"], 3, "did you mean low?"),
        (&["alert", "remove", "lo"], 3, "did you mean low?"),
        (&["clients", "remove", "annn"], 3, "did you mean ann?"),
        (&["005930"], 2, "'sise get 005930'"),
        (&["price", "005930"], 2, "did you mean 'sise get'?"),
        (&["top", "gainers", "--limit", "5"], 2, "did you mean '-n'?"),
        (&["top", "--market", "KOSDQ"], 2, "did you mean KOSDAQ?"),
    ] {
        world.sise(command).run().await.exits(code).says(&[tip]);
    }
}

/// A pass that somebody asked for one code is no sweep of the list.
#[tokio::test]
async fn the_last_sweep_is_one_of_the_whole_list() {
    let world = World::new(&["--limit", "0"]).await;
    let run = |arguments: &[&str]| world.fast_sise(arguments).run();
    run(&["run", "--once"]).await.exits(0);
    run(&["run", "--once", "--codes", "005930"]).await.exits(0);
    let status = run(&["status", "--json"]).await.exits(0).json();
    let sweeps = status["sweeps"].as_array().unwrap();
    assert_eq!(sweeps.len(), 1, "{status}");
    assert_eq!(sweeps[0]["universe"].as_u64(), Some(2_769), "{status}");
    let why = run(&["why", "005930"]).await.exits(0);
    assert!(why.stdout.contains("pass over some codes at"), "{why:?}");
}
