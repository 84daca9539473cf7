//! Where a token outlives the process without Redis: a file that only its owner reads.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

/// The file of one app key on one host.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The file for the key called `identity`, below `directory`.
    #[must_use]
    pub fn new(directory: &Path, identity: &str) -> Self {
        Self {
            path: directory.join(format!("token-{identity}")),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn load(&self) -> Option<String> {
        tokio::fs::read_to_string(&self.path).await.ok()
    }

    /// Written beside and renamed, so that a reader never sees half a token.
    pub(super) async fn save(&self, sealed: &str) -> io::Result<()> {
        let (file, sealed) = (self.clone(), sealed.to_owned());
        // Whole, even if nobody waits for it any more.
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
            // Nothing of a token stays behind; the error that matters is the first.
            let _ = std::fs::remove_file(&beside);
        }
        written
    }
}
