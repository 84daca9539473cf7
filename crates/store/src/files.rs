//! Copies of the stock list on disk.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

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

fn failed(path: &Path, error: &std::io::Error) -> StoreError {
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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Writes the copy to a temporary file and renames it, so that a reader never sees half a copy.
    async fn save_copy(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        let written = async {
            tokio::fs::create_dir_all(&self.folder).await?;
            tokio::fs::write(&beside, text).await?;
            tokio::fs::rename(&beside, &path).await
        }
        .await;
        if written.is_err() {
            // Only the first error matters.
            let _ = tokio::fs::remove_file(&beside).await;
        }
        written.map_err(|error| failed(&path, &error))
    }
}
