//! Totals in a file on this machine, without a database.
//!
//! Every stored total is appended as a line and synced to the disk. The last line of a name counts.
//! A line that a crash cut short is ignored. If most lines are outdated, the file is rewritten
//! beside the old one and replaces it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{BoxError, DurableCounts};

/// Outdated lines a file may have before it is rewritten.
const OLD_LINES: usize = 10_000;

/// Totals in a file, which one process at a time can open.
#[derive(Debug, Clone)]
pub struct FileCounts {
    ledger: Arc<Mutex<Counts>>,
}

struct Counts {
    path: PathBuf,
    file: File,
    /// Length of the complete lines, in bytes.
    length: u64,
    lines: usize,
    totals: BTreeMap<String, u64>,
}

impl FileCounts {
    /// Opens the totals in the file at `path`, which is created if missing. Only its owner can read
    /// it.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or another process has it open.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut ledger = Counts::open(path)?;
        ledger.read()?;
        Ok(Self {
            ledger: Arc::new(Mutex::new(ledger)),
        })
    }

    /// Runs `work` on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Counts) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BoxError> {
        let ledger = Arc::clone(&self.ledger);
        let done = tokio::task::spawn_blocking(move || {
            // After a panic, `length` still says how much of the file is valid.
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut ledger).map_err(|error| named(&ledger.path, &error))
        });
        Ok(done.await??)
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn line(name: &str, total: Option<u64>) -> io::Result<String> {
    Ok(serde_json::to_string(&(name, total))? + "\n")
}

impl Counts {
    fn open(path: &Path) -> io::Result<Self> {
        let file = open(path).map_err(|error| named(path, &error))?;
        file.try_lock().map_err(|error| {
            let trouble = format!("{}: another process has it open ({error})", path.display());
            io::Error::new(io::ErrorKind::WouldBlock, trouble)
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            length: 0,
            lines: 0,
            totals: BTreeMap::new(),
        })
    }

    /// Reads the complete lines.
    fn read(&mut self) -> io::Result<()> {
        let mut reader = BufReader::new(&self.file);
        let mut text = Vec::new();
        loop {
            text.clear();
            let read = reader.read_until(b'\n', &mut text)?;
            if text.last() != Some(&b'\n') {
                break;
            }
            self.length += u64::try_from(read).unwrap_or(0);
            self.lines += 1;
            match serde_json::from_slice::<(String, Option<u64>)>(&text) {
                Ok((name, Some(total))) => {
                    self.totals.insert(name, total);
                }
                Ok((name, None)) => {
                    self.totals.remove(&name);
                }
                // Lines that cannot be parsed are ignored.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Appends lines and syncs them to the disk, all or none.
    fn append(&mut self, text: &str) -> io::Result<()> {
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(text.as_bytes()))
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.length += u64::try_from(text.len()).unwrap_or(0);
                Ok(())
            }
            Err(error) => {
                // The disk may be full: remove what was written.
                let _ = self.file.set_len(self.length);
                Err(error)
            }
        }
    }

    fn keep(&mut self, totals: &[(String, u64)]) -> io::Result<()> {
        let is_greater =
            |(name, total): &&(String, u64)| self.totals.get(name).is_none_or(|held| held < total);
        let greater: Vec<&(String, u64)> = totals.iter().filter(is_greater).collect();
        let lines = greater.iter().map(|(name, total)| line(name, Some(*total)));
        let text = lines.collect::<io::Result<String>>()?;
        if text.is_empty() {
            return Ok(());
        }
        self.append(&text)?;
        self.lines += greater.len();
        for (name, total) in greater {
            self.totals.insert(name.clone(), *total);
        }
        self.write_anew_if_old()
    }

    fn forget(&mut self, names: &[String]) -> io::Result<()> {
        let known: Vec<&String> = names
            .iter()
            .filter(|name| self.totals.contains_key(*name))
            .collect();
        let lines = known.iter().map(|name| line(name, None));
        let text = lines.collect::<io::Result<String>>()?;
        if text.is_empty() {
            return Ok(());
        }
        self.append(&text)?;
        self.lines += known.len();
        for name in known {
            self.totals.remove(name);
        }
        self.write_anew_if_old()
    }

