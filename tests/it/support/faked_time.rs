//! Another time of day for a process, by libfaketime.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::NaiveDateTime;
use tempfile::TempDir;

/// Wall time of the processes that are given its variables.
///
/// The monotonic clock stays true, so that time-outs and pacing do too.
#[derive(Debug, Clone)]
pub(crate) struct FakedTime {
    library: String,
    said: Said,
}

#[derive(Debug, Clone)]
enum Said {
    Fixed(String),
    File(PathBuf),
}

impl FakedTime {
    /// Time goes on from `start`, a Seoul time such as `2026-11-20 10:00:00`.
    pub(crate) fn from(start: &str) -> Self {
        Self {
            library: library(),
            said: Said::Fixed(format!("@{start}")),
        }
    }

    /// As [`FakedTime::from`], `speed` times as fast as true time.
    pub(crate) fn faster(start: &str, speed: u32) -> Self {
        Self {
            library: library(),
            said: Said::Fixed(format!("@{start} x{speed}")),
        }
    }

    /// Time is off by this much, such as `-1h`.
    pub(crate) fn off_by(offset: &str) -> Self {
        Self {
            library: library(),
            said: Said::Fixed(offset.to_owned()),
        }
    }

    /// Time is off by what stands in a file, such as `+3600`, and follows its changes.
    pub(crate) fn of_file(path: &Path) -> Self {
        Self {
            library: library(),
            said: Said::File(path.to_owned()),
        }
    }

    /// Time as it is said to a [`FakedTime::of_file`], to be this Seoul time now.
    pub(crate) fn to(start: &str) -> String {
        let start = NaiveDateTime::parse_from_str(start, "%Y-%m-%d %H:%M:%S").unwrap();
        let now = (sise::clock::system())().naive_local();
        format!("{:+}", (start - now).num_seconds())
    }

    /// The variables that make it so.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("LD_PRELOAD", self.library.clone()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DONT_RESET", "1".to_owned()),
            // Needs no files of time zones.
            ("TZ", "KST-9".to_owned()),
        ];
        match &self.said {
            Said::Fixed(time) => variables.push(("FAKETIME", time.clone())),
            Said::File(path) => {
                variables.push(("FAKETIME_TIMESTAMP_FILE", path.display().to_string()));
                variables.push(("FAKETIME_NO_CACHE", "1".to_owned()));
            }
        }
        variables
    }
}

/// A time of day that is moved by hand, for a broker and all programs.
#[derive(Debug)]
pub(crate) struct MovedTime {
    folder: TempDir,
}

impl MovedTime {
    pub(crate) fn at(start: &str) -> Self {
        let time = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        time.set(start);
        time
    }

    pub(crate) fn set(&self, time: &str) {
        // Written beside and renamed: a clock is read all the time.
        let beside = self.folder.path().join("beside");
        std::fs::write(&beside, FakedTime::to(time)).unwrap();
        std::fs::rename(beside, self.folder.path().join("offset")).unwrap();
    }

    pub(crate) fn faked(&self) -> FakedTime {
        FakedTime::of_file(&self.folder.path().join("offset"))
    }
}

/// What the library leaves behind of a process that was killed; removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Traces {
    process: u32,
}

impl Traces {
    /// The traces of a process of this test.
    pub(crate) fn of(process: Option<u32>) -> Option<Self> {
        process.map(|process| Self { process })
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        for kind in ["faketime_shm", "sem.faketime_sem"] {
            // Not there after an orderly end.
            let _ = std::fs::remove_file(format!("/dev/shm/{kind}_{}", self.process));
        }
    }
}

/// Where the library is, as its own program says.
fn library() -> String {
    let said = Command::new("faketime")
        .args(["-f", "+0", "sh", "-c", "printf %s \"$LD_PRELOAD\""])
        .output()
        .expect("faketime is installed");
    let library = String::from_utf8(said.stdout).unwrap();
    assert!(!library.is_empty(), "faketime names its library");
    library
}
