//! The API.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::ConfigError;
use super::layers::{Layers, Origin};

/// The API over HTTP.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where it is served; `None` for nowhere.
    pub listen: Option<SocketAddr>,
    /// Whether nobody chose that address, so that another port will do where it is taken.
    pub any_port: bool,
    /// Requests of one client in a second; 0 for as many as it likes.
    pub requests_per_second: usize,
    /// Connections at once, of all clients.
    pub connections: usize,
    /// Streams of one client at once.
    pub streams_per_client: usize,
    /// The origin whose pages may ask from a browser; `None` for this program's own alone.
    pub cors_origin: Option<String>,
    /// Proxies that are believed when they say from where a request comes.
    pub trusted_proxies: Vec<IpNet>,
}

pub(super) fn api(layers: &Layers) -> Result<ApiSettings, ConfigError> {
    Ok(ApiSettings {
        listen: listen(layers)?,
        any_port: layers.origin("api.listen") == Some(&Origin::Default),
        requests_per_second: layers.count("api.requests_per_second", 0..=1_000_000)?,
        connections: layers.count("api.connections", 1..=1_000_000)?,
        streams_per_client: layers.count("api.streams_per_client", 1..=1_000_000)?,
        cors_origin: layers.address("api.cors_origin")?,
        trusted_proxies: networks(layers, "api.trusted_proxies")?,
    })
}

/// Addresses and networks, separated by commas.
fn networks(layers: &Layers, key: &'static str) -> Result<Vec<IpNet>, ConfigError> {
    let texts = layers.text(key).split(',').map(str::trim);
    let texts = texts.filter(|text| !text.is_empty());
    let network = |text: &str| match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address.to_canonical())),
        Err(_) => text.parse().map_err(|_| {
            layers.refuse(
                key,
                "addresses and networks separated by commas, such as 127.0.0.1, 10.0.0.0/8",
            )
        }),
    };
    texts.map(network).collect()
}

fn listen(layers: &Layers) -> Result<Option<SocketAddr>, ConfigError> {
    let text = layers.text("api.listen");
    if text == "off" {
        return Ok(None);
    }
    let refuse = |allowed| layers.refuse("api.listen", allowed);
    let address: SocketAddr = text
        .parse()
        .map_err(|_| refuse("an address and port such as 127.0.0.1:8787, or off"))?;
    Ok(Some(address))
}
