//! The last stock list that was good, kept on disk and in the store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ring::digest::{SHA256, digest};

use super::csv_file;
use crate::domain::Universe;
use crate::port::{CopyStore, ListError, ListSource};

/// The copy of one set-up's list. Lists of other sources are other copies: they never judge each
/// other.
#[derive(Clone)]
pub struct LastGood {
    pub(super) path: PathBuf,
    key: String,
    store: Arc<dyn CopyStore>,
}

impl LastGood {
    /// The copy for lists of `origin` (the settings that say where the list comes from), in
    /// `directory` and in `store`.
    #[must_use]
    pub fn new(directory: &Path, origin: &str, store: Arc<dyn CopyStore>) -> Self {
        let id: String = digest(&SHA256, origin.as_bytes())
            .as_ref()
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            path: directory.join(format!("universe-{id}.csv")),
            key: format!("universe:{id}"),
            store,
        }
    }

    /// Replaces the copy in both places.
    ///
    /// # Errors
    ///
    /// Either place failed; the words say which. The other holds the new copy.
    pub async fn save(&self, universe: &Universe, source: &str) -> Result<(), String> {
        let csv = csv_file::write(universe).map_err(|error| error.to_string())?;
        let text = format!("# the last good stock list, from {source}\n{csv}");
        let on_disk = self.write_file(&text).await;
        let in_store = self.store.save_copy(&self.key, &text).await;
        match (on_disk, in_store) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(disk), Ok(())) => Err(format!("{}: {disk}", self.path.display())),
            (Ok(()), Err(store)) => Err(store.to_string()),
            (Err(disk), Err(store)) => Err(format!("{}: {disk}; {store}", self.path.display())),
        }
    }

    /// Removes the copy from both places.
    ///
    /// # Errors
    ///
    /// A place cannot be reached, so that the copy may still be there.
    pub async fn forget(&self) -> Result<(), String> {
        match tokio::fs::remove_file(&self.path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", self.path.display()));
            }
            _ => {}
        }
        // An empty copy reads as none.
        let emptied = self.store.save_copy(&self.key, "").await;
        emptied.map_err(|error| error.to_string())
    }

    /// Written beside and renamed: a reader never sees half a list.
    async fn write_file(&self, text: &str) -> std::io::Result<()> {
        if let Some(directory) = self.path.parent() {
            tokio::fs::create_dir_all(directory).await?;
        }
        let beside = self
            .path
            .with_extension(format!("{}.tmp", std::process::id()));
        let written = async {
            tokio::fs::write(&beside, text).await?;
            tokio::fs::rename(&beside, &self.path).await
        }
        .await;
        if written.is_err() {
            // The error that matters is the first.
            let _ = tokio::fs::remove_file(&beside).await;
        }
        written
    }
}

#[async_trait]
impl ListSource for LastGood {
    fn name(&self) -> &'static str {
        "last-good"
    }

    async fn list(&self) -> Result<Universe, ListError> {
        let file = self.path.display().to_string();
        let on_disk = match tokio::fs::read(&self.path).await {
            Ok(bytes) => csv_file::read(&file, &bytes),
            Err(error) => Err(ListError(format!("{file}: {error}"))),
        };
        let on_disk = match on_disk {
            Ok(universe) => return Ok(universe),
            Err(error) => error,
        };
        match self.store.load_copy(&self.key).await {
            Ok(Some(text)) if !text.is_empty() => {
                csv_file::read(&format!("store key {}", self.key), text.as_bytes())
            }
            Ok(_) => Err(ListError(format!("{on_disk}; the store has no copy"))),
            Err(error) => Err(ListError(format!("{on_disk}; {error}"))),
        }
    }
}

impl fmt::Debug for LastGood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastGood")
            .field("path", &self.path)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
