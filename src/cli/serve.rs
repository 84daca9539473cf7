//! `sise serve`

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::failure::{Failure, Outcome};
use crate::api::ApiServer;
use crate::config::Layers;
use crate::daemon;
use crate::setup::Parts;
use crate::telemetry;
use sise_domain::Role;
use sise_net::descriptors::Descriptors;
use sise_net::supervisor::Supervisor;

/// Interval at which the stock list is read again. Daemons replace it when they start and every
/// morning.
const LIST_EVERY: Duration = Duration::from_secs(60);

/// Number of ports to try after the default one if it is taken, which allows as many processes on
/// one machine.
const PORTS: u16 = 100;

/// Arguments of `sise serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {}

pub(super) async fn run(_arguments: ServeArguments, layers: Layers) -> Outcome {
    let (parts, scribe) = super::recorded(&layers)?;
    super::redis(&parts)?;
    let Some(listener) = listen(&parts).await? else {
        return Err(Failure::usage(
            "api.listen is off, so there is nothing to serve: set it to an address",
        ));
    };
    let metrics = telemetry::install_metrics()
        .map_err(|error| Failure::failed(format!("metrics cannot be started: {error}")))?;
    parts.activity.set("serving the API".to_owned());
    if let Err(error) = parts.sweep_store.ping().await {
        tracing::warn!(
            "{error}; serving all the same. Until it answers, prices come from the broker, if an \
             app key is set. Is this the Redis that the daemon writes to (REDIS_URL)?"
        );
    }
    super::look_at_redis(&parts).await?;
    parts.know_names().await;
    let parts = Arc::new(parts);
    let supervisor = Supervisor::default();
    let tasks = supervisor.tasks();
    let api = ApiServer::new(Arc::clone(&parts), None, metrics, tasks).with_alerts()?;
    api.check()
        .await
        .map_err(|error| Failure::usage(error.to_string()))?;
    let telling = Supervisor::default();
    scribe.start(telling.tasks());
    parts.attendance(Role::Reader, None).start(telling.tasks());
    api.start(listener);
    tasks.lasting("stock list", move |stop| {
        let parts = Arc::clone(&parts);
        async move { keep_names(&parts, &stop).await }
    });
    let ready = async { Ok::<_, Failure>(()) };
    let signal = daemon::run(ready, supervisor).await;
    telling.finish().await;
    Ok(signal?.exit_code())
}

/// Reads the stock list again at an interval, until `stop`.
async fn keep_names(parts: &Parts, stop: &CancellationToken) {
    let mut ticks = interval(LIST_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        parts.know_names().await;
    }
}

/// Returns the address of the page behind a listener, as a browser on this machine can open it.
pub(super) fn page(listener: SocketAddr) -> String {
    let mut address = listener;
    if address.ip().is_unspecified() {
        // The unspecified address stands for all of the machine's, and a browser cannot open it.
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}/")
}

/// Returns the listener of the API, or `None` if the API is off.
pub(super) async fn listen(parts: &Parts) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = parts.settings.api.listen else {
        return Ok(None);
    };
    if let Err(error) = Descriptors::raise() {
        // The API then serves fewer connections, and logs how many.
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let mut bound = TcpListener::bind(address).await;
    if parts.settings.api.any_port && is_taken(&bound) {
        bound = bind_next(address).await;
    }
    let listener = bound.map_err(|error| {
        Failure::failed(format!(
            "cannot listen on {address} for the API, health and metrics: {error}; set api.listen \
             (SISE__API__LISTEN) to another address, or to off"
        ))
    })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "API, health and metrics");
        tracing::info!("the market on one page: {}", page(address));
    }
    Ok(Some(listener))
}

fn is_taken(bound: &io::Result<TcpListener>) -> bool {
    matches!(bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse)
}

/// Listens on the first free port after that of `taken`.
async fn bind_next(taken: SocketAddr) -> io::Result<TcpListener> {
    let mut bound = Err(io::ErrorKind::AddrInUse.into());
    for port in (taken.port()..=u16::MAX).skip(1).take(PORTS.into()) {
        bound = TcpListener::bind((taken.ip(), port)).await;
        if !is_taken(&bound) {
            break;
        }
    }
    if let Ok(listener) = &bound
        && let Ok(address) = listener.local_addr()
    {
        tracing::warn!(
            "{taken} is taken, perhaps by another sise on this machine: serving on {address} \
             instead; set api.listen (SISE__API__LISTEN) for a port that stays the same"
        );
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_page_has_an_address_that_opens() {
        for (listener, wanted) in [
            ("127.0.0.1:8787", "http://127.0.0.1:8787/"),
            ("0.0.0.0:80", "http://127.0.0.1:80/"),
            ("[::]:8787", "http://[::1]:8787/"),
            ("192.168.1.2:8787", "http://192.168.1.2:8787/"),
        ] {
            assert_eq!(page(listener.parse().unwrap()), wanted);
        }
    }
}
