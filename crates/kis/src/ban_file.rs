//! A file beside the access token that keeps a ban across restarts if there is no Redis.

use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use sise_domain::BanRecord;

/// File for the ban of one app key and secret on one host.
#[derive(Debug, Clone)]
pub struct BanFile {
    path: PathBuf,
}

impl BanFile {
    /// Returns the file in `directory` for the key and secret identified by `identity`.
    #[must_use]
    pub fn new(directory: &Path, identity: &str) -> Self {
        Self {
            path: directory.join(format!("ban-{identity}")),
        }
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn load(&self) -> Option<BanRecord> {
        let text = tokio::fs::read(&self.path).await.ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes a temporary file and renames it, so that readers never see a partial record.
    pub(super) async fn save(&self, record: &BanRecord) -> io::Result<()> {
        let file = self.clone();
        let text = serde_json::to_string(record)?;
        // Runs to completion even if the caller is cancelled.
        let saving = spawn_blocking(move || file.write(&text));
        saving.await.map_err(io::Error::other)?
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        let beside = self
            .path
            .with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, &self.path))
    }
}
