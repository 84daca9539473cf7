//! One quotation call with its token, including retries.

use std::fmt;
use std::sync::Arc;

use metrics::counter;
use reqwest::Method;
use tokio::time::sleep;

use super::auth::Auth;
use super::drift::{Drift, Drifted};
use super::fields::Fields;
use super::rest::Rest;
use super::transport::Reply;
use super::wire::Contradicted;
use sise_domain::KrxTime;
use sise_pace::Retries;
use sise_port::{Remedy, SourceError, Tally, Urgency};

/// One of the broker's quotation calls.
pub(super) struct Call {
    pub(super) path: &'static str,
    pub(super) tr_id: &'static str,
    /// The documented fields of its rows.
    pub(super) fields: &'static Fields,
}

/// Makes quotation calls. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    rest: Arc<Rest>,
    auth: Arc<Auth>,
    drift: Arc<Drift>,
}

impl Caller {
    /// Creates a caller that sends over `rest` with tokens from `auth`.
    #[must_use]
    pub fn new(rest: Arc<Rest>, auth: Arc<Auth>) -> Self {
        Self {
            rest,
            auth,
            drift: Arc::default(),
        }
    }

    /// Returns the fields that were not as documented in the answers so far.
    #[must_use]
    pub fn drifted(&self) -> Vec<Drifted> {
        self.drift.found()
    }

    /// Counts the values of a row of `call` that contradict its price and base price.
    pub(super) fn contradicted(&self, call: &Call, what: &[Contradicted]) {
        self.drift.contradicted(call.fields.call, what);
    }

    /// Waits until a call could go out without queueing.
    pub(super) async fn ready(&self, urgency: Urgency) -> Result<(), SourceError> {
        self.auth.token().await?;
        self.rest.ready(urgency).await
    }

    /// Makes a call and retries it as far as the remedy of its error allows.
    ///
    /// `read` parses the answer; its first argument is the time at which the call was sent.
    pub(super) async fn call<T>(
        &self,
        call: &Call,
        query: &[(impl AsRef<str>, &str)],
        urgency: Urgency,
        read: impl Fn(KrxTime, &Reply) -> Result<T, SourceError>,
    ) -> (Result<T, SourceError>, Tally) {
        let mut tally = Tally::default();
        let mut retries = Retries::default();
        loop {
            let error = match self
                .call_once(call, query, urgency, &read, &mut tally)
                .await
            {
                Ok(value) => return (Ok(value), tally),
                Err(error) => error,
            };
            let pause = retries.next_pause(error.remedy());
            let Some(pause) = pause.filter(|_| !self.rest.is_cut_off(urgency)) else {
                return (Err(error), tally);
            };
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(tr_id = call.tr_id, %error, pause_ms, "retrying the call");
            tally.retries += 1;
            sleep(pause).await;
        }
    }

    async fn call_once<T>(
        &self,
        call: &Call,
        query: &[(impl AsRef<str>, &str)],
        urgency: Urgency,
        read: impl Fn(KrxTime, &Reply) -> Result<T, SourceError>,
        tally: &mut Tally,
    ) -> Result<T, SourceError> {
        let (token, turn) = loop {
            let token = self.auth.token().await?;
            let turn = self.rest.turn(urgency).await?;
            // The token may have died while the call was queued.
            if self.auth.holds(&token) {
                break (token, turn);
            }
        };
        let mut request = self.rest.request(Method::GET, call.path);
        request.url_mut().query_pairs_mut().extend_pairs(query);
        *request.headers_mut() = self.auth.headers(&token, call.tr_id);
        tally.calls += 1;
        let read = |sent_at: KrxTime, reply: &Reply| {
            let outcome = read(sent_at, reply);
            let outcome = outcome.map_err(|error| self.auth.without_secrets(error, Some(&token)));
            if outcome.is_ok() {
                self.drift.look(call.fields, &reply.body);
            }
            count(outcome.as_ref().map_or_else(SourceError::slug, |_| "ok"));
            outcome
        };
        let outcome = self.rest.ask(turn, request, read).await;
        match &outcome {
            Ok(_) => {}
            Err(error) => match error.remedy() {
                Remedy::RenewToken => self.auth.forget(&token),
                Remedy::AskAgainSoon => {
                    tally.refused_calls += 1;
                    self.rest.refused().await;
                }
                Remedy::AskAgainLater | Remedy::GiveUp => {}
            },
        }
        outcome
    }
}

fn count(outcome: &'static str) {
    counter!("sise_calls_total", "outcome" => outcome).increment(1);
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}
