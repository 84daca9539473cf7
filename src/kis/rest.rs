//! The one function through which a request leaves, with the pacer inside it.

use std::fmt;
use std::sync::Arc;

use metrics::{counter, histogram};
use reqwest::{Method, Request, Url};

use super::transport::{Reply, Transport, address};
use crate::clock::Clock;
use crate::domain::KrxTime;
use crate::pace::Pacer;
use crate::port::{SourceError, Urgency};

/// Sends requests to one of the broker's hosts at the pacer's pace.
pub struct Rest {
    transport: Arc<dyn Transport>,
    base: String,
    address: Url,
    pacer: Arc<Pacer>,
    clock: Clock,
}

impl Rest {
    /// A way to the host at `base`.
    ///
    /// # Errors
    ///
    /// `base` is no http or https address.
    pub fn new(
        base: &str,
        transport: Arc<dyn Transport>,
        pacer: Arc<Pacer>,
        clock: Clock,
    ) -> Result<Self, String> {
        Ok(Self {
            transport,
            base: base.trim_end_matches('/').to_owned(),
            address: address(base)?,
            pacer,
            clock,
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

    /// Waits until no call of this urgency waits for its turn.
    pub(super) async fn until_nobody_waits(&self, urgency: Urgency) {
        self.pacer.until_nobody_waits(urgency).await;
    }

    /// The host's own clock, from the `Date` header of any answer.
    ///
    /// # Errors
    ///
    /// The host cannot be reached or sends no `Date`.
    pub async fn server_time(&self) -> Result<chrono::DateTime<chrono::FixedOffset>, SourceError> {
        let request = self.request(Method::GET, "/");
        let (_, reply) = self.send(request, Urgency::Reader).await?;
        let date = reply.date.unwrap_or_default();
        chrono::DateTime::parse_from_rfc2822(&date)
            .map_err(|_| SourceError::Malformed(format!("no usable Date header: '{date}'")))
    }

    /// A request for `path`, to be filled in.
    pub(super) fn request(&self, method: Method, path: &str) -> Request {
        let mut url = self.address.clone();
        let below = url.path().trim_end_matches('/');
        let path = format!("{below}{path}");
        url.set_path(&path);
        Request::new(method, url)
    }

    /// Waits for its turn, sends, and takes the whole answer; says when it was sent.
    ///
    /// What it says is as old as that at most. When it came is no measure: it may have been long
    /// on its way, or have lain here while the process was paused.
    pub(super) async fn send(
        &self,
        request: Request,
        urgency: Urgency,
    ) -> Result<(KrxTime, Reply), SourceError> {
        let waited = self.pacer.pass(urgency).await?;
        histogram!("sise_limiter_wait_seconds").record(waited.as_secs_f64());
        let sent_at = (self.clock)();
        let reply = self.transport.exchange(request).await;
        if reply.is_err() {
            counter!("sise_calls_total", "outcome" => "unreachable").increment(1);
        }
        Ok((sent_at, reply?))
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}
