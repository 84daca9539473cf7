//! Which pages of a browser may ask where no access token is asked for: none but the program's own, and
//! those of the one origin that the settings name.
//!
//! A browser lets any page open a WebSocket, and a page whose name was made to mean this machine
//! (DNS rebinding) ask anything. Programs that are no browsers name no origin.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;

use super::problem::{Kind, Problem};

/// Refuses a request to a name that is not this machine's own, nor that of the origin which is `allowed`.
pub(super) fn check_host(headers: &HeaderMap, allowed: Option<&str>) -> Result<(), Problem> {
    let Some(host) = headers.get(HOST) else {
        return Ok(());
    };
    let authority = host.to_str().ok().and_then(|host| host.parse().ok());
    let is_own = authority.as_ref().is_some_and(is_loopback);
    let is_allowed = || {
        let allowed = allowed.and_then(|origin| origin.split_once("://"));
        allowed.is_some_and(|(_, name)| host.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
    };
    if is_own || is_allowed() {
        return Ok(());
    }
    let why = "where no access token is asked for, requests are to 127.0.0.1, [::1] or localhost: \
               let a proxy send such a header Host, or set api.cors_origin to the origin of its pages";
    Err(Kind::Forbidden.because(why))
}

/// Refuses a stream to a page of another origin than its own and the one that is `allowed`.
pub(super) fn check_origin(headers: &HeaderMap, allowed: Option<&str>) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let text = |name| headers.get(name)?.to_str().ok();
    let is_own = || {
        let name = text(ORIGIN)?.split_once("://")?.1;
        Some(name.eq_ignore_ascii_case(text(HOST)?))
    };
    let is_allowed = allowed.is_some_and(|allowed| origin.as_bytes() == allowed.as_bytes());
    if is_allowed || is_own() == Some(true) {
        return Ok(());
    }
    let why = "a page of another origin may not open a stream: set api.cors_origin to its origin";
    Err(Kind::Forbidden.because(why))
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const ALLOWED: Option<&str> = Some("https://sise.example.com");

    fn headers(host: &'static str, origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn a_name_that_is_not_this_machines_own_is_refused() {
        for good in [
            "127.0.0.1:8787",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]:8787",
            "localhost:8787",
            "LocalHost",
            "sise.localhost:8787",
            "sise.example.com",
        ] {
            assert!(check_host(&headers(good, None), ALLOWED).is_ok(), "{good}");
        }
        for bad in [
            "rebound.example:8787",
            "127.0.0.1.example.com",
            "localhost.example.com:8787",
            "10.0.0.1:8787",
            "not a host",
            "",
        ] {
            assert!(check_host(&headers(bad, None), ALLOWED).is_err(), "{bad}");
        }
        assert!(check_host(&headers("sise.example.com", None), None).is_err());
        assert!(check_host(&HeaderMap::new(), None).is_ok());
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let check = |origin, allowed| check_origin(&headers("127.0.0.1:8787", origin), allowed);
        assert!(check(None, None).is_ok());
        assert!(check(Some("http://127.0.0.1:8787"), None).is_ok());
        assert!(check(Some("https://sise.example.com"), ALLOWED).is_ok());
        for bad in [
            "http://evil.example",
            "http://127.0.0.1:3000",
            "https://sise.example.com.evil.example",
            "null",
        ] {
            assert!(check(Some(bad), ALLOWED).is_err(), "{bad}");
        }
        assert!(check(Some("https://sise.example.com"), None).is_err());
    }
}
