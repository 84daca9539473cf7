//! Watched codes are refreshed more often than the rest: the schedule as a daemon runs it, in
//! virtual time, against a broker that keeps record of what it was asked for.
#![expect(clippy::unwrap_used, reason = "a test that fails is a panic")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{NaiveDateTime, TimeDelta, TimeZone as _};
use sise::Symbol;
use sise::clock::Clock;
use sise::config::{RawSettings, Settings};
use sise::domain::{
    Ban, BanKind, BanRecord, Calling, Caps, Denial, Group, KrxTime, Listing, Market, Seoul,
    Universe, Urgency,
};
use sise::freshness::Freshness;
use sise::kis::{Reply, Transport};
use sise::pace::LocalBudget;
use sise::port::{
    Answer, Answers, BanStore as _, Leadership as _, Ledger as _, PriceStore as _, QuoteSource,
    SourceError, StoreError, Tally, WatchedCodes,
};
use sise::schedule::{Schedule, Ticks, Work};
use sise::setup::{Adapters, KeyShare, Wiring};
use sise::store::{MemoryBans, MemoryStore, MemoryTokens};
use sise::supervisor::Supervisor;
use sise::sweep::{SweepOptions, Sweeper};
use tokio::time::{Instant, sleep, sleep_until};

/// Codes of the list; the first of them are watched.
const LISTED: usize = 70;

fn code(number: usize) -> Symbol {
    format!("{number:06}").parse().unwrap()
}

fn codes(count: usize) -> Vec<Symbol> {
    (0..count).map(code).collect()
}

/// A call: when it began, for whom, and for which codes.
#[derive(Debug, Clone)]
struct Asked {
    at: Duration,
    urgency: Urgency,
    codes: Vec<Symbol>,
}

/// A broker that answers every call after a while.
struct Source {
    start: Instant,
    clock: Clock,
    asked: Mutex<Vec<Asked>>,
    latency_ms: AtomicU64,
}

#[async_trait]
impl QuoteSource for Source {
    async fn quotes(&self, symbols: &[Symbol], urgency: Urgency) -> Answers {
        let fetched_at = (self.clock)();
        self.asked.lock().unwrap().push(Asked {
            at: self.start.elapsed(),
            urgency,
            codes: symbols.to_vec(),
        });
        sleep(Duration::from_millis(
            self.latency_ms.load(Ordering::Relaxed),
        ))
        .await;
        let quote = |symbol: &Symbol| {
            let quote = crate::support::quote::quote(symbol.as_str(), 1_000, fetched_at);
            (*symbol, Answer::Quote(Box::new(quote)))
        };
        Answers {
            answers: symbols.iter().map(quote).collect(),
            indices: Vec::new(),
            tally: Tally {
                calls: 1,
                ..Tally::default()
            },
        }
    }

    fn calling(&self) -> Calling {
        Calling::Single
    }
}

/// The list of watched codes, or none where it cannot be read.
#[derive(Default)]
struct List(Mutex<Option<Vec<Symbol>>>);

impl List {
    fn set(&self, codes: Option<Vec<Symbol>>) {
        *self.0.lock().unwrap() = codes;
    }
}

#[async_trait]
impl WatchedCodes for List {
    async fn watched(&self) -> Result<Vec<Symbol>, StoreError> {
        let codes = self.0.lock().unwrap().clone();
        codes.ok_or_else(|| StoreError::Failed {
            store: "a list".to_owned(),
            trouble: "away".to_owned(),
        })
    }
}

/// Nothing is reached.
struct Nowhere;

#[async_trait]
impl Transport for Nowhere {
    async fn exchange(&self, _: reqwest::Request) -> Result<Reply, SourceError> {
        Err(SourceError::Unavailable("nobody is there".to_owned()))
    }
}

