//! The bare Redis client that everything is based on.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, IntoConnectionInfo as _};

use super::Outcome;

/// Creates the bare client with the settings that sise uses.
pub(crate) fn bare(redis_url: &str) -> Outcome<ConnectionManager> {
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(socket2::TcpKeepalive::new().with_time(Duration::from_secs(15)));
    let info = redis_url.into_connection_info()?.set_tcp_settings(tcp);
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(Duration::from_millis(100)))
        .set_response_timeout(Some(Duration::from_millis(100)));
    Ok(ConnectionManager::new_lazy_with_config(
        Client::open(info)?,
        config,
    )?)
}
