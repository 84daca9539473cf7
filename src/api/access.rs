//! Who may ask, and how often.

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
use super::origin;
use super::problem::{Kind, Problem};
use super::room::{Room, network};
use crate::clients::Clients;
use crate::config::ApiSettings;
use sise_cache::{CacheError, digest_of};

/// A token that was found good is not looked up again for so long.
const BELIEVED: Duration = Duration::from_secs(2);

/// Tokens that are remembered at most.
const MOST_TOKENS: usize = 10_000;

/// Which tokens there are is found out anew this often at most.
const LISTED_EVERY: Duration = Duration::from_secs(1);

/// Of which client a request is: of a user, or, where none are asked for, of an address. Each has a
/// room of its own: what one of them does takes nothing of another's. Of IPv6 an address is a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// Whoever is at this address.
    Address(IpAddr),
    /// A user, by an access token.
    User(String),
    /// Whoever is at this address and brings no good token.
    Stranger(IpAddr),
    /// Whoever is at this address and asks for health.
    Monitor(IpAddr),
}

/// The digests of all tokens, and when they were read.
type Listed = Option<(Instant, HashSet<String>)>;

/// Who may ask, and how often.
pub(super) struct Access {
    clients: Clients,
    is_open: bool,
    /// The one origin whose pages may ask.
    origin: Option<String>,
    believed: Mutex<HashMap<String, (String, Instant)>>,
    limiter: Option<DefaultKeyedRateLimiter<Client>>,
    /// Addresses that sent too many tokens which are none, and until when.
    held_off: Mutex<HashMap<IpAddr, Instant>>,
    /// Of these addresses no token is looked up but one of those that there are.
    listed: tokio::sync::Mutex<Listed>,
}

impl Access {
    /// Access for everybody where `is_open`, else for those with a token; with so many requests a
    /// second each, 0 for as many as they like.
    pub(super) fn new(clients: Clients, is_open: bool, settings: &ApiSettings) -> Self {
        let rate = u32::try_from(settings.requests_per_second)
            .ok()
            .and_then(NonZeroU32::new);
        let limiter = rate.map(|rate| {
            let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(1));
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        });
        Self {
            clients,
            is_open,
            origin: settings.cors_origin.clone(),
            believed: Mutex::default(),
            limiter,
            held_off: Mutex::default(),
            listed: tokio::sync::Mutex::default(),
        }
    }

    /// Forgets clients and tokens that were not seen for a while.
    pub(super) fn clear_out(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        let now = Instant::now();
        self.believed().retain(|_, (_, until)| *until > now);
        self.held_off().retain(|_, until| *until > now);
    }

    /// Of which client a request from `address` is.
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
        // Whoever guesses must not keep the store busy, nor lock others out who come from there.
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
                let why = "the access token is not known, or has ended: get one with `sise clients add NAME`";
                Err(self.turn_away(address, why))
            }
        }
    }

    /// Whether a token is one of those that there are, by a list that is read once in a while.
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

    /// The problem of who has no good token, and soon that there are too many of these.
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

    /// Refuses a stream to a page of another origin, where no token is asked for.
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

    /// Whose access token it is; `None` where it is nobody's, or not any more.
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

    /// Forgets that a token was good.
    pub(super) fn forget(&self) {
        self.believed().clear();
    }

    /// Counts a request of a client.
    fn count(&self, client: &Client) -> Result<(), Problem> {
        self.check(client).map_err(too_many)
    }

    /// Counts a request for health from an address. `false` where it asks so often that what was found
    /// out last will do.
    pub(super) fn count_monitor(&self, address: IpAddr) -> bool {
        self.check(&Client::Monitor(network(address))).is_ok()
    }

    /// Counts a request, or says how long to wait for the next.
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
        // Every change is one step.
        self.held_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn believed(&self) -> MutexGuard<'_, HashMap<String, (String, Instant)>> {
        // Every change is one step.
        self.believed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many(wait: Duration) -> Problem {
    counter!("sise_http_throttled_total").increment(1);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let why = "this client asks more often than api.requests_per_second allows";
    Kind::TooManyRequests
        .because(why)
        .retry_after(seconds.max(1))
}

/// The access token of a request: a browser cannot set the header of a WebSocket, and names it as a
/// subprotocol.
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

/// The problem of who has no claim to the last connections.
pub(super) fn crowded() -> Problem {
    counter!("sise_http_throttled_total").increment(1);
    let why = "there is no room for more connections, or none from this address: close some, or send \
               an access token";
    Kind::TooManyRequests.because(why).retry_after(1)
}

/// Lets requests through that may be answered; the client is known behind it.
pub(super) async fn guard(
    State(api): State<Api>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let address = network(address.ip());
    let client = api.access.admit(address, request.headers()).await?;
    // Of health each monitor has a room of its own.
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
        // It holds tokens.
        f.debug_struct("Access")
            .field("is_open", &self.is_open)
            .finish_non_exhaustive()
    }
}
