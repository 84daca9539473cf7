//! The broker as a source of quotes: many codes a call where the account may, one where not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::future::join_all;
use metrics::counter;
use tokio::time::sleep;

use super::auth::Auth;
use super::rest::{Reply, Rest};
use super::wire::{Context, MultiRow, NoQuote, SingleRow, rows};
use crate::clock::Clock;
use crate::domain::{Calendar, Calling, Quote, Symbol, Universe, Venue};
use crate::pace::Retries;
use crate::port::{Answer, Answers, QuoteSource, Remedy, SourceError, Tally, Urgency};

/// One of the broker's quotation calls: path below `/uapi/domestic-stock/v1` and `tr_id`.
struct Call {
    path: &'static str,
    tr_id: &'static str,
}

const MULTI: Call = Call {
    path: "/uapi/domestic-stock/v1/quotations/intstock-multprice",
    tr_id: "FHKST11300006",
};
const SINGLE: Call = Call {
    path: "/uapi/domestic-stock/v1/quotations/inquire-price",
    tr_id: "FHKST01010100",
};

/// The broker's price calls behind the port.
pub struct KisQuotes {
    rest: Arc<Rest>,
    auth: Arc<Auth>,
    calendar: Arc<ArcSwap<Calendar>>,
    universe: Arc<ArcSwap<Universe>>,
    clock: Clock,
    multi: AtomicBool,
}

impl KisQuotes {
    /// A source on `rest`. `calling` says whether the account has the multi-price call; when the
    /// broker refuses it as unavailable the source goes on with one code a call.
    #[must_use]
    pub fn new(
        rest: Arc<Rest>,
        auth: Arc<Auth>,
        calendar: Arc<ArcSwap<Calendar>>,
        universe: Arc<ArcSwap<Universe>>,
        clock: Clock,
        calling: Calling,
    ) -> Self {
        Self {
            rest,
            auth,
            calendar,
            universe,
            clock,
            multi: AtomicBool::new(calling == Calling::Multi),
        }
    }

    async fn many(
        &self,
        symbols: &[Symbol],
        urgency: Urgency,
    ) -> (Result<Vec<(Symbol, Answer)>, SourceError>, Tally) {
        let mut query = Vec::with_capacity(symbols.len() * 2);
        for (slot, symbol) in (1..).zip(symbols) {
            query.push((format!("FID_COND_MRKT_DIV_CODE_{slot}"), "J"));
            query.push((format!("FID_INPUT_ISCD_{slot}"), symbol.as_str()));
        }
        let universe = self.universe.load();
        self.call(&MULTI, &query, urgency, |reply| {
            let rows: Vec<MultiRow<'_>> = rows(reply.status, &reply.body)?;
            // Joined by code, never by place: an answer may be short (contract 4.3).
            let answer = |symbol: &Symbol| {
                let row = rows
                    .iter()
                    .find(|row| row.inter_shrn_iscd.as_str() == symbol.as_str());
                let quote = row.map(|row| row.quote(self.context(*symbol, &universe)));
                (*symbol, answer_of(quote))
            };
            Ok(symbols.iter().map(answer).collect())
        })
        .await
    }

    async fn one(&self, symbol: Symbol, urgency: Urgency) -> ((Symbol, Answer), Tally) {
        let query = [
            ("FID_COND_MRKT_DIV_CODE", "J"),
            ("FID_INPUT_ISCD", symbol.as_str()),
        ];
        let universe = self.universe.load();
        let (answer, tally) = self
            .call(&SINGLE, &query, urgency, |reply| {
                let rows: Vec<SingleRow<'_>> = rows(reply.status, &reply.body)?;
                let quote = rows
                    .first()
                    .map(|row| row.quote(self.context(symbol, &universe)));
                Ok(answer_of(quote))
            })
            .await;
        ((symbol, answer.unwrap_or_else(Answer::Failed)), tally)
    }

