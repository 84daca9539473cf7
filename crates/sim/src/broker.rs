//! The simulated broker: its state, and how it answers a quotation call.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, sleep};

use super::answer::{Answer, Refusal};
use super::endpoint::{Call, Endpoint};
use super::faults::{Breakage, Dice};
use super::feed::{FeedStats, Registry};
use super::keys::{Credentials, Keys};
use super::market::Market;
use super::masters::Masters;
use super::options::{Clock, Faults, Mode, SimError, SimOptions};
use super::query::Query;
use super::stats::{Counters, KeyStats, Outcome, SimStats};
use sise_domain::{KrxTime, Seoul, Symbol};

/// The content type of every JSON body.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// A simulated broker. Clones share the same state.
#[derive(Clone)]
pub struct Sim {
    inner: Arc<Inner>,
}

struct Inner {
    options: SimOptions,
    clock: Clock,
    market: Market,
    masters: Masters,
    keys: Mutex<Keys>,
    dice: Dice,
    counters: Counters,
    feed: Registry,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

impl Sim {
    /// Creates a simulated broker. Its market starts now; `clock` returns its wall time.
    ///
    /// # Errors
    ///
    /// Returns an error if an option is out of range or the recorded day cannot be read.
    pub fn new(options: SimOptions, clock: Clock) -> Result<Self, SimError> {
        options.validate()?;
        let market = Market::new(&options)?;
        let day = market.day(clock().with_timezone(&Seoul));
        let masters = Masters::pack(market.stocks(), day).map_err(SimError::Masters)?;
        Ok(Self {
            inner: Arc::new(Inner {
                keys: Mutex::new(Keys::new(&options)),
                dice: Dice::new(options.faults, options.seed),
                counters: Counters::default(),
                feed: Registry::default(),
                options,
                clock,
                market,
                masters,
            }),
        })
    }

    /// Returns the counts since the start.
    #[must_use]
    pub fn stats(&self) -> SimStats {
        self.inner.counters.read()
    }

    /// Returns the counts of the live feed since the start.
    #[must_use]
    pub fn feed_stats(&self) -> FeedStats {
        self.inner.feed.stats()
    }

    /// Returns the counts of each app key, by the last four letters of the key.
    #[must_use]
    pub fn stats_by_key(&self) -> BTreeMap<String, KeyStats> {
        self.keys().stats()
    }

    /// Returns the current price of every stock that has one, in won.
    #[must_use]
    pub fn prices(&self) -> BTreeMap<Symbol, i64> {
        let market = &self.inner.market;
        market.look(|figures| {
            let stocks = market.stocks().iter().enumerate();
            stocks
                .filter_map(|(place, stock)| Some((stock.code, figures(place)?.price)))
                .collect()
        })
    }

    /// Ends every token and every approval key at once.
    ///
    /// Calls with an ended token answer `EGW00121`. The next token request gets a new token, even
    /// within the minute for which the broker otherwise repeats the old one.
    pub fn kill_tokens(&self) {
        self.keys().kill_all();
        self.inner.feed.end_approvals();
    }

    /// Replaces the faults that are injected from now on.
    ///
    /// # Errors
    ///
    /// Returns an error if a share is out of range; the faults then stay as they were.
    pub fn set_faults(&self, faults: Faults) -> Result<(), SimError> {
        faults.validate()?;
        self.inner.dice.set_faults(faults);
        Ok(())
    }

    pub(super) fn feed(&self) -> &Registry {
        &self.inner.feed
    }

    pub(super) fn market(&self) -> &Market {
        &self.inner.market
    }

    /// Draws whether a fault with this share occurs.
    pub(super) fn strikes(&self, share: f64) -> bool {
        self.inner.dice.strikes(share)
    }

    /// Returns the price that a trade reports: `price`, unless a fault replaces it.
    pub(super) fn price_of_trade(&self, price: i64) -> i64 {
        self.inner.dice.implausible().unwrap_or(price)
    }

