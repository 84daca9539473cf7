//! What schedule, status and API work with.

use std::sync::Arc;

use super::{SetupError, Wiring};
use crate::api;
use crate::schedule::{self, Timetable};
use crate::status::{self, Reasons};
use sise_port::Ledger;

impl Wiring {
    /// Returns what the schedule works with.
    ///
    /// # Errors
    ///
    /// Returns an error if the interval cannot be expressed in cron.
    pub fn schedule(&self) -> Result<schedule::Parts, SetupError> {
        let settings = &self.settings;
        Ok(schedule::Parts {
            clock: Arc::clone(&self.clock),
            own_clock: self.own_clock(),
            calendar: Arc::clone(&self.calendar_in_use),
            universe: Arc::clone(&self.universe),
            broker: self.broker.clone(),
            store: Arc::clone(&self.sweep_store),
            redis: self.redis.clone(),
            records: Arc::clone(&self.records),
            recorder: Arc::clone(&self.recorder),
            closes: self.closes(),
            movers: self.movers(),
            watched: Arc::clone(&self.watched),
            traded: Arc::clone(&self.traded),
            activity: self.activity.clone(),
            origin: self.origin(),
            planner: self.planner(),
            key: self.app_key_digest(),
            shares_sweeps: self.work.is_some(),
            timetable: self.timetable()?,
            interval: settings.schedule.interval,
            watch_interval: settings.watch.interval,
            gap_below: settings.journal.gap_below,
            ping_url: settings.journal.ping_url.clone(),
        })
    }

    /// Returns what the status is gathered from.
    ///
    /// # Errors
    ///
    /// Returns an error if the interval cannot be expressed in cron.
    pub fn status(&self) -> Result<status::Parts, SetupError> {
        let settings = &self.settings;
        Ok(status::Parts {
            clock: Arc::clone(&self.clock),
            calendar: Arc::clone(&self.calendar),
            universe: Arc::clone(&self.universe),
            store: Arc::clone(&self.sweep_store),
            records: Arc::clone(&self.records),
            closes: self.closes(),
            lease: self.lease.clone(),
            redis: self.redis.clone(),
            origin: self.origin(),
            key: self.app_key_digest(),
            caps: settings.kis.caps(),
            rate_per_second: settings.kis.rate.per_second,
            timetable: self.timetable()?,
            interval: settings.schedule.interval,
            gap_below: settings.journal.gap_below,
        })
    }

    /// Returns what is known of codes without a price.
    #[must_use]
    pub fn reasons(&self) -> Reasons {
        let ledger = self.redis.clone();
        Reasons {
            universe: Arc::clone(&self.universe),
            selection: self.settings.universe.selection,
            ledger: ledger.map(|redis| redis as Arc<dyn Ledger>),
            has_broker: self.broker.is_some(),
        }
    }

    /// Returns what the API answers from.
    ///
    /// # Errors
    ///
    /// Returns an error if the interval cannot be expressed in cron.
    pub fn api(&self) -> Result<api::Parts, SetupError> {
        let settings = &self.settings;
        Ok(api::Parts {
            clock: Arc::clone(&self.clock),
            calendar: Arc::clone(&self.calendar),
            universe: Arc::clone(&self.universe),
            broker: self.broker.clone(),
            reader: self.reader(),
            store: Arc::clone(&self.reader_store),
            redis: self.redis.clone(),
            indices: Arc::clone(&self.indices),
            records: Arc::clone(&self.records),
            cache: self.cache.clone(),
            bulk_cache: self.bulk_cache.clone(),
            reads: self.reads.clone(),
            movers: self.movers(),
            origin: self.origin(),
            reasons: self.reasons(),
            outlooks: self.outlooks(),
            status: self.status()?,
            sweeper: self.sweeper(None),
            limits: api::Limits {
                listen: settings.api.listen,
                requests_per_second: settings.api.requests_per_second,
                connections: settings.api.connections,
                streams_per_client: settings.api.streams_per_client,
                cors_origin: settings.api.cors_origin.clone(),
                trusted_proxies: settings.api.trusted_proxies.clone(),
            },
            ttl: settings.store.ttl,
            rate_per_second: settings.kis.rate.per_second,
            interval: settings.schedule.interval,
        })
    }

    fn timetable(&self) -> Result<Timetable, SetupError> {
        let schedule = &self.settings.schedule;
        Timetable::new(schedule.interval, schedule.reload_at).map_err(SetupError::Schedule)
    }
}
