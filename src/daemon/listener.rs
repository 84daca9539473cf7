//! The listener of the API.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

use super::DaemonError;
use crate::config::ApiSettings;
use sise_net::descriptors::Descriptors;

/// Number of ports to try after the default one if it is taken, which allows as many processes on
/// one machine.
const PORTS: u16 = 100;

/// Binds the listener of the API; `None` if the API is off.
pub(super) async fn bind(settings: &ApiSettings) -> Result<Option<TcpListener>, DaemonError> {
    let Some(address) = settings.listen else {
        return Ok(None);
    };
    if let Err(error) = Descriptors::raise() {
        // The API then serves fewer connections, and logs how many.
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let mut bound = TcpListener::bind(address).await;
    if settings.any_port && is_taken(&bound) {
        bound = bind_next(address).await;
    }
    let listener = bound.map_err(|error| DaemonError::Listen { address, error })?;
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
