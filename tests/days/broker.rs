//! The broker of a simulated day: the real simulator behind its router, and a record of whatever
//! it said, so that no price can be made up.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use futures_util::FutureExt as _;
use reqwest::{Method, Request};
use serde_json::{Value, json};
use sise::domain::{SIMULATOR_HEADER, Symbol};
use sise::kis::Reply;
use sise::port::SourceError;
use sise::sim::{Clock, Faults, Mode, Sim, SimOptions, SimStats};
use tower::ServiceExt as _;

use super::timeline::Standing;

/// Host of the price calls.
pub(crate) const BROKER: &str = "http://broker";
/// Host of the master files.
pub(crate) const LISTS: &str = "http://lists";

/// Of the account whose key all processes have.
pub(crate) const APP_KEY: &str = "the-app-key";
pub(crate) const APP_SECRET: &str = "the-app-secret";

const QUOTATIONS: &str = "/uapi/domestic-stock/v1/quotations/";

/// Something that the broker said: the price, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) price: i64,
    pub(crate) at: Duration,
    pub(crate) slot: usize,
}

pub(crate) struct Broker {
    standing: Standing,
    quotes: Sim,
    quotes_router: Router,
    lists_router: Router,
    /// A list that lost most of its codes.
    short_router: Router,
    /// Calls of the last minute.
    calls: VecDeque<(Duration, usize)>,
    /// By code and the asking process's time in milliseconds.
    told: HashMap<(Symbol, i64), Vec<Told>>,
    pub(crate) token_calls: Vec<(Duration, usize)>,
    /// When a token was given last, and to whom.
    pub(crate) issued: Option<(Duration, usize)>,
    last_token: Option<String>,
    pub(crate) most_in_a_second: usize,
    /// Calls of the day.
    pub(crate) count: u32,
}

/// The codes of a day.
#[derive(Debug, Clone)]
pub(crate) struct Codes {
    /// Of the stock list.
    pub(crate) listed: Vec<Symbol>,
    /// Those of them that the broker has no price of.
    pub(crate) unknown: Vec<Symbol>,
    /// Those whose trading is halted.
    pub(crate) halted: Vec<Symbol>,
}

impl Codes {
    /// Codes that have a price.
    pub(crate) fn living(&self) -> Vec<Symbol> {
        let lives = |code: &&Symbol| !self.unknown.contains(code);
        self.listed.iter().filter(lives).copied().collect()
    }
}

impl Broker {
    pub(crate) fn new(seed: u64, mode: Mode, codes: &Codes, clock: &Clock) -> Self {
        let mut standing = Standing::new();
        let sim = |codes: Vec<Symbol>| {
            let options = SimOptions {
                mode,
                seed,
                codes: Some(codes),
                ..SimOptions::default()
            };
            Sim::new(options, clock.clone()).unwrap()
        };
        let some = codes.listed.iter().take(codes.listed.len() / 2);
        let (quotes, lists, short) = standing.run(Duration::ZERO, || {
            (
                sim(codes.living()),
                sim(codes.listed.clone()),
                sim(some.copied().collect()),
            )
        });
        Self {
            standing,
            quotes_router: quotes.router(),
            quotes,
            lists_router: lists.router(),
            short_router: short.router(),
            calls: VecDeque::new(),
            told: HashMap::new(),
            token_calls: Vec::new(),
            issued: None,
            last_token: None,
            most_in_a_second: 0,
            count: 0,
        }
    }

    pub(crate) fn stats(&self) -> SimStats {
        self.quotes.stats()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.quotes.set_faults(faults).unwrap();
    }

    /// Ends every token; the next one is given at once.
    pub(crate) fn kill_tokens(&self) {
        self.quotes.kill_tokens();
    }

    /// Ends the token in use, as its holder may; the next is given a minute after the last.
    pub(crate) fn revoke_token(&mut self) {
        let Some(token) = self.last_token.take() else {
            return;
        };
        let body = json!({"appkey": APP_KEY, "appsecret": APP_SECRET, "token": token});
        let router = self.quotes_router.clone();
        let now = self.standing.now();
        self.standing
            .run(now, || serve(router, post("/oauth2/revokeP", &body)))
            .unwrap();
    }

    /// Another program of the same key asks for a token.
    pub(crate) fn ask_for_token(&mut self, now: Duration) {
        let body = json!({
            "grant_type": "client_credentials", "appkey": APP_KEY, "appsecret": APP_SECRET,
        });
        let router = self.quotes_router.clone();
        let reply = self
            .standing
            .run(now, || serve(router, post("/oauth2/tokenP", &body)));
        self.note_token(&reply);
    }

