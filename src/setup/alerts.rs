//! The board, and the alerts of what changes on it, put together.

use std::sync::Arc;

use super::{Parts, SetupError};
use crate::alerts::{self, Alerts, Webhook};
use crate::board::{self, Keeper, Onlooker, QuoteBoard};
use crate::leadership::{Candidate, Duty};
use crate::port::StoreError;

impl Parts {
    /// Where alerts are posted; `None` where the settings name nothing.
    ///
    /// # Errors
    ///
    /// The TLS set-up of the machine is unusable.
    pub fn webhook(&self) -> Result<Option<Webhook>, SetupError> {
        let settings = &self.settings.alerts;
        let Some(url) = settings.webhook_url.clone() else {
            return Ok(None);
        };
        let clock = Arc::clone(&self.clock);
        let webhook = Webhook::new(url, settings.webhook_secret.clone(), clock);
        Ok(Some(webhook.map_err(SetupError::Webhook)?))
    }

    /// Who watches for alerts, if anybody does.
    ///
    /// # Errors
    ///
    /// The lease cannot be reached.
    pub async fn alert_watcher(&self) -> Result<Option<String>, StoreError> {
        let Some(lease) = &self.alert_lease else {
            return Ok(None);
        };
        Ok(lease.leader().await?.map(|leader| leader.process))
    }

    /// Keeps `board` as the store is, and tells `onlookers` of what changes on it.
    #[must_use]
    pub fn keeper(&self, board: &Arc<QuoteBoard>, onlookers: Vec<Arc<dyn Onlooker>>) -> Keeper {
        Keeper::new(board::Parts {
            board: Arc::clone(board),
            store: Arc::clone(&self.sweep_store),
            index_store: Arc::clone(&self.indices),
            changes: Arc::clone(&self.changes),
            universe: Arc::clone(&self.universe),
            clock: Arc::clone(&self.clock),
            onlookers,
        })
    }

    /// Watches what changes on `board` by the rules that are kept; in a trial that is `always_open`
    /// at any hour. Its onlooker is to be told by the board's keeper.
    ///
    /// # Errors
    ///
    /// As [`Parts::webhook`].
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
            changes: Arc::clone(&self.changes),
            recorder: Arc::clone(&self.recorder),
            sweeps: self.lease.clone(),
            candidate,
            webhook: self.webhook()?.map(Arc::new),
        }))
    }
}
