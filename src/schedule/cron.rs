//! The cron loop: it only sends ticks, and the schedule decides what to do.

use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveTime, Timelike as _};
use croner::Cron;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use sise_domain::{KrxTime, Seoul};

/// How often to check whether the close is due. The sweep interval may be too long for its window.
const EVERY_MINUTE: &str = "0 * * * * *";

/// Ticks of the cron loop. Each kind holds at most one tick, so missed ticks never pile up.
#[derive(Debug, Clone, Default)]
pub struct Ticks {
    /// A sweep is due.
    pub sweep: Arc<Notify>,
    /// The close may be due.
    pub close: Arc<Notify>,
    /// The day is to be prepared.
    pub reload: Arc<Notify>,
}

/// The times of the ticks.
#[derive(Debug, Clone)]
pub struct Timetable {
    sweep: Cron,
    entries: [String; 3],
}

impl Timetable {
    /// Creates a timetable with a sweep every `interval` and the morning's work at `reload_at`.
    ///
    /// # Errors
    ///
    /// Returns an error if the interval cannot be expressed in cron.
    pub fn new(interval: Duration, reload_at: NaiveTime) -> Result<Self, String> {
        let expression = expression(interval);
        let sweep = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Required)
            .build()
            .parse(&expression)
            .map_err(|error| format!("cron expression '{expression}': {error}"))?;
        let reload = format!("0 {} {} * * *", reload_at.minute(), reload_at.hour());
        Ok(Self {
            sweep,
            entries: [expression, EVERY_MINUTE.to_owned(), reload],
        })
    }

    /// Returns the first sweep at or after an instant, or strictly after it unless `inclusive`.
    #[must_use]
    pub fn first_sweep(&self, from: KrxTime, inclusive: bool) -> Option<KrxTime> {
        let from = from.with_nanosecond(0).unwrap_or(from);
        self.sweep.find_next_occurrence(&from, inclusive).ok()
    }

    /// Sends `ticks` until the scheduler is shut down.
    pub(super) async fn start(&self, ticks: &Ticks) -> Result<JobScheduler, JobSchedulerError> {
        let cron = JobScheduler::new().await?;
        let bells = [&ticks.sweep, &ticks.close, &ticks.reload];
        for (expression, bell) in self.entries.iter().zip(bells) {
            let bell = Arc::clone(bell);
            // The job only sends a tick. The loop decides, so jobs never overlap.
            let job = Job::new_async_tz(expression.as_str(), Seoul, move |_, _| {
                bell.notify_one();
                Box::pin(async {})
            })?;
            cron.add(job).await?;
        }
        cron.start().await?;
        Ok(cron)
    }
}

/// Returns the cron expression of an interval that divides a minute or an hour.
fn expression(interval: Duration) -> String {
    match interval.as_secs() {
        seconds @ ..60 => format!("*/{seconds} * * * * *"),
        seconds @ 60..3_600 => format!("0 */{} * * * *", seconds / 60),
        _ => "0 0 * * * *".to_owned(),
    }
}
