//! The only way for REST requests to leave.
//!
//! Sending takes a [`Turn`], which can only be obtained from the breaker, the bans and the pacer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, histogram};
use reqwest::{Method, Request, Url};
use tracing::{Instrument as _, field};

use super::bans::{Bans, Leave};
use super::transport::{Reply, Transport, address};
use sise_domain::KrxTime;
use sise_net::spans;
use sise_pace::{Breaker, Pacer, Permit, Shown};
use sise_port::clock::Clock;
use sise_port::{SourceError, Urgency};

/// Sweeps wait for a broker that has been unreachable for less than this.
///
/// All other callers have a fallback and do not wait.
const SWEEP_PATIENCE: Duration = Duration::from_secs(10);

/// Sends requests to one of the broker's hosts, paced by the pacer.
pub struct Rest {
    transport: Arc<dyn Transport>,
    base: String,
    address: Url,
    pacer: Arc<Pacer>,
    breaker: Breaker,
    bans: Arc<Bans>,
    clock: Clock,
    /// Whether the host is a simulator, according to its last answer.
    simulated: Mutex<Option<bool>>,
}

/// Permission to send one request now.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pass: Permit<'a>,
    leave: Leave,
}

impl Rest {
    /// Creates a client for the host at `base`.
    ///
    /// # Errors
    ///
    /// Returns an error if `base` is not an http or https address.
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
            breaker: Breaker::default(),
            bans: Arc::new(Bans::of_this_process()),
            clock,
            simulated: Mutex::default(),
        })
    }

    /// Replaces the bans with `bans`, which outlive the process.
    #[must_use]
    pub fn keeping_to(self, bans: Arc<Bans>) -> Self {
        Self { bans, ..self }
    }

    /// Returns the host's address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns whether the broker is a simulator; `None` before its first answer.
    #[must_use]
    pub fn is_simulated(&self) -> Option<bool> {
        *self.simulated()
    }

    fn simulated(&self) -> MutexGuard<'_, Option<bool>> {
        let simulated = self.simulated.lock();
        simulated.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the bans of the app key.
    #[must_use]
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    /// Returns the state of the breaker, for a caller that calls every `interval`.
    #[must_use]
    pub fn breaker_shown(&self, interval: Duration) -> Shown {
        self.breaker.shown(interval)
    }

    /// Returns whether the breaker refuses calls of this urgency, so that retries are pointless.
    pub(super) fn is_cut_off(&self, urgency: Urgency) -> bool {
        self.breaker.refusal(patience(urgency)).is_some()
    }

    /// Reports to the pacer that the broker refused a call as over its limit.
    pub(super) async fn refused(&self) {
        self.pacer.refused().await;
    }

    /// Waits until no call of this urgency is queued.
    ///
    /// Returns an error if calls do not go out at present.
    pub(super) async fn ready(&self, urgency: Urgency) -> Result<(), SourceError> {
        if let Some(said) = self.breaker.refusal(Duration::ZERO) {
            return Err(SourceError::Unavailable(said));
        }
        self.bans.refusal().await?;
        self.pacer.until_nobody_waits(urgency).await;
        Ok(())
    }

    /// Returns the host's time, from the `Date` header of any answer.
    ///
    /// # Errors
    ///
    /// Returns an error if the host cannot be reached or sends no usable `Date`.
    pub async fn server_time(&self) -> Result<chrono::DateTime<chrono::FixedOffset>, SourceError> {
        let request = self.request(Method::GET, "/");
        let turn = self.turn(Urgency::Reader).await?;
        let (_, reply) = self.send(turn.pass, request).await?;
        let date = reply.date.unwrap_or_default();
        chrono::DateTime::parse_from_rfc2822(&date)
            .map_err(|_| SourceError::Malformed(format!("no usable Date header: '{date}'")))
    }

    /// Creates a request for `path`, to be filled in.
    pub(super) fn request(&self, method: Method, path: &str) -> Request {
        let mut url = self.address.clone();
        let below = url.path().trim_end_matches('/');
        let path = format!("{below}{path}");
        url.set_path(&path);
        Request::new(method, url)
    }

    /// Waits for a turn: the breaker admits it, the key is not banned, and the budget has a
    /// call left.
    pub(super) async fn turn(&self, urgency: Urgency) -> Result<Turn<'_>, SourceError> {
        loop {
            let pass = self.breaker.admit(patience(urgency)).await;
            let mut pass = pass.map_err(SourceError::Unavailable)?;
            let mut leave = self.bans.admit().await?;
            let waited = self.pacer.pass(urgency).await?;
            histogram!("sise_limiter_wait_seconds").record(waited.as_secs_f64());
            // Breaker and bans may have changed while the call was queued.
            if pass.holds() && self.bans.hold(&mut leave) {
                return Ok(Turn { pass, leave });
            }
        }
    }

    /// Sends a request and reads the answer with `read`, which receives the time of sending.
    ///
    /// The content of an answer is at most as old as that time. The time of arrival is no measure:
    /// the answer may have been delayed, or the process suspended.
    pub(super) async fn ask<T>(
        &self,
        turn: Turn<'_>,
        request: Request,
        read: impl FnOnce(KrxTime, &Reply) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let reply = self.send(turn.pass, request).await;
        let outcome = reply.and_then(|(sent_at, reply)| read(sent_at, &reply));
        let verdict = outcome.as_ref().map(|_| ());
        self.bans.settle(turn.leave, verdict).await;
        outcome
    }

    /// Sends a request. Every request to the REST host passes through here.
    async fn send(
        &self,
        pass: Permit<'_>,
        request: Request,
    ) -> Result<(KrxTime, Reply), SourceError> {
        let sent_at = (self.clock)();
        let span = tracing::info_span!(
            target: spans::TARGET, "broker_call", path = request.url().path(), status = field::Empty
        );
        let reply = self.transport.exchange(request);
        let reply = reply.instrument(span.clone()).await;
        if let Ok(reply) = &reply {
            span.record("status", reply.status);
        }
        let reply = reply.map(|reply| Reply {
            body: as_text(reply.body),
            ..reply
        });
        match &reply {
            Ok(reply) if is_of_the_broker(reply) => {
                *self.simulated() = Some(reply.simulated);
                pass.answered();
            }
            Ok(reply) => pass.failed(&format!("HTTP {} without JSON", reply.status)),
            Err(error) => {
                counter!("sise_calls_total", "outcome" => "unreachable").increment(1);
                pass.failed(&error.to_string());
            }
        }
        Ok((sent_at, reply?))
    }
}

