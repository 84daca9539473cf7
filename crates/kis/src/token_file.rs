//! A file that keeps a token across restarts if there is no Redis; only its owner can read it.

use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use sise_net::atomic_file::{self, Access};

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

    /// Replaces the token as a whole, so that readers never see a partial one.
    pub(super) async fn save(&self, sealed: &str) -> io::Result<()> {
        let (path, sealed) = (self.path.clone(), sealed.to_owned());
        // Runs to completion even if the caller is cancelled.
        let saving =
            spawn_blocking(move || atomic_file::write(&path, sealed.as_bytes(), Access::Owner));
        saving.await.map_err(io::Error::other)?
    }
}