    fn write_anew_if_old(&mut self) -> io::Result<()> {
        if self.lines < self.totals.len() * 2 + OLD_LINES {
            return Ok(());
        }
        let lines = self
            .totals
            .iter()
            .map(|(name, total)| line(name, Some(*total)));
        let text = lines.collect::<io::Result<String>>()?;
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let mut new = Self::open(&beside)?;
        new.file.set_len(0)?;
        new.append(&text)?;
        std::fs::rename(&beside, &self.path)?;
        if let Some(folder) = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            // The new name survives a crash only if the folder is synced too.
            File::open(folder)?.sync_all()?;
        }
        self.file = new.file;
        self.length = new.length;
        self.lines = self.totals.len();
        Ok(())
    }
}

#[async_trait]
impl DurableCounts for FileCounts {
    async fn load(&self, names: &[String]) -> Result<Vec<u64>, BoxError> {
        let names = names.to_vec();
        self.with(move |ledger| {
            let total = |name| ledger.totals.get(name).copied().unwrap_or(0);
            Ok(names.iter().map(total).collect())
        })
        .await
    }

    async fn load_all(&self) -> Result<BTreeMap<String, u64>, BoxError> {
        self.with(|ledger| Ok(ledger.totals.clone())).await
    }

    async fn keep(&self, totals: &[(String, u64)]) -> Result<(), BoxError> {
        let totals = totals.to_vec();
        self.with(move |ledger| ledger.keep(&totals)).await
    }

    async fn forget(&self, names: &[String]) -> Result<(), BoxError> {
        let names = names.to_vec();
        self.with(move |ledger| ledger.forget(&names)).await
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts")
            .field("path", &self.path)
            .field("totals", &self.totals.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[tokio::test]
    async fn what_is_kept_is_there_after_a_restart_and_never_falls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts");
        let names = ["a\n\"".to_owned(), "b".to_owned(), "c".to_owned()];
        let counts = FileCounts::open(&path).unwrap();
        counts
            .keep(&[(names[0].clone(), 7), (names[1].clone(), 1)])
            .await
            .unwrap();
        counts
            .keep(&[(names[0].clone(), 5), (names[1].clone(), 2)])
            .await
            .unwrap();
        counts.forget(&names[1..2]).await.unwrap();
        assert_eq!(counts.load(&names).await.unwrap(), [7, 0, 0]);
        drop(counts);
        let again = FileCounts::open(&path).unwrap();
        assert_eq!(again.load(&names).await.unwrap(), [7, 0, 0]);
        assert_eq!(again.load_all().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_line_that_was_cut_short_is_left_out_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts");
        std::fs::write(&path, "[\"a\",3]\nnonsense\n[\"a\",99").unwrap();
        let names = ["a".to_owned()];
        let counts = FileCounts::open(&path).unwrap();
        assert_eq!(counts.load(&names).await.unwrap(), [3]);
        counts.keep(&[("a".to_owned(), 4)]).await.unwrap();
        assert!(text(&path).starts_with("[\"a\",3]\nnonsense\n[\"a\",4]\n"));
    }

    #[tokio::test]
    async fn one_process_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts");
        let _first = FileCounts::open(&path).unwrap();
        let error = FileCounts::open(&path).unwrap_err();
        assert!(
            error.to_string().contains("another process has it open"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_file_of_old_lines_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts");
        let mut lines = String::new();
        for total in 1..=OLD_LINES + 2 {
            lines += &line("a", u64::try_from(total).ok()).unwrap();
        }
        std::fs::write(&path, lines).unwrap();
        let counts = FileCounts::open(&path).unwrap();
        counts.keep(&[("a".to_owned(), 20_000)]).await.unwrap();
        assert_eq!(text(&path), "[\"a\",20000]\n");
        counts.keep(&[("b".to_owned(), 1)]).await.unwrap();
        assert_eq!(text(&path), "[\"a\",20000]\n[\"b\",1]\n");
        // The lock moved to the new file.
        assert!(FileCounts::open(&path).is_err());
    }
}
