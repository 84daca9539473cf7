//! The cron loop: it only rings, the schedule decides.

use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveTime, Timelike as _};
use croner::Cron;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use sise_domain::{KrxTime, Seoul};

/// How often it is looked whether the close is due: the interval may be too long for its window.
const EVERY_MINUTE: &str = "0 * * * * *";

/// Ticks of the cron loop. Each holds one tick at most: missed ones never pile up.
#[derive(Debug, Clone, Default)]
pub struct Ticks {
    /// A sweep is due.
    pub sweep: Arc<Notify>,
    /// The close may be due.
    pub close: Arc<Notify>,
    /// The day is to be made ready.
    pub reload: Arc<Notify>,
}

/// When the ticks come.
#[derive(Debug, Clone)]
pub struct Timetable {
    sweep: Cron,
    entries: [String; 3],
}

impl Timetable {
    /// A sweep every `interval`, and the morning's work at `reload_at`.
    ///
    /// # Errors
    ///
    /// The interval cannot be said in cron.
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

    /// The first sweep at or after an instant.
    #[must_use]
    pub fn first_sweep(&self, from: KrxTime, inclusive: bool) -> Option<KrxTime> {
        let from = from.with_nanosecond(0).unwrap_or(from);
        self.sweep.find_next_occurrence(&from, inclusive).ok()
    }

    /// Rings `ticks` until the scheduler is shut down.
    pub(super) async fn start(&self, ticks: &Ticks) -> Result<JobScheduler, JobSchedulerError> {
        let cron = JobScheduler::new().await?;
        let bells = [&ticks.sweep, &ticks.close, &ticks.reload];
        for (expression, bell) in self.entries.iter().zip(bells) {
            let bell = Arc::clone(bell);
            // The job only rings; the loop decides, so that jobs never overlap.
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

/// An interval that is a whole part of a minute or an hour, in cron's words.
fn expression(interval: Duration) -> String {
    match interval.as_secs() {
        seconds @ ..60 => format!("*/{seconds} * * * * *"),
        seconds @ 60..3_600 => format!("0 */{} * * * *", seconds / 60),
        _ => "0 0 * * * *".to_owned(),
    }
}
