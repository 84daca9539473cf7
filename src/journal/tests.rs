use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use chrono::{TimeDelta, TimeZone as _};
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};

use super::*;
use sise_domain::{ClockJump, Gap, Seoul, Skipped, Swept};
use sise_port::StoreError;
use sise_store::MemoryStore;

/// An event log in memory that can be made unreachable.
#[derive(Default)]
struct Paper {
    store: MemoryStore,
    is_away: AtomicBool,
    attempts: AtomicU64,
}

#[async_trait]
impl Journal for Paper {
    async fn append(&self, entry: &Entry, earlier: Option<&Place>) -> Result<Place, StoreError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreError::Failed {
                store: "here".to_owned(),
                trouble: "away".to_owned(),
            });
        }
        self.store.append(entry, earlier).await
    }

    async fn entries(&self, most: usize) -> Result<Vec<Entry>, StoreError> {
        self.store.entries(most).await
    }
}

/// An event queue, its event log, and the writer between them.
struct Desk {
    paper: Arc<Paper>,
    event_queue: EventQueue,
    stop: CancellationToken,
    writing: JoinHandle<()>,
}

impl Desk {
    fn new() -> Self {
        let start = Instant::now();
        let clock: Clock = Arc::new(move || {
            let since = TimeDelta::from_std(start.elapsed()).unwrap();
            Seoul.with_ymd_and_hms(2026, 11, 20, 9, 0, 0).unwrap() + since
        });
        let paper = Arc::new(Paper::default());
        let (event_queue, notes) = event_queue(Arc::clone(&clock));
        let mut writer = EventWriter::new(notes, paper.clone(), "here".to_owned(), clock);
        let stop = CancellationToken::new();
        let until = stop.clone();
        let writing = tokio::spawn(async move { writer.run(until).await });
        Self {
            paper,
            event_queue,
            stop,
            writing,
        }
    }

    /// Returns the entries, oldest first, after all queued events were written.
    async fn entries(&self) -> Vec<Entry> {
        sleep(Duration::from_millis(1)).await;
        let mut entries = self.paper.entries(10_000).await.unwrap();
        entries.reverse();
        entries
    }
}

fn skip(why: &str) -> Event {
    Event::Skip(Skipped {
        reason: "weekend".to_owned(),
        why: why.to_owned(),
        next_run: None,
    })
}

fn clock_event(by_ms: u64) -> Event {
    let jump = ClockJump::Ahead;
    Event::Clock { jump, by_ms }
}

fn sweep() -> Event {
    Event::Sweep(Swept {
        started_at: Seoul.with_ymd_and_hms(2026, 11, 20, 9, 0, 0).unwrap(),
        elapsed_ms: 1,
        partial: false,
        universe: 1,
        written: 1,
        coverage: 1.0,
        calls: 1,
        refused_calls: 0,
        retries: 0,
        stopped: false,
        close_of: None,
        missing: Vec::new(),
    })
}

#[tokio::test(start_paused = true)]
async fn the_same_skip_is_one_entry_that_counts_and_is_never_behind() {
    let desk = Desk::new();
    for times in 1..=5 {
        desk.event_queue.note(skip("weekend"));
        // Each change is written at once: a process that dies loses none.
        let entries = desk.entries().await;
        let counts: Vec<u64> = entries.iter().map(|entry| entry.times).collect();
        assert_eq!(counts, [times]);
        advance(Duration::from_secs(60)).await;
    }
    let entry = &desk.entries().await[0];
    let lasted = entry.last_at - entry.at;
    assert!(lasted >= TimeDelta::seconds(240), "{entry:?}");
}