    /// Whether the reply is a token.
    fn note_token(&mut self, reply: &Result<Reply, SourceError>) -> bool {
        let body = reply.as_ref().map(|reply| reply.body.as_slice());
        let body: Value = serde_json::from_slice(body.unwrap_or_default()).unwrap_or_default();
        let token = body["access_token"].as_str().map(str::to_owned);
        let is_token = token.is_some();
        self.last_token = token.or(self.last_token.take());
        is_token
    }

    /// Answers a call that arrives at `now`, made by the process in `slot` at `by_its_clock`.
    pub(crate) fn answer(
        &mut self,
        now: Duration,
        slot: usize,
        by_its_clock: i64,
        request: Request,
    ) -> Result<Reply, SourceError> {
        let path = request.url().path();
        let is_token = path.ends_with("/tokenP");
        if path.starts_with(QUOTATIONS) {
            self.count(now, slot);
        } else if is_token {
            self.token_calls.push((now, slot));
        }
        let asked: Vec<Symbol> = request
            .url()
            .query_pairs()
            .filter(|(name, _)| name.starts_with("FID_INPUT_ISCD"))
            .filter_map(|(_, code)| code.parse().ok())
            .collect();
        let router = self.quotes_router.clone();
        let (reply, prices) = self
            .standing
            .run(now, || (serve(router, request), self.quotes.prices()));
        if is_token && self.note_token(&reply) {
            self.issued = Some((now, slot));
        }
        self.remember(now, slot, by_its_clock, &asked, &prices);
        reply
    }

    /// Answers for a master file; `short` is a list that lost most of its codes.
    pub(crate) fn list(
        &mut self,
        now: Duration,
        request: Request,
        short: bool,
    ) -> Result<Reply, SourceError> {
        let router = match short {
            false => self.lists_router.clone(),
            true => self.short_router.clone(),
        };
        self.standing.run(now, || serve(router, request))
    }

    fn remember(
        &mut self,
        now: Duration,
        slot: usize,
        by_its_clock: i64,
        asked: &[Symbol],
        prices: &BTreeMap<Symbol, i64>,
    ) {
        for code in asked {
            if let Some(price) = prices.get(code) {
                let told = Told {
                    price: *price,
                    at: now,
                    slot,
                };
                self.told
                    .entry((*code, by_its_clock))
                    .or_default()
                    .push(told);
            }
        }
    }

    /// What it said of a code to a process whose clock showed `by_its_clock`.
    pub(crate) fn told(&self, code: Symbol, by_its_clock: i64) -> &[Told] {
        self.told
            .get(&(code, by_its_clock))
            .map_or(&[], Vec::as_slice)
    }

    fn count(&mut self, now: Duration, slot: usize) {
        let minute = Duration::from_secs(60);
        while self
            .calls
            .front()
            .is_some_and(|(at, _)| now - *at >= minute)
        {
            self.calls.pop_front();
        }
        self.calls.push_back((now, slot));
        self.count += 1;
        let second = self.in_the_last(Duration::from_secs(1), now).count();
        self.most_in_a_second = self.most_in_a_second.max(second);
    }

    /// Calls that arrived less than `time` before `now`, the newest first.
    pub(crate) fn in_the_last(
        &self,
        time: Duration,
        now: Duration,
    ) -> impl Iterator<Item = (Duration, usize)> + '_ {
        let is_within = move |(at, _): &&(Duration, usize)| now - *at < time;
        self.calls.iter().rev().take_while(is_within).copied()
    }
}

fn post(path: &str, body: &Value) -> Request {
    let url = format!("{BROKER}{path}").parse().unwrap();
    let mut request = Request::new(Method::POST, url);
    *request.body_mut() = Some(body.to_string().into());
    request
}

/// One exchange with a router, whole. It must not wait.
fn serve(router: Router, request: Request) -> Result<Reply, SourceError> {
    let mut call = axum::http::Request::builder()
        .method(request.method())
        .uri(request.url().as_str());
    for (name, value) in request.headers() {
        call = call.header(name, value);
    }
    let body = request.body().and_then(reqwest::Body::as_bytes);
    let call = call.body(Body::from(body.unwrap_or_default().to_vec()));
    let served = router.oneshot(call.unwrap()).now_or_never();
    let response = served.expect("the simulator waited").unwrap();
    let status = response.status().as_u16();
    let date = response.headers().get("date").cloned();
    let simulated = response.headers().contains_key(SIMULATOR_HEADER);
    let body = to_bytes(response.into_body(), usize::MAX).now_or_never();
    let Ok(body) = body.expect("the body waited") else {
        return Err(SourceError::Unavailable("connection reset".to_owned()));
    };
    Ok(Reply {
        status,
        body: body.to_vec(),
        date: date.and_then(|date| Some(date.to_str().ok()?.to_owned())),
        simulated,
    })
}
