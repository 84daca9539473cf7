//! Write-through: the other side first, then the cache.

use super::{Cache, Cached};

impl Cache {
    /// Has `write` write a value to where it is kept for good, and then writes it into the cache.
    /// Says whether the cache has it too.
    ///
    /// Where the cache fails, the value before is deleted if that succeeds; else readers may see it
    /// for the rest of its life.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use sise::cache::{Cache, Cached, Life};
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
        match self.set(id, value).await {
            Ok(()) => Ok(true),
            Err(error) => {
                tracing::debug!(%error, kind = T::KIND, "written, but not into the cache");
                let _ = self.delete::<T>(id).await;
                Ok(false)
            }
        }
    }
}
