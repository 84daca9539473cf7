//! Cached price look-up: the store first, then one call for all who ask, then the last close.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::counter;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::clock::Clock;
use crate::domain::{Calendar, Calling, Quote, Reading, Source, Symbol, SymbolError};
use crate::port::{Answer, Answers, PriceStore, QuoteSource, Shelf, SourceError, Urgency};

/// An unknown code is remembered this long.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);

/// What a flight brought stays this long for callers who looked in the store just before it was
/// written there.
const LINGER: Duration = Duration::from_secs(1);

/// No caller waits longer for the broker; the flight goes on without him.
const PATIENCE: Duration = Duration::from_secs(10);

/// A flight ends by then, whatever the broker does.
const LONGEST_FLIGHT: Duration = Duration::from_secs(60);

/// Codes in flight or remembered at most. More at once is a flood, not a need.
const MOST_FLIGHTS: usize = 8_192;

/// Codes that go into one call (contract 4.3).
const CODES_A_CALL: usize = 30;

/// Why a look-up failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The text is no stock code.
    #[error(transparent)]
    Code(#[from] SymbolError),
    /// Neither the store nor the broker could say; whether there is a price is not known.
    #[error("no price of {} could be had: {source}", list(failed))]
    Source {
        /// The codes without an answer.
        failed: Vec<Symbol>,
        /// What was found for the others, in the order asked for.
        found: Vec<Reading>,
        /// Why.
        source: SourceError,
    },
}

fn list(symbols: &[Symbol]) -> String {
    let shown: Vec<&str> = symbols.iter().take(5).map(Symbol::as_str).collect();
    let more = symbols.len().saturating_sub(shown.len());
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What one flight brought for one code.
#[derive(Debug, Clone)]
enum Landing {
    Quote(Box<Quote>),
    Unknown,
    Failed(SourceError),
}

/// A code that is being asked for, or was just now.
#[derive(Debug)]
struct Flight {
    landing: watch::Receiver<Option<Landing>>,
    /// When it is forgotten; `None` while it is under way.
    forget_at: Option<Instant>,
}

impl Flight {
    /// Whether it is under way, with somebody to land it, or remembered.
    fn is_of_use(&self, now: Instant) -> bool {
        match self.forget_at {
            None => self.landing.has_changed().is_ok(),
            Some(at) => now < at,
        }
    }
}

/// What a reader is made of.
pub struct Parts {
    /// Where prices are looked up and written back.
    pub store: Arc<dyn PriceStore>,
    /// Whom to ask on a miss; `None` to live from the store alone.
    pub source: Option<Arc<dyn QuoteSource>>,
    /// Tells whether the session is on.
    pub calendar: Arc<ArcSwap<Calendar>>,
    /// Tells the time.
    pub clock: Clock,
    /// Life of a price that is written back.
    pub ttl: Duration,
}

/// Looks prices up. A cheap handle: clones share everything.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    flights: Mutex<HashMap<Symbol, Flight>>,
}

