//! Access control and rate limits of the API.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use axum::middleware::Next;
use axum::response::Response;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use metrics::counter;
use tokio::time::Instant;

use super::Api;
use super::Limits;
use super::origin;
use super::problem::{Kind, Problem};
use super::room::{Room, network};
use crate::clients::Clients;
use sise_cache::{CacheError, digest_of};

/// How long a valid token is trusted without another look-up.
const BELIEVED: Duration = Duration::from_secs(2);

/// Maximum number of remembered tokens and blocked addresses.
const MOST_TOKENS: usize = 10_000;

/// Shortest time between two reads of the list of tokens.
const LISTED_EVERY: Duration = Duration::from_secs(1);

/// The client that a request belongs to: a user, or an address if no tokens are required. Each
/// client has its own request limit, so clients cannot use up one another's. For IPv6 an address
/// stands for its network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// A client without a token, by its address.
    Address(IpAddr),
    /// A user with an access token.
    User(String),
    /// A client at this address without a valid token.
    Stranger(IpAddr),
    /// A client at this address that requests health.
    Monitor(IpAddr),
}

/// The digests of all tokens, and when they were read.
type Listed = Option<(Instant, HashSet<String>)>;

/// Access control and rate limits of the API.
pub(super) struct Access {
    clients: Clients,
    is_open: bool,
    /// The one other origin whose pages may use the API.
    origin: Option<String>,
    believed: Mutex<HashMap<String, (String, Instant)>>,
    limiter: Option<DefaultKeyedRateLimiter<Client>>,
    /// Addresses that sent too many invalid tokens, and until when they are blocked.
    held_off: Mutex<HashMap<IpAddr, Instant>>,
    /// The known tokens: from a blocked address, only tokens in this list are looked up.
    listed: tokio::sync::Mutex<Listed>,
}

