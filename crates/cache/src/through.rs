//! Write-through: the other side first, then the cache.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::key::beside;
use super::values::{STALE, entry};
use super::{Cache, CacheError, Cached};
use sise_net::supervisor::spawn_brief;
use sise_port::CacheEntry;

impl Cache {
    /// Stores a value by `write`, and then writes it to the cache. Returns whether the cache has it
    /// too.
    ///
    /// If the cache fails, the previous value is deleted. If that fails too, readers may see it for
    /// the rest of its life. If several callers write a value at the same time, the last one in the
    /// cache need not be the last one on the other side.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use sise_cache::{Cache, Cached, Life};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Article { title: String }
    /// # impl Cached for Article {
    /// #     type Id = u64;
    /// #     const KIND: &'static str = "article";
    /// #     const LIFE: Life = Life::of(Duration::from_secs(600));
    /// # }
    /// # async fn save(article: &Article) -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn example(cache: &Cache, article: Article) -> Result<(), std::io::Error> {
    /// let is_cached = cache.write_through(&7, &article, save(&article)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the error of `write`; the cache is unchanged.
    pub async fn write_through<T: Cached, E>(
        &self,
        id: &T::Id,
        value: &T,
        write: impl Future<Output = Result<(), E>>,
    ) -> Result<bool, E> {
        write.await?;
        let written = self.set_or_delete(id, value).await;
        Ok(written.is_ok())
    }

    /// Writes a value that the other side has too, or will have, to the cache.
    ///
    /// The stale copy of an earlier value is removed, because that value is wrong now. If the cache
    /// fails, the previous value is deleted; the caller waits for that no longer than the time of
    /// an operation.
    pub(super) async fn set_or_delete<T: Cached>(
        &self,
        id: &T::Id,
        value: &T,
    ) -> Result<(), CacheError> {
        let deadline = Instant::now() + self.shared.timeout;
        let key = self.key::<T>(id);
        let copy = CacheEntry {
            key: beside(&self.prefix, STALE, &key),
            value: Vec::new(),
            life: Some(Duration::ZERO),
        };
        let set = match entry(key.clone(), value, T::LIFE) {
            Ok(entry) => self.put(&[entry, copy]).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &set {
            tracing::debug!(%error, kind = T::KIND, "a value is not cached");
            let cache = self.clone();
            let deletion = spawn_brief("deletion", async move { cache.delete_keys(&[key]).await });
            let _ = timeout_at(deadline, deletion).await;
        }
        set
    }
}
