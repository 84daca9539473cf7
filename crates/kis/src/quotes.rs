//! The broker as a source of quotes: multi-price calls if the account has them, else one code per
//! call.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::future::join_all;
use metrics::counter;

use super::bases::Bases;
use super::call::{Call, Caller};
use super::fields;
use super::refusal::Refusal;
use super::transport::Reply;
use super::wire::{Body, Context, MultiRow, NoQuote, Read, SingleRow, names, shows_last_trades};
use sise_domain::{
    Calendar, Calling, Index, IndexQuote, KrxTime, Phase, Quote, Symbol, Universe, Venue,
};
use sise_port::{Answer, Answers, QuoteSource, SourceError, Tally, Urgency};

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

/// Parameter names of the slots of a multi-price call: market division and code.
static SLOTS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let slot = |slot| {
        (
            format!("FID_COND_MRKT_DIV_CODE_{slot}"),
            format!("FID_INPUT_ISCD_{slot}"),
        )
    };
    (1..=Calling::MOST_CODES).map(slot).collect()
});

/// Result of a multi-price call: the answers for the codes, and indices if there was room for them.
type Brought = (Vec<(Symbol, Answer)>, Vec<IndexQuote>);

/// Source of quotes that uses the broker's price calls.
pub struct KisQuotes {
    caller: Caller,
    calendar: Arc<ArcSwap<Calendar>>,
    universe: Arc<ArcSwap<Universe>>,
    bases: Arc<Bases>,
    multi: AtomicBool,
}

impl KisQuotes {
    /// Creates a source that calls through `caller`.
    ///
    /// `calling` says whether the account has the multi-price call. If the broker refuses that call
    /// as unavailable, the source continues with one code per call.
    #[must_use]
    pub fn new(
        caller: Caller,
        calendar: Arc<ArcSwap<Calendar>>,
        universe: Arc<ArcSwap<Universe>>,
        bases: Arc<Bases>,
        calling: Calling,
    ) -> Self {
        Self {
            caller,
            calendar,
            universe,
            bases,
            multi: AtomicBool::new(calling == Calling::Multi),
        }
    }

