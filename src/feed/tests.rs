use std::sync::Mutex;

use async_trait::async_trait;
use chrono::TimeZone as _;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use sise_domain::Seoul;
use sise_port::{GapReason, Leadership as _};
use sise_store::MemoryStore;

const TTL: Duration = Duration::from_secs(120);

/// A tick source that is scripted by the test.
#[derive(Default)]
struct Script {
    told: Mutex<Option<mpsc::Sender<Told>>>,
    wanted: Mutex<Option<watch::Receiver<Arc<[Symbol]>>>>,
}

impl Script {
    fn codes(&self) -> Vec<Symbol> {
        let wanted = self.wanted.lock().unwrap();
        let wanted = wanted.as_ref();
        wanted.map_or(Vec::new(), |wanted| wanted.borrow().to_vec())
    }

    fn wanted(&self) -> usize {
        self.codes().len()
    }

    async fn tell(&self, told: Told) {
        let sender = self.told.lock().unwrap().clone().unwrap();
        sender.send(told).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
}

#[async_trait]
impl TickSource for Script {
    async fn stream(
        &self,
        wanted: watch::Receiver<Arc<[Symbol]>>,
        told: mpsc::Sender<Told>,
        stop: CancellationToken,
    ) {
        *self.wanted.lock().unwrap() = Some(wanted);
        *self.told.lock().unwrap() = Some(told);
        stop.cancelled().await;
    }
}

struct List(Vec<Symbol>);

#[async_trait]
impl WatchedCodes for List {
    async fn watched(&self) -> Result<Vec<Symbol>, StoreError> {
        Ok(self.0.clone())
    }
}

struct Scene {
    script: Arc<Script>,
    store: Arc<MemoryStore>,
    candidate: Arc<Candidate>,
    gaps: broadcast::Receiver<Gap>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), String>>,
}

fn code(number: usize) -> Symbol {
    format!("{number:06}").parse().unwrap()
}

impl Scene {
    /// Starts a feed of twenty watched codes with ten places, at this time of a trading day.
    async fn at(hour: u32, minute: u32, second: u32) -> Self {
        Self::with((hour, minute, second), false).await
    }