    fn context<'a>(&self, symbol: Symbol, universe: &'a Universe) -> Context<'a> {
        let now = (self.clock)();
        Context {
            symbol,
            listing: universe.get(symbol),
            now,
            session: self.calendar.load().phase(Venue::Krx, now),
        }
    }

    /// Makes a call, and makes it again as far as the error's remedy goes.
    async fn call<T, Q: serde::Serialize + ?Sized>(
        &self,
        call: &Call,
        query: &Q,
        urgency: Urgency,
        read: impl Fn(&Reply) -> Result<T, SourceError>,
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
            let Some(pause) = retries.next_pause(error.remedy()) else {
                return (Err(error), tally);
            };
            tracing::debug!(tr_id = call.tr_id, %error, ?pause, "asking again");
            tally.retries += 1;
            sleep(pause).await;
        }
    }

    async fn call_once<T, Q: serde::Serialize + ?Sized>(
        &self,
        call: &Call,
        query: &Q,
        urgency: Urgency,
        read: impl Fn(&Reply) -> Result<T, SourceError>,
        tally: &mut Tally,
    ) -> Result<T, SourceError> {
        let token = self.auth.token().await?;
        let request = self
            .rest
            .get(call.path)
            .query(query)
            .headers(self.auth.headers(&token, call.tr_id));
        tally.calls += 1;
        let outcome = match self.rest.send(request, urgency).await {
            Ok(reply) => read(&reply).inspect_err(|error| count(error.slug())),
            Err(error) => return Err(error),
        };
        match &outcome {
            Ok(_) => count("ok"),
            Err(error) => match error.remedy() {
                Remedy::RenewToken => self.auth.forget(&token),
                Remedy::AskAgainSoon => tally.refused_calls += 1,
                Remedy::AskAgainLater | Remedy::GiveUp => {}
            },
        }
        outcome
    }
}

fn count(outcome: &'static str) {
    counter!("sise_calls_total", "outcome" => outcome).increment(1);
}

fn answer_of(quote: Option<Result<Quote, NoQuote>>) -> Answer {
    match quote {
        Some(Ok(quote)) => Answer::Quote(Box::new(quote)),
        Some(Err(NoQuote::Refused(why))) => Answer::Refused(why),
        Some(Err(NoQuote::Unknown)) | None => Answer::Unknown,
    }
}

#[async_trait]
impl QuoteSource for KisQuotes {
    async fn quotes(&self, symbols: &[Symbol], urgency: Urgency) -> Answers {
        let mut spent = Tally::default();
        if self.calling() == Calling::Multi {
            let (answers, tally) = self.many(symbols, urgency).await;
            spent.add(tally);
            match answers {
                Ok(answers) => {
                    return Answers {
                        answers,
                        tally: spent,
                    };
                }
                Err(SourceError::Unsupported(said)) => {
                    if self.multi.swap(false, Ordering::Relaxed) {
                        tracing::warn!(%said, "the account has no multi-price call: going on with one code a call");
                    }
                }
                Err(error) => {
                    let failed = |symbol: &Symbol| (*symbol, Answer::Failed(error.clone()));
                    let answers = symbols.iter().map(failed).collect();
                    return Answers {
                        answers,
                        tally: spent,
                    };
                }
            }
        }
        let singles = symbols.iter().map(|symbol| self.one(*symbol, urgency));
        let mut answers = Vec::with_capacity(symbols.len());
        for (answer, tally) in join_all(singles).await {
            spent.add(tally);
            answers.push(answer);
        }
        Answers {
            answers,
            tally: spent,
        }
    }

    fn calling(&self) -> Calling {
        if self.multi.load(Ordering::Relaxed) {
            Calling::Multi
        } else {
            Calling::Single
        }
    }
}

impl fmt::Debug for KisQuotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KisQuotes")
            .field("rest", &self.rest)
            .field("calling", &self.calling())
            .finish_non_exhaustive()
    }
}
