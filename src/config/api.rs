//! Settings of the API.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::ConfigError;
use super::raw::{Origin, RawSettings};

/// Settings of the API over HTTP.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Address to serve it on; `None` if it is off.
    pub listen: Option<SocketAddr>,
    /// Whether the address is the default, so that another port will do if it is taken.
    pub any_port: bool,
    /// Maximum number of requests of one client per second; 0 for no limit.
    pub requests_per_second: usize,
    /// Maximum number of open connections of all clients.
    pub connections: usize,
    /// Maximum number of open streams of one client.
    pub streams_per_client: usize,
    /// Origin whose pages may use the API in a browser; `None` for the own page only.
    pub cors_origin: Option<String>,
    /// Proxies that are trusted to name the client of a request.
    pub trusted_proxies: Vec<IpNet>,
}

pub(super) fn api(raw: &RawSettings) -> Result<ApiSettings, ConfigError> {
    Ok(ApiSettings {
        listen: listen(raw)?,
        any_port: raw.origin("api.listen") == Some(&Origin::Default),
        requests_per_second: raw.count("api.requests_per_second", 0..=1_000_000)?,
        connections: raw.count("api.connections", 1..=1_000_000)?,
        streams_per_client: raw.count("api.streams_per_client", 1..=1_000_000)?,
        cors_origin: raw.address("api.cors_origin")?,
        trusted_proxies: networks(raw, "api.trusted_proxies")?,
    })
}

/// Parses addresses and networks, separated by commas.
fn networks(raw: &RawSettings, key: &'static str) -> Result<Vec<IpNet>, ConfigError> {
    let texts = raw.text(key).split(',').map(str::trim);
    let texts = texts.filter(|text| !text.is_empty());
    let network = |text: &str| match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address.to_canonical())),
        Err(_) => text.parse().map_err(|_| {
            raw.refuse(
                key,
                "addresses and networks separated by commas, such as 127.0.0.1, 10.0.0.0/8",
            )
        }),
    };
    texts.map(network).collect()
}

fn listen(raw: &RawSettings) -> Result<Option<SocketAddr>, ConfigError> {
    let text = raw.text("api.listen");
    if text == "off" {
        return Ok(None);
    }
    let refuse = |allowed| raw.refuse("api.listen", allowed);
    let address: SocketAddr = text
        .parse()
        .map_err(|_| refuse("an address and port such as 127.0.0.1:8787, or off"))?;
    Ok(Some(address))
}
