//! What the loop remembers between ticks.

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::decision::Due;
use super::taking::Taking;
use super::want::Want;
use crate::sweep::Report;
use sise_domain::KrxTime;

/// A run that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) due: Due,
    /// Codes that are asked for.
    pub(super) codes: usize,
    pub(super) started_at: KrxTime,
    /// The same by the monotonic clock.
    pub(super) began: Instant,
}

/// What the loop remembers between ticks, and the sweep that it owns.
pub(super) struct State {
    /// The last tick of any kind, by the monotonic clock.
    pub(super) ticked_at: Instant,
    /// The last tick of the cron loop that counted.
    pub(super) cron_at: Option<Instant>,
    /// The cron loop has missed its ticks.
    pub(super) is_cron_silent: bool,
    /// The run that is under way.
    pub(super) running: Option<Run>,
    /// A tick came while a sweep was running; it is made up for once, at its end.
    pub(super) owed: bool,
    /// The close of the day, as far as this process took it or knows it taken.
    pub(super) close: Option<Taking>,
    /// The passes for want of a close, out of session.
    pub(super) want: Option<Want>,
    /// When this process left the lead to another one last.
    pub(super) left_at: Option<Instant>,
    /// When to look for the store again.
    pub(super) store_again: Option<Instant>,
    /// Whether its being away was said, and nothing else since.
    pub(super) store_said: bool,
    /// The sweep that is under way.
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
