//! A file that keeps a token across restarts if there is no Redis; only its owner can read it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

/// File for the token of one app key on one host.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// Returns the file in `directory` for the key identified by `identity`.
    #[must_use]
    pub fn new(directory: &Path, identity: &str) -> Self {
        Self {
            path: directory.join(format!("token-{identity}")),
        }
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn load(&self) -> Option<String> {
        tokio::fs::read_to_string(&self.path).await.ok()
    }

    /// Writes a temporary file and renames it, so that readers never see a partial token.
    pub(super) async fn save(&self, sealed: &str) -> io::Result<()> {
        let (file, sealed) = (self.clone(), sealed.to_owned());
        // Runs to completion even if the caller is cancelled.
        let saving = spawn_blocking(move || file.write(&sealed));
        saving.await.map_err(io::Error::other)?
    }

    fn write(&self, sealed: &str) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        let beside = self
            .path
            .with_extension(format!("{}.tmp", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options
            .open(&beside)
            .and_then(|mut file| {
                file.write_all(sealed.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&beside, &self.path));
        if written.is_err() {
            // Nothing of a token stays behind; the first error is the one that matters.
            let _ = std::fs::remove_file(&beside);
        }
        written
    }
}
