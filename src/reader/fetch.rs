//! Flights: claim codes among all processes, ask the broker, write prices back, report.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Shared;
use super::fetched::{Fetched, finish};
use super::in_flight::Fetch;
use super::look::reading;
use sise_domain::{Quote, Source, Symbol};
use sise_net::supervisor::spawn_brief;
use sise_port::{Claim, Flights, Landed, Shelf, SourceError, StoreError, Urgency};

/// How long all processes remember an unknown code.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);

/// Longest time of a flight, whatever the broker does.
pub(super) const LONGEST_FLIGHT: Duration = Duration::from_secs(60);

/// Life of a claim, after which the codes of a dead process are free for the others.
const CLAIM_LIFE: Duration = Duration::from_secs(3);

/// Longest wait for the remaining lives of prices whose age is in doubt.
const LOOK_AT_LIVES: Duration = Duration::from_secs(1);

/// How often a claim is renewed while the broker is being asked.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// How often at most a claim is renewed. A process without a price by then lets others try.
const RENEWALS: usize = 8;

/// Pause between looks for a price that another process is asking for, in milliseconds. Drawn each
/// time, so that waiting processes do not all look at once.
const LOOK_AGAIN_MS: std::ops::RangeInclusive<u64> = 20..=40;

/// How codes are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FetchOptions {
    /// Urgency of the calls to the broker.
    pub(super) urgency: Urgency,
    /// Whether the store answered just now.
    pub(super) store_answers: bool,
    /// Whether the codes are in the universe.
    pub(super) is_listed: bool,
}

impl Shared {
    /// Asks for the codes that no other process is asking for, and waits for the rest. If the store
    /// does not answer or this process is alone, it asks for all codes.
    pub(super) async fn run(self: Arc<Self>, fetches: Vec<Fetch>, options: FetchOptions) {
        let flights = self.parts.flights.as_ref();
        let Some(flights) = flights.filter(|_| options.store_answers) else {
            return self.call(fetches, None, options).await;
        };
        let ends_at = Instant::now() + LONGEST_FLIGHT;
        let mut waiting = fetches;
        loop {
            let (own, others) = match self.claim(flights, waiting).await {
                Ok(sorted) => sorted,
                Err(unclaimed) => {
                    let options = FetchOptions {
                        store_answers: false,
                        ..options
                    };
                    return self.call(unclaimed, None, options).await;
                }
            };
            if !own.is_empty() {
                let claims = Some(Arc::clone(flights));
                spawn_brief("call", Arc::clone(&self).call(own, claims, options));
            }
            if Instant::now() >= ends_at {
                let late = "another process is asking for it and gets no answer";
                return self.fail(others, late);
            }
            if others.is_empty() {
                return;
            }
            waiting = others;
            sleep(Duration::from_millis(fastrand::u64(LOOK_AGAIN_MS))).await;
        }
    }

    /// Claims codes and finishes those with a known result.
    ///
    /// Returns the other codes: first those that this process is to ask for, then those that others
    /// ask for. If the claims fail, all codes are returned as an error.
    async fn claim(
        &self,
        flights: &Arc<dyn Flights>,
        fetches: Vec<Fetch>,
    ) -> Result<(Vec<Fetch>, Vec<Fetch>), Vec<Fetch>> {
        let symbols = symbols_of(&fetches);
        let process = &self.parts.process;
        let Ok(claims) = flights.claim(process, &symbols, CLAIM_LIFE).await else {
            return Err(fetches);
        };
        // Looks after claiming: the previous holder of a claim has written its price by then.
        let Ok(found) = self.parts.store.realtime(&symbols).await else {
            return Err(fetches);
        };
        let now = (self.parts.clock)();
        let found = found.into_iter();
        let mut found: Vec<_> = found
            .map(|quote| reading(quote?, Source::Redis, now))
            .collect();
        let deadline = Instant::now() + LOOK_AT_LIVES;
        self.age_by_lives(&mut found, now, deadline).await;
        let (mut own, mut others, mut not_needed) = (Vec::new(), Vec::new(), Vec::new());
        for ((fetch, claim), found) in fetches.into_iter().zip(claims).zip(found) {
            let symbol = fetch.wanted.symbol;
            let taken = found.filter(|found| {
                found.age <= self.longest_life() && fetch.wanted.takes(&found.quote)
            });
            match (taken.map(|taken| taken.quote), claim) {
                (Some(quote), claim) => {
                    if claim == Claim::Own {
                        not_needed.push((symbol, Landed::Done));
                    }
                    self.last_seen.note(std::iter::once(&*quote));
                    let fetched = Fetched::Quote(quote, Source::Redis);
                    self.in_flight.finish(fetch, fetched, None);
                }
                (None, Claim::Own) => own.push(fetch),
                (None, Claim::Other(_)) => others.push(fetch),
                (None, Claim::Unknown(life)) => {
                    let life = life.min(UNKNOWN_FOR);
                    self.in_flight.finish(fetch, Fetched::Unknown, Some(life));
                }
            }
        }
        if !not_needed.is_empty() {
            let _ = flights.land(process, &not_needed).await;
        }
        Ok((own, others))
    }

