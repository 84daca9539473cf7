//! Wires the broker's side together.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Adapters, KeyShare, SetupError};
use crate::broker::Broker;
use crate::config::Settings;
use sise_domain::{Calendar, Universe};
#[cfg(feature = "daemon")]
use sise_kis::{Approvals, KisTicks, WebSocket};
use sise_kis::{Auth, BanKeep, Bans, Bases, Caller, Credentials, Keep, KisQuotes, Rest};
use sise_pace::{Fallback, LocalBudget, Pacer};
use sise_port::TickSource;
use sise_port::clock::Clock;
use sise_store::{MemoryBans, MemoryTokens};

/// Returns app key and secret, if both are set.
pub(super) fn credentials(settings: &Settings) -> Option<Credentials> {
    Some(Credentials {
        app_key: settings.kis.app_key.clone()?,
        app_secret: settings.kis.app_secret.clone()?,
    })
}

/// Wires the broker's side; `None` without app key and secret.
pub(super) fn put_together(
    settings: &Settings,
    calendar: &Arc<ArcSwap<Calendar>>,
    universe: &Arc<ArcSwap<Universe>>,
    adapters: &Adapters,
) -> Result<Option<Broker>, SetupError> {
    let kis = &settings.kis;
    let Some(credentials) = credentials(settings) else {
        return Ok(None);
    };
    let clock = &adapters.clock;
    // A process that shares nothing keeps all of this in memory.
    let (key, fallback) = match adapters.key.clone() {
        Some(key) => {
            let (count, clock) = (Arc::clone(&key.count), Arc::clone(clock));
            let fallback = Fallback::new(kis.caps(), kis.share_without_redis, count, clock);
            (key, Some(fallback))
        }
        None => {
            let key = KeyShare {
                budget: Arc::new(LocalBudget::new(kis.caps(), Arc::clone(clock))),
                count: Arc::default(),
                tokens: Arc::new(MemoryTokens::default()),
                bans: Arc::new(MemoryBans::default()),
            };
            (key, None)
        }
    };
    let KeyShare {
        budget,
        tokens,
        bans,
        ..
    } = key;
    let pacer = Arc::new(Pacer::new(budget, fallback, kis.rate));
    let rest = (adapters.connect)(&kis.base_url, kis.timeout).and_then(|transport| {
        Rest::new(
            &kis.base_url,
            transport,
            Arc::clone(&pacer),
            Arc::clone(clock),
        )
    });
    let base = kis.base_url.trim_end_matches('/');
    let bans = Bans::new(
        BanKeep {
            shared: bans,
            file: adapters.ban_file.clone(),
            process: adapters.process.clone(),
            key: credentials.identity(base),
            credentials: credentials.secret_identity(base),
            recorder: Arc::clone(&adapters.recorder),
        },
        Arc::clone(clock),
    );
    let rest = rest.map_err(SetupError::Broker)?.keeping_to(Arc::new(bans));
    let rest = Arc::new(rest);
    let keep = Keep {
        shared: tokens,
        file: adapters.token_file.clone(),
        process: adapters.process.clone(),
    };
    let bases = Arc::new(Bases::default());
    let ticks = ticks(
        settings,
        calendar,
        universe,
        &bases,
        &rest,
        &credentials,
        clock,
    );
    let auth = Auth::new(Arc::clone(&rest), credentials, keep, Arc::clone(clock));
    let auth = Arc::new(auth.recorded_by(Arc::clone(&adapters.recorder)));
    let caller = Caller::new(Arc::clone(&rest), Arc::clone(&auth));
    let source = KisQuotes::new(
        caller.clone(),
        Arc::clone(calendar),
        Arc::clone(universe),
        bases,
        settings.calling(),
    );
    Ok(Some(Broker {
        pacer,
        rest,
        auth,
        caller,
        source: Arc::new(source),
        ticks,
    }))
}

/// Returns the source of the live feed; `None` if the settings turn it off.
#[cfg(feature = "daemon")]
fn ticks(
    settings: &Settings,
    calendar: &Arc<ArcSwap<Calendar>>,
    universe: &Arc<ArcSwap<Universe>>,
    bases: &Arc<Bases>,
    rest: &Arc<Rest>,
    credentials: &Credentials,
    clock: &Clock,
) -> Option<Arc<dyn TickSource>> {
    let address = settings.kis.ws_url.as_deref()?;
    if settings.feed.registrations == 0 {
        return None;
    }
    let approvals = Approvals::new(Arc::clone(rest), credentials.clone(), Arc::clone(clock));
    Some(Arc::new(KisTicks::new(
        Arc::new(WebSocket::new(address)),
        Arc::new(approvals),
        Arc::clone(calendar),
        Arc::clone(universe),
        Arc::clone(bases),
        Arc::clone(clock),
    )))
}

/// Returns `None`: a program that only reads prices has no live feed.
#[cfg(not(feature = "daemon"))]
fn ticks(
    _: &Settings,
    _: &Arc<ArcSwap<Calendar>>,
    _: &Arc<ArcSwap<Universe>>,
    _: &Arc<Bases>,
    _: &Arc<Rest>,
    _: &Credentials,
    _: &Clock,
) -> Option<Arc<dyn TickSource>> {
    None
}
