//! Write-behind: the cache at once, the durable side a little later.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::queue::{Behind, Full, Queue, Sink, Unwritten};
use super::{Cache, CacheError, Cached, or_miss};

/// Values that the cache has at once and the durable side in batches: every so many, or after some
/// time. Of several values of one id written meanwhile the durable side is given the last.
///
/// What waits is in the memory of this process alone. [`WriteBehind::close`] writes it; a process
/// that is killed loses what waited: at most [`Behind::every`] values, or those of
/// [`Behind::within`]. While the durable side is away values wait, up to [`Behind::most`]; more are
/// refused.
pub struct WriteBehind<T: Cached> {
    cache: Cache,
    queue: Queue<T>,
    every: usize,
    kind: PhantomData<fn() -> T>,
}

impl Cache {
    /// Values that are written behind into `sink`, which is given ids as text. Needs a tokio
    /// runtime.
    #[must_use]
    pub fn write_behind<T>(&self, sink: Arc<dyn Sink<T>>, behind: Behind) -> WriteBehind<T>
    where
        T: Cached + Clone + 'static,
    {
        WriteBehind {
            cache: self.clone(),
            queue: Queue::new(sink, behind),
            every: usize::try_from(behind.every).unwrap_or(usize::MAX),
            kind: PhantomData,
        }
    }
}

impl<T: Cached + Clone + 'static> WriteBehind<T> {
    /// Takes a value, to be written later, and writes it into the cache. Says whether the cache
    /// has it: where the cache fails the value waits all the same, and readers may see the one
    /// before.
    ///
    /// # Errors
    ///
    /// Too many wait already; the value was not taken.
    pub async fn set(&self, id: &T::Id, value: T) -> Result<bool, Full> {
        self.queue.put(&id.to_string(), value.clone(), false)?;
        if self.queue.waiting() >= self.every {
            self.queue.make_due();
        }
        let written = self.cache.set_or_delete(id, &value).await;
        Ok(written.is_ok())
    }

    /// The value of an id: the one that waits, or that of the cache. A failure of the store is a
    /// miss.
    pub async fn get(&self, id: &T::Id) -> Option<T> {
        or_miss(self.try_get(id).await)
    }

    /// As [`WriteBehind::get`], and says what failed.
    ///
    /// # Errors
    ///
    /// None waits, and the store failed, or what stands there is no such value.
    pub async fn try_get(&self, id: &T::Id) -> Result<Option<T>, CacheError> {
        match self.queue.get(&id.to_string()) {
            Some(value) => Ok(Some(value)),
            None => self.cache.try_get(id).await,
        }
    }

    /// How many values wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Writes all that waits, within 5 s.
    ///
    /// # Errors
    ///
    /// Some of it could not be written; it still waits.
    pub async fn flush(&self) -> Result<(), Unwritten> {
        self.queue.flush().await
    }

    /// Writes all that waits, within 5 s, and ends. Dropped without it, what waits is written in the
    /// background for as long as the runtime lives.
    ///
    /// # Errors
    ///
    /// Some of it could not be written, and is lost.
    pub async fn close(self) -> Result<(), Unwritten> {
        self.queue.close().await
    }
}

impl<T: Cached> fmt::Debug for WriteBehind<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehind")
            .field("kind", &T::KIND)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