impl Access {
    /// Creates access control: open to all if `is_open`, otherwise only with a token. The request
    /// rate per client comes from `limits`; 0 means no limit.
    pub(super) fn new(clients: Clients, is_open: bool, limits: &Limits) -> Self {
        let rate = u32::try_from(limits.requests_per_second)
            .ok()
            .and_then(NonZeroU32::new);
        let limiter = rate.map(|rate| {
            let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(1));
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        });
        Self {
            clients,
            is_open,
            origin: limits.cors_origin.clone(),
            believed: Mutex::default(),
            limiter,
            held_off: Mutex::default(),
            listed: tokio::sync::Mutex::default(),
        }
    }

    /// Drops clients and tokens that were not seen for a while.
    pub(super) fn clear_out(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        let now = Instant::now();
        self.believed().retain(|_, (_, until)| *until > now);
        self.held_off().retain(|_, until| *until > now);
    }

    /// Returns the client of a request from `address`.
    async fn admit(&self, address: IpAddr, headers: &HeaderMap) -> Result<Client, Problem> {
        if self.is_open {
            origin::check_host(headers, self.origin.as_deref())?;
            return Ok(Client::Address(address));
        }
        let Some(token) = token(headers) else {
            let how = "send the header 'Authorization: Bearer TOKEN' with a token from `sise clients add NAME`";
            return Err(self.turn_away(address, how));
        };
        if let Some(user) = self.believed_user_of(token) {
            return Ok(Client::User(user));
        }
        // Guessing must not load the store, and must not lock out valid clients at the same
        // address.
        let held_off = self.held_off().get(&address).copied();
        let wait = held_off.map(|until| until.saturating_duration_since(Instant::now()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero())
            && !self.is_listed(token).await?
        {
            return Err(too_many(wait));
        }
        match self.user_of(token).await? {
            Some(user) => Ok(Client::User(user)),
            None => {
                let why = "the access token is unknown or has ended: get one with `sise clients add NAME`";
                Err(self.turn_away(address, why))
            }
        }
    }

    /// Whether a token is in the list of all tokens, which is read at most once a second.
    async fn is_listed(&self, token: &str) -> Result<bool, CacheError> {
        let mut listed = self.listed.lock().await;
        let digests = match listed.take() {
            Some((at, digests)) if at.elapsed() < LISTED_EVERY => listed.insert((at, digests)),
            _ => {
                let digests = self.clients.digests().await?;
                listed.insert((Instant::now(), digests))
            }
        };
        Ok(digests.1.contains(&digest_of(token)))
    }

    /// Returns the problem for a request without a valid token; after too many of them, the address
    /// is blocked for a while.
    fn turn_away(&self, address: IpAddr, why: &str) -> Problem {
        if let Err(wait) = self.check(&Client::Stranger(address)) {
            let mut held_off = self.held_off();
            if held_off.len() < MOST_TOKENS {
                held_off.insert(address, Instant::now() + wait);
            }
            return too_many(wait);
        }
        Kind::Unauthorized.because(why)
    }

    /// Refuses a stream to a page of another origin if no tokens are required.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.is_open {
            origin::check_origin(headers, self.origin.as_deref())?;
        }
        Ok(())
    }

    fn believed_user_of(&self, token: &str) -> Option<String> {
        let believed = self.believed();
        let (user, until) = believed.get(token)?;
        (*until > Instant::now()).then(|| user.clone())
    }

    /// Returns the user of an access token; `None` if the token is unknown or has ended.
    pub(super) async fn user_of(&self, token: &str) -> Result<Option<String>, CacheError> {
        if let Some(user) = self.believed_user_of(token) {
            return Ok(Some(user));
        }
        let user = self.clients.user_of(token).await?;
        if let Some(user) = &user {
            let mut believed = self.believed();
            if believed.len() < MOST_TOKENS {
                believed.insert(token.to_owned(), (user.clone(), Instant::now() + BELIEVED));
            }
        }
        Ok(user)
    }

    /// Forgets all trusted tokens.
    pub(super) fn forget(&self) {
        self.believed().clear();
    }

    /// Counts a request of a client against its limit.
    fn count(&self, client: &Client) -> Result<(), Problem> {
        self.check(client).map_err(too_many)
    }

    /// Counts a health request from an address. Returns `false` if the address asks so often that
    /// the latest result will do.
    pub(super) fn count_monitor(&self, address: IpAddr) -> bool {
        self.check(&Client::Monitor(network(address))).is_ok()
    }

    /// Counts a request, or returns how long to wait for the next one.
    fn check(&self, client: &Client) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let now = || DefaultClock::default().now();
        limiter
            .check_key(client)
            .map_err(|early| early.wait_time_from(now()))
    }

    fn held_off(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        // Every change is a single step, so a poisoned lock is safe to use.
        self.held_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn believed(&self) -> MutexGuard<'_, HashMap<String, (String, Instant)>> {
        // Every change is a single step, so a poisoned lock is safe to use.
        self.believed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many(wait: Duration) -> Problem {
    counter!("sise_http_throttled_total").increment(1);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let why = "this client exceeds the rate that api.requests_per_second allows";
    Kind::TooManyRequests
        .because(why)
        .retry_after(seconds.max(1))
}

/// Returns the access token of a request. A browser cannot set headers on a WebSocket and sends the
/// token as a subprotocol.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name)?.to_str().ok();
    if let Some(value) = text(AUTHORIZATION) {
        let (scheme, token) = value.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    let protocols = text(SEC_WEBSOCKET_PROTOCOL)?;
    protocols
        .split(',')
        .find_map(|protocol| protocol.trim().strip_prefix("bearer."))
}

/// Returns the problem for a client that may not use the spare connections.
pub(super) fn crowded() -> Problem {
    counter!("sise_http_throttled_total").increment(1);
    let why = "there is no room for more connections, or for more from this address: close some, or send \
               an access token";
    Kind::TooManyRequests.because(why).retry_after(1)
}

/// Middleware that admits permitted requests and adds the [`Client`] to them.
pub(super) async fn guard(
    State(api): State<Api>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let address = network(address.ip());
    let client = api.access.admit(address, request.headers()).await?;
    // Health requests are limited separately, per monitor.
    if request.uri().path() != "/metrics" {
        let room = request.extensions().get::<Room>();
        if room.is_some_and(Room::is_spare) && !matches!(client, Client::User(_)) {
            return Err(crowded());
        }
        api.access.count(&client)?;
    }
    request.extensions_mut().insert(client);
    Ok(next.run(request).await)
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens must not be printed.
        f.debug_struct("Access")
            .field("is_open", &self.is_open)
            .finish_non_exhaustive()
    }
}
