//! The one function through which a request leaves, with the pacer inside it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use reqwest::header::DATE;
use reqwest::{Client, RequestBuilder, Url, redirect};

use crate::pace::Pacer;
use crate::port::{SourceError, Urgency};
use crate::tls;

/// The largest answer in use is a few dozen kilobytes; more is no answer to our question.
const LARGEST_BODY: usize = 4 << 20;

/// Connections that stay open between calls; must not be below the calls in flight, or every
/// further call opens a connection of its own.
const IDLE_CONNECTIONS: usize = 64;

/// Sends requests to one of the broker's hosts at the pacer's pace.
pub struct Rest {
    client: Client,
    base: String,
    pacer: Arc<Pacer>,
}

/// An answer of whatever meaning: the body is judged by who asked (contract 1.6).
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) date: Option<String>,
}

impl Rest {
    /// A way to the host at `base`. `patience` bounds one request from start to last byte.
    ///
    /// # Errors
    ///
    /// `base` is no http or https address, or the TLS set-up of the machine is unusable.
    pub fn new(base: &str, patience: Duration, pacer: Arc<Pacer>) -> Result<Self, String> {
        let client = client(base, patience)?;
        Ok(Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
            pacer,
        })
    }

    /// The host's address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The broker refused a call as over its limit.
    pub(super) async fn refused(&self) {
        self.pacer.refused().await;
    }

    /// The host's own clock, from the `Date` header of any answer.
    ///
    /// # Errors
    ///
    /// The host cannot be reached or sends no `Date`.
    pub async fn server_time(&self) -> Result<chrono::DateTime<chrono::FixedOffset>, SourceError> {
        let reply = self.send(self.get("/"), Urgency::Reader).await?;
        let date = reply.date.unwrap_or_default();
        chrono::DateTime::parse_from_rfc2822(&date)
            .map_err(|_| SourceError::Malformed(format!("no usable Date header: '{date}'")))
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base))
    }

    /// Waits for its turn, sends, and takes the whole answer.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        urgency: Urgency,
    ) -> Result<Reply, SourceError> {
        let waited = self.pacer.pass(urgency).await?;
        histogram!("sise_limiter_wait_seconds").record(waited.as_secs_f64());
        let reply = take(request).await;
        if reply.is_err() {
            counter!("sise_calls_total", "outcome" => "unreachable").increment(1);
        }
        reply
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// A client for the host at `base`.
///
/// One TLS provider for the process, the system's roots and Mozilla's merged (a container may
/// lack the system's), no redirects (they would carry the secret elsewhere), no proxy to
/// loopback.
pub(super) fn client(base: &str, patience: Duration) -> Result<Client, String> {
    let url = Url::parse(base).map_err(|error| format!("'{base}' is no address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("'{base}' is neither http:// nor https://"));
    }
    tls::install_provider();
    let mut builder = Client::builder()
        .timeout(patience)
        .connect_timeout(patience.min(Duration::from_secs(3)))
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .tcp_nodelay(true)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("sise/", env!("CARGO_PKG_VERSION")));
    if url.scheme() == "https" {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|der| reqwest::Certificate::from_der(der).ok());
        builder = builder.tls_certs_merge(roots);
    }
    if url.host_str().is_some_and(is_loopback) {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| format!("no client for '{base}': {error}"))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Sends and takes the whole answer, bounded in size.
pub(super) async fn take(request: RequestBuilder) -> Result<Reply, SourceError> {
    // The address in reqwest's errors carries no secret, but it is long and known.
    let trouble = |error: reqwest::Error| {
        let error = error.without_url();
        let mut said = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            said = format!("{said}: {inner}");
            cause = inner.source();
        }
        SourceError::Unavailable(said)
    };
    let mut response = request.send().await.map_err(trouble)?;
    let status = response.status().as_u16();
    let date = response
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok())
        .map(str::to_owned);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(trouble)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(SourceError::Malformed("the answer has no end".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, body, date })
}
