//! A task that finds out the layout of the servers, at an interval and at once when a request finds
//! it changed.

use std::future::Future;
use std::time::Duration;

use redis::RedisError;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

/// How long a result counts as fresh, however many requests fail meanwhile.
const FRESH: Duration = Duration::from_millis(100);

/// Minimum pause between two looks, however often one is requested.
const PAUSE: Duration = Duration::from_millis(20);

/// The part of a search that its task and the requests share.
#[derive(Default)]
pub(super) struct Search {
    last: watch::Sender<Look>,
    look_now: Notify,
}

#[derive(Default)]
struct Look {
    ended_at: Option<Instant>,
    /// Why nothing was found.
    trouble: Option<RedisError>,
}

impl Search {
    /// Looks at the interval `every`, or earlier if requested, for as long as this runs. `look`
    /// returns what is wrong, if anything.
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
            // Called or timed out: look again in both cases.
            let _ = timeout(every, self.look_now.notified()).await;
        }
    }

    /// Requests a look at once.
    pub(super) fn call(&self) {
        self.look_now.notify_one();
    }

    /// Requests a look and waits for its end, up to `longest`. Returns at once if the last look is
    /// fresh.
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
