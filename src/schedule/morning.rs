//! Preparations before the open: calendar, stock list and token.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::gauge;

use super::Parts;
use crate::universe::Loader;
use sise_domain::KrxTime;
use sise_kis::BrokerDay;

/// Prepares the day.
pub(super) struct Morning {
    pub(super) parts: Arc<Parts>,
    pub(super) loader: Loader,
    /// The number of watched codes.
    pub(super) watched: Arc<AtomicUsize>,
}

impl Morning {
    /// Prepares calendar, stock list and token before the open.
    pub(super) async fn reload(&self) {
        let now = (self.parts.clock)();
        self.check_calendar(now).await;
        if !self.parts.calendar.load().is_trading_day(now.date_naive()) {
            let moment = self.parts.calendar.load().moment(now);
            let why = moment
                .closed
                .map(|closed| closed.to_string())
                .unwrap_or_default();
            tracing::info!(reason = %why, "stock list not reloaded: no trading today");
            return;
        }
        match self.loader.load().await {
            Ok(loaded) => {
                for note in &loaded.notes {
                    tracing::warn!("{note}");
                }
                let codes = loaded.universe.len();
                tracing::info!(codes, source = loaded.source, "stock list loaded");
                gauge!("sise_universe_codes").set(u32::try_from(codes).unwrap_or(u32::MAX));
                let watched = self.watched.load(Ordering::Relaxed);
                let plan = self.parts.planner.plan(codes, watched);
                if !plan.keeps_alive() {
                    tracing::error!(
                        codes,
                        "prices of this list would expire between two sweeps: see `sise plan`"
                    );
                }
                self.parts.universe.store(Arc::new(loaded.universe));
            }
            Err(error) => tracing::error!(%error, "stock list not reloaded; the one in use stays"),
        }
        if let Some(broker) = &self.parts.broker
            && let Err(error) = broker.auth.token().await
        {
            tracing::error!(%error, "no access token for the day yet");
        }
    }

    /// Compares the calendar with the broker's, reads the override file, and warns if the calendar
    /// ends soon.
    pub(super) async fn check_calendar(&self, now: KrxTime) {
        let today = now.date_naive();
        match self.parts.calendar.check(today).await {
            Ok(differing) => {
                for BrokerDay { date, is_open } in differing {
                    tracing::warn!(
                        %date, is_open,
                        "the broker's calendar differs from the shipped one and is followed, unless \
                         the override file says otherwise"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the broker's calendar could not be read; the calendar in use stays")
            }
        }
        if let Err(error) = self.parts.calendar.reload().await {
            tracing::error!(%error, "the calendar override file is not used; the calendar in use stays");
        }
        if let Some(warning) = self.parts.calendar.load().cover_warning(today) {
            tracing::warn!("{warning}");
        }
    }
}
