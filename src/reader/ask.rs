//! A read with options.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{Either, select};
use metrics::counter;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::fetched::Fetched;
use super::in_flight::Wanted;
use super::{ReadError, Reader, Shared};
use sise_domain::{Reading, Source, Symbol};
use sise_net::spans;
use sise_port::{SourceError, Urgency};

/// Time of a read, unless the caller gives one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest time that a caller can give.
const LONGEST_PATIENCE: Duration = Duration::from_secs(3_600);

/// Most rounds of flights.
///
/// A flight for another caller may bring a price that is too old for this one, which then starts a
/// new flight. Its own flights are fresh, so more rounds are never needed.
const ROUNDS: usize = 3;

/// A read that is made when it is awaited.
///
/// ```no_run
/// # async fn example(reader: sise::Reader) -> Result<(), sise::ReadError> {
/// use std::time::Duration;
/// let readings = reader
///     .ask(&["005930", "000660"])
///     .max_age(Duration::from_secs(5))
///     .allow_stale(Duration::from_secs(600))
///     .within(Duration::from_millis(300))
///     .await?;
/// for reading in readings.iter().filter(|reading| reading.is_stale) {
///     println!("{} is {:?} old", reading.quote.stock_code, reading.age);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is read until it is awaited"]
pub struct Ask<'a> {
    reader: &'a Reader,
    codes: &'a [&'a str],
    max_age: Option<Duration>,
    allow_stale: Option<Duration>,
    within: Duration,
}

impl<'a> Ask<'a> {
    pub(super) fn new(reader: &'a Reader, codes: &'a [&'a str]) -> Self {
        Self {
            reader,
            codes,
            max_age: None,
            allow_stale: None,
            within: PATIENCE,
        }
    }

    /// Sets the greatest age of a price, counted from the start of the read. An older price is a
    /// miss, wherever it is kept.
    ///
    /// Without this option, a price in Redis is a miss if it is more than a minute older than the
    /// life of a price (the setting `store.ttl`). Another program then wrote it without an expiry.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Lets an older price stand in if neither Redis nor the broker gives one in time. It is
    /// labelled as stale ([`Reading::is_stale`]) and no older than `age`.
    ///
    /// The youngest of these stands in: a price rejected for its age, the price that this process
    /// saw last, and the last close. Prices that this process saw are those from the broker, and
    /// those found by reads that allow staleness.
    pub fn allow_stale(mut self, age: Duration) -> Self {
        self.allow_stale = Some(age);
        self
    }

    /// Sets the time within which the read ends, 10 s by default and an hour at most. It ends in
    /// time whatever hangs. A call to the broker that is under way then goes on for the next
    /// reader.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time.min(LONGEST_PATIENCE);
        self
    }

    pub(super) async fn read(self) -> Result<Vec<Reading>, ReadError> {
        let codes = self.codes.len();
        let span = tracing::info_span!(target: spans::TARGET, "reader_ask", codes);
        self.answer().instrument(span).await
    }

