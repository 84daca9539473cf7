//! Client addresses of requests that come through trusted proxies.
//!
//! A proxy appends the address that it got a request from to `Forwarded` (RFC 7239) or
//! `X-Forwarded-For`. Anything before that may be made up by the client. Read from the end, the
//! first address that is not a trusted proxy is the client.
//!
//! It is not known which of the two headers a proxy writes, and the other one passes through as the
//! client sent it. For example, nginx writes `X-Forwarded-For` and passes `Forwarded` on; other
//! proxies do the reverse. Trusting either one would let a client choose its address. If both
//! headers are present and differ, or one is damaged, the client is treated as unknown: as neither
//! of the two addresses, nor as the proxy.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::HeaderMap;
use axum::http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address that stands for all clients whose address cannot be trusted. No connection comes
/// from it.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The trusted proxies.
#[derive(Debug, Clone)]
pub(super) struct Proxies {
    trusted: Vec<IpNet>,
}

impl Proxies {
    pub(super) fn new(trusted: &[IpNet]) -> Self {
        Self {
            trusted: trusted.to_vec(),
        }
    }

    /// Whether a trusted proxy is at this address.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Returns the client address of a request that came from `peer`.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.has(peer) {
            return peer;
        }
        let ways = [(FORWARDED, forwarded as Hops), (X_FORWARDED_FOR, listed)];
        let mut clients = ways.into_iter().filter_map(|(name, hops)| {
            // Each header line is parsed separately: a quote that a client left open ends with its
            // line.
            let lines = headers.get_all(name).iter();
            let hops: Vec<_> = lines
                .flat_map(|line| hops(line.to_str().unwrap_or_default()))
                .collect();
            (!hops.is_empty()).then(|| self.first_stranger(peer, hops))
        });
        match (clients.next(), clients.next()) {
            // The request came from the proxy's own host, or the proxy added no address.
            (None, _) => peer,
            (Some(client), None) => client,
            (Some(client), Some(other)) if client == other => client,
            (Some(_), Some(_)) => UNKNOWN,
        }
    }

    /// Returns the last address that is not a trusted proxy; if all are trusted, the first one.
    fn first_stranger(&self, peer: IpAddr, hops: Vec<Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for hop in hops.into_iter().rev() {
            if !self.has(client) {
                break;
            }
            match hop {
                Some(hop) => client = hop,
                None => return UNKNOWN,
            }
        }
        client
    }
}

/// Parses the addresses of a header, the client's first; `None` for anything that is not an
/// address.
type Hops = fn(&str) -> Vec<Option<IpAddr>>;

/// Parses the addresses of `X-Forwarded-For`.
fn listed(value: &str) -> Vec<Option<IpAddr>> {
    value.split(',').map(address).collect()
}

/// Parses the addresses of `Forwarded`.
fn forwarded(value: &str) -> Vec<Option<IpAddr>> {
    let Some(elements) = parts(value, ',') else {
        return vec![None];
    };
    let of_client = |element: String| {
        parts(&element, ';')?.iter().find_map(|pair| {
            let (name, node) = pair.split_once('=')?;
            let is_for = name.trim().eq_ignore_ascii_case("for");
            is_for.then(|| address(&unquoted(node.trim())))?
        })
    };
    elements.into_iter().map(of_client).collect()
}

/// Splits at separators outside quoted text. Returns `None` if a quote is left open, because it
/// swallows what the proxy added after it.
fn parts(value: &str, separator: char) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let (mut is_quoted, mut is_escaped) = (false, false);
    for letter in value.chars() {
        if letter == separator && !is_quoted {
            parts.push(String::new());
            continue;
        }
        is_quoted ^= letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && is_quoted && !is_escaped;
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    (!is_quoted).then_some(parts)
}

/// Removes the quotes of a text. Addresses contain no escapes.
fn unquoted(text: &str) -> String {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text).to_owned()
}

