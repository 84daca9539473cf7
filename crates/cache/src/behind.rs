//! Write-behind: the cache at once, the durable side a little later.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::queue::{Behind, Full, Queue, Sink, Unwritten};
use super::{Cache, CacheError, Cached, or_miss};

/// Values that are written to the cache at once and to the durable side in batches.
///
/// A batch is written after a number of values, or after some time. If an id is written several
/// times meanwhile, the durable side gets the last value.
///
/// Values that wait are in the memory of this process alone. [`WriteBehind::close`] writes them. A
/// process that is killed loses them: at most [`Behind::every`] values, or those of
/// [`Behind::within`]. While the durable side is unreachable, up to [`Behind::most`] values wait;
/// further ones are refused.
pub struct WriteBehind<T: Cached> {
    cache: Cache,
    queue: Queue<T>,
    every: usize,
    kind: PhantomData<fn() -> T>,
}

impl Cache {
    /// Returns a handle that writes values behind into `sink`, which gets ids as text. Needs a
    /// tokio runtime.
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
    /// Writes a value to the cache and queues it for the durable side. Returns whether the cache
    /// has it.
    ///
    /// If the cache fails, the value is queued all the same, and readers may see the previous one.
    ///
    /// # Errors
    ///
    /// Returns an error if too many values wait already; the value was not taken.
    pub async fn set(&self, id: &T::Id, value: T) -> Result<bool, Full> {
        self.queue.put(&id.to_string(), value.clone(), false)?;
        if self.queue.waiting() >= self.every {
            self.queue.make_due();
        }
        let written = self.cache.set_or_delete(id, &value).await;
        Ok(written.is_ok())
    }

    /// Returns the value of an id: the queued one, or else that of the cache. A failure of the
    /// store counts as a miss.
    pub async fn get(&self, id: &T::Id) -> Option<T> {
        or_miss(self.try_get(id).await)
    }

    /// Like [`WriteBehind::get`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if no value is queued and the store failed or its data is not a value of
    /// this type.
    pub async fn try_get(&self, id: &T::Id) -> Result<Option<T>, CacheError> {
        match self.queue.get(&id.to_string()) {
            Some(value) => Ok(Some(value)),
            None => self.cache.try_get(id).await,
        }
    }

    /// Returns how many values wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Writes all values that wait, within 5 s.
    ///
    /// # Errors
    ///
    /// Returns an error if some values could not be written; they still wait.
    pub async fn flush(&self) -> Result<(), Unwritten> {
        self.queue.flush().await
    }

    /// Writes all values that wait, within 5 s, and ends. If the handle is dropped instead, they
    /// are written in the background for as long as the runtime lives.
    ///
    /// # Errors
    ///
    /// Returns an error if some values could not be written; they are lost.
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