    async fn with((hour, minute, second): (u32, u32, u32), always_open: bool) -> Self {
        let start = Instant::now();
        let day = Seoul.with_ymd_and_hms(2026, 11, 20, hour, minute, second);
        let began = day.unwrap();
        let clock: Clock = Arc::new(move || began + TimeDelta::from_std(start.elapsed()).unwrap());
        let store = Arc::new(MemoryStore::default());
        let candidate = Candidate::new(
            store.clone(),
            "here".to_owned(),
            Duration::from_secs(100_000),
            Arc::clone(&clock),
        );
        let candidate = Arc::new(candidate);
        let script = Arc::new(Script::default());
        let feed = Feed::new(Parts {
            source: script.clone(),
            store: Arc::new(crate::leadership::LeaderStore::new(
                store.clone(),
                Arc::clone(&candidate),
            )),
            watched: Arc::new(List((0..20).map(code).collect())),
            candidate: Some(Arc::clone(&candidate)),
            calendar: Arc::new(ArcSwap::from_pointee(Calendar::shipped())),
            clock,
            always_open,
            options: FeedOptions {
                registrations: 10,
                write_interval: Duration::from_millis(500),
                look: Duration::from_secs(1),
                ttl: TTL,
            },
            changes: store.clone(),
            observe: Arc::new(|_| {}),
            registered: Arc::new(|_| {}),
        });
        let gaps = feed.gaps();
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::new(feed).run(stop.clone()));
        Self {
            script,
            store,
            candidate,
            gaps,
            stop,
            task,
        }
    }

    fn trade(number: usize, volume: i64) -> Told {
        let at = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 5).unwrap();
        Told::Tick(Box::new(Quote {
            volume: Some(volume),
            ..Quote::sample(code(number), 1_000 + volume, at)
        }))
    }

    async fn volume(&self, number: usize) -> Option<i64> {
        let quotes = self.store.realtime(&[code(number)]).await.unwrap();
        quotes[0].as_ref()?.volume
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_streams_and_only_while_there_are_trades() {
    let scene = Scene::at(8, 58, 0).await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!(scene.script.wanted(), 0, "nobody leads");
    scene.candidate.campaign().await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(
        scene.script.wanted(),
        0,
        "the one before may not be gone yet"
    );
    sleep(Duration::from_secs(5)).await;
    assert_eq!(scene.script.wanted(), 10);
    // Until a minute after the close.
    sleep(Duration::from_secs(6 * 3_600 + 30 * 60 - 60)).await;
    assert_eq!(scene.script.wanted(), 10);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(scene.script.wanted(), 0);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_leads_no_more_wants_nothing_at_once() {
    let scene = Scene::at(10, 0, 0).await;
    scene.candidate.campaign().await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(scene.script.wanted(), 10);
    scene.store.resign("here").await.unwrap();
    let life = Duration::from_secs(1_000);
    scene.store.campaign("there", life).await.unwrap();
    scene.candidate.campaign().await;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(scene.script.wanted(), 0);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn trades_are_written_at_once_and_then_the_last_of_each_interval() {
    let scene = Scene::at(10, 0, 0).await;
    scene.candidate.campaign().await;
    sleep(Duration::from_secs(5)).await;
    scene.script.tell(Scene::trade(1, 1)).await;
    assert_eq!(scene.volume(1).await, Some(1));
    for volume in 2..9 {
        scene.script.tell(Scene::trade(1, volume)).await;
    }
    assert_eq!(scene.volume(1).await, Some(1));
    sleep(Duration::from_millis(500)).await;
    assert_eq!(scene.volume(1).await, Some(8));
    // Trades that still wait are written at the end.
    scene.script.tell(Scene::trade(1, 9)).await;
    let store = Arc::clone(&scene.store);
    scene.end().await;
    let quotes = store.realtime(&[code(1)]).await.unwrap();
    assert_eq!(quotes[0].as_ref().unwrap().volume, Some(9));
}

#[tokio::test(start_paused = true)]
async fn a_trade_of_before_the_open_is_written_in_a_trial_only() {
    for (always_open, written) in [(false, [None, Some(2)]), (true, [Some(1), Some(2)])] {
        let scene = Scene::with((8, 59, 40), always_open).await;
        scene.candidate.campaign().await;
        sleep(Duration::from_secs(25)).await;
        let trade = |volume, (hour, minute, second)| {
            let at = Seoul.with_ymd_and_hms(2026, 11, 20, hour, minute, second);
            let told = Seoul.with_ymd_and_hms(2026, 11, 20, 9, 0, 2);
            let sample = Quote::sample(code(1), 1_000, told.unwrap());
            Told::Tick(Box::new(Quote {
                volume: Some(volume),
                source: Quote::LIVE_FEED.into(),
                timestamp: at.unwrap().naive_local(),
                ..sample
            }))
        };
        let mut seen = Vec::new();
        for told in [trade(1, (8, 59, 47)), trade(2, (9, 0, 0))] {
            scene.script.tell(told).await;
            sleep(Duration::from_secs(1)).await;
            seen.push(scene.volume(1).await);
        }
        assert_eq!(seen, written, "{always_open}");
        scene.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn gaps_are_told_and_a_lower_limit_holds_until_the_session_is_over() {
    let mut scene = Scene::at(10, 0, 0).await;
    scene.candidate.campaign().await;
    sleep(Duration::from_secs(5)).await;
    let gap = Gap {
        codes: Arc::new([code(3)]),
        reason: GapReason::Lost,
    };
    scene.script.tell(Told::Gap(gap.clone())).await;
    assert_eq!(scene.gaps.recv().await.unwrap(), gap);
    scene.script.tell(Told::Full(4)).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.script.wanted(), 4);
    scene.script.tell(Told::Registered(Arc::new([]))).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.script.wanted(), 10);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_code_that_is_not_streamed_goes_to_another() {
    let scene = Scene::at(10, 0, 0).await;
    scene.candidate.campaign().await;
    sleep(Duration::from_secs(5)).await;
    let before = scene.script.codes();
    assert_eq!(before.len(), 10);
    scene.script.tell(Told::Refused(before[0])).await;
    sleep(Duration::from_secs(2)).await;
    let after = scene.script.codes();
    assert_eq!(after.len(), 10);
    assert!(!after.contains(&before[0]));
    assert!(before[1..].iter().all(|code| after.contains(code)));
    scene.end().await;
}
