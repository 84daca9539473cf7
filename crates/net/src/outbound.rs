//! Outgoing HTTP: the set-up shared by all clients of this process.

use std::net::IpAddr;

use reqwest::{Client, ClientBuilder, Url, redirect};

use crate::tls;

/// Returns a builder of a client for the host of `url`. The caller adds time-outs.
///
/// All clients share one TLS provider. Mozilla's roots are added to those of the system, which a
/// container may lack. Redirects are not followed, because they could carry secrets elsewhere. A
/// proxy set in the environment is used, but not for this machine: the proxy would connect to its
/// own host.
pub fn client(url: &Url) -> ClientBuilder {
    tls::install_provider();
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("sise/", env!("CARGO_PKG_VERSION")));
    if url.scheme() == "https" {
        builder = tls::merge_roots(builder);
    }
    if is_this_machine(url) {
        builder = builder.no_proxy();
    }
    builder
}

fn is_this_machine(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        }
        Err(_) => {
            let name = host.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Url, is_this_machine};

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        for (url, is_here) in [
            ("http://localhost:9080", true),
            ("https://LOCALHOST./x", true),
            ("http://broker.localhost", true),
            ("http://127.0.0.1", true),
            ("http://127.1.2.3:80", true),
            ("http://0x7f000001/", true),
            ("http://0.0.0.0:80", true),
            ("http://[::1]:80", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://[::]", true),
            ("https://openapi.koreainvestment.com:9443", false),
            ("http://localhost.example.com", false),
            ("http://notlocalhost", false),
            ("http://10.0.0.1", false),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(is_this_machine(&Url::parse(url).unwrap()), is_here, "{url}");
        }
    }
}
