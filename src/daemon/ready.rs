//! What a daemon does before its first sweep or its first answer.

use std::sync::Arc;

use super::{DaemonError, Options};
use crate::setup::Wiring;
use crate::universe::Loaded;
use sise_domain::grouped;
use sise_port::{CacheKeys as _, SourceError, StoreError};

/// Checks store, list, plan and token before the first sweep.
pub(super) async fn to_sweep(wiring: &Wiring, options: &Options) -> Result<(), DaemonError> {
    let Some(broker) = &wiring.broker else {
        return Err(DaemonError::NoCredentials);
    };
    if let Err(error) = wiring.sweep_store.ping().await {
        tracing::warn!("{error}; starting all the same, and writing as soon as it answers");
    }
    check_redis(wiring).await?;
    let loaded = load_list(wiring).await?;
    let codes = loaded.universe.len();
    refuse_gaps(wiring, codes, options.allow_gaps).await?;
    // Claimed only now, so that a daemon that was refused above holds no claim. If Redis is
    // unreachable, the first write finds out whether the prices are another broker's.
    if let Some(provenance) = &wiring.provenance
        && let Err(error @ StoreError::OtherBroker { .. }) = provenance.claim().await
    {
        return Err(error.into());
    }
    tracing::info!(
        codes,
        source = loaded.source,
        interval = %humantime::format_duration(wiring.settings.schedule.interval),
        // To two decimals, also in JSON.
        rate = (wiring.settings.kis.rate.per_second * 100.0).round() / 100.0,
        broker = broker.rest.base(),
        "sise starts"
    );
    let token = broker.auth.token().await;
    if broker.rest.is_simulated() == Some(true) {
        let address = broker.rest.base();
        tracing::warn!("{address} is a simulated broker: SIMULATED prices, no real quotes");
    }
    match token {
        Ok(_) => Ok(()),
        Err(error @ SourceError::Denied(_)) => Err(error.into()),
        // The schedule logs the ban with every run that it skips.
        Err(SourceError::Banned(_)) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "no access token yet; trying again with the first sweep");
            Ok(())
        }
    }
}

/// Checks the store, and reads the names of stocks, before the first answer.
pub(super) async fn to_serve(wiring: &Wiring) -> Result<(), DaemonError> {
    wiring.activity.set("serving the API".to_owned());
    if let Err(error) = wiring.sweep_store.ping().await {
        tracing::warn!(
            "{error}; serving all the same. Until it answers, prices come from the broker, if an \
             app key is set. Is this the Redis that the daemon writes to (REDIS_URL)?"
        );
    }
    check_redis(wiring).await?;
    wiring.know_names().await;
    Ok(())
}

/// Checks Redis before the first write: its kind, and the rights of its user.
///
/// Fails if Redis is of another kind than its address says, because waiting would not change that.
pub(crate) async fn check_redis(wiring: &Wiring) -> Result<(), DaemonError> {
    let Some(redis) = &wiring.redis else {
        return Ok(());
    };
    match redis.check_kind().await {
        Err(error @ StoreError::Refused { .. }) if redis.answers().await.is_ok() => {
            return Err(DaemonError::StoreKind(error));
        }
        // If Redis does not answer, the caller's ping reports the reason.
        Err(_) => return Ok(()),
        Ok(()) => {}
    }
    if let Err(error) = redis.rights().await {
        tracing::debug!(%error, "the rights in Redis are not known");
    }
    Ok(())
}

/// Loads the stock list that the settings name, uses it, and logs the notes of the loader.
pub(crate) async fn load_list(wiring: &Wiring) -> Result<Loaded, DaemonError> {
    let loaded = wiring.loader()?.load().await?;
    for note in &loaded.notes {
        tracing::warn!("{note}");
    }
    wiring.universe.store(Arc::new(loaded.universe.clone()));
    Ok(loaded)
}

/// Refuses a set-up that cannot keep its codes alive, and says what would work.
async fn refuse_gaps(wiring: &Wiring, codes: usize, allow_gaps: bool) -> Result<(), DaemonError> {
    let plan = wiring.planner().plan_ahead(codes).await;
    if plan.keeps_alive() {
        return Ok(());
    }
    let trouble = format!(
        "this set-up cannot keep its {} codes alive: {}",
        grouped(codes),
        plan.figures()
    );
    if allow_gaps {
        tracing::warn!("{trouble}; continuing because of --allow-gaps");
        return Ok(());
    }
    if wiring.settings.sweep.shared {
        tracing::warn!(
            "{trouble}, with this key alone; continuing, since others share the work (sweep.shared)"
        );
        return Ok(());
    }
    Err(DaemonError::Gaps(Box::new(plan)))
}
