use std::sync::atomic::AtomicI64;

use chrono::{TimeDelta, TimeZone as _};
use tokio::time::advance;

use super::*;
use sise_domain::{BanKind, Seoul};
use sise_store::MemoryBans;

/// State shared by two processes, and a time of day that tests move.
struct World {
    shared: Arc<MemoryBans>,
    folder: tempfile::TempDir,
    seconds: Arc<AtomicI64>,
    heard: Arc<std::sync::Mutex<Vec<Event>>>,
}

impl World {
    fn new() -> Self {
        Self {
            shared: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            seconds: Arc::default(),
            heard: Arc::default(),
        }
    }

    fn bans(&self, process: &str) -> Bans {
        self.bans_of(process, Arc::clone(&self.shared))
    }

    fn bans_of(&self, process: &str, shared: Arc<MemoryBans>) -> Bans {
        let keep = BanKeep {
            shared,
            file: Some(BanFile::new(self.folder.path(), "key")),
            process: process.to_owned(),
            key: "0123".to_owned(),
            credentials: "4567".to_owned(),
            recorder: Arc::new(Heard(Arc::clone(&self.heard))),
        };
        let seconds = Arc::clone(&self.seconds);
        let clock: Clock = Arc::new(move || {
            let start = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
            start + TimeDelta::seconds(seconds.load(Ordering::SeqCst))
        });
        Bans::new(keep, clock)
    }

    /// Moves the time of day and the runtime's clock.
    async fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
        advance(Duration::from_secs(u64::try_from(seconds).unwrap())).await;
    }
}

fn denied() -> SourceError {
    SourceError::Denied(Denial {
        kind: BanKind::Credentials,
        said: "EGW00105 wrong".to_owned(),
    })
}

/// Keeps the events that it receives.
struct Heard(Arc<std::sync::Mutex<Vec<Event>>>);