    async fn many(
        &self,
        symbols: &[Symbol],
        urgency: Urgency,
    ) -> (Result<Brought, SourceError>, Tally) {
        // A reader that waits for one price should not wait for more rows, and they would not be
        // stored.
        let has_room =
            symbols.len() + Index::ALL.len() <= Calling::MOST_CODES && urgency != Urgency::Reader;
        let indices = if has_room { Index::ALL.as_slice() } else { &[] };
        let stocks = symbols.iter().map(|symbol| ("J", symbol.as_str()));
        let asked = stocks.chain(indices.iter().map(|index| ("U", index.code())));
        let query: Vec<(&str, &str)> = SLOTS
            .iter()
            .zip(asked)
            .flat_map(|((kind, code), asked)| [(&**kind, asked.0), (&**code, asked.1)])
            .collect();
        let universe = self.universe.load();
        self.caller
            .call(&MULTI, &query, urgency, |sent_at, reply| {
                let body = Body::new(&reply.body);
                let rows: Vec<MultiRow<'_>> = body.rows(reply.status)?;
                // Matched by code, never by position: an answer may be short (contract 4.3).
                let named = |name: &str| {
                    let mut rows = rows.iter();
                    rows.find(|row| row.inter_shrn_iscd.as_str() == name)
                };
                let session = self.calendar.load().phase(Venue::Krx, sent_at);
                // While a match is expected, a price counts as that of the last trade only if the
                // answer shows that it is.
                let shows_last_trades = shows_last_trades(&rows);
                // A row without the fields that tell is doubted if another is of an expected match.
                let is_doubted = |row: &MultiRow<'_>| match row.tells_match_phase() {
                    true => row.is_of_expected_match(),
                    false => rows.iter().any(MultiRow::is_of_expected_match),
                };
                let has_price = |row: &MultiRow<'_>| shows_last_trades || !is_doubted(row);
                // A row for a code not requested, or a second row, replaces a requested one.
                let code = |row: &MultiRow<'_>| row.inter_shrn_iscd.as_str().parse::<Symbol>().ok();
                let is_stray = |(place, row): &(usize, &MultiRow<'_>)| {
                    let name = row.inter_shrn_iscd.as_str();
                    let is_asked = symbols.iter().any(|symbol| names(name, *symbol))
                        || indices.iter().any(|index| index.code() == name);
                    let mut before = rows.iter().take(*place).filter_map(code);
                    code(row).is_some_and(|code| !is_asked || before.any(|other| other == code))
                };
                let mut stray = rows.iter().enumerate().filter(is_stray);
                let mut answer = |symbol: &Symbol| {
                    let is_own = |row: &&MultiRow<'_>| names(row.inter_shrn_iscd.as_str(), *symbol);
                    let mut own = rows.iter().filter(is_own);
                    let read = match (own.next(), own.next()) {
                        (Some(row), second)
                            if second.is_none_or(|other| row.tells_the_same(other)) =>
                        {
                            match has_price(row) {
                                true => {
                                    row.read(self.context(*symbol, &universe, sent_at, session))
                                }
                                false => Err(NoQuote::Expected),
                            }
                        }
                        (Some(_), _) => Err(NoQuote::Refused(Refusal::Twice)),
                        (None, _) => Err(match stray.next() {
                            Some((_, row)) => {
                                let other = row.inter_shrn_iscd.as_str().to_owned();
                                NoQuote::Refused(Refusal::OtherCode(other))
                            }
                            None => NoQuote::Unknown,
                        }),
                    };
                    (*symbol, self.answer_of(&MULTI, read, reply))
                };
                let level = |index: &Index| {
                    let row = named(index.code()).filter(|row| has_price(row))?;
                    let mut others = rows.iter();
                    let differs = |other: &MultiRow<'_>| {
                        other.inter_shrn_iscd.as_str() == index.code() && !row.tells_the_same(other)
                    };
                    if others.any(differs) {
                        return None;
                    }
                    let quote = row.index(*index, sent_at, session)?;
                    Some(IndexQuote {
                        simulated: reply.simulated,
                        ..quote
                    })
                };
                let levels = indices.iter().filter_map(level).collect();
                Ok((symbols.iter().map(&mut answer).collect(), levels))
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
                let body = Body::new(&reply.body);
                let rows: Vec<SingleRow<'_>> = body.rows(reply.status)?;
                let session = self.calendar.load().phase(Venue::Krx, sent_at);
                let read = match rows.first() {
                    Some(row) => row.read_of(self.context(symbol, &universe, sent_at, session)),
                    None => Err(NoQuote::Unknown),
                };
                Ok(self.answer_of(&SINGLE, read, reply))
            })
            .await;
        ((symbol, answer.unwrap_or_else(Answer::Failed)), tally)
    }

    fn context<'a>(
        &self,
        symbol: Symbol,
        universe: &'a Universe,
        sent_at: KrxTime,
        session: Phase,
    ) -> Context<'a> {
        Context {
            symbol,
            listing: universe.get(symbol),
            asked_at: sent_at,
            session,
            basis: self.bases.of(symbol, sent_at.date_naive()),
        }
    }

    /// Turns the outcome of reading a row of `reply` into the answer for its code.
    ///
    /// Contradictions are counted. Quotes from a simulated broker are marked as such.
    fn answer_of(&self, call: &Call, read: Result<Read, NoQuote>, reply: &Reply) -> Answer {
        let refused = match read {
            Ok(Read {
                quote,
                basis,
                contradicted,
            }) => {
                let day = quote.fetched_at.date_naive();
                let take = |basis| self.bases.take(quote.stock_code, day, basis);
                let taken = basis.map_or(Ok(()), take);
                match taken.and_then(|()| self.bases.follow(&quote)) {
                    Ok(()) => {
                        self.caller.contradicted(call, &contradicted);
                        return Answer::Quote(Box::new(Quote {
                            simulated: reply.simulated,
                            ..quote
                        }));
                    }
                    Err(why) => Refusal::from(why),
                }
            }
            Err(NoQuote::Refused(refused)) => refused,
            Err(NoQuote::Expected) => {
                counter!("sise_expected_matches_total").increment(1);
                let words = "the price of an expected match, which is not a trade";
                return Answer::Refused(words.to_owned());
            }
            Err(NoQuote::Unknown) => return Answer::Unknown,
        };
        refused.count(call.fields.call);
        Answer::Refused(refused.to_string())
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
                        tracing::warn!(%said, "the account has no multi-price call: continuing with one code per call");
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
            // Each index would cost another call, at one call a second: paper accounts do without.
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

#[cfg(test)]
mod tests;
