//! Shared answers for clients that ask too often, so that health checks are never refused.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long an answer is shared.
const GOOD: Duration = Duration::from_secs(1);

/// The latest answer.
#[derive(Debug)]
pub(super) struct Latest<T> {
    held: Mutex<Option<(Instant, T)>>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
        }
    }
}

impl<T: Clone> Latest<T> {
    /// Returns the answer of `find`: a new one if `is_due`, else the latest if it is recent enough.
    pub(super) async fn get(&self, is_due: bool, find: impl Future<Output = T>) -> T {
        if is_due {
            let found = find.await;
            *self.held.lock().await = Some((Instant::now(), found.clone()));
            return found;
        }
        let mut held = self.held.lock().await;
        if let Some((at, latest)) = &*held
            && at.elapsed() < GOOD
        {
            return latest.clone();
        }
        // Concurrent callers wait for this one.
        let found = find.await;
        *held = Some((Instant::now(), found.clone()));
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_asks_too_often_shares_what_was_found_last() {
        let (latest, found) = (Latest::default(), AtomicU32::new(0));
        let get = |is_due| latest.get(is_due, async { found.fetch_add(1, Ordering::Relaxed) });
        assert_eq!(get(false).await, 0);
        assert_eq!(get(false).await, 0);
        assert_eq!(get(true).await, 1);
        assert_eq!(get(false).await, 1);
        advance(GOOD).await;
        assert_eq!(get(false).await, 2);
    }
}
