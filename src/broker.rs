//! The broker's side of a process.

use std::fmt;
use std::sync::Arc;

use crate::provenance::Identify;
use sise_domain::BrokerIdentity;
use sise_kis::{Auth, Caller, KisQuotes, Rest};
use sise_pace::Pacer;
use sise_port::TickSource;

/// The broker's side, which exists only if app key and secret are set.
#[derive(Clone)]
pub struct Broker {
    /// Paces the calls.
    pub pacer: Arc<Pacer>,
    /// Sends requests.
    pub rest: Arc<Rest>,
    /// Keeps the access token.
    pub auth: Arc<Auth>,
    /// Makes calls with the token.
    pub caller: Caller,
    /// Fetches prices.
    pub source: Arc<KisQuotes>,
    /// Streams trades, if the host has a live feed.
    pub ticks: Option<Arc<dyn TickSource>>,
}

impl Broker {
    /// Returns a function that gives `identity`, and whether the broker has shown itself as simulated.
    #[must_use]
    pub fn identify(&self, identity: BrokerIdentity) -> Identify {
        let rest = Arc::clone(&self.rest);
        Arc::new(move || BrokerIdentity {
            simulated: rest.is_simulated(),
            ..identity.clone()
        })
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}
