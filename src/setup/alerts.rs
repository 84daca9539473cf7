//! Wires the board and its alerts together.

use std::sync::Arc;

use super::{SetupError, Wiring};
use crate::alerts::{self, Alerts, Outlooks, Webhook};
use crate::board::{self, QuoteBoard};
use crate::leadership::{Candidate, Duty};
use crate::watch::WatchLists;

impl Wiring {
    /// Returns the webhook for alerts; `None` if the settings name none.
    ///
    /// # Errors
    ///
    /// Returns an error if the TLS set-up of the machine is unusable.
    pub fn webhook(&self) -> Result<Option<Webhook>, SetupError> {
        let settings = &self.settings.alerts;
        let Some(url) = settings.webhook_url.clone() else {
            return Ok(None);
        };
        let clock = Arc::clone(&self.clock);
        let webhook = Webhook::new(url, settings.webhook_secret.clone(), clock);
        Ok(Some(webhook.map_err(SetupError::Webhook)?))
    }

    /// Returns what the outlooks of alert rules are gathered from.
    #[must_use]
    pub fn outlooks(&self) -> Outlooks {
        Outlooks {
            clock: Arc::clone(&self.clock),
            calendar: Arc::clone(&self.calendar),
            universe: Arc::clone(&self.universe),
            lists: WatchLists::new(&self.cache),
            store: Arc::clone(&self.reader_store),
            lease: self.alert_lease.clone(),
            interval_s: self.settings.schedule.interval.as_secs(),
        }
    }

    /// Returns what a keeper needs to update `board` from the store. It has no onlookers yet.
    #[must_use]
    pub fn board(&self, board: &Arc<QuoteBoard>) -> board::Parts {
        board::Parts {
            board: Arc::clone(board),
            store: Arc::clone(&self.sweep_store),
            index_store: Arc::clone(&self.indices),
            changes: Arc::clone(&self.changes),
            universe: Arc::clone(&self.universe),
            clock: Arc::clone(&self.clock),
            onlookers: Vec::new(),
        }
    }

    /// Returns the alerts for `board`, by the stored rules.
    ///
    /// With `always_open`, for trials, they ignore the calendar. The caller must pass their
    /// onlooker to the keeper of the board.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Wiring::webhook`].
    pub fn alerts(&self, board: &Arc<QuoteBoard>, always_open: bool) -> Result<Alerts, SetupError> {
        let candidate = self.alert_lease.as_ref().map(|lease| {
            let life = self.settings.schedule.lease;
            let clock = Arc::clone(&self.clock);
            let candidate = Candidate::new(Arc::clone(lease), self.process.clone(), life, clock);
            Arc::new(candidate.for_duty(Duty::Alerts))
        });
        Ok(Alerts::new(alerts::Parts {
            board: Arc::clone(board),
            universe: Arc::clone(&self.universe),
            calendar: Arc::clone(&self.calendar),
            always_open,
            clock: Arc::clone(&self.clock),
            life: self.settings.store.ttl,
            cache: self.cache.clone(),
            bulk_cache: self.bulk_cache.clone(),
            changes: Arc::clone(&self.changes),
            recorder: Arc::clone(&self.recorder),
            sweeps: self.lease.clone(),
            candidate,
            webhook: self.webhook()?.map(Arc::new),
        }))
    }
}
