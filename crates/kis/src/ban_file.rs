//! Where a ban outlives the process without Redis: a file beside the access token.

use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use sise_domain::BanRecord;

/// The file of one app key and secret on one host.
#[derive(Debug, Clone)]
pub struct BanFile {
    path: PathBuf,
}

impl BanFile {
    /// The file for the key and secret called `identity`, below `directory`.
    #[must_use]
    pub fn new(directory: &Path, identity: &str) -> Self {
        Self {
            path: directory.join(format!("ban-{identity}")),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn load(&self) -> Option<BanRecord> {
        let text = tokio::fs::read(&self.path).await.ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Written beside and renamed, so that a reader never sees half of it.
    pub(super) async fn save(&self, record: &BanRecord) -> io::Result<()> {
        let file = self.clone();
        let text = serde_json::to_string(record)?;
        // Whole, even if nobody waits for it any more.
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