/// A daemon in virtual time.
struct Daemon {
    source: Arc<Source>,
    list: Arc<List>,
    store: Arc<MemoryStore>,
    bans: Arc<MemoryBans>,
    wiring: Arc<Wiring>,
    clock: Clock,
    supervisor: Supervisor,
    work: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts at a time of 2026-11-20, an ordinary Friday, with so many watched codes.
    fn start(at: &str, watched: usize) -> Self {
        let naive = format!("2026-11-20 {at}");
        let naive = NaiveDateTime::parse_from_str(&naive, "%Y-%m-%d %H:%M:%S").unwrap();
        let begin: KrxTime = Seoul.from_local_datetime(&naive).unwrap();
        let start = Instant::now();
        let clock: Clock = Arc::new(move || begin + TimeDelta::from_std(start.elapsed()).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let mut raw = RawSettings::unset();
        for (key, value) in [
            ("kis.env", "paper"),
            ("kis.app_key", "the-app-key"),
            ("kis.app_secret", "the-app-secret"),
            ("store.url", "memory"),
            ("universe.source", "shipped"),
        ] {
            raw.set(key, value);
        }
        raw.set("state.directory", folder.path().display().to_string());
        let settings = Settings::new(&raw).unwrap();
        let store = Arc::new(MemoryStore::default());
        let bans = Arc::new(MemoryBans::default());
        let list = Arc::new(List::default());
        list.set(Some(codes(watched)));
        let caps: Caps = settings.kis.caps();
        let adapters = Adapters {
            connect: Arc::new(|_, _| Ok(Arc::new(Nowhere))),
            reader_store: store.clone(),
            sweep_store: store.clone(),
            records: store.clone(),
            lease: Some(store.clone()),
            key: Some(KeyShare {
                budget: Arc::new(LocalBudget::new(caps, Arc::clone(&clock))),
                count: Arc::default(),
                tokens: Arc::new(MemoryTokens::default()),
                bans: bans.clone(),
            }),
            watched: Some(list.clone()),
            ..Adapters::new(&settings, Arc::clone(&clock)).unwrap()
        };
        let wiring = Arc::new(Wiring::on(settings, adapters).unwrap());
        let listings = (0..LISTED).map(|number| Listing {
            code: code(number),
            name: String::new(),
            market: Market::Kospi,
            group: Group::Stock,
            halted: None,
            shares: None,
            sector: None,
            listed: None,
            in_liquidation: None,
        });
        wiring
            .universe
            .store(Arc::new(Universe::new(None, listings)));
        let source = Arc::new(Source {
            start,
            clock: Arc::clone(&clock),
            asked: Mutex::default(),
            latency_ms: AtomicU64::new(40),
        });
        let options = SweepOptions {
            batch_size: 30,
            batch_pause: Duration::ZERO,
            in_flight: 4,
            ttl: Duration::from_secs(120),
        };
        let candidate = wiring.candidate();
        let supervisor = Supervisor::default();
        let sweeper = Sweeper::new(source.clone(), store.clone(), options);
        let work = Work {
            own_sweeper: sweeper.clone(),
            sweeper,
            candidate,
            loader: wiring.loader().unwrap(),
            freshness: Arc::new(Freshness::default()),
            always_open: false,
            gaps: None,
            watcher: None,
            tasks: supervisor.tasks().clone(),
            parts: Arc::new(wiring.schedule().unwrap()),
        };
        let (ticks, stop) = (Ticks::default(), supervisor.tasks().stop().clone());
        tokio::spawn(ring(ticks.clone(), start));
        let (schedule, token) = (Schedule::new(work).unwrap(), stop.clone());
        let work = tokio::spawn(async move { schedule.run_on(&ticks, token).await });
        Self {
            source,
            list,
            store,
            bans,
            wiring,
            clock,
            supervisor,
            work,
            _folder: folder,
        }
    }

    async fn until(&self, second: u64) {
        // A little later than what happens at that second.
        let at = Duration::from_secs(second) + Duration::from_millis(500);
        sleep_until(self.source.start + at).await;
    }

    fn asked(&self, urgency: Urgency) -> Vec<Asked> {
        let asked = self.source.asked.lock().unwrap();
        let of = asked.iter().filter(|asked| asked.urgency == urgency);
        of.cloned().collect()
    }

    /// The seconds at which a code was asked for.
    fn seconds(&self, urgency: Urgency, code: Symbol) -> Vec<u64> {
        let asked = self.asked(urgency).into_iter();
        let of = asked.filter(|asked| asked.codes.contains(&code));
        of.map(|asked| asked.at.as_secs()).collect()
    }

    /// The age of a code's price in the store.
    async fn age(&self, code: Symbol) -> Option<TimeDelta> {
        let found = self.store.realtime(&[code]).await.unwrap().remove(0)?;
        Some((self.clock)() - found.fetched_at)
    }

    async fn end(self) {
        self.supervisor.finish().await;
        self.work.await.unwrap();
    }
}

/// The cron loop: once a minute since the start.
async fn ring(ticks: Ticks, start: Instant) {
    for minute in 1.. {
        sleep_until(start + Duration::from_secs(60) * minute).await;
        ticks.sweep.notify_one();
        ticks.close.notify_one();
    }
}

#[tokio::test(start_paused = true)]
async fn watched_codes_are_written_every_interval_and_the_others_every_sweep() {
    let daemon = Daemon::start("10:00:00", 3);
    for second in 2..180 {
        daemon.until(second).await;
        // A call takes 40 ms, and a sweep has 70 of them, 4 at a time.
        for number in [0, 2] {
            let age = daemon.age(code(number)).await.unwrap();
            assert!(age <= TimeDelta::milliseconds(10_100), "{second}: {age}");
        }
        let age = daemon.age(code(69)).await.unwrap();
        assert!(age <= TimeDelta::seconds(61), "{second}: {age}");
    }
    let every_ten: Vec<u64> = (0..180).step_by(10).collect();
    assert_eq!(daemon.seconds(Urgency::Watched, code(0)), every_ten);
    assert!(daemon.seconds(Urgency::Watched, code(3)).is_empty());
    // They are part of the sweeps as well.
    for number in [0, 3, 69] {
        let swept = daemon.seconds(Urgency::Sweep, code(number));
        assert_eq!(swept, [0, 60, 120], "{number}");
    }
    let row = daemon.store.row(code(0)).await.unwrap().unwrap();
    let passed = row.polled.unwrap().sweep - row.polled.unwrap().unchanged_since;
    assert_eq!(passed.num_seconds(), 170);
    let watching = daemon.wiring.activity.watching().unwrap();
    assert_eq!((watching.codes, watching.interval_ms), (3, 10_000));
    let refreshed = watching.refreshed_at.format("%H:%M:%S").to_string();
    assert_eq!(refreshed, "10:02:50");
    daemon.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_list_is_read_anew_for_every_pass() {
    let daemon = Daemon::start("10:00:00", 0);
    daemon.until(60).await;
    assert!(daemon.asked(Urgency::Watched).is_empty());
    daemon.list.set(Some(vec![code(7), code(8), code(7)]));
    daemon.until(80).await;
    // One that cannot be read leaves the last one.
    daemon.list.set(None);
    daemon.until(100).await;
    daemon.list.set(Some(codes(1)));
    daemon.until(120).await;
    daemon.list.set(Some(Vec::new()));
    daemon.until(150).await;
    let seconds = |number| daemon.seconds(Urgency::Watched, code(number));
    assert_eq!(seconds(7), [70, 80, 90, 100]);
    assert_eq!(seconds(8), [70, 80, 90, 100]);
    assert_eq!(seconds(0), [110, 120]);
    assert_eq!(daemon.wiring.activity.watching(), None);
    daemon.end().await;
}

#[tokio::test(start_paused = true)]
async fn passes_that_take_longer_than_the_interval_follow_each_other() {
    let daemon = Daemon::start("10:00:00", 8);
    daemon.until(5).await;
    // 8 codes, 4 at a time, of 7 s each.
    daemon.source.latency_ms.store(7_000, Ordering::Relaxed);
    daemon.until(50).await;
    let first = daemon.seconds(Urgency::Watched, code(0));
    assert_eq!(first, [0, 10, 24, 38]);
    let last = daemon.seconds(Urgency::Watched, code(7));
    assert_eq!(last, [0, 17, 31, 45]);
    daemon.source.latency_ms.store(40, Ordering::Relaxed);
    daemon.until(80).await;
    let again = daemon.seconds(Urgency::Watched, code(0));
    assert_eq!(again[4..], [52, 62, 72]);
    // It ends within its grace, in the middle of a pass.
    daemon.source.latency_ms.store(60_000, Ordering::Relaxed);
    daemon.until(83).await;
    let asked_to_stop = Instant::now();
    daemon.end().await;
    assert!(asked_to_stop.elapsed() <= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_while_the_market_is_closed() {
    let early = Daemon::start("08:59:35", 3);
    early.until(60).await;
    // Nine o'clock is 25 s after the start.
    assert_eq!(early.seconds(Urgency::Watched, code(0)), [30, 40, 50, 60]);
    early.end().await;
    let late = Daemon::start("15:29:40", 3);
    late.until(600).await;
    assert_eq!(late.seconds(Urgency::Watched, code(0)), [0, 10]);
    // The close is taken by a sweep.
    assert_eq!(late.seconds(Urgency::Sweep, code(0)).len(), 2);
    late.end().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_while_another_process_leads() {
    let daemon = Daemon::start("10:00:00", 3);
    daemon.until(15).await;
    assert_eq!(daemon.asked(Urgency::Watched).len(), 6);
    // Its lease is lost to another one.
    daemon.store.resign(&daemon.wiring.process).await.unwrap();
    let life = Duration::from_secs(60);
    daemon.store.campaign("another", life).await.unwrap();
    daemon.until(70).await;
    let seconds = daemon.seconds(Urgency::Watched, code(0));
    assert_eq!(seconds, [0, 10], "the lead ends after nine seconds");
    daemon.until(100).await;
    let seconds = daemon.seconds(Urgency::Watched, code(0));
    assert_eq!(seconds[2..], [80, 90, 100]);
    daemon.end().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_while_the_key_is_banned() {
    let daemon = Daemon::start("10:00:00", 3);
    daemon.until(15).await;
    let denial = Denial {
        kind: BanKind::Credentials,
        said: "EGW00103".to_owned(),
    };
    let ban = Ban::after(None, denial, (daemon.clock)());
    let life = Duration::from_secs(600);
    let record = BanRecord::Banned(ban);
    daemon.bans.save(&record, life).await.unwrap();
    daemon.until(100).await;
    let seconds = daemon.seconds(Urgency::Watched, code(0));
    let is_asked = |second: &&u64| (30..75).contains(*second);
    assert_eq!(seconds.iter().filter(is_asked).count(), 0, "{seconds:?}");
    assert_eq!(seconds[seconds.len() - 3..], [80, 90, 100]);
    daemon.end().await;
}
