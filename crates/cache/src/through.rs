//! Write-through: the other side first, then the cache.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::key::beside;
use super::values::{STALE, entry};
use super::{Cache, CacheError, Cached};
use sise_net::supervisor::spawn_brief;
use sise_port::CacheEntry;

impl Cache {
    /// Has `write` write a value to where it is kept for good, and then writes it into the cache.
    /// Says whether the cache has it too.
    ///
    /// Where the cache fails, the value before is deleted if that succeeds; else readers may see it
    /// for the rest of its life. Of several who write one value at the same time any may be the last
    /// in the cache, whoever is the last on the other side.
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
    /// `write` failed; the cache is as it was.
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

    /// Writes a value that the other side has too, or will have. No copy of an earlier one stays, for
    /// that one is wrong now. Where the cache fails, the value before is deleted; beyond the time of
    /// an operation nobody waits for that.
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
            tracing::debug!(%error, kind = T::KIND, "it is not cached");
            let cache = self.clone();
            let deletion = spawn_brief("deletion", async move { cache.delete_keys(&[key]).await });
            let _ = timeout_at(deadline, deletion).await;
        }
        set
    }
}