    pub(super) fn options(&self) -> &SimOptions {
        &self.inner.options
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    pub(super) fn masters(&self) -> &Masters {
        &self.inner.masters
    }

    /// Returns the wall time in Seoul.
    pub(super) fn now(&self) -> KrxTime {
        (self.inner.clock)().with_timezone(&Seoul)
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.inner
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits, checks and answers one call (contract chapter 9, point 3).
    fn answer(
        &self,
        name: &str,
        headers: &HeaderMap,
        query: &str,
        arrived: Instant,
    ) -> Result<Answer, Refusal> {
        let Inner {
            options,
            market,
            dice,
            counters,
            ..
        } = self.inner.as_ref();
        let now = self.now();
        let given = Credentials {
            authorization: text(headers, "authorization"),
            app_key: text(headers, "appkey"),
            app_secret: text(headers, "appsecret"),
        };
        self.keys().admit(given, now, arrived, dice, counters)?;
        let endpoint = Endpoint::named(name).ok_or(Refusal::NO_ROUTE)?;
        if text(headers, "tr_id") != endpoint.transaction() {
            return Err(Refusal::WRONG_TRANSACTION);
        }
        let missing = options.mode == Mode::Paper && !endpoint.is_on_paper();
        if missing || (dice.faults().no_multi && endpoint == Endpoint::Multi) {
            return Err(Refusal::NOT_ON_PAPER);
        }
        let call = Call {
            market,
            dice,
            now,
            next_page: text(headers, "tr_cont") == "N",
        };
        endpoint.answer(call, &Query::parse(query))
    }

    /// Handles one quotation call from arrival to response, including faults.
    pub(super) async fn quote(&self, name: &str, headers: &HeaderMap, query: &str) -> Response {
        let Inner {
            options,
            dice,
            counters,
            ..
        } = self.inner.as_ref();
        counters.arrived();
        let answer = self.answer(name, headers, query, Instant::now());
        let (outcome, response) = self.respond(answer, headers);
        // Counted before the wait, as the client may give up during it.
        counters.ended(outcome);
        let mut wait = options.latency;
        let faults = dice.faults();
        if dice.strikes(faults.slow) {
            wait += faults.slow_for;
        }
        if !wait.is_zero() {
            sleep(wait).await;
        }
        response
    }

    /// Returns the response to a call, broken if the dice say so, and its outcome for the
    /// statistics.
    fn respond(&self, answer: Result<Answer, Refusal>, asked: &HeaderMap) -> (Outcome, Response) {
        let dice = &self.inner.dice;
        let answer = match answer {
            Ok(answer) => answer,
            Err(refusal) => {
                let status = StatusCode::from_u16(refusal.status);
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return (
                    refusal.outcome,
                    self.reply(status, asked, "", refusal.body()),
                );
            }
        };
        let (pages, faulty) = (answer.pages, answer.faulty);
        let body = answer.body(dice.pads());
        let Some(breakage) = dice.breakage() else {
            let outcome = if faulty { Outcome::Fault } else { Outcome::Ok };
            return (outcome, self.reply(StatusCode::OK, asked, pages, body));
        };
        let response = match breakage {
            Breakage::Garbage => self.reply(StatusCode::OK, asked, pages, dice.garble(&body)),
            Breakage::Http500 => (
                StatusCode::INTERNAL_SERVER_ERROR,
                [(CONTENT_TYPE, "text/html")],
                "<html><body><h1>Internal Server Error</h1></body></html>",
            )
                .into_response(),
            Breakage::Reset => closed_connection(),
        };
        (Outcome::Fault, response)
    }

    pub(super) fn reply(
        &self,
        status: StatusCode,
        asked: &HeaderMap,
        pages: &'static str,
        body: String,
    ) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if let Some(transaction) = asked.get("tr_id") {
            headers.insert("tr_id", transaction.clone());
        }
        headers.insert("tr_cont", HeaderValue::from_static(pages));
        if let Ok(id) = HeaderValue::from_str(&self.inner.dice.transaction_id()) {
            headers.insert("gt_uid", id);
        }
        response
    }
}

/// Returns a response whose body fails before its first byte.
///
/// The server then closes the connection without having sent anything.
fn closed_connection() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(io::Error::other("reset")) });
    Response::new(Body::from_stream(broken))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}
