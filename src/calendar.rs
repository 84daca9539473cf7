//! The calendar in use: the shipped one, corrected by the broker's, with the override file on top.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use chrono::NaiveDate;

use sise_domain::Calendar;
use sise_kis::{BrokerDay, Caller};
use sise_port::SourceError;

/// An override file that is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {trouble}")]
pub struct OverrideError {
    /// Which file.
    pub path: String,
    /// What is wrong; names the line.
    pub trouble: String,
}

/// The calendar of this process, which every part reads and the daemon renews.
pub struct CalendarInUse {
    calendar: Arc<ArcSwap<Calendar>>,
    override_file: Option<PathBuf>,
    /// Asks the broker for its calendar; `None` for accounts that cannot.
    caller: Option<Caller>,
    /// The latest days of the broker's calendar.
    broker_days: ArcSwap<Vec<BrokerDay>>,
}

impl CalendarInUse {
    /// Creates the keeper of `calendar`.
    #[must_use]
    pub fn new(
        calendar: Arc<ArcSwap<Calendar>>,
        override_file: Option<PathBuf>,
        caller: Option<Caller>,
    ) -> Self {
        Self {
            calendar,
            override_file,
            caller,
            broker_days: ArcSwap::default(),
        }
    }

    /// Returns the calendar.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Calendar>> {
        self.calendar.load()
    }

    /// Returns the calendar, to be kept for longer.
    #[must_use]
    pub fn load_full(&self) -> Arc<Calendar> {
        self.calendar.load_full()
    }

    /// Rebuilds the calendar: the shipped one, the broker's latest corrections, the override file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is invalid. The calendar in use then stays.
    pub async fn reload(&self) -> Result<(), OverrideError> {
        let mut calendar = Calendar::shipped();
        for day in self.broker_days.load().iter() {
            calendar.correct(day.date, day.is_open);
        }
        if let Some(path) = &self.override_file {
            lay_override(&mut calendar, path, tokio::fs::read_to_string(path).await)?;
        }
        self.calendar.store(Arc::new(calendar));
        Ok(())
    }

    /// Asks the broker for its calendar and returns the days that differ.
    ///
    /// The next reload takes them over. Does nothing for accounts that cannot ask.
    ///
    /// # Errors
    ///
    /// Returns an error if the call failed. The calendar in use then stays.
    pub async fn check(&self, today: NaiveDate) -> Result<Vec<BrokerDay>, SourceError> {
        let Some(caller) = &self.caller else {
            return Ok(Vec::new());
        };
        let days = caller.open_days(today).await?;
        let mut ours = Calendar::shipped();
        let differing = days
            .iter()
            .copied()
            .filter(|day| ours.correct(day.date, day.is_open))
            .collect();
        self.broker_days.store(Arc::new(days));
        Ok(differing)
    }
}

/// Returns the shipped calendar with the override file on top, for the start of a process.
///
/// # Errors
///
/// Returns an error if the file is invalid.
pub fn read_calendar(override_file: Option<&Path>) -> Result<Calendar, OverrideError> {
    let mut calendar = Calendar::shipped();
    if let Some(path) = override_file {
        lay_override(&mut calendar, path, std::fs::read_to_string(path))?;
    }
    Ok(calendar)
}

fn lay_override(
    calendar: &mut Calendar,
    path: &Path,
    text: io::Result<String>,
) -> Result<(), OverrideError> {
    let broken = |trouble: String| OverrideError {
        path: path.display().to_string(),
        trouble,
    };
    let text = match text {
        Ok(text) => text,
        // The file may be created any day, for an announced closure, and is then read the next
        // morning.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(broken(error.to_string())),
    };
    let read = calendar.override_with(&text);
    read.map_err(|error| broken(error.to_string()))
}

impl fmt::Debug for CalendarInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CalendarInUse")
            .field("override_file", &self.override_file)
            .field("asks_the_broker", &self.caller.is_some())
            .finish_non_exhaustive()
    }
}
