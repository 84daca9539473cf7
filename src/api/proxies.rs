//! Whose a request is that comes through proxies: what trusted ones say of where it came from.
//!
//! A proxy adds the address that it got a request from at the end of `Forwarded` (RFC 7239) or of
//! `X-Forwarded-For`; whatever stands before that a client may have made up. Read from the end, the
//! first address that is no trusted proxy's is the client's.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies that are believed.
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

    /// From where a request comes that came from `peer`.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.has(peer) {
            return peer;
        }
        let ways = [(FORWARDED, forwarded as Hops), (X_FORWARDED_FOR, listed)];
        let mut clients = ways.into_iter().filter_map(|(name, hops)| {
            let lines: Vec<&str> = headers
                .get_all(name)
                .iter()
                .map(|line| line.to_str().unwrap_or_default())
                .collect();
            (!lines.is_empty()).then(|| self.first_stranger(peer, hops(&lines.join(","))))
        });
        match (clients.next(), clients.next()) {
            (Some(client), None) => client,
            // A proxy writes one of the two, and lets a client write the other.
            (Some(client), Some(other)) if client == other => client,
            _ => peer,
        }
    }

    /// The last address that is no trusted proxy's; the proxy's own where it does not say one.
    fn first_stranger(&self, peer: IpAddr, hops: Vec<Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for hop in hops.into_iter().rev() {
            match hop {
                Some(hop) if self.has(client) => client = hop,
                _ => break,
            }
        }
        client
    }
}

/// The addresses of a header, the client's first; `None` for what is no address.
type Hops = fn(&str) -> Vec<Option<IpAddr>>;

/// Those of `X-Forwarded-For`.
fn listed(value: &str) -> Vec<Option<IpAddr>> {
    value.split(',').map(address).collect()
}

/// Those of `Forwarded`.
fn forwarded(value: &str) -> Vec<Option<IpAddr>> {
    let elements = parts(value, ',');
    let of_client = |element: String| {
        parts(&element, ';').iter().find_map(|pair| {
            let (name, node) = pair.split_once('=')?;
            let is_for = name.trim().eq_ignore_ascii_case("for");
            is_for.then(|| address(&unquoted(node.trim())))?
        })
    };
    elements.into_iter().map(of_client).collect()
}

/// What stands between the separators that are in no quoted text.
fn parts(value: &str, separator: char) -> Vec<String> {
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
    parts
}

/// A text without its quotes; in an address nothing is escaped.
fn unquoted(text: &str) -> String {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text).to_owned()
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
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
        // As a listener on [::] sees it.
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
            // All are trusted: the first of them is who asks.
            ("x-forwarded-for", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            // What a proxy does not say is not guessed.
            ("x-forwarded-for", "192.0.2.1, unknown", PEER),
            (
                "x-forwarded-for",
                "192.0.2.1, nonsense, 10.0.0.2",
                "10.0.0.2",
            ),
            ("x-forwarded-for", "", PEER),
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
            ("forwarded", "for=192.0.2.1, for=_hidden", PEER),
            ("forwarded", "proto=https", PEER),
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
    }

    #[test]
    fn a_client_cannot_say_it_is_another_in_the_header_that_the_proxy_does_not_write() {
        let trusted = ["127.0.0.1/32"];
        let made_up = [
            ("forwarded", "for=198.51.100.9"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(client(&trusted, PEER, &made_up), PEER);
        let both = [
            ("forwarded", "for=192.0.2.1"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(client(&trusted, PEER, &both), "192.0.2.1");
    }
}