impl Recorder for Heard {
    fn note(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// Makes a call to which the broker gives this answer.
async fn call(bans: &Bans, answer: Result<(), SourceError>) -> Result<(), SourceError> {
    let mut leave = bans.admit().await?;
    assert!(bans.hold(&mut leave));
    let outcome = answer.as_ref().copied();
    bans.settle(leave, outcome).await;
    answer
}

fn is_banned(outcome: &Result<(), SourceError>) -> bool {
    matches!(outcome, Err(SourceError::Banned(_)))
}

#[tokio::test(start_paused = true)]
async fn after_a_denial_no_process_calls_until_the_ban_is_over() {
    let world = World::new();
    let (ours, theirs) = (world.bans("ours"), world.bans("theirs"));
    assert!(call(&theirs, Ok(())).await.is_ok());
    assert!(call(&ours, Err(denied())).await.is_err());
    assert!(is_banned(&call(&ours, Ok(())).await));
    // The store is read once a second, not at each call.
    assert!(call(&theirs, Ok(())).await.is_ok());
    world.pass(1).await;
    let refused = call(&theirs, Ok(())).await;
    assert!(is_banned(&refused));
    let said = refused.unwrap_err().to_string();
    assert!(
        said.contains("EGW00105 wrong") && said.contains("10:01:00 KST"),
        "{said}"
    );
    // A process that starts now knows the ban too, with an empty store or without the file.
    let empty = Arc::<MemoryBans>::default();
    let restarted = world.bans_of("restarted", Arc::clone(&empty));
    assert!(is_banned(&call(&restarted, Ok(())).await));
    let shared = world.shared.load().await.unwrap();
    assert!(shared.is_some() && empty.load().await.unwrap() == shared);
    let kept = || std::fs::read_dir(world.folder.path()).unwrap().next();
    std::fs::remove_file(kept().unwrap().unwrap().path()).unwrap();
    let elsewhere = world.bans("elsewhere");
    assert!(is_banned(&call(&elsewhere, Ok(())).await));
    assert!(kept().is_some(), "the disk knows it again");
}

#[tokio::test(start_paused = true)]
async fn a_denial_of_a_call_that_was_under_way_makes_the_ban_no_longer() {
    let world = World::new();
    let bans = world.bans("ours");
    let early = bans.admit().await.unwrap();
    world.pass(1).await;
    let with_it = bans.admit().await.unwrap();
    assert!(call(&bans, Err(denied())).await.is_err());
    bans.settle(with_it, Err(&denied())).await;
    let ban = bans.in_force().await.unwrap();
    world.pass(90).await;
    bans.settle(early, Err(&denied())).await;
    assert_eq!(bans.ban().map(Box::new), Some(ban));
    assert_eq!(world.heard.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_person_is_not_refused_before_the_call_either() {
    let world = World::new();
    let bans = world.bans("ours");
    assert!(bans.refusal().await.is_ok());
    assert!(call(&bans, Err(denied())).await.is_err());
    assert!(is_banned(&bans.refusal().await));
    bans.let_one_through();
    assert!(bans.refusal().await.is_ok());
    // Asking for a refusal does not use up the call.
    assert!(call(&bans, Ok(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn when_it_is_over_one_process_tries_and_its_success_frees_all() {
    let world = World::new();
    let (ours, theirs) = (world.bans("ours"), world.bans("theirs"));
    assert!(call(&ours, Err(denied())).await.is_err());
    world.pass(61).await;
    let trial = ours.admit().await.unwrap();
    assert!(is_banned(&call(&theirs, Ok(())).await), "one tries");
    ours.settle(trial, Ok(())).await;
    assert!(call(&ours, Ok(())).await.is_ok());
    world.pass(1).await;
    assert!(call(&theirs, Ok(())).await.is_ok());
    assert!(theirs.in_force().await.is_none());
    // Both events are in the event log, once.
    let heard = world.heard.lock().unwrap();
    let [
        Event::Ban {
            credentials,
            why,
            until,
            ..
        },
        Event::BanLifted {
            credentials: lifted,
            ..
        },
    ] = heard.as_slice()
    else {
        panic!("{heard:?}");
    };
    assert_eq!((credentials.as_str(), lifted.as_str()), ("4567", "4567"));
    assert!(why.contains("EGW00105 wrong"), "{why}");
    assert_eq!(until.format("%H:%M:%S").to_string(), "10:01:00");
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_a_process_wait_for_the_one_that_tries() {
    let world = World::new();
    let bans = Arc::new(world.bans("ours"));
    assert!(call(&bans, Err(denied())).await.is_err());
    world.pass(61).await;
    let trial = bans.admit().await.unwrap();
    let others: Vec<_> = (0..20)
        .map(|_| {
            let bans = Arc::clone(&bans);
            tokio::spawn(async move { call(&bans, Ok(())).await })
        })
        .collect();
    tokio::task::yield_now().await;
    bans.settle(trial, Ok(())).await;
    for other in others {
        assert!(other.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn each_trial_that_is_denied_makes_it_longer_and_many_at_once_count_once() {
    let world = World::new();
    let bans = world.bans("ours");
    // Thirty calls are in flight when the key is refused.
    let mut under_way = Vec::new();
    for _ in 0..30 {
        under_way.push(bans.admit().await.unwrap());
    }
    world.pass(1).await;
    for leave in under_way {
        bans.settle(leave, Err(&denied())).await;
    }
    assert_eq!(bans.in_force().await.unwrap().times, 1);
    let mut lengths = Vec::new();
    for _ in 0..4 {
        let ban = bans.ban().unwrap();
        lengths.push((ban.until - ban.since).num_minutes());
        world.pass((ban.until - ban.since).num_seconds()).await;
        assert!(call(&bans, Err(denied())).await.is_err());
    }
    assert_eq!(lengths, [1, 4, 16, 64]);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_tells_nothing_leaves_the_next_one_to_try() {
    let world = World::new();
    let (ours, theirs) = (world.bans("ours"), world.bans("theirs"));
    assert!(call(&ours, Err(denied())).await.is_err());
    world.pass(61).await;
    let away = SourceError::Unavailable("HTTP 500".to_owned());
    assert!(call(&ours, Err(away.clone())).await.is_err());
    assert!(call(&theirs, Err(away)).await.is_err());
    // A trial that is cut off holds the others up only for a while.
    drop(ours.admit().await.unwrap());
    assert!(is_banned(&call(&theirs, Ok(())).await));
    world.pass(31).await;
    assert!(call(&theirs, Ok(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_call_from_before_the_ban_does_not_lift_it() {
    let world = World::new();
    let bans = world.bans("ours");
    let early = bans.admit().await.unwrap();
    world.pass(1).await;
    assert!(call(&bans, Err(denied())).await.is_err());
    world.pass(1).await;
    bans.settle(early, Ok(())).await;
    assert!(bans.in_force().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_its_turn_does_not_go_out_into_a_ban() {
    let world = World::new();
    let bans = world.bans("ours");
    let mut early = bans.admit().await.unwrap();
    assert!(call(&bans, Err(denied())).await.is_err());
    assert!(!bans.hold(&mut early));
}

#[tokio::test(start_paused = true)]
async fn a_person_may_try_once_at_any_time() {
    let world = World::new();
    let bans = world.bans("ours");
    assert!(call(&bans, Err(denied())).await.is_err());
    bans.let_one_through();
    assert!(matches!(
        call(&bans, Err(denied())).await,
        Err(SourceError::Denied(_))
    ));
    assert!(is_banned(&call(&bans, Ok(())).await), "one call alone");
    assert_eq!(bans.in_force().await.unwrap().times, 1);
    world.pass(1).await;
    bans.let_one_through();
    assert!(call(&bans, Ok(())).await.is_ok());
    assert!(bans.in_force().await.is_none());
    assert!(call(&bans, Ok(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_ban_that_was_lifted_elsewhere_does_not_come_back_from_the_disk() {
    let world = World::new();
    let ours = world.bans("ours");
    assert!(call(&ours, Err(denied())).await.is_err());
    // Another machine: the same store, but a different disk.
    let other = World {
        folder: tempfile::tempdir().unwrap(),
        shared: Arc::clone(&world.shared),
        seconds: Arc::clone(&world.seconds),
        heard: Arc::default(),
    };
    let theirs = other.bans("theirs");
    world.pass(2).await;
    assert!(theirs.in_force().await.is_some());
    theirs.let_one_through();
    assert!(call(&theirs, Ok(())).await.is_ok());
    world.pass(2).await;
    assert!(ours.in_force().await.is_none());
    assert!(world.bans("restarted").in_force().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_written_shows_neither_key_nor_secret() {
    let world = World::new();
    let bans = world.bans("ours");
    assert!(call(&bans, Err(denied())).await.is_err());
    let file = std::fs::read_to_string(world.folder.path().join("ban-key")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&file).unwrap();
    let members: Vec<&String> = record["banned"].as_object().unwrap().keys().collect();
    assert_eq!(members, ["kind", "said", "since", "times", "until"]);
}
