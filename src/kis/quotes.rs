//! The broker as a source of quotes: many codes a call where the account may, one where not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::future::join_all;
use metrics::counter;

use super::call::{Call, Caller};
use super::fields;
use super::transport::Reply;
use super::wire::{Context, MultiRow, NoQuote, SingleRow, rows, shows_last_trades};
use crate::domain::{
    Calendar, Calling, Index, IndexQuote, KrxTime, Quote, Symbol, Universe, Venue,
};
use crate::port::{Answer, Answers, QuoteSource, SourceError, Tally, Urgency};

const MULTI: Call = Call {
    path: "/uapi/domestic-stock/v1/quotations/intstock-multprice",
    tr_id: "FHKST11300006",
    fields: &fields::MULTI,
};
const SINGLE: Call = Call {
    path: "/uapi/domestic-stock/v1/quotations/inquire-price",
    tr_id: "FHKST01010100",
    fields: &fields::SINGLE,
};

/// What a multi-price call brought: the codes' answers, and the indices where it had room for them.
type Brought = (Vec<(Symbol, Answer)>, Vec<IndexQuote>);

/// The broker's price calls behind the port.
pub struct KisQuotes {
    caller: Caller,
    calendar: Arc<ArcSwap<Calendar>>,
    universe: Arc<ArcSwap<Universe>>,
    multi: AtomicBool,
}

impl KisQuotes {
    /// A source through `caller`. `calling` says whether the account has the multi-price call; when the
    /// broker refuses it as unavailable the source goes on with one code a call.
    #[must_use]
    pub fn new(
        caller: Caller,
        calendar: Arc<ArcSwap<Calendar>>,
        universe: Arc<ArcSwap<Universe>>,
        calling: Calling,
    ) -> Self {
        Self {
            caller,
            calendar,
            universe,
            multi: AtomicBool::new(calling == Calling::Multi),
        }
    }

    async fn many(
        &self,
        symbols: &[Symbol],
        urgency: Urgency,
    ) -> (Result<Brought, SourceError>, Tally) {
        let mut query = Vec::with_capacity(Calling::MOST_CODES * 2);
        for (slot, symbol) in (1..).zip(symbols) {
            query.push((format!("FID_COND_MRKT_DIV_CODE_{slot}"), "J"));
            query.push((format!("FID_INPUT_ISCD_{slot}"), symbol.as_str()));
        }
        // Whoever waits for one price need not wait for more rows, and nobody would write them.
        let has_room =
            symbols.len() + Index::ALL.len() <= Calling::MOST_CODES && urgency != Urgency::Reader;
        let indices = if has_room { Index::ALL.as_slice() } else { &[] };
        for (slot, index) in (symbols.len() + 1..).zip(indices) {
            query.push((format!("FID_COND_MRKT_DIV_CODE_{slot}"), "U"));
            query.push((format!("FID_INPUT_ISCD_{slot}"), index.code()));
        }
        let universe = self.universe.load();
        self.caller
            .call(&MULTI, &query, urgency, |sent_at, reply| {
                let rows: Vec<MultiRow<'_>> = rows(reply.status, &reply.body)?;
                // Joined by code, never by place: an answer may be short (contract 4.3).
                let named = |name: &str| {
                    let mut rows = rows.iter();
                    rows.find(|row| row.inter_shrn_iscd.as_str() == name)
                };
                // While a match is expected a price is only taken for the last trade's where the
                // answer shows that it is.
                let shows_last_trades = shows_last_trades(&rows);
                let has_price =
                    |row: &MultiRow<'_>| !row.is_of_expected_match() || shows_last_trades;
                let answer = |symbol: &Symbol| {
                    let context = self.context(*symbol, &universe, sent_at);
                    let quote = named(symbol.as_str()).map(|row| match has_price(row) {
                        true => row.quote(context),
                        false => Err(NoQuote::Expected),
                    });
                    (*symbol, answer_of(quote, reply))
                };
                let session = self.calendar.load().phase(Venue::Krx, sent_at);
                let level = |index: &Index| {
                    let row = named(index.code()).filter(|row| has_price(row))?;
                    let quote = row.index(*index, sent_at, session)?;
                    Some(IndexQuote {
                        simulated: reply.simulated,
                        ..quote
                    })
                };
                let levels = indices.iter().filter_map(level).collect();
                Ok((symbols.iter().map(answer).collect(), levels))
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
            .caller
            .call(&SINGLE, &query, urgency, |sent_at, reply| {
                let rows: Vec<SingleRow<'_>> = rows(reply.status, &reply.body)?;
                let quote = rows
                    .first()
                    .map(|row| row.quote(self.context(symbol, &universe, sent_at)));
                Ok(answer_of(quote, reply))
            })
            .await;
        ((symbol, answer.unwrap_or_else(Answer::Failed)), tally)
    }

    fn context<'a>(&self, symbol: Symbol, universe: &'a Universe, sent_at: KrxTime) -> Context<'a> {
        Context {
            symbol,
            listing: universe.get(symbol),
            asked_at: sent_at,
            session: self.calendar.load().phase(Venue::Krx, sent_at),
        }
    }
}

/// What came of a code in `reply`. A price says so where a simulated broker gave it.
fn answer_of(quote: Option<Result<Quote, NoQuote>>, reply: &Reply) -> Answer {
    match quote {
        Some(Ok(quote)) => Answer::Quote(Box::new(Quote {
            simulated: reply.simulated,
            ..quote
        })),
        Some(Err(NoQuote::Refused(why))) => Answer::Refused(why),
        Some(Err(NoQuote::Expected)) => {
            counter!("sise_expected_matches_total").increment(1);
            Answer::Refused("the price of an expected match, which is no trade".to_owned())
        }
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
                Ok((answers, indices)) => {
                    return Answers {
                        answers,
                        indices,
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
                        indices: Vec::new(),
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
            indices: Vec::new(),
        }
    }

    fn calling(&self) -> Calling {
        if self.multi.load(Ordering::Relaxed) {
            Calling::Multi
        } else {
            Calling::Single
        }
    }

    fn places_for_indices(&self) -> usize {
        match self.calling() {
            Calling::Multi => Index::ALL.len(),
            // A call more for each of them, at one call a second: paper accounts go without.
            Calling::Single => 0,
        }
    }

    async fn ready(&self, urgency: Urgency) -> Result<(), SourceError> {
        self.caller.ready(urgency).await
    }
}

impl fmt::Debug for KisQuotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KisQuotes")
            .field("caller", &self.caller)
            .field("calling", &self.calling())
            .finish_non_exhaustive()
    }
}
