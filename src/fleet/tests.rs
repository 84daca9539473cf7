mod chaos;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{TimeDelta, TimeZone as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::leadership::Candidate;
use crate::sweep::{Report, SweepOptions, Sweeper, Task};
use sise_domain::{BanKind, Calling, Caps, Denial, KrxTime, Quote, Seoul, Symbol, Urgency};
use sise_pace::{LocalBudget, Pacer, Rate};
use sise_port::clock::Clock;
use sise_port::{
    Answer, Answers, Assignments as _, Batch, Lead, Leadership as _, Postings as _,
    PriceStore as _, QuoteSource, SourceError, Tally,
};
use sise_store::{MemoryStore, MemoryWork};

/// Time after which a worker that has not confirmed its batch is taken for dead.
const IDLE: Duration = Duration::from_secs(10);
const LIFE: Duration = Duration::from_secs(60);
const LATENCY: Duration = Duration::from_millis(270);
/// Codes of the whole market.
const CODES: usize = 2_769;

fn morning() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap()
}

/// A clock that follows tokio's.
fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || morning() + TimeDelta::from_std(start.elapsed()).unwrap())
}

fn symbols(count: usize) -> Vec<Symbol> {
    let symbol = |number| format!("{number:06}").parse().unwrap();
    (0..count).map(symbol).collect()
}

fn quote(symbol: Symbol, price: i64, fetched_at: KrxTime) -> Answer {
    Answer::Quote(Box::new(Quote::sample(symbol, price, fetched_at)))
}

type Answering = dyn Fn(Symbol) -> Answer + Send + Sync;

/// A broker as seen with one app key.
struct Key {
    pacer: Pacer,
    latency: Duration,
    answer: Box<Answering>,
    calls: AtomicUsize,
    asked: Mutex<Vec<Vec<Symbol>>>,
}

impl Key {
    fn new(
        per_second: f64,
        answer: impl Fn(Symbol) -> Answer + Send + Sync + 'static,
    ) -> Arc<Self> {
        let caps = Caps {
            per_second,
            per_minute: None,
            per_day: None,
            late: Duration::ZERO,
        };
        let budget = Arc::new(LocalBudget::new(caps, Arc::new(morning)));
        Arc::new(Self {
            pacer: Pacer::new(budget, None, Rate::new(per_second, 1)),
            latency: LATENCY,
            answer: Box::new(answer),
            calls: AtomicUsize::new(0),
            asked: Mutex::default(),
        })
    }

    /// Creates a key that has a price for every code.
    fn good(per_second: f64) -> Arc<Self> {
        let clock = clock();
        Self::new(per_second, move |symbol| quote(symbol, 1_000, clock()))
    }

