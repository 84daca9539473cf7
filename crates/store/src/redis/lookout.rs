//! Somebody who finds out where things are, again and again: every so often, and at once when a
//! request met something else than it was told.

use std::future::Future;
use std::time::Duration;

use redis::RedisError;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

/// What was found is good for so long, however many requests fail meanwhile.
const FRESH: Duration = Duration::from_millis(100);

/// Between two looks, however often it is called.
const PAUSE: Duration = Duration::from_millis(20);

/// The part of a lookout that requests share with it.
#[derive(Default)]
pub(super) struct Lookout {
    last: watch::Sender<Look>,
    look_now: Notify,
}

#[derive(Default)]
struct Look {
    ended_at: Option<Instant>,
    /// Why nothing was found.
    trouble: Option<RedisError>,
}

impl Lookout {
    /// Looks for as long as this runs, `every` so often. `look` says what is wrong, if anything.
    pub(super) async fn run<Fut>(&self, every: Duration, look: impl Fn() -> Fut)
    where
        Fut: Future<Output = Option<RedisError>>,
    {
        loop {
            let trouble = look().await;
            self.last.send_replace(Look {
                ended_at: Some(Instant::now()),
                trouble,
            });
            sleep(PAUSE).await;
            // Whether it was called or the time is over, it looks again.
            let _ = timeout(every, self.look_now.notified()).await;
        }
    }

    /// Has it look at once.
    pub(super) fn call(&self) {
        self.look_now.notify_one();
    }

    /// Has it look and waits for that, no longer than `longest`; not where it looked just now.
    pub(super) async fn look(&self, longest: Duration) {
        let mut looks = self.last.subscribe();
        let ended_at = looks.borrow_and_update().ended_at;
        if ended_at.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        self.call();
        let _ = timeout(longest, looks.changed()).await;
    }

    /// What was wrong at the last look.
    pub(super) fn trouble(&self) -> Option<RedisError> {
        self.last.borrow().trouble.clone()
    }
}
