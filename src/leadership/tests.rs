use super::*;
use chrono::TimeZone as _;
use sise_domain::Seoul;
use sise_store::MemoryStore;
use std::sync::atomic::{AtomicI64, Ordering};

const LEASE: Duration = Duration::from_secs(10);

/// A clock that follows tokio's and can be set.
struct Watch {
    start: Instant,
    set: AtomicI64,
}

impl Watch {
    fn now(&self) -> KrxTime {
        let noon = Seoul.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        let set = TimeDelta::seconds(self.set.load(Ordering::Relaxed));
        noon + TimeDelta::from_std(self.start.elapsed()).unwrap() + set
    }
}

fn quote(fetched_at: KrxTime) -> Quote {
    Quote::sample("005930".parse().unwrap(), 266_000, fetched_at)
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_clock_is_set_writes_on_and_nothing_of_before_its_lead() {
    let watch = Arc::new(Watch {
        start: Instant::now(),
        set: AtomicI64::new(0),
    });
    let clock: Clock = {
        let watch = Arc::clone(&watch);
        Arc::new(move || watch.now())
    };
    let store = Arc::new(MemoryStore::default());
    let candidate = Candidate::new(store.clone(), "here".to_owned(), LEASE, clock);
    let candidate = Arc::new(candidate);
    let leader_store = LeaderStore::new(store, Arc::clone(&candidate));
    let write = async |fetched_at| {
        let shelf = Shelf::Realtime(Duration::from_secs(120));
        leader_store
            .write(&[quote(fetched_at)], shelf, None)
            .await
            .is_ok()
    };
    let mut earlier = watch.now();
    for set in [0, 3_600, 0, -3_600] {
        sleep(LEASE).await;
        candidate.campaign().await;
        assert!(write(watch.now()).await);
        assert!(!write(earlier).await, "fetched before the lead began");
        let before = watch.now();
        watch.set.store(set, Ordering::Relaxed);
        assert!(write(watch.now()).await, "set to {set} s");
        sleep(Duration::from_secs(1)).await;
        assert!(write(watch.now()).await, "set to {set} s");
        // By the previous setting of the clock.
        earlier = before;
    }
}