#[tokio::test(start_paused = true)]
async fn another_reason_and_a_sweep_begin_a_new_entry_and_others_do_not() {
    let desk = Desk::new();
    for event in [
        skip("weekend"),
        clock_event(1),
        skip("weekend"),
        skip("holiday"),
        skip("weekend"),
        sweep(),
        skip("weekend"),
    ] {
        desk.event_queue.note(event);
    }
    let entries = desk.entries().await;
    let mut seen: Vec<(u64, &str, u64)> = entries
        .iter()
        .map(|entry| {
            let why = match &entry.event {
                Event::Skip(skipped) => skipped.why.as_str(),
                Event::Sweep(_) => "sweep",
                _ => "clock",
            };
            (entry.number, why, entry.times)
        })
        .collect();
    seen.sort_unstable();
    let expected = [
        (1, "weekend", 2),
        (2, "clock", 1),
        (3, "holiday", 1),
        (4, "weekend", 1),
        (5, "sweep", 1),
        (6, "weekend", 1),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_one_entry_whatever_else_happens() {
    let desk = Desk::new();
    let minute = |minute| Seoul.with_ymd_and_hms(2026, 11, 20, 10, minute, 0).unwrap();
    for from in 0..5 {
        desk.event_queue.note(Event::Gap(Gap {
            from: minute(from),
            until: minute(from + 1),
            lowest: Some(0.5),
        }));
        desk.event_queue.note(sweep());
    }
    let entries = desk.entries().await;
    let is_gap = |entry: &&Entry| matches!(entry.event, Event::Gap(_));
    let gaps: Vec<&Entry> = entries.iter().filter(is_gap).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].times, 5);
}

#[tokio::test(start_paused = true)]
async fn what_happens_while_the_store_is_away_is_written_later() {
    let desk = Desk::new();
    desk.paper.is_away.store(true, Ordering::Relaxed);
    for by_ms in 0..20 {
        desk.event_queue.note(clock_event(by_ms));
        desk.event_queue.note(skip("away"));
        advance(Duration::from_secs(1)).await;
    }
    // Neither a storm of attempts nor an overflowing queue.
    assert!(desk.paper.attempts.load(Ordering::Relaxed) < 20);
    desk.paper.is_away.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(30)).await;
    let entries = desk.entries().await;
    assert_eq!(entries.len(), 21, "{entries:?}");
    let skipped = entries.iter().find(|entry| entry.times > 1).unwrap();
    assert_eq!(skipped.times, 20);
}

#[tokio::test(start_paused = true)]
async fn of_too_many_the_newest_stay_and_the_others_are_counted() {
    let desk = Desk::new();
    desk.paper.is_away.store(true, Ordering::Relaxed);
    let total = KEPT as u64 + 300;
    for by_ms in 0..total {
        desk.event_queue.note(clock_event(by_ms));
        tokio::task::yield_now().await;
    }
    desk.paper.is_away.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(30)).await;
    let entries = desk.entries().await;
    let lost: u64 = entries
        .iter()
        .map(|entry| match entry.event {
            Event::Lost { count } => count,
            _ => 0,
        })
        .sum();
    let last = |entry: &Entry| entry.event == clock_event(total - 1);
    assert!(entries.iter().any(last), "the newest is there");
    let told = entries.len() as u64 - 1;
    assert_eq!((told, lost), (KEPT as u64, 300));
}

#[tokio::test(start_paused = true)]
async fn nobody_who_tells_ever_waits() {
    let desk = Desk::new();
    // No task runs in between, so the queue fills up.
    for by_ms in 0..5_000 {
        desk.event_queue.note(clock_event(by_ms));
    }
    let lost = desk.event_queue.lost.load(Ordering::Relaxed);
    assert_eq!(lost, 5_000 - QUEUE as u64);
}

#[tokio::test(start_paused = true)]
async fn the_last_words_are_written_and_a_store_that_is_away_holds_no_stop() {
    for is_away in [false, true] {
        let desk = Desk::new();
        desk.paper.is_away.store(is_away, Ordering::Relaxed);
        desk.event_queue.note(skip("weekend"));
        desk.stop.cancel();
        desk.writing.await.unwrap();
        let entries = desk.paper.entries(10).await.unwrap();
        assert_eq!(entries.len(), usize::from(!is_away));
    }
}