    async fn answer(self) -> Result<Vec<Reading>, ReadError> {
        let symbols = self
            .codes
            .iter()
            .map(|code| code.parse())
            .collect::<Result<Vec<Symbol>, _>>()?;
        let shared = &self.reader.shared;
        if let Some(reads) = &shared.parts.reads {
            reads.note(&symbols);
        }
        let began = Instant::now();
        let deadline = began + self.within;
        let mut spare = Spare::new(self.allow_stale);
        let Some(mut look) = shared.look_up(&symbols, deadline).await else {
            spare.offer_last_seen(shared, &symbols);
            let late = |symbol: &Symbol| (*symbol, Outcome::Trouble(Trouble::Late));
            let outcomes = symbols.iter().map(late).collect();
            let readings = vec![None; symbols.len()];
            return self.settle(&symbols, readings, &outcomes, &HashMap::new(), &spare);
        };
        // Taken after the answer of the store: if the clock follows the store's time, it is right
        // by then.
        let waited = began.elapsed();
        let not_before = self.max_age.and_then(|age| {
            let age = TimeDelta::from_std(age.saturating_add(waited)).ok()?;
            look.now.checked_sub_signed(age)
        });
        let longest = match self.max_age {
            Some(age) => age.saturating_add(waited),
            None => shared.longest_life(),
        };
        let is_old = |reading: &mut Reading| reading.age > longest;
        for reading in &mut look.readings {
            spare.offer(reading.take_if(is_old));
        }
        if look.store_answers {
            shared.refresh_early(&look.readings, look.now);
        }
        if self.allow_stale.is_some() {
            let found = look.readings.iter().flatten();
            shared.last_seen.note(found.map(|reading| &*reading.quote));
        }
        if look.readings.iter().all(Option::is_some) {
            return Ok(look.readings.into_iter().flatten().collect());
        }
        let missing: Vec<Wanted> = look
            .readings
            .iter()
            .zip(&symbols)
            .filter(|(reading, _)| reading.is_none())
            .map(|(_, symbol)| Wanted {
                symbol: *symbol,
                is_listed: shared.is_listed(*symbol),
                not_before,
            })
            .collect();
        let symbols_missing: Vec<Symbol> = missing.iter().map(|wanted| wanted.symbol).collect();
        spare.offer_last_seen(shared, &symbols_missing);
        let is_closed = !shared.parts.calendar.load().moment(look.now).is_open();
        let closes = pin!(async {
            if !is_closed && self.allow_stale.is_none() {
                return Vec::new();
            }
            let closes = shared.look_up_closes(&symbols_missing);
            timeout_at(deadline, closes).await.unwrap_or_default()
        });
        let outcomes = pin!(shared.gather(missing, look.store_answers, deadline));
        // Both at once, because a broker that hangs leaves no time for the closes.
        let (outcomes, closes) = match select(outcomes, closes).await {
            Either::Left((outcomes, closes)) => {
                let is_fresh = |symbol| matches!(outcomes.get(symbol), Some(Outcome::Fresh(_)));
                let closes = match symbols_missing.iter().all(is_fresh) {
                    true => Vec::new(),
                    false => closes.await,
                };
                (outcomes, closes)
            }
            Either::Right((closes, outcomes)) => (outcomes.await, closes),
        };
        // Outside the session, the last close is as fresh as a price can be.
        let is_last = |close: &Reading| {
            is_closed && not_before.is_none_or(|time| close.quote.fetched_at >= time)
        };
        let (last, old): (Vec<_>, Vec<_>) = closes.into_iter().partition(is_last);
        old.into_iter().for_each(|close| spare.offer(Some(close)));
        let closes = last.into_iter();
        let closes = closes.map(|close| (close.quote.stock_code, close));
        let closes = closes.collect();
        self.settle(&symbols, look.readings, &outcomes, &closes, &spare)
    }

    /// Fills the gaps in `readings` with the outcomes, and returns an error for those left.
    fn settle(
        &self,
        symbols: &[Symbol],
        mut readings: Vec<Option<Reading>>,
        outcomes: &HashMap<Symbol, Outcome>,
        closes: &HashMap<Symbol, Reading>,
        spare: &Spare,
    ) -> Result<Vec<Reading>, ReadError> {
        let mut failed = Vec::new();
        for (reading, symbol) in readings.iter_mut().zip(symbols) {
            if reading.is_some() {
                continue;
            }
            let close = || closes.get(symbol).cloned();
            *reading = match outcomes.get(symbol) {
                Some(Outcome::Fresh(fresh)) => Some(fresh.clone()),
                // This is an answer, for which no older price stands in.
                Some(Outcome::Unknown) => close(),
                Some(Outcome::Trouble(trouble)) => {
                    let found = close().or_else(|| spare.stand_in(*symbol));
                    if found.is_none() {
                        failed.push((*symbol, trouble));
                    }
                    found
                }
                // There was no broker to ask.
                None => close().or_else(|| spare.stand_in(*symbol)),
            };
        }
        let found = readings.into_iter().flatten().collect();
        let Some((_, trouble)) = failed.first() else {
            return Ok(found);
        };
        let symbols = failed.iter().map(|(symbol, _)| *symbol).collect();
        Err(match trouble {
            Trouble::Late => ReadError::Late {
                failed: symbols,
                found,
                within: self.within,
            },
            Trouble::Source(source) => ReadError::Source {
                failed: symbols,
                found,
                source: source.clone(),
            },
        })
    }
}

