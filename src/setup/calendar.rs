//! The calendar in use: the shipped one, corrected by the broker's, with the override file on top.

use std::io;
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDate;

use super::{Parts, SetupError};
use crate::config::{KisEnvironment, Settings};
use sise_domain::{Calendar, CalendarError};
use sise_kis::BrokerDay;
use sise_port::SourceError;

impl Parts {
    /// Rebuilds the calendar: the shipped one, the broker's latest corrections, the override file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is invalid. The calendar in use then stays.
    pub async fn reload_calendar(&self) -> Result<(), SetupError> {
        let mut calendar = Calendar::shipped();
        for day in self.broker_days.load().iter() {
            calendar.correct(day.date, day.is_open);
        }
        if let Some(path) = &self.settings.calendar_file {
            lay_override(&mut calendar, path, tokio::fs::read_to_string(path).await)?;
        }
        self.calendar.store(Arc::new(calendar));
        Ok(())
    }

    /// Asks the broker for its calendar and returns the days that differ.
    ///
    /// The next reload takes them over. Does nothing for paper accounts, which cannot ask.
    ///
    /// # Errors
    ///
    /// Returns an error if the call failed. The calendar in use then stays.
    pub async fn check_calendar(&self, today: NaiveDate) -> Result<Vec<BrokerDay>, SourceError> {
        let (Some(broker), KisEnvironment::Real) = (&self.broker, self.settings.kis.environment)
        else {
            return Ok(Vec::new());
        };
        let days = broker.caller.open_days(today).await?;
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
/// Returns an error if the file is invalid. Its message names the line.
pub fn read_calendar(settings: &Settings) -> Result<Calendar, SetupError> {
    let mut calendar = Calendar::shipped();
    if let Some(path) = &settings.calendar_file {
        lay_override(&mut calendar, path, std::fs::read_to_string(path))?;
    }
    Ok(calendar)
}

fn lay_override(
    calendar: &mut Calendar,
    path: &Path,
    text: io::Result<String>,
) -> Result<(), SetupError> {
    let broken = |trouble: String| SetupError::Calendar {
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
    calendar
        .override_with(&text)
        .map_err(|error: CalendarError| broken(error.to_string()))
}
