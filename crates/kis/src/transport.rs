//! Transport to the broker's hosts: sends a whole request and returns the whole answer.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::DATE;
use reqwest::{Client, Request, Url};

use sise_domain::SIMULATOR_HEADER;
use sise_net::causes::causes;
use sise_net::outbound;
use sise_port::SourceError;

/// Limit of a body. The largest answer in use has a few hundred kilobytes.
const LARGEST_BODY: usize = 4 << 20;

/// Idle connections that stay open between calls.
///
/// This must not be below the calls in flight, or every further call opens a new connection.
const IDLE_CONNECTIONS: usize = 64;

/// Carries requests to the broker's hosts.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request and returns the whole answer, within a time limit of the transport.
    ///
    /// # Errors
    ///
    /// Returns an error if the host cannot be reached or its answer is too long.
    async fn exchange(&self, request: Request) -> Result<Reply, SourceError>;
}

/// An answer of any kind: the caller judges the body (contract 1.6).
#[derive(Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
    /// The `Date` header.
    pub date: Option<String>,
    /// Whether a simulated broker sent it.
    pub simulated: bool,
}

/// Transport over HTTP, with TLS if the address is https.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
}

impl Http {
    /// Creates a transport to the host of `base`. `patience` bounds a request from start to last
    /// byte.
    ///
    /// # Errors
    ///
    /// Returns an error if `base` is not an http or https address, or if the TLS setup of the
    /// machine is unusable.
    pub fn new(base: &str, patience: Duration) -> Result<Self, String> {
        let url = address(base)?;
        let builder = outbound::client(&url)
            .timeout(patience)
            .connect_timeout(patience.min(Duration::from_secs(3)))
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .tcp_nodelay(true);
        let client = builder
            .build()
            .map_err(|error| format!("cannot create an HTTP client for '{base}': {error}"))?;
        Ok(Self { client })
    }
}

#[async_trait]
impl Transport for Http {
    async fn exchange(&self, request: Request) -> Result<Reply, SourceError> {
        // The address in reqwest's errors carries no secret, but it is long and already known.
        let trouble = |error: reqwest::Error| {
            let error = error.without_url();
            let said = causes(&error);
            if error.is_connect() {
                SourceError::Unreachable(said)
            } else {
                SourceError::Unavailable(said)
            }
        };
        let mut response = self.client.execute(request).await.map_err(trouble)?;
        let status = response.status().as_u16();
        let date = response
            .headers()
            .get(DATE)
            .and_then(|date| date.to_str().ok())
            .map(str::to_owned);
        let simulated = response.headers().contains_key(SIMULATOR_HEADER);
        let told = response.content_length();
        let told = told.and_then(|length| usize::try_from(length).ok());
        let mut body = Vec::with_capacity(told.unwrap_or_default().min(LARGEST_BODY));
        while let Some(chunk) = response.chunk().await.map_err(trouble)? {
            if body.len() + chunk.len() > LARGEST_BODY {
                return Err(SourceError::Malformed("the answer is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status,
            body,
            date,
            simulated,
        })
    }
}

/// Parses `base` as an http or https address, without a trailing slash.
pub(super) fn address(base: &str) -> Result<Url, String> {
    let base = base.trim_end_matches('/');
    let url =
        Url::parse(base).map_err(|error| format!("'{base}' is not a valid address: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(format!("'{base}' is neither http:// nor https://")),
    }
}

/// Leaves the body out, because it may hold a token.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