impl<'a> IntoFuture for Ask<'a> {
    type Output = Result<Vec<Reading>, ReadError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.read())
    }
}

/// Outcome for a code that was asked for.
#[derive(Debug)]
enum Outcome {
    Fresh(Reading),
    /// The broker does not know it.
    Unknown,
    Trouble(Trouble),
}

#[derive(Debug)]
enum Trouble {
    /// The caller's time is over.
    Late,
    Source(SourceError),
}

impl Shared {
    /// Returns what the broker says about `missing`, asked once for all callers. Empty if there is
    /// no broker to ask.
    async fn gather(
        self: &Arc<Self>,
        missing: Vec<Wanted>,
        store_answers: bool,
        deadline: Instant,
    ) -> HashMap<Symbol, Outcome> {
        let mut outcomes = HashMap::new();
        if self.parts.source.is_none() {
            return outcomes;
        }
        let mut wanted = missing;
        for _ in 0..ROUNDS {
            let (waiters, fetches) = self.in_flight.join(&wanted);
            self.submit(fetches, Urgency::Reader, store_answers);
            wanted.clear();
            for (code, waiter) in waiters {
                let fetched = match waiter {
                    Some(waiter) => waiter.fetched(deadline).await,
                    None => Some(Fetched::Failed(SourceError::Unavailable(
                        "too many codes are being asked for at once".to_owned(),
                    ))),
                };
                let outcome = match fetched {
                    Some(Fetched::Quote(quote, source)) => {
                        if !code.takes(&quote) {
                            wanted.push(code);
                        }
                        let now = (self.parts.clock)();
                        Outcome::Fresh(Reading::new(quote, source, now))
                    }
                    Some(Fetched::Unknown) => Outcome::Unknown,
                    Some(Fetched::Failed(error)) => Outcome::Trouble(Trouble::Source(error)),
                    None => Outcome::Trouble(Trouble::Late),
                };
                outcomes.insert(code.symbol, outcome);
            }
            if wanted.is_empty() {
                break;
            }
        }
        for code in wanted {
            let error = SourceError::Unavailable("it returned only older prices".to_owned());
            outcomes.insert(code.symbol, Outcome::Trouble(Trouble::Source(error)));
        }
        outcomes
    }
}

/// Older prices that may stand in, the youngest of each code.
#[derive(Debug)]
struct Spare {
    allowed: Option<Duration>,
    readings: HashMap<Symbol, Reading>,
}

impl Spare {
    fn new(allowed: Option<Duration>) -> Self {
        Self {
            allowed,
            readings: HashMap::new(),
        }
    }

    fn offer(&mut self, reading: Option<Reading>) {
        let Some(reading) = reading else {
            return;
        };
        let symbol = reading.quote.stock_code;
        let is_older = |known: &Reading| known.age <= reading.age;
        if self.allowed.is_some_and(|age| reading.age <= age)
            && !self.readings.get(&symbol).is_some_and(is_older)
        {
            self.readings.insert(symbol, reading);
        }
    }

    fn offer_last_seen(&mut self, shared: &Shared, symbols: &[Symbol]) {
        if self.allowed.is_none() {
            return;
        }
        let now = (shared.parts.clock)();
        for symbol in symbols {
            let quote = shared.last_seen.of(*symbol);
            self.offer(quote.map(|quote| Reading::new(quote, Source::Memory, now)));
        }
    }

    fn stand_in(&self, symbol: Symbol) -> Option<Reading> {
        let reading = self.readings.get(&symbol)?.clone();
        counter!("sise_reader_stale_total").increment(1);
        Some(reading.as_stale())
    }
}