impl Reader {
    /// A reader of `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            shared: Arc::new(Shared {
                parts,
                flights: Mutex::new(HashMap::new()),
            }),
        }
    }

    /// The price of one code: from the store, else from the broker, else, outside the session,
    /// its last close. `None` where nobody knows a price.
    ///
    /// # Errors
    ///
    /// `code` is no stock code, or the broker could not be asked. A store that fails is a miss.
    pub async fn price(&self, code: &str) -> Result<Option<Reading>, ReadError> {
        Ok(self.prices(&[code]).await?.pop())
    }

    /// The prices of many codes, in their order, those without a price left out: one look into
    /// the store, and calls of 30 codes for the misses.
    ///
    /// # Errors
    ///
    /// A text is no stock code, or the broker could not be asked for some codes; the error then
    /// carries what was found for the others.
    pub async fn prices(&self, codes: &[&str]) -> Result<Vec<Reading>, ReadError> {
        let symbols = codes
            .iter()
            .map(|code| code.parse())
            .collect::<Result<Vec<Symbol>, _>>()?;
        let mut found = self.look_up(&symbols).await;
        let missing: Vec<Symbol> = found
            .iter()
            .zip(&symbols)
            .filter(|(reading, _)| reading.is_none())
            .map(|(_, symbol)| *symbol)
            .collect();
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        let (landed, mut failed) = self.ask_once(&missing).await;
        let unanswered: Vec<Symbol> = missing
            .iter()
            .copied()
            .filter(|symbol| !landed.contains_key(symbol))
            .collect();
        let closes = self.look_up_closes(&unanswered).await;
        for (reading, symbol) in found.iter_mut().zip(&symbols) {
            if reading.is_none() {
                *reading = landed.get(symbol).or_else(|| closes.get(symbol)).cloned();
            }
        }
        failed.retain(|(symbol, _)| !closes.contains_key(symbol));
        let found = found.into_iter().flatten().collect();
        match failed.first() {
            None => Ok(found),
            Some((_, source)) => Err(ReadError::Source {
                source: source.clone(),
                failed: failed.iter().map(|(symbol, _)| *symbol).collect(),
                found,
            }),
        }
    }

    async fn look_up(&self, symbols: &[Symbol]) -> Vec<Option<Reading>> {
        let parts = &self.shared.parts;
        let quotes = parts.store.realtime(symbols).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "taken as a miss");
            vec![None; symbols.len()]
        });
        let now = (parts.clock)();
        let readings: Vec<_> = quotes
            .into_iter()
            .map(|quote| Some(Reading::new(quote?, Source::Redis, now)))
            .collect();
        let hits = readings.iter().flatten().count();
        counter!("sise_reader_hits_total").increment(u64::try_from(hits).unwrap_or(0));
        let misses = symbols.len().saturating_sub(hits);
        counter!("sise_reader_misses_total").increment(u64::try_from(misses).unwrap_or(0));
        readings
    }

    /// What the broker says of `missing`, asked once however many ask, and the codes for which
    /// it could not be asked.
    async fn ask_once(
        &self,
        missing: &[Symbol],
    ) -> (HashMap<Symbol, Reading>, Vec<(Symbol, SourceError)>) {
        let mut landed = HashMap::new();
        let mut failed = Vec::new();
        if self.shared.parts.source.is_none() {
            return (landed, failed);
        }
        let deadline = Instant::now() + PATIENCE;
        for (symbol, flight) in self.board(missing) {
            let landing = match flight {
                Some(flight) => wait(flight, deadline).await,
                None => Landing::Failed(SourceError::Unavailable(
                    "too many codes are being asked for at once".to_owned(),
                )),
            };
            match landing {
                Landing::Quote(quote) => {
                    let now = (self.shared.parts.clock)();
                    landed.insert(symbol, Reading::new(quote, Source::Api, now));
                }
                Landing::Unknown => {}
                Landing::Failed(error) => failed.push((symbol, error)),
            }
        }
        (landed, failed)
    }

    /// Joins the flights that are under way and starts those that are not.
    fn board(&self, missing: &[Symbol]) -> Vec<(Symbol, Option<watch::Receiver<Option<Landing>>>)> {
        let now = Instant::now();
        let mut flights = self.shared.flights();
        let mut boarded = Vec::with_capacity(missing.len());
        let mut new = Vec::new();
        if flights.len() + missing.len() > MOST_FLIGHTS {
            flights.retain(|_, flight| flight.is_of_use(now));
        }
        for symbol in missing {
            let known = flights.get(symbol).filter(|flight| flight.is_of_use(now));
            let flight = match known {
                Some(flight) => Some(flight.landing.clone()),
                None if flights.len() >= MOST_FLIGHTS => None,
                None => {
                    let (landing, receiver) = watch::channel(None);
                    let flight = Flight {
                        landing: receiver.clone(),
                        forget_at: None,
                    };
                    flights.insert(*symbol, flight);
                    new.push((*symbol, landing));
                    Some(receiver)
                }
            };
            boarded.push((*symbol, flight));
        }
        drop(flights);
        let source = self.shared.parts.source.as_ref();
        let calling = source.map_or(Calling::Multi, |source| source.calling());
        while !new.is_empty() {
            // Where each code is a call of its own, each lands by itself.
            let together = calling.codes_a_call(CODES_A_CALL);
            let rest = new.split_off(new.len().min(together));
            let batch = std::mem::replace(&mut new, rest);
            // A task of its own: a caller who gives up must not take the others' answer along.
            tokio::spawn(Arc::clone(&self.shared).fly(batch));
        }
        boarded
    }

    /// The last closes of `symbols`, outside the session only.
    async fn look_up_closes(&self, symbols: &[Symbol]) -> HashMap<Symbol, Reading> {
        let parts = &self.shared.parts;
        let now = (parts.clock)();
        if symbols.is_empty() || parts.calendar.load().moment(now).is_open() {
            return HashMap::new();
        }
        let quotes = parts.store.close(symbols).await.unwrap_or_default();
        quotes
            .into_iter()
            .flatten()
            .map(|quote| (quote.stock_code, Reading::new(quote, Source::Close, now)))
            .collect()
    }
}

