//! The way to the broker's hosts: a request goes out whole, and its whole answer comes back.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::DATE;
use reqwest::{Client, Request, Url};

use sise_domain::SIMULATOR_HEADER;
use sise_net::causes::causes;
use sise_net::outbound;
use sise_port::SourceError;

/// The largest answer in use is a few hundred kilobytes; more is no answer to our question.
const LARGEST_BODY: usize = 4 << 20;

/// Connections that stay open between calls; must not be below the calls in flight, or every
/// further call opens a connection of its own.
const IDLE_CONNECTIONS: usize = 64;

/// Carries requests to the broker's hosts.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends and takes the whole answer, within a time of its own.
    ///
    /// # Errors
    ///
    /// The host cannot be reached, or its answer has no end.
    async fn exchange(&self, request: Request) -> Result<Reply, SourceError>;
}

/// An answer of whatever meaning: the body is judged by who asked (contract 1.6).
#[derive(Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
    /// The `Date` header.
    pub date: Option<String>,
    /// Whether a simulated broker named itself in it.
    pub simulated: bool,
}

/// Over HTTP, with TLS where the address says so.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
}

impl Http {
    /// A way to the host of `base`. `patience` bounds one request from start to last byte.
    ///
    /// # Errors
    ///
    /// `base` is no http or https address, or the TLS set-up of the machine is unusable.
    pub fn new(base: &str, patience: Duration) -> Result<Self, String> {
        let url = address(base)?;
        let builder = outbound::client(&url)
            .timeout(patience)
            .connect_timeout(patience.min(Duration::from_secs(3)))
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .tcp_nodelay(true);
        let client = builder
            .build()
            .map_err(|error| format!("no client for '{base}': {error}"))?;
        Ok(Self { client })
    }
}

#[async_trait]
impl Transport for Http {
    async fn exchange(&self, request: Request) -> Result<Reply, SourceError> {
        // The address in reqwest's errors carries no secret, but it is long and known.
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
                return Err(SourceError::Malformed("the answer has no end".to_owned()));
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

/// The http or https address that `base` is, without a slash at its end.
pub(super) fn address(base: &str) -> Result<Url, String> {
    let base = base.trim_end_matches('/');
    let url = Url::parse(base).map_err(|error| format!("'{base}' is no address: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(format!("'{base}' is neither http:// nor https://")),
    }
}

/// The body may hold a token.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
