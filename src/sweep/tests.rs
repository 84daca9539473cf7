use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::TimeZone as _;
use tokio::time::{sleep, sleep_until};

use super::*;
use sise_domain::{BanKind, Calling, Denial, Index, Phase, Seoul};
use sise_port::{Answers, Lead, Written};
use sise_store::MemoryStore;

/// A source that is scripted by the test and counts how often each code was asked for.
struct Scripted {
    answer: Box<dyn Fn(Symbol, usize) -> Answer + Send + Sync>,
    asked: Mutex<HashMap<Symbol, usize>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    latency: Duration,
    /// Additional time that the first batch takes.
    stall: Duration,
    /// For this long after the fourth batch there is no token, and nothing goes out.
    without_token: Duration,
    /// When each batch began.
    starts: Mutex<Vec<Instant>>,
    /// The number of codes in each batch.
    lengths: Mutex<Vec<usize>>,
    /// Adds the indices if a batch leaves room for them.
    brings_indices: bool,
}

impl Scripted {
    fn new(answer: impl Fn(Symbol, usize) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            asked: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            latency: Duration::from_millis(100),
            stall: Duration::ZERO,
            without_token: Duration::ZERO,
            starts: Mutex::default(),
            lengths: Mutex::default(),
            brings_indices: false,
        })
    }

    fn asked(&self, symbol: Symbol) -> usize {
        self.asked
            .lock()
            .unwrap()
            .get(&symbol)
            .copied()
            .unwrap_or(0)
    }
}

#[async_trait]
impl QuoteSource for Scripted {
    async fn quotes(&self, symbols: &[Symbol], _: Urgency) -> Answers {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        let is_first = {
            let mut starts = self.starts.lock().unwrap();
            starts.push(Instant::now());
            starts.len() == 1
        };
        let stall = if is_first { self.stall } else { Duration::ZERO };
        sleep(self.latency + stall).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.lengths.lock().unwrap().push(symbols.len());
        let has_room = symbols.len() + 3 <= Calling::MOST_CODES;
        let level = |index: &Index| level(*index, 2_000.0);
        let indices = match self.brings_indices && has_room {
            true => Index::ALL.iter().map(level).collect(),
            false => Vec::new(),
        };
        let mut asked = self.asked.lock().unwrap();
        let answers = symbols
            .iter()
            .map(|symbol| {
                let times = asked.entry(*symbol).or_default();
                *times += 1;
                (*symbol, (self.answer)(*symbol, *times))
            })
            .collect();
        let tally = Tally {
            calls: 1,
            ..Tally::default()
        };
        Answers {
            answers,
            tally,
            indices,
        }
    }

    fn calling(&self) -> Calling {
        Calling::Multi
    }

    async fn ready(&self, _: Urgency) -> Result<(), SourceError> {
        let fourth = self.starts.lock().unwrap().get(3).copied();
        if let Some(fourth) = fourth {
            sleep_until(fourth + self.without_token).await;
        }
        Ok(())
    }

    fn places_for_indices(&self) -> usize {
        if self.brings_indices { 3 } else { 0 }
    }
}

