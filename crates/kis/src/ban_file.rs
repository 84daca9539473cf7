//! A file beside the access token that keeps a ban across restarts if there is no Redis.

use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use sise_domain::BanRecord;
use sise_net::atomic_file::{self, Access};

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

    /// Replaces the record as a whole, so that readers never see a partial one.
    pub(super) async fn save(&self, record: &BanRecord) -> io::Result<()> {
        let path = self.path.clone();
        let text = serde_json::to_vec(record)?;
        // Runs to completion even if the caller is cancelled.
        let saving = spawn_blocking(move || atomic_file::write(&path, &text, Access::Usual));
        saving.await.map_err(io::Error::other)?
    }
}
