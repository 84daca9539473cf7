//! Copies of the stock list on disk.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use sise_net::atomic_file::{self, Access};
use sise_port::{CopyStore, StoreError};

/// Stores copies as files in one folder.
#[derive(Debug, Clone)]
pub struct FileCopies {
    folder: PathBuf,
}

impl FileCopies {
    /// Returns a store of copies in `folder`, which is created with the first copy.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}.csv", name.replace(':', "-")))
    }
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Failed {
        store: path.display().to_string(),
        trouble: error.to_string(),
    }
}

#[async_trait]
impl CopyStore for FileCopies {
    async fn load_copy(&self, name: &str) -> Result<Option<String>, StoreError> {
        let path = self.path(name);
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Replaces the copy as a whole, so that a reader never sees half of one.
    async fn save_copy(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        let (written_to, text) = (path.clone(), text.to_owned());
        let write = move || atomic_file::write(&written_to, text.as_bytes(), Access::Usual);
        let written = spawn_blocking(write).await.map_err(io::Error::other);
        written
            .and_then(|written| written)
            .map_err(|error| failed(&path, &error))
    }
}