/// Parses an address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`,
/// `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => address,
            _ => text,
        },
    };
    let address: IpAddr = bare.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const PEER: &str = "127.0.0.1";
    const NOBODY: &str = "0.0.0.0";

    fn client(trusted: &[&str], peer: &str, lines: &[(&'static str, &str)]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let peer = peer.parse().unwrap();
        Proxies::new(&trusted).client(peer, &headers).to_string()
    }

    #[test]
    fn nobody_is_believed_but_a_trusted_proxy() {
        let lines = [("x-forwarded-for", "192.0.2.1")];
        assert_eq!(client(&[], PEER, &lines), PEER);
        assert_eq!(client(&["10.0.0.0/8"], PEER, &lines), PEER);
        assert_eq!(client(&["127.0.0.1/32"], PEER, &lines), "192.0.2.1");
        assert_eq!(client(&["127.0.0.1/32"], PEER, &[]), PEER);
        // As a listener on `[::]` sees the address.
        assert_eq!(
            client(&["127.0.0.0/8"], "::ffff:127.0.0.1", &lines),
            "192.0.2.1"
        );
    }

    #[test]
    fn the_client_is_the_last_that_is_no_trusted_proxy() {
        let trusted = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"];
        for (name, value, expected) in [
            ("x-forwarded-for", "198.51.100.9, 192.0.2.1", "192.0.2.1"),
            (
                "x-forwarded-for",
                "198.51.100.9, 192.0.2.1, 10.0.0.2",
                "192.0.2.1",
            ),
            ("x-forwarded-for", "192.0.2.1:4711", "192.0.2.1"),
            ("x-forwarded-for", "2001:db8::7,fd00::1", "2001:db8::7"),
            ("x-forwarded-for", "[2001:db8::7]:80", "2001:db8::7"),
            // All are trusted: the first one is the client.
            ("x-forwarded-for", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            // An address that a proxy withholds is not guessed.
            ("x-forwarded-for", "192.0.2.1, unknown", NOBODY),
            ("x-forwarded-for", "192.0.2.1, nonsense, 10.0.0.2", NOBODY),
            ("x-forwarded-for", "nonsense, 192.0.2.1", "192.0.2.1"),
            ("x-forwarded-for", "", NOBODY),
            ("forwarded", "for=192.0.2.1", "192.0.2.1"),
            (
                "forwarded",
                "For=\"192.0.2.1:80\";proto=https;by=10.0.0.2",
                "192.0.2.1",
            ),
            (
                "forwarded",
                "for=198.51.100.9, for=\"[2001:db8::7]:80\"",
                "2001:db8::7",
            ),
            (
                "forwarded",
                "for=192.0.2.1;host=\"a,b;for=1.2.3.4\", for=10.1.1.1",
                "192.0.2.1",
            ),
            ("forwarded", "for=192.0.2.1;host=\"a\\\",b\"", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1, for=_hidden", NOBODY),
            ("forwarded", "proto=https", NOBODY),
            // The proxy appended its address to a quote that the client left open.
            ("forwarded", "for=\"127.0.0.1, for=192.0.2.1", NOBODY),
            ("forwarded", "for=\"192.0.2.1", NOBODY),
            (
                "forwarded",
                "for=198.51.100.9;host=\"x, for=192.0.2.1",
                NOBODY,
            ),
        ] {
            assert_eq!(
                client(&trusted, PEER, &[(name, value)]),
                expected,
                "{value}"
            );
        }
        // In the order of the lines.
        let lines = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "10.0.0.2"),
        ];
        assert_eq!(client(&trusted, PEER, &lines), "192.0.2.1");
        let lines = [
            ("forwarded", "for=\"127.0.0.1"),
            ("forwarded", "for=192.0.2.1"),
        ];
        assert_eq!(client(&trusted, PEER, &lines), "192.0.2.1");
    }

    #[test]
    fn a_client_cannot_say_it_is_another_in_the_header_that_the_proxy_does_not_write() {
        let trusted = ["127.0.0.1/32"];
        // The client is taken for neither another client, nor the proxy, nor a program on the
        // proxy's host.
        for (by_client, by_proxy) in [
            ("for=198.51.100.9", "192.0.2.1"),
            ("for=127.0.0.1", "192.0.2.1"),
            ("for=\"192.0.2.1", "192.0.2.1"),
            ("for=unknown", "192.0.2.1"),
            ("", "192.0.2.1"),
            ("for=192.0.2.1", "198.51.100.9"),
            ("for=192.0.2.1", "127.0.0.1"),
            ("for=192.0.2.1", "nonsense"),
        ] {
            let lines = [("forwarded", by_client), ("x-forwarded-for", by_proxy)];
            assert_eq!(client(&trusted, PEER, &lines), NOBODY, "{lines:?}");
        }
        let both = [
            ("forwarded", "for=192.0.2.1"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(client(&trusted, PEER, &both), "192.0.2.1");
    }
}
