use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::timeout;

use super::*;

/// Counts how often a loop starts, and runs until the stop.
async fn live(begun: Arc<AtomicU64>, stop: CancellationToken) {
    begun.fetch_add(1, Ordering::Relaxed);
    stop.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn a_lasting_task_begins_again_however_it_ends() {
    let supervisor = Supervisor::default();
    let ends = Arc::new(AtomicU64::new(0));
    supervisor.tasks().lasting("loop", {
        let ends = Arc::clone(&ends);
        move |stop| {
            let number = ends.fetch_add(1, Ordering::Relaxed);
            assert!(number != 3, "where it is made");
            async move {
                match number {
                    0 => Ok(()),
                    1 => Err("an error"),
                    2 => panic!("number {number}"),
                    _ => {
                        stop.cancelled().await;
                        Ok(())
                    }
                }
            }
        }
    });
    sleep(Duration::from_secs(20)).await;
    assert_eq!(ends.load(Ordering::Relaxed), 5);
    assert_eq!(supervisor.tasks().running(), [("loop", 5)].into());
    supervisor.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_pauses_grow_and_are_short_again_after_a_good_while() {
    let supervisor = Supervisor::default();
    let started = Instant::now();
    let begun: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let told = Arc::clone(&begun);
    supervisor.tasks().lasting("loop", move |_| {
        told.lock().unwrap().push(started.elapsed());
        let number = told.lock().unwrap().len();
        async move {
            if number == 9 {
                sleep(WELL).await;
            }
        }
    });
    sleep(Duration::from_secs(400)).await;
    let begun = begun.lock().unwrap().clone();
    let pauses: Vec<f64> = begun
        .windows(2)
        .map(|pair| pair[1].saturating_sub(pair[0]).as_secs_f64())
        .collect();
    for (place, longest) in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
        .iter()
        .enumerate()
    {
        let pause = pauses[place];
        assert!((longest / 2.0..=*longest).contains(&pause), "{pauses:?}");
    }
    // The run before this pause took a minute.
    assert!((60.5..=61.0).contains(&pauses[8]), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_vital_task_is_told_and_only_the_first() {
    for (kind, expected) in [
        ("ends", "ended without being asked to"),
        ("fails", "failed: no more"),
        ("panics", "panicked: at once"),
    ] {
        let supervisor = Supervisor::default();
        let work = async move {
            match kind {
                "ends" => Ok(()),
                "fails" => Err("no more"),
                _ => panic!("at once"),
            }
        };
        supervisor.tasks().vital("schedule", work);
        let ended = supervisor.failed().await;
        supervisor.tasks().vital("later", async {});
        sleep(Duration::from_secs(1)).await;
        assert_eq!(supervisor.failed().await, ended);
        assert_eq!((ended.task, ended.trouble.as_str()), ("schedule", expected));
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_stop_each_has_its_grace() {
    let supervisor = Supervisor::default();
    let tasks = supervisor.tasks();
    let finished = Arc::new(AtomicU64::new(0));
    let slow = |seconds: u64| {
        let (finished, stop) = (Arc::clone(&finished), tasks.stop().clone());
        async move {
            stop.cancelled().await;
            sleep(Duration::from_secs(seconds)).await;
            finished.fetch_add(seconds, Ordering::Relaxed);
        }
    };
    tasks.vital("in time", slow(4));
    tasks.vital("too slow", slow(10));
    tasks
        .within(Duration::from_secs(20))
        .vital("slow", slow(16));
    tasks
        .within(Duration::ZERO)
        .lasting("cut off", |_| std::future::pending::<()>());
    let began = Instant::now();
    supervisor.finish().await;
    assert_eq!(began.elapsed(), Duration::from_secs(16));
    assert_eq!(finished.load(Ordering::Relaxed), 4 + 16);
}

#[tokio::test(start_paused = true)]
async fn what_goes_tells_its_tasks_to_stop() {
    let supervisor = Supervisor::default();
    let stop = supervisor.tasks().stop().clone();
    let begun = Arc::new(AtomicU64::new(0));
    let loops = Arc::clone(&begun);
    let make = move |stop| live(Arc::clone(&loops), stop);
    supervisor.tasks().lasting("loop", make);
    sleep(Duration::from_secs(100)).await;
    drop(supervisor);
    assert!(stop.is_cancelled());
    sleep(Duration::from_secs(100)).await;
    assert_eq!(begun.load(Ordering::Relaxed), 1);
}

fn tasks_are_fine() -> bool {
    false
}

#[tokio::test(start_paused = true)]
async fn brief_work_ends_by_itself_and_a_panic_in_it_harms_nobody() {
    let supervisor = Supervisor::default();
    let tasks = supervisor.tasks();
    tasks.brief("good", async {});
    tasks.brief("bad", async { assert!(tasks_are_fine(), "oh") });
    tasks.brief("failing", async { Err::<(), _>("no") });
    let spawned = spawn_brief("spawned", async { panic!("oh") });
    assert!(spawned.await.unwrap_err().is_panic());
    assert_eq!(spawn_brief("spawned", async { 7 }).await.unwrap(), 7);
    let none = timeout(Duration::from_secs(1), supervisor.failed()).await;
    assert!(none.is_err());
    assert!(tasks.running().is_empty(), "{tasks:?}");
    supervisor.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_part_that_ends_ends_the_others() {
    let stop = CancellationToken::new();
    let quick = || async { sleep(Duration::from_secs(1)).await }.boxed();
    let parts = || vec![("quick", quick()), ("lasting", stop.cancelled().boxed())];
    let ended = together(&stop, parts()).await;
    assert_eq!(
        ended,
        Err("its part `quick` ended without being asked to".to_owned())
    );
    stop.cancel();
    assert_eq!(together(&stop, parts()).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_broken_off_ends_as_by_a_panic() {
    let supervisor = Supervisor::default();
    let tasks = supervisor.tasks();
    let pending = |_| std::future::pending::<()>();
    tasks.lasting("loop", pending);
    tasks.vital("schedule", std::future::pending::<()>());
    sleep(Duration::from_secs(1)).await;
    tasks.break_off("loop");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(tasks.running(), [("loop", 2), ("schedule", 1)].into());
    tasks.break_off("schedule");
    let ended = supervisor.failed().await;
    assert_eq!(
        ended.to_string(),
        "the task `schedule` panicked: broken off"
    );
}