    fn failing(per_second: f64, error: SourceError) -> Arc<Self> {
        Self::new(per_second, move |_| Answer::Failed(error.clone()))
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl QuoteSource for Key {
    async fn quotes(&self, symbols: &[Symbol], urgency: Urgency) -> Answers {
        let _ = self.pacer.pass(urgency).await;
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.asked.lock().unwrap().push(symbols.to_vec());
        sleep(self.latency).await;
        let answer = |symbol: &Symbol| (*symbol, (self.answer)(*symbol));
        let tally = Tally {
            calls: 1,
            ..Tally::default()
        };
        Answers {
            answers: symbols.iter().map(answer).collect(),
            indices: Vec::new(),
            tally,
        }
    }

    fn calling(&self) -> Calling {
        Calling::Multi
    }

    async fn ready(&self, _: Urgency) -> Result<(), SourceError> {
        self.pacer.until_nobody_waits(Urgency::Sweep).await;
        Ok(())
    }
}

/// The part of Redis that processes share.
struct Shared {
    work: MemoryWork,
    store: Arc<MemoryStore>,
}

impl Shared {
    fn new() -> Self {
        Self {
            work: MemoryWork::new(IDLE),
            store: Arc::default(),
        }
    }

    /// Starts a process called `name` with a key. The first one leads.
    async fn process(&self, name: &str, key: &Arc<Key>) -> Process {
        let life = Duration::from_secs(3_600);
        let candidate = Candidate::new(self.store.clone(), name.to_owned(), life, clock());
        candidate.campaign().await;
        let candidate = Arc::new(candidate);
        let work = Arc::new(self.work.clone());
        let dispatcher =
            Dispatcher::new(work.clone(), key.clone(), candidate.clone(), clock(), LIFE);
        let member = Arc::new(Member {
            dispatcher: Arc::new(dispatcher),
            worker: Worker::new(work, key.clone(), candidate.clone(), 32, IDLE / 3),
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (member, stop) = (member.clone(), stop.clone());
            async move {
                let Member { dispatcher, worker } = &*member;
                tokio::join!(dispatcher.run(&stop), worker.run(&stop));
            }
        });
        Process {
            member,
            candidate,
            stop,
            running,
        }
    }
}

struct Process {
    member: Arc<Member>,
    candidate: Arc<Candidate>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Process {
    /// Sweeps `codes` codes into `store`.
    async fn sweep(&self, store: &Arc<MemoryStore>, codes: usize) -> Report {
        sweep(self.member.dispatcher.clone(), store, codes, &self.stop).await
    }

    /// Ends it like SIGKILL.
    async fn kill(mut self) {
        self.running.abort();
        assert!((&mut self.running).await.is_err());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn sweep(
    source: Arc<dyn QuoteSource>,
    store: &Arc<MemoryStore>,
    codes: usize,
    stop: &CancellationToken,
) -> Report {
    let options = SweepOptions {
        batch_size: 30,
        batch_pause: Duration::ZERO,
        in_flight: usize::from(POSTED),
        ttl: Duration::from_secs(3_600),
    };
    let task = Task {
        symbols: symbols(codes),
        kept: None,
        deadline: Duration::from_secs(600),
        urgency: Urgency::Sweep,
    };
    let sweeper = Sweeper::new(source, store.clone(), options);
    let report = sweeper.sweep(&task, &|_| {}, stop).await;
    assert_eq!(report.written + report.missing.len(), codes);
    let kept = store.realtime(&task.symbols).await.unwrap();
    let missing = report.missing.iter().map(|missing| missing.code);
    let missing: std::collections::HashSet<Symbol> = missing.collect();
    assert_eq!(missing.len(), report.missing.len(), "a code is named twice");
    for (symbol, quote) in task.symbols.iter().zip(kept) {
        let is_kept = quote.is_some();
        assert!(is_kept || missing.contains(symbol), "{symbol:?} is neither");
    }
    report
}

#[tokio::test(start_paused = true)]
async fn keys_split_the_whole_market_by_their_rates() {
    for (rates, shares) in [
        (vec![15.0], vec![93]),
        (vec![15.0, 15.0], vec![46, 46]),
        (vec![15.0, 15.0, 15.0], vec![31, 31, 31]),
        (vec![15.0, 2.5], vec![79, 13]),
        (vec![2.5, 15.0], vec![13, 79]),
    ] {
        let shared = Shared::new();
        let keys: Vec<_> = rates.iter().map(|rate| Key::good(*rate)).collect();
        let mut processes = Vec::new();
        for (name, key) in ["a", "b", "c"].into_iter().zip(&keys) {
            processes.push(shared.process(name, key).await);
        }
        let report = processes[0].sweep(&shared.store, CODES).await;
        assert_eq!((report.written, report.calls), (CODES, 93), "{rates:?}");
        assert_eq!(report.retries + report.refused_calls, 0);
        let calls: Vec<usize> = keys.iter().map(|key| key.calls()).collect();
        assert_eq!(calls.iter().sum::<usize>(), 93, "{rates:?}");
        for (calls, share) in calls.iter().zip(&shares) {
            // The tolerance covers prefetched batches and the order of the start.
            assert!(calls.abs_diff(*share) <= 4, "{rates:?}: {calls:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_workers_batches_come_back() {
    let shared = Shared::new();
    let keys = [Key::good(15.0), Key::good(15.0)];
    let leader = shared.process("leader", &keys[0]).await;
    let other = shared.process("other", &keys[1]).await;
    let killed = tokio::spawn(async move {
        sleep(Duration::from_millis(1_500)).await;
        other.kill().await;
    });
    let report = leader.sweep(&shared.store, CODES).await;
    killed.await.unwrap();
    assert_eq!((report.written, report.calls), (CODES, 93));
    let done: usize = keys.iter().map(|key| key.calls()).sum();
    // The calls under way when it died were lost.
    assert!((94..=102).contains(&done), "{done} calls");
    // The others took them over, and no sooner than the death could be known.
    let waited = Duration::from_millis(report.elapsed_ms);
    assert!(waited >= IDLE && waited < LIFE, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn late_answers_of_a_frozen_worker_change_nothing() {
    let shared = Shared::new();
    let key = Key::good(15.0);
    let leader = shared.process("leader", &key).await;
    // A process freezes with a batch: it neither confirms it nor hands it in.
    let frozen = tokio::spawn({
        let work = shared.work.clone();
        async move { work.take(Calling::Multi).await.unwrap().unwrap() }
    });
    tokio::task::yield_now().await;
    let report = leader.sweep(&shared.store, CODES).await;
    assert_eq!((report.written, report.calls), (CODES, 93));
    let frozen = frozen.await.unwrap();
    let late = Answers {
        answers: frozen
            .batch
            .symbols
            .iter()
            .map(|symbol| (*symbol, quote(*symbol, 5, morning())))
            .collect(),
        ..Answers::default()
    };
    assert!(!shared.work.finish(&frozen, Some(&late)).await.unwrap());
    let again = leader.sweep(&shared.store, CODES).await;
    assert_eq!((again.written, again.calls), (CODES, 93));
    for quote in shared.store.realtime(&symbols(CODES)).await.unwrap() {
        assert_eq!(quote.unwrap().price, 1_000);
    }
}

#[tokio::test(start_paused = true)]
async fn batches_of_an_earlier_lead_and_overdue_ones_are_dropped_unasked() {
    let shared = Shared::new();
    let key = Key::good(15.0);
    let batch = |lead, number| Batch {
        lead: Lead(lead),
        process: "before".to_owned(),
        number,
        calling: Calling::Multi,
        symbols: symbols(30),
    };
    shared.store.campaign("before", IDLE).await.unwrap();
    shared.store.resign("before").await.unwrap();
    let mut tickets = Vec::new();
    for (batch, life) in [(batch(1, 1), LIFE), (batch(2, 2), Duration::ZERO)] {
        tickets.push(shared.work.post(&batch, life).await.unwrap());
    }
    let process = shared.process("now", &key).await;
    let report = process.sweep(&shared.store, 60).await;
    assert_eq!((report.written, key.calls()), (60, 2));
    for ticket in &tickets {
        assert!(!shared.work.is_open(ticket).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_comes_back_empty_loses_no_code() {
    let shared = Shared::new();
    let keys = [Key::good(15.0), Key::good(15.0)];
    let leader = shared.process("leader", &keys[0]).await;
    let _other = shared.process("other", &keys[1]).await;
    let work = shared.work.clone();
    let cleared = tokio::spawn(async move {
        sleep(Duration::from_millis(1_500)).await;
        work.clear();
    });
    let report = leader.sweep(&shared.store, CODES).await;
    cleared.await.unwrap();
    assert_eq!((report.written, report.calls), (CODES, 93));
    let report = leader.sweep(&shared.store, CODES).await;
    assert_eq!((report.written, report.calls), (CODES, 93));
    assert!(keys[1].calls() > 46, "the other one goes on");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_at_once_does_not_take_the_most() {
    for error in [
        SourceError::Denied(Denial {
            kind: BanKind::Credentials,
            said: "EGW00103".to_owned(),
        }),
        SourceError::Exhausted("the calls of this day are used up".to_owned()),
        SourceError::Unavailable("no route".to_owned()),
    ] {
        let shared = Shared::new();
        let keys = [Key::good(15.0), Key::failing(15.0, error.clone())];
        let leader = shared.process("leader", &keys[0]).await;
        let _other = shared.process("other", &keys[1]).await;
        for _ in 0..3 {
            let before = keys[1].calls();
            let report = leader.sweep(&shared.store, CODES).await;
            assert_eq!((report.written, report.retries), (CODES, 0), "{error}");
            // The leader asked for what this key left out.
            let spoiled = keys[1].calls() - before;
            assert_eq!(report.calls, 93 + spoiled as u64);
            assert!(spoiled <= 8, "{spoiled} batches");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_of_the_only_key_end_the_pass() {
    let shared = Shared::new();
    let key = Key::failing(
        15.0,
        SourceError::Denied(Denial {
            kind: BanKind::Credentials,
            said: "EGW00103".to_owned(),
        }),
    );
    let leader = shared.process("leader", &key).await;
    let report = leader.sweep(&shared.store, CODES).await;
    assert_eq!(report.written, 0);
    assert!(Duration::from_millis(report.elapsed_ms) < 2 * LIFE);
    let said = &report.missing[CODES - 1].detail;
    assert!(said.contains("EGW00103"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_takes_a_batch_the_leader_asks_itself() {
    let shared = Shared::new();
    let key = Key::good(15.0);
    let leader = shared.process("leader", &key).await;
    leader.running.abort();
    // Neither workers nor the collector of finished batches run.
    let report = leader.sweep(&shared.store, CODES).await;
    assert_eq!((report.written, report.calls), (CODES, 93));
    assert_eq!(key.calls(), 93);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_at_once_and_takes_everything_back() {
    let shared = Shared::new();
    let key = Key::good(15.0);
    let leader = shared.process("leader", &key).await;
    let stop = leader.stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(2)).await;
        stop.cancel();
    });
    let start = Instant::now();
    let report = leader.sweep(&shared.store, CODES).await;
    assert!(report.stopped && start.elapsed() < Duration::from_secs(3));
    let last = report.missing.last().unwrap();
    assert!(last.detail.contains("stopped"), "{last:?}");
    sleep(Duration::from_secs(5)).await;
    // The calls that were under way were the last.
    let calls = key.calls();
    assert!((29..=40).contains(&calls), "{calls} calls");
    assert!(leader.running.is_finished());
    assert_eq!(shared.work.take(Calling::Multi).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn what_a_pass_leaves_behind_is_taken_back() {
    let shared = Shared::new();
    let key = Key::good(15.0);
    let leader = shared.process("leader", &key).await;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        stopping.cancel();
    });
    // Only the sweep is stopped, as when another process takes the lead: the process goes on.
    let source = leader.member.dispatcher.clone();
    let report = sweep(source, &shared.store, 9_000, &stop).await;
    assert!(report.stopped && report.written < 9_000);
    sleep(Duration::from_secs(2)).await;
    let calls = key.calls();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(key.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_answer_does_not_wait_for_others() {
    let shared = Shared::new();
    let key = Key::good(15.0);
    let leader = shared.process("leader", &key).await;
    leader.running.abort();
    for urgency in [Urgency::Reader, Urgency::Watched] {
        let start = Instant::now();
        let dispatcher = &leader.member.dispatcher;
        let answers = dispatcher.quotes(&symbols(1), urgency).await;
        assert!(matches!(answers.answers[0].1, Answer::Quote(_)));
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_posts_nothing() {
    let shared = Shared::new();
    let key = Key::good(15.0);
    shared.store.campaign("another", LIFE).await.unwrap();
    let follower = shared.process("follower", &key).await;
    follower.running.abort();
    let dispatcher = &follower.member.dispatcher;
    let answers = dispatcher.quotes(&symbols(30), Urgency::Sweep).await;
    assert_eq!((answers.answers.len(), key.calls()), (30, 1));
    assert_eq!(shared.work.take(Calling::Multi).await, Ok(None));
    assert!(matches!(
        follower.candidate.post(),
        crate::leadership::LeadState::Follows(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_of_another_machine_makes_no_price_older_or_newer() {
    for skew in [TimeDelta::hours(-3), TimeDelta::hours(3), TimeDelta::zero()] {
        let shared = Shared::new();
        let now = clock();
        let skewed = now.clone();
        let key = Key::new(15.0, move |symbol| quote(symbol, 1_000, skewed() + skew));
        let leader = shared.process("leader", &key).await;
        let before = now();
        let report = leader.sweep(&shared.store, 90).await;
        assert_eq!(report.written, 90);
        for kept in shared.store.realtime(&symbols(90)).await.unwrap() {
            let kept = kept.unwrap();
            assert!(
                before <= kept.fetched_at && kept.fetched_at <= now(),
                "{kept:?}"
            );
            let seconds = kept.fetched_at.naive_local() - kept.timestamp;
            assert!(seconds < TimeDelta::seconds(1), "{kept:?}");
        }
    }
}
