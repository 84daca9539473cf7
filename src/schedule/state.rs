//! The state of the loop between ticks.

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::decision::Due;
use super::taking::Taking;
use super::want::Want;
use crate::sweep::Report;
use sise_domain::KrxTime;

/// A run in progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) due: Due,
    /// Number of codes that are asked for.
    pub(super) codes: usize,
    pub(super) started_at: KrxTime,
    /// When it started, by the monotonic clock.
    pub(super) began: Instant,
}

/// The state of the loop between ticks, including the sweep in progress.
pub(super) struct State {
    /// The last tick of any kind, by the monotonic clock.
    pub(super) ticked_at: Instant,
    /// The last tick of the cron loop that counted.
    pub(super) cron_at: Option<Instant>,
    /// Whether the cron loop has missed its ticks.
    pub(super) is_cron_silent: bool,
    /// The run in progress.
    pub(super) running: Option<Run>,
    /// Whether a tick came during a sweep; one tick is made up for when the sweep ends.
    pub(super) owed: bool,
    /// The close of the day, as far as this process took it or knows that it was taken.
    pub(super) close: Option<Taking>,
    /// The passes out of session that make up for a close that was not taken.
    pub(super) want: Option<Want>,
    /// When this process last gave up leadership.
    pub(super) left_at: Option<Instant>,
    /// When to try the store again.
    pub(super) store_again: Option<Instant>,
    /// Whether the last log line said that the store is unreachable.
    pub(super) store_said: bool,
    /// The sweep in progress.
    pub(super) sweeps: JoinSet<Report>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            ticked_at: Instant::now(),
            cron_at: None,
            is_cron_silent: false,
            running: None,
            owed: false,
            close: None,
            want: None,
            left_at: None,
            store_again: None,
            store_said: false,
            sweeps: JoinSet::new(),
        }
    }
}
