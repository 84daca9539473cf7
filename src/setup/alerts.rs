//! Wires the board and its alerts together.

use std::sync::Arc;

use super::{Parts, SetupError};
use crate::alerts::{self, Alerts, Outlook, Webhook};
use crate::board::{self, Keeper, Onlooker, QuoteBoard};
use crate::leadership::{Candidate, Duty};
use crate::watch::WatchLists;
use sise_cache::CacheError;
use sise_domain::{Scope, Symbol, Terms};
use sise_port::StoreError;

/// An error while the outlook of a rule is gathered.
#[derive(Debug, thiserror::Error)]
pub enum OutlookError {
    /// The watch list could not be read.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The prices could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Parts {
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

    /// Returns the name of the process that watches for alerts, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the lease cannot be read.
    pub async fn alert_watcher(&self) -> Result<Option<String>, StoreError> {
        let Some(lease) = &self.alert_lease else {
            return Ok(None);
        };
        Ok(lease.leader().await?.map(|leader| leader.process))
    }

    /// Returns the outlook of a rule with these terms, by the present prices.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses the command.
    pub async fn outlook(&self, terms: &Terms) -> Result<Outlook, OutlookError> {
        let universe = self.universe.load();
        let codes: Vec<Symbol> = match &terms.of {
            _ if !terms.when.is_of_stocks() => Vec::new(),
            Scope::List(list) => {
                let on_it = WatchLists::new(&self.cache).codes(list).await?;
                on_it.into_keys().collect()
            }
            Scope::Codes(codes) => codes.clone(),
            Scope::Market => universe.symbols().collect(),
        };
        let is_unlisted = |code: &&Symbol| !universe.is_empty() && universe.get(**code).is_none();
        let prices = self.reader_store.realtime(&codes).await?;
        let moment = self.calendar.load().moment((self.clock)());
        Ok(Outlook {
            unlisted: codes.iter().filter(is_unlisted).copied().collect(),
            live: prices.into_iter().flatten().map(|quote| *quote).collect(),
            watcher: self.alert_watcher().await?,
            closed: moment.closed.as_ref().map(ToString::to_string),
            interval_s: self.settings.schedule.interval.as_secs(),
            codes,
        })
    }

    /// Returns the keeper that updates `board` from the store and notifies `onlookers`.
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

    /// Returns the alerts for `board`, by the stored rules.
    ///
    /// With `always_open`, for trials, they ignore the calendar. The caller must pass their
    /// onlooker to the keeper of the board.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Parts::webhook`].
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