async fn wait(mut flight: watch::Receiver<Option<Landing>>, deadline: Instant) -> Landing {
    let patience = deadline.saturating_duration_since(Instant::now());
    match timeout(patience, flight.wait_for(Option::is_some)).await {
        Ok(Ok(landing)) => landing.clone().unwrap_or(Landing::Unknown),
        Ok(Err(_)) => Landing::Failed(SourceError::Stopped),
        Err(_) => Landing::Failed(SourceError::Unavailable(format!(
            "no answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

impl Shared {
    /// Asks for a batch, writes back what is good, and lets everybody know.
    async fn fly(self: Arc<Self>, batch: Vec<(Symbol, watch::Sender<Option<Landing>>)>) {
        let symbols: Vec<Symbol> = batch.iter().map(|(symbol, _)| *symbol).collect();
        let landings = timeout(LONGEST_FLIGHT, self.ask(&symbols)).await;
        let landings = landings.unwrap_or_default();
        let quotes: Vec<Quote> = landings
            .values()
            .filter_map(|landing| match landing {
                Landing::Quote(quote) => Some(Quote::clone(quote)),
                Landing::Unknown | Landing::Failed(_) => None,
            })
            .collect();
        let realtime = Shelf::Realtime(self.parts.ttl);
        if let Err(error) = self.parts.store.write(&quotes, realtime, None).await {
            tracing::debug!(%error, "the prices asked for are not kept");
        }
        let now = Instant::now();
        let mut flights = self.flights();
        for (symbol, sender) in batch {
            let landing = landings.get(&symbol).cloned().unwrap_or_else(|| {
                Landing::Failed(SourceError::Unavailable("no answer in time".to_owned()))
            });
            let linger = match landing {
                Landing::Unknown => UNKNOWN_FOR,
                Landing::Quote(_) | Landing::Failed(_) => LINGER,
            };
            if let Some(flight) = flights.get_mut(&symbol) {
                flight.forget_at = Some(now + linger);
            }
            sender.send_replace(Some(landing));
        }
    }

    /// Asks, and once more for those that the answer left out or spoiled.
    async fn ask(&self, symbols: &[Symbol]) -> HashMap<Symbol, Landing> {
        let Some(source) = &self.parts.source else {
            return HashMap::new();
        };
        let mut landings = HashMap::new();
        land(source.quotes(symbols, Urgency::Reader).await, &mut landings);
        let again: Vec<Symbol> = symbols
            .iter()
            .copied()
            .filter(|symbol| {
                let landing = landings.get(symbol);
                matches!(
                    landing,
                    Some(Landing::Unknown | Landing::Failed(SourceError::Malformed(_)))
                )
            })
            .collect();
        if !again.is_empty() {
            land(source.quotes(&again, Urgency::Reader).await, &mut landings);
        }
        landings
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Symbol, Flight>> {
        // Nothing that holds the lock can leave a flight half changed.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn land(answers: Answers, landings: &mut HashMap<Symbol, Landing>) {
    for (symbol, answer) in answers.answers {
        let landing = match answer {
            Answer::Quote(quote) => Landing::Quote(quote),
            Answer::Unknown => Landing::Unknown,
            Answer::Refused(why) => Landing::Failed(SourceError::Malformed(why)),
            Answer::Failed(error) => Landing::Failed(error),
        };
        landings.insert(symbol, landing);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("flights", &self.shared.flights().len())
            .field("asks_the_broker", &self.shared.parts.source.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