fn patience(urgency: Urgency) -> Duration {
    match urgency {
        Urgency::Sweep => SWEEP_PATIENCE,
        Urgency::Reader | Urgency::Watched => Duration::ZERO,
    }
}

/// Returns whether the broker itself answered, and not a proxy in front of it.
///
/// This is judged by the first byte; the meaning of the answer is another matter.
fn is_of_the_broker(reply: &Reply) -> bool {
    reply.status == 200 || reply.body.trim_ascii_start().starts_with(b"{")
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// Replaces invalid UTF-8, so that one bad byte does not make the whole body unusable.
fn as_text(body: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(body) {
        Ok(text) => text.into_bytes(),
        Err(damaged) => {
            let mended = String::from_utf8_lossy(damaged.as_bytes());
            mended.into_owned().into_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Body, MultiRow};
    use super::*;

    #[test]
    fn a_byte_that_is_no_text_spoils_its_own_field_alone() {
        let body =
            b"{\"output\":[{\"inter_kor_isnm\":\"\xbb\xef\",\"acml_vol\":\"7\"}],\"rt_cd\":\"0\"}";
        let body = as_text(body.to_vec());
        let body = Body::new(&body);
        let rows: Vec<MultiRow<'_>> = body.rows(200).unwrap();
        assert_eq!(rows[0].acml_vol.as_str(), "7");
        assert_eq!(as_text(b"{}".to_vec()), b"{}");
    }

    #[test]
    fn an_answer_of_the_broker_is_told_from_one_of_what_stands_before_it() {
        for (status, body, expected) in [
            (200, b"<html>".as_slice(), true),
            (500, b" {\"rt_cd\":\"1\"}", true),
            (500, b"<html>", false),
            (502, b"", false),
            (403, b"Forbidden", false),
        ] {
            let reply = Reply {
                status,
                body: body.to_vec(),
                date: None,
                simulated: false,
            };
            assert_eq!(is_of_the_broker(&reply), expected, "{status}");
        }
    }
}