fn level(index: Index, level: f64) -> IndexQuote {
    IndexQuote {
        index,
        name: index.korean_name().into(),
        level,
        change: None,
        change_rate: None,
        volume: None,
        value: None,
        open: None,
        high: None,
        low: None,
        prev_close: None,
        timestamp: ten_and(0).naive_local(),
        session: Phase::Regular,
        source: "test".into(),
        simulated: false,
        fetched_at: ten_and(0),
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_batch_of_a_sweep_leaves_room_for_the_indices() {
    for (codes, urgency, lengths, levels) in [
        (2_769, Urgency::Sweep, vec![30, 9], 3),
        (60, Urgency::Sweep, vec![30, 27, 3], 3),
        (58, Urgency::Sweep, vec![30, 27, 1], 3),
        (57, Urgency::Sweep, vec![30, 27], 3),
        (5, Urgency::Watched, vec![5], 3),
        (30, Urgency::Watched, vec![30], 0),
    ] {
        let mut source = Scripted::new(|symbol, _| quote(symbol));
        Arc::get_mut(&mut source).unwrap().brings_indices = true;
        let store = Arc::new(MemoryStore::default());
        let sweeper = Sweeper::new(source.clone(), store.clone(), OPTIONS);
        let sweeper = sweeper.keeping_indices(store.clone());
        let task = Task {
            urgency,
            ..task(codes)
        };
        let report = sweeper
            .sweep(&task, &|_| {}, &CancellationToken::new())
            .await;
        assert_eq!(report.written, codes);
        let mut asked = source.lengths.lock().unwrap().clone();
        asked.dedup();
        assert_eq!(asked, lengths, "{codes} codes");
        assert_eq!(
            store.indices().await.unwrap().len(),
            levels,
            "{codes} codes"
        );
    }
}

fn symbol(number: usize) -> Symbol {
    format!("{number:06}").parse().unwrap()
}

fn symbols(count: usize) -> Vec<Symbol> {
    (0..count).map(symbol).collect()
}

/// The time `minutes` after ten o'clock, when the scripted prices are fetched.
fn ten_and(minutes: i64) -> KrxTime {
    let ten = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
    ten + chrono::TimeDelta::minutes(minutes)
}

fn quote(symbol: Symbol) -> Answer {
    Answer::Quote(Box::new(Quote::sample(symbol, 1_000, ten_and(0))))
}

fn failed() -> Answer {
    Answer::Failed(SourceError::Unavailable("HTTP 500 without JSON".to_owned()))
}

const OPTIONS: SweepOptions = SweepOptions {
    batch_size: 30,
    batch_pause: Duration::ZERO,
    in_flight: 8,
    ttl: Duration::from_secs(120),
};

fn task(count: usize) -> Task {
    Task {
        symbols: symbols(count),
        kept: None,
        deadline: Duration::from_secs(60),
        urgency: Urgency::Sweep,
    }
}

async fn sweep(source: Arc<Scripted>, store: Arc<dyn PriceStore>, task: &Task) -> Report {
    let sweeper = Sweeper::new(source, store, OPTIONS);
    let report = sweeper
        .sweep(task, &|_| {}, &CancellationToken::new())
        .await;
    assert_eq!(report.written + report.missing.len(), task.symbols.len());
    report
}

fn reasons(report: &Report) -> Vec<(Reason, usize)> {
    report.missing_by_reason()
}

#[tokio::test(start_paused = true)]
async fn a_good_list_is_written_with_several_calls_in_flight() {
    let source = Scripted::new(|symbol, _| quote(symbol));
    let store = Arc::new(MemoryStore::default());
    let report = sweep(source.clone(), store.clone(), &task(1_000)).await;
    assert_eq!(
        (report.written, report.calls, report.retries),
        (1_000, 34, 0)
    );
    assert!((report.coverage - 1.0).abs() < f64::EPSILON);
    assert_eq!(
        source.most_in_flight.load(Ordering::SeqCst),
        OPTIONS.in_flight
    );
    let kept = store.realtime(&symbols(1_000)).await.unwrap();
    assert!(kept.iter().all(Option::is_some));
    let close = store.close(&symbols(1)).await.unwrap();
    assert_eq!(close, [None]);
}

#[tokio::test(start_paused = true)]
async fn what_was_left_out_or_spoiled_is_asked_for_once_more_and_alone() {
    let source = Scripted::new(|symbol, times| match (symbol.as_str(), times) {
        ("000003", 1) => Answer::Unknown,
        ("000040", 1) => Answer::Refused("zero price".to_owned()),
        ("000050", _) => Answer::Refused("blank price".to_owned()),
        ("000070", _) => Answer::Unknown,
        _ => quote(symbol),
    });
    let report = sweep(source.clone(), Arc::new(MemoryStore::default()), &task(90)).await;
    assert_eq!(
        reasons(&report),
        [(Reason::Unknown, 1), (Reason::Refused, 1)]
    );
    assert_eq!(report.missing[0].detail, "blank price");
    assert_eq!((report.written, report.calls, report.retries), (88, 4, 1));
    assert_eq!((source.asked(symbol(3)), source.asked(symbol(50))), (2, 2));
    assert_eq!(source.asked(symbol(4)), 1);
}

#[tokio::test(start_paused = true)]
async fn one_bad_batch_does_not_stop_the_others() {
    let source = Scripted::new(
        |symbol, _| match ("000030".."000060").contains(&symbol.as_str()) {
            true => failed(),
            false => quote(symbol),
        },
    );
    let report = sweep(source, Arc::new(MemoryStore::default()), &task(300)).await;
    assert_eq!(
        (report.written, reasons(&report)),
        (270, vec![(Reason::NotReached, 30)])
    );
    assert!(report.missing[0].detail.contains("HTTP 500"));
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_end_the_pass_at_once() {
    let source = Scripted::new(|_, _| {
        Answer::Failed(SourceError::Denied(Denial {
            kind: BanKind::Credentials,
            said: "EGW00103".to_owned(),
        }))
    });
    let report = sweep(
        source.clone(),
        Arc::new(MemoryStore::default()),
        &task(3_000),
    )
    .await;
    assert!(report.calls <= 8, "{} calls", report.calls);
    assert_eq!(reasons(&report), [(Reason::NotReached, 3_000)]);
    assert!(
        report
            .missing
            .iter()
            .all(|missing| missing.detail.contains("EGW00103"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_pass_within_its_grace_and_names_what_was_left() {
    let source = Scripted::new(|symbol, _| quote(symbol));
    let store: Arc<dyn PriceStore> = Arc::new(MemoryStore::default());
    let stop = CancellationToken::new();
    let sweeper = Sweeper::new(source, store, OPTIONS);
    let stopping = stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(250)).await;
        stopping.cancel();
    });
    let start = Instant::now();
    let report = sweeper.sweep(&task(3_000), &|_| {}, &stop).await;
    assert!(report.stopped && start.elapsed() < GRACE);
    // Two rounds were over, and the third was in flight and came back.
    assert_eq!(report.written, 3 * 8 * 30);
    assert_eq!(reasons(&report), [(Reason::NotReached, 3_000 - 720)]);
}

#[tokio::test(start_paused = true)]
async fn a_pass_ends_at_its_deadline() {
    let source = Scripted::new(|symbol, _| quote(symbol));
    let task = Task {
        deadline: Duration::from_millis(150),
        urgency: Urgency::Sweep,
        ..task(3_000)
    };
    let report = sweep(source, Arc::new(MemoryStore::default()), &task).await;
    assert_eq!((report.written, report.stopped), (240, false));
    assert!(report.missing[0].detail.contains("took too long"));
}

#[tokio::test(start_paused = true)]
async fn the_pause_between_batches_is_kept() {
    let source = Scripted::new(|symbol, _| quote(symbol));
    let options = SweepOptions {
        batch_pause: Duration::from_secs(2),
        ..OPTIONS
    };
    let sweeper = Sweeper::new(source, Arc::new(MemoryStore::default()), options);
    let report = sweeper
        .sweep(&task(300), &|_| {}, &CancellationToken::new())
        .await;
    assert_eq!((report.written, report.elapsed_ms), (300, 18_100));
}

/// The timer counts whole milliseconds; one per batch adds up to a tenth of a second for the
/// market.
#[tokio::test(start_paused = true)]
async fn without_a_pause_no_batch_waits_for_the_timer() {
    let source = Scripted::new(|symbol, _| quote(symbol));
    let start = Instant::now();
    let report = sweep(source.clone(), Arc::new(MemoryStore::default()), &task(300)).await;
    assert_eq!(report.written, 300);
    let starts = source.starts.lock().unwrap().clone();
    let at_once = starts.iter().take_while(|began| **began == start).count();
    assert_eq!(at_once, OPTIONS.in_flight);
}

/// A batch that stalls for a while, and codes that are asked for once more.
#[tokio::test(start_paused = true)]
async fn the_pause_between_batches_is_kept_after_a_stall_and_before_the_second_round() {
    let mut source = Scripted::new(|symbol, times| match (symbol.as_str(), times) {
        ("000299", 1) => Answer::Unknown,
        _ => quote(symbol),
    });
    Arc::get_mut(&mut source).unwrap().stall = Duration::from_secs(20);
    let pause = Duration::from_secs(2);
    let options = SweepOptions {
        batch_pause: pause,
        in_flight: 1,
        ..OPTIONS
    };
    let sweeper = Sweeper::new(source.clone(), Arc::new(MemoryStore::default()), options);
    let report = sweeper
        .sweep(&task(300), &|_| {}, &CancellationToken::new())
        .await;
    assert_eq!((report.written, report.calls), (300, 11));
    let starts = source.starts.lock().unwrap().clone();
    let gaps: Vec<Duration> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let stalled = Duration::from_millis(20_100);
    assert_eq!(gaps, [&[stalled][..], &[pause; 9]].concat());
}

/// No batch begins without a token: all of them would go out together once there is one.
#[tokio::test(start_paused = true)]
async fn the_pause_between_batches_is_kept_after_a_wait_for_the_token() {
    let mut source = Scripted::new(|symbol, _| quote(symbol));
    Arc::get_mut(&mut source).unwrap().without_token = Duration::from_secs(30);
    let pause = Duration::from_secs(2);
    let options = SweepOptions {
        batch_pause: pause,
        ..OPTIONS
    };
    let sweeper = Sweeper::new(source.clone(), Arc::new(MemoryStore::default()), options);
    let report = sweeper
        .sweep(&task(300), &|_| {}, &CancellationToken::new())
        .await;
    assert_eq!(report.written, 300);
    let starts = source.starts.lock().unwrap().clone();
    let gaps: Vec<Duration> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let waited = Duration::from_secs(30);
    assert_eq!(gaps, [&[pause; 3][..], &[waited], &[pause; 5]].concat());
}

#[tokio::test(start_paused = true)]
async fn the_close_goes_to_both_shelves() {
    let source = Scripted::new(|symbol, _| quote(symbol));
    let store = Arc::new(MemoryStore::default());
    let task = Task {
        kept: Some(Kept::Close((ten_and(-1), ten_and(1)))),
        ..task(60)
    };
    sweep(source, store.clone(), &task).await;
    sleep(Duration::from_secs(121)).await;
    assert!(
        store
            .realtime(&symbols(60))
            .await
            .unwrap()
            .iter()
            .all(Option::is_none)
    );
    assert!(
        store
            .close(&symbols(60))
            .await
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
}

#[tokio::test(start_paused = true)]
async fn a_price_of_the_session_or_the_evening_is_no_close() {
    for window in [(ten_and(1), ten_and(2)), (ten_and(-1), ten_and(0))] {
        let store = Arc::new(MemoryStore::default());
        let task = Task {
            kept: Some(Kept::Close(window)),
            ..task(30)
        };
        sweep(
            Scripted::new(|symbol, _| quote(symbol)),
            store.clone(),
            &task,
        )
        .await;
        assert!(
            store
                .close(&symbols(30))
                .await
                .unwrap()
                .iter()
                .all(Option::is_none)
        );
    }
}

/// A store that fails its first writes.
struct Failing {
    memory: MemoryStore,
    failures: AtomicUsize,
}

#[async_trait]
impl PriceStore for Failing {
    async fn write(
        &self,
        quotes: &[Quote],
        shelf: Shelf,
        lead: Option<Lead>,
    ) -> Result<Written, StoreError> {
        let fails = self
            .failures
            .try_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if fails.is_ok() {
            return Err(StoreError::Failed {
                store: "test".to_owned(),
                trouble: "no answer in time".to_owned(),
            });
        }
        self.memory.write(quotes, shelf, lead).await
    }

    async fn realtime(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.memory.realtime(symbols).await
    }

    async fn close(&self, symbols: &[Symbol]) -> Result<Vec<Option<Box<Quote>>>, StoreError> {
        self.memory.close(symbols).await
    }

    async fn lives(&self, symbols: &[Symbol]) -> Result<Vec<Option<Duration>>, StoreError> {
        self.memory.lives(symbols).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_blinks_loses_nothing_and_costs_no_call() {
    for (failures, written) in [(2, 300), (usize::MAX, 0)] {
        let store = Arc::new(Failing {
            memory: MemoryStore::default(),
            failures: AtomicUsize::new(failures),
        });
        let source = Scripted::new(|symbol, _| quote(symbol));
        let report = sweep(source, store, &task(300)).await;
        assert_eq!((report.written, report.calls), (written, 10));
        assert!(report.missing.iter().all(|m| m.reason == Reason::NotStored));
    }
}
