//! Checks of which browser pages may use the API when no access token is required: the program's
//! own, and those of the one origin in the settings.
//!
//! A browser lets any page open a WebSocket. With DNS rebinding, a page whose name resolves to this
//! machine can send any request. Programs other than browsers send no origin.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Version};

use super::problem::{Kind, Problem};

/// Refuses a request without exactly one valid `Host` header (RFC 9112, 3.2): a proxy in front may
/// have trusted the other one.
pub(super) fn check_form(request: &Request) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, other) = (hosts.next(), hosts.next());
    if other.is_some() {
        return Err(Kind::BadRequest.because("a request must have one Host header, not several"));
    }
    let Some(host) = host else {
        // HTTP/1.0 and older do not require the header.
        return match request.version() {
            Version::HTTP_09 | Version::HTTP_10 => Ok(()),
            _ => Err(Kind::BadRequest.because("a request must have a Host header")),
        };
    };
    let host = host.as_bytes();
    if host.is_empty() || !host.iter().all(is_of_host) {
        return Err(Kind::BadRequest.because("the Host header must be a host or host:port"));
    }
    let target = request.uri().authority();
    if target.is_some_and(|target| !host.eq_ignore_ascii_case(target.as_str().as_bytes())) {
        return Err(Kind::BadRequest.because("the Host header differs from the request line"));
    }
    Ok(())
}

/// Refuses a request for a host that is neither this machine nor that of the `allowed` origin.
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

/// Refuses a stream to a page of any origin but its own and the `allowed` one.
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

/// Whether a byte may occur in a host with a port (RFC 3986, 3.2.2). This runs for every byte of
/// every request, so it checks nothing more.
fn is_of_host(letter: &u8) -> bool {
    letter.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(letter)
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
    fn a_request_says_once_to_whom_it_is() {
        let check = |version, target: &str, hosts: &[&str]| {
            let mut request = Request::builder().version(version).uri(target);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            check_form(&request.body(axum::body::Body::empty()).unwrap()).is_ok()
        };
        let new = Version::HTTP_11;
        assert!(check(new, "/live", &["localhost:8787"]));
        assert!(check(new, "/live", &["[::1]:8787"]));
        assert!(check(
            new,
            "http://localhost:8787/live",
            &["localhost:8787"]
        ));
        assert!(check(Version::HTTP_10, "/live", &[]));
        assert!(!check(new, "/live", &[]));
        assert!(!check(new, "/live", &["localhost", "localhost"]));
        assert!(!check(
            Version::HTTP_10,
            "/live",
            &["localhost", "evil.example"]
        ));
        assert!(!check(new, "http://evil.example/live", &["localhost"]));
        for bad in ["", "not a host", "user@localhost", "localhost/path"] {
            assert!(!check(new, "/live", &[bad]), "{bad}");
        }
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