    /// Asks the broker, writes good prices back, and finishes the flights.
    async fn call(
        self: Arc<Self>,
        fetches: Vec<Fetch>,
        claims: Option<Arc<dyn Flights>>,
        options: FetchOptions,
    ) {
        let symbols = symbols_of(&fetches);
        let start = Instant::now();
        let asked = timeout(LONGEST_FLIGHT, self.ask(&symbols, options));
        let results = match &claims {
            Some(claims) => self.holding(claims, &symbols, asked).await,
            None => asked.await,
        };
        let mut results = results.unwrap_or_default();
        let quotes: Vec<Quote> = symbols
            .iter()
            .filter_map(|symbol| match results.get(symbol)? {
                Fetched::Quote(quote, _) => Some(Quote::clone(quote)),
                Fetched::Unknown | Fetched::Failed(_) => None,
            })
            .collect();
        if !quotes.is_empty() {
            self.fetch_time.note(start.elapsed());
            self.last_seen.note(quotes.iter());
        }
        // Written before the callers are told: they may read the price from the store, and a
        // process may end once it has its answer. If the store is unreachable, no caller waits for
        // it.
        if options.store_answers {
            self.keep(&quotes).await;
        }
        if let Some(claims) = claims {
            let end = |symbol: &Symbol| match results.get(symbol) {
                Some(Fetched::Unknown) => Landed::Unknown(UNKNOWN_FOR),
                Some(Fetched::Quote(..) | Fetched::Failed(_)) | None => Landed::Done,
            };
            let landed: Vec<_> = symbols
                .iter()
                .map(|symbol| (*symbol, end(symbol)))
                .collect();
            // A claim that cannot be released expires.
            let _ = claims.land(&self.parts.process, &landed).await;
        }
        for fetch in fetches {
            let fetched = results.remove(&fetch.wanted.symbol).unwrap_or_else(|| {
                Fetched::Failed(SourceError::Unavailable("no answer in time".to_owned()))
            });
            let memory = matches!(fetched, Fetched::Unknown).then_some(UNKNOWN_FOR);
            self.in_flight.finish(fetch, fetched, memory);
        }
        if !options.store_answers {
            self.keep(&quotes).await;
        }
    }

    /// Runs `work`, and renews the claims meanwhile.
    async fn holding<T>(
        &self,
        claims: &Arc<dyn Flights>,
        symbols: &[Symbol],
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        for _ in 0..RENEWALS {
            if let Ok(done) = timeout(RENEW_EVERY, &mut work).await {
                return done;
            }
            let process = &self.parts.process;
            let _ = claims.claim(process, symbols, CLAIM_LIFE).await;
        }
        work.await
    }

    async fn keep(&self, quotes: &[Quote]) {
        let realtime = Shelf::Realtime(self.parts.ttl);
        match self.parts.store.write(quotes, realtime, None).await {
            Ok(_) => self.said_unkept.store(false, Ordering::Relaxed),
            // Another broker's process is reported by the code that writes prices.
            Err(StoreError::OtherBroker { .. }) => {}
            Err(error) => {
                if !self.said_unkept.swap(true, Ordering::Relaxed) {
                    tracing::warn!("prices cannot be written back to the store: {error}");
                }
            }
        }
    }

    fn fail(&self, fetches: Vec<Fetch>, why: &str) {
        for fetch in fetches {
            let error = SourceError::Unavailable(why.to_owned());
            self.in_flight.finish(fetch, Fetched::Failed(error), None);
        }
    }

    /// Asks the broker, and once more for codes with a missing or spoiled answer.
    async fn ask(&self, symbols: &[Symbol], options: FetchOptions) -> HashMap<Symbol, Fetched> {
        let Some(source) = &self.parts.source else {
            return HashMap::new();
        };
        let mut results = HashMap::new();
        finish(source.quotes(symbols, options.urgency).await, &mut results);
        let is_doubtful = |symbol: &Symbol| results.get(symbol).is_some_and(Fetched::is_doubtful);
        let again: Vec<Symbol> = symbols.iter().copied().filter(is_doubtful).collect();
        if !again.is_empty() {
            self.may_go(options).await;
            finish(source.quotes(&again, options.urgency).await, &mut results);
        }
        results
    }
}

fn symbols_of(fetches: &[Fetch]) -> Vec<Symbol> {
    let symbol = |fetch: &Fetch| fetch.wanted.symbol;
    fetches.iter().map(symbol).collect()
}
