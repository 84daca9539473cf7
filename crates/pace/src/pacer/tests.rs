use super::*;
use crate::{CallCount, LocalBudget};
use async_trait::async_trait;
use chrono::TimeZone as _;
use sise_domain::{CallsMade, Caps, Cells, KrxTime, Seoul};
use sise_port::StoreError;
use sise_port::clock::Clock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

fn morning() -> KrxTime {
    Seoul.with_ymd_and_hms(2026, 11, 20, 9, 0, 0).unwrap()
}

/// A clock that follows tokio's.
fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || morning() + chrono::TimeDelta::from_std(start.elapsed()).unwrap())
}

fn caps(per_second: f64) -> Caps {
    Caps {
        per_second,
        per_minute: None,
        per_day: None,
        late: Duration::ZERO,
    }
}

fn alone(per_second: f64) -> Arc<Pacer> {
    let burst = if per_second > 1_000.0 { 400 } else { 2 };
    let budget = LocalBudget::new(caps(per_second), clock());
    Arc::new(Pacer::new(
        Arc::new(budget),
        None,
        Rate::new(per_second, burst),
    ))
}

/// Access of one process to a budget that can be unreachable.
struct Absent {
    budget: Arc<LocalBudget>,
    is_away: AtomicBool,
}

impl Absent {
    fn check(&self) -> Result<(), StoreError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreError::Failed {
                store: "here".to_owned(),
                trouble: "away".to_owned(),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl RateBudget for Absent {
    async fn book(&self, urgency: Urgency) -> Result<Booking, StoreError> {
        self.check()?;
        self.budget.book(urgency).await
    }

    async fn refused(&self) -> Result<f64, StoreError> {
        self.check()?;
        self.budget.refused().await
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_reached() {
    let pacer = alone(15.0);
    let start = Instant::now();
    for _ in 0..93 {
        pacer.pass(Urgency::Sweep).await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    assert!((seconds - 92.0 / 15.0).abs() < 0.1, "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_no_timer_follows_is_reached_too() {
    let pacer = alone(20_000.0);
    let start = Instant::now();
    for _ in 0..20_000 {
        pacer.pass(Urgency::Sweep).await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    assert!((0.9..1.2).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_passes_before_waiting_sweeps() {
    let pacer = alone(1.0);
    pacer.pass(Urgency::Sweep).await.unwrap();
    for _ in 0..20 {
        let pacer = Arc::clone(&pacer);
        tokio::spawn(async move { pacer.pass(Urgency::Sweep).await });
    }
    tokio::task::yield_now().await;
    // One sweep already has its cell; the other nineteen wait behind the reader.
    let waited = pacer.pass(Urgency::Reader).await.unwrap();
    assert!(waited <= Duration::from_millis(2_100), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn without_the_shared_budget_each_keeps_to_its_share() {
    let budget = Arc::new(LocalBudget::new(caps(15.0), clock()));
    let ways: Vec<Arc<Absent>> = (0..4)
        .map(|_| {
            Arc::new(Absent {
                budget: Arc::clone(&budget),
                is_away: AtomicBool::new(false),
            })
        })
        .collect();
    let process = |way: &Arc<Absent>| {
        let fallback = Fallback::new(caps(15.0), 0.2, Arc::default(), clock());
        Arc::new(Pacer::new(
            Arc::clone(way) as Arc<dyn RateBudget>,
            Some(fallback),
            Rate::new(15.0, 2),
        ))
    };
    let processes: Vec<Arc<Pacer>> = ways.iter().map(process).collect();
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    for pacer in &processes {
        let (pacer, times) = (Arc::clone(pacer), Arc::clone(&times));
        tokio::spawn(async move {
            loop {
                pacer.pass(Urgency::Reader).await.unwrap();
                times.lock().unwrap().push(Instant::now());
            }
        });
    }
    for is_away in [false, true, false, true, false] {
        for way in &ways {
            way.is_away.store(is_away, Ordering::Relaxed);
            // It becomes unreachable for all at once. Some notice later than others that it is
            // back.
            let later = if is_away { 0 } else { 400 };
            sleep(Duration::from_millis(later)).await;
        }
        sleep(Duration::from_millis(7_300)).await;
        assert_eq!(processes[0].is_alone(), is_away);
    }
    let times = times.lock().unwrap();
    let within = |from: &Instant| {
        let second = *from..*from + Duration::from_secs(1);
        times.iter().filter(|time| second.contains(time)).count()
    };
    let most = times.iter().map(within).max().unwrap();
    assert!(most <= 18, "{most} calls in a second");
    assert!(times.len() > 450, "{} calls", times.len());
}

#[tokio::test(start_paused = true)]
async fn a_spent_day_is_said_and_a_spent_minute_is_waited_for() {
    let caps = Caps {
        per_minute: Some(20),
        per_day: Some(30),
        ..caps(15.0)
    };
    let budget = LocalBudget::new(caps, clock());
    let pacer = Pacer::new(Arc::new(budget), None, Rate::new(15.0, 2));
    let start = Instant::now();
    for _ in 0..30 {
        pacer.pass(Urgency::Sweep).await.unwrap();
    }
    assert!(start.elapsed() > Duration::from_secs(60));
    let error = pacer.pass(Urgency::Sweep).await.unwrap_err();
    assert!(matches!(error, SourceError::Exhausted(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn alone_a_process_has_its_share_of_what_minute_and_day_leave() {
    let caps = Caps {
        per_minute: Some(60),
        per_day: Some(100),
        ..caps(15.0)
    };
    let count = Arc::new(CallCount::default());
    let today = KrxTime::naive_local(&morning()).date() - chrono::NaiveDate::default();
    count.tell().answered(CallsMade {
        day: today.num_days(),
        today: 40,
        heard_at: morning().timestamp_micros() - 5_000_000,
        last_minute: 30,
        uncounted: 0,
    });
    let shared = Arc::new(LocalBudget::new(caps, clock()));
    let way = Arc::new(Absent {
        budget: shared,
        is_away: AtomicBool::new(true),
    });
    let fallback = Fallback::new(caps, 0.2, Arc::clone(&count), clock());
    let budget = Arc::clone(&way) as Arc<dyn RateBudget>;
    let pacer = Pacer::new(budget, Some(fallback), Rate::new(15.0, 2));
    let start = Instant::now();
    // A fifth of the thirty left in the minute, less the cell skipped at the start.
    for _ in 0..5 {
        pacer.pass(Urgency::Sweep).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    // A fifth of the sixty left in the day is twelve.
    for _ in 0..6 {
        pacer.pass(Urgency::Sweep).await.unwrap();
    }
    assert!(
        start.elapsed() > Duration::from_secs(54),
        "{:?}",
        start.elapsed()
    );
    let error = pacer.pass(Urgency::Sweep).await.unwrap_err();
    assert!(
        error.to_string().contains("as soon as that answers"),
        "{error}"
    );
    // These calls will be reported to the shared budget.
    assert_eq!(count.known().uncounted, 11);
    // A short outage must not stop the calls until midnight.
    way.is_away.store(false, Ordering::Relaxed);
    let back = Instant::now();
    for _ in 0..3 {
        pacer.pass(Urgency::Sweep).await.unwrap();
    }
    assert!(
        back.elapsed() < Duration::from_secs(4),
        "{:?}",
        back.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_told_that_the_minute_is_spent() {
    let caps = Caps {
        per_minute: Some(3),
        ..caps(15.0)
    };
    let pacer = Pacer::new(
        Arc::new(LocalBudget::new(caps, clock())),
        None,
        Rate::new(15.0, 2),
    );
    for _ in 0..3 {
        pacer.pass(Urgency::Reader).await.unwrap();
    }
    let error = pacer.pass(Urgency::Reader).await.unwrap_err();
    assert!(
        error.to_string().contains("kis.calls_per_minute"),
        "{error}"
    );
    // A sweep waits for the next minute.
    let start = Instant::now();
    pacer.pass(Urgency::Sweep).await.unwrap();
    assert!(
        (59..63).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
}

/// The clock of a host that was suspended is ahead of tokio's.
#[tokio::test(start_paused = true)]
async fn a_new_day_brings_new_calls_to_a_host_that_slept() {
    let caps = Caps {
        per_day: Some(2),
        ..caps(15.0)
    };
    let slept = Arc::new(AtomicBool::new(false));
    let clock: Clock = {
        let slept = Arc::clone(&slept);
        Arc::new(move || {
            let hours = if slept.load(Ordering::Relaxed) { 19 } else { 0 };
            morning() + chrono::TimeDelta::hours(hours)
        })
    };
    let pacer = Pacer::new(
        Arc::new(LocalBudget::new(caps, clock)),
        None,
        Rate::new(15.0, 2),
    );
    for _ in 0..2 {
        pacer.pass(Urgency::Sweep).await.unwrap();
    }
    assert!(pacer.pass(Urgency::Sweep).await.is_err());
    slept.store(true, Ordering::Relaxed);
    pacer.pass(Urgency::Sweep).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_slows_the_calls_down_together_and_alone() {
    for is_away in [false, true] {
        let away = Arc::new(Absent {
            budget: Arc::new(LocalBudget::new(caps(10.0), clock())),
            is_away: AtomicBool::new(is_away),
        });
        let fallback = Fallback::new(caps(10.0), 0.2, Arc::default(), clock());
        let pacer = Pacer::new(away, Some(fallback), Rate::new(10.0, 2));
        let time_of_six = async || {
            let start = Instant::now();
            for _ in 0..6 {
                pacer.pass(Urgency::Reader).await.unwrap();
            }
            start.elapsed().as_secs_f64()
        };
        time_of_six().await;
        let before = time_of_six().await;
        assert!((pacer.share() - 1.0).abs() < 1e-9);
        pacer.refused().await;
        let share = pacer.share();
        assert!((0.69..0.71).contains(&share), "{share}");
        let after = time_of_six().await;
        assert!(after > before * 1.2, "{after} s after {before} s");
        // The reported share recovers along with the rate.
        sleep(Duration::from_secs(20)).await;
        assert!((pacer.share() - 1.0).abs() < 1e-9, "{}", pacer.share());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_once_the_last_in_line_has_gone_or_given_up() {
    let pacer = alone(1.0);
    // The calls that may go out together after a pause.
    for _ in 0..3 {
        pacer.pass(Urgency::Sweep).await.unwrap();
    }
    let start = Instant::now();
    let next = tokio::spawn({
        let pacer = Arc::clone(&pacer);
        async move { pacer.pass(Urgency::Sweep).await }
    });
    let impatient = tokio::spawn({
        let pacer = Arc::clone(&pacer);
        async move { pacer.pass(Urgency::Sweep).await }
    });
    tokio::task::yield_now().await;
    // Lines are independent.
    pacer.until_nobody_waits(Urgency::Reader).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    impatient.abort();
    pacer.until_nobody_waits(Urgency::Sweep).await;
    assert!(next.is_finished() && !start.elapsed().is_zero());
    next.await.unwrap().unwrap();
}

/// A budget with a clock that can be set ahead, in microseconds.
struct Jumping {
    caps: Caps,
    cells: std::sync::Mutex<Cells>,
    start: Instant,
    ahead: AtomicI64,
}

impl Jumping {
    fn now(&self) -> i64 {
        let elapsed = i64::try_from(self.start.elapsed().as_micros()).unwrap();
        elapsed + self.ahead.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl RateBudget for Jumping {
    async fn book(&self, urgency: Urgency) -> Result<Booking, StoreError> {
        let now = self.now();
        Ok(self.cells.lock().unwrap().book(&self.caps, urgency, now))
    }

    async fn refused(&self) -> Result<f64, StoreError> {
        let now = self.now();
        Ok(self.cells.lock().unwrap().refused(now))
    }
}

#[tokio::test(start_paused = true)]
async fn cells_that_the_budget_forgot_make_no_call_late_for_good() {
    let caps = caps(1.0 / 1.1);
    let budget = Arc::new(Jumping {
        caps,
        cells: std::sync::Mutex::default(),
        start: Instant::now(),
        ahead: AtomicI64::new(0),
    });
    let process = || {
        Arc::new(Pacer::new(
            budget.clone(),
            None,
            Rate::new(caps.per_second, 1),
        ))
    };
    let (sweeping, reading) = (process(), process());
    let calls = Arc::new(std::sync::Mutex::new(Vec::new()));
    let call = async |pacer: &Pacer, urgency, calls: &std::sync::Mutex<Vec<Instant>>| {
        pacer.pass(urgency).await.unwrap();
        calls.lock().unwrap().push(Instant::now());
    };
    for urgency in [Urgency::Sweep, Urgency::Watched] {
        let (pacer, calls) = (Arc::clone(&sweeping), Arc::clone(&calls));
        tokio::spawn(async move {
            loop {
                call(&pacer, urgency, &calls).await;
            }
        });
    }
    sleep(Duration::from_secs(20)).await;
    // The budget's clock is set ahead, so everything that is booked and waited for counts as over.
    budget.ahead.store(3_600_000_000, Ordering::Relaxed);
    sleep(Duration::from_secs(20)).await;
    let settled = Instant::now();
    for _ in 0..10 {
        call(&reading, Urgency::Reader, &calls).await;
        sleep(Duration::from_secs(5)).await;
    }
    let mut calls = calls.lock().unwrap().clone();
    calls.retain(|at| *at >= settled);
    calls.sort();
    assert!(calls.len() > 40, "the rate is used: {}", calls.len());
    for pair in calls.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_secs(1), "{apart:?} apart");
    }
}

/// A budget as slow as Redis under load, with a different delay for each answer.
struct Distant {
    budget: LocalBudget,
    /// Longest delay in one direction, in milliseconds.
    most: u64,
    random: std::sync::Mutex<fastrand::Rng>,
}

impl Distant {
    async fn travel(&self) {
        let millis = self.random.lock().unwrap().u64(0..=self.most);
        sleep(Duration::from_millis(millis)).await;
    }
}

#[async_trait]
impl RateBudget for Distant {
    async fn book(&self, urgency: Urgency) -> Result<Booking, StoreError> {
        self.travel().await;
        let booking = self.budget.book(urgency).await;
        self.travel().await;
        booking
    }

    async fn refused(&self) -> Result<f64, StoreError> {
        self.budget.refused().await
    }
}

#[tokio::test(start_paused = true)]
async fn late_answers_of_the_budget_put_no_call_too_many_into_a_second() {
    for (per_second, burst) in [(15.0, 2), (2.5, 1), (1.0 / 1.1, 1), (17.0, 2), (3.0, 1)] {
        let rate = Rate::new(per_second, burst);
        let budget = Arc::new(Distant {
            budget: LocalBudget::new(
                Caps {
                    late: rate.late_booking(),
                    ..caps(rate.booked_per_second())
                },
                clock(),
            ),
            // A rate without room for late calls gets a shorter delay.
            most: if per_second == 3.0 { 5 } else { 30 },
            random: std::sync::Mutex::new(fastrand::Rng::with_seed(5)),
        });
        let calls = Arc::new(std::sync::Mutex::new(Vec::new()));
        let process = |_| Arc::new(Pacer::new(budget.clone(), None, rate));
        let processes: Vec<Arc<Pacer>> = (0..4).map(process).collect();
        let begin = Instant::now();
        for (pacer, urgency) in processes.iter().zip(Urgency::ALL.into_iter().cycle()) {
            let (pacer, calls) = (Arc::clone(pacer), Arc::clone(&calls));
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(9);
                loop {
                    for _ in 0..random.u32(1..60) {
                        pacer.pass(urgency).await.unwrap();
                        calls.lock().unwrap().push(Instant::now());
                    }
                    // A pause, after which all start at once.
                    sleep(Duration::from_millis(random.u64(0..3_000))).await;
                }
            });
        }
        sleep(Duration::from_secs(300)).await;
        let mut calls = calls.lock().unwrap().clone();
        calls.sort();
        let within = |from: &Instant| {
            let second = *from..*from + Duration::from_secs(1);
            calls.iter().filter(|at| second.contains(at)).count()
        };
        let most = calls.iter().map(within).max().unwrap();
        let promised = usize::try_from(rate.most_in_a_second()).unwrap();
        assert!(most <= promised, "{most} in a second, {promised} promised");
        let share = calls.len() as f64 / begin.elapsed().as_secs_f64() / per_second;
        assert!(share > 0.8, "{share} of the rate is used");
    }
}
