//! Who may ask, and how often.

use std::collections::HashMap;
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
use super::problem::{Kind, Problem};
use crate::cache::CacheError;
use crate::clients::Clients;

/// A token that was found good is not looked up again for so long.
const BELIEVED: Duration = Duration::from_secs(2);

/// Tokens that are remembered at most.
const MOST_TOKENS: usize = 10_000;

/// Of which client a request is: of a user, or, where none are asked for, of an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// Whoever is at this address.
    Address(IpAddr),
    /// A user, by an access token.
    User(String),
}

/// Who may ask, and how often.
pub(super) struct Access {
    clients: Clients,
    is_open: bool,
    believed: Mutex<HashMap<String, (String, Instant)>>,
    limiter: Option<DefaultKeyedRateLimiter<Client>>,
}

impl Access {
    /// Access for everybody where `is_open`, else for those with a token; with so many requests a
    /// second each, 0 for as many as they like.
    pub(super) fn new(clients: Clients, is_open: bool, requests_per_second: usize) -> Self {
        let rate = u32::try_from(requests_per_second)
            .ok()
            .and_then(NonZeroU32::new);
        let limiter = rate.map(|rate| {
            let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(1));
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        });
        Self {
            clients,
            is_open,
            believed: Mutex::default(),
            limiter,
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
    }

    /// Of which client a request from `address` is.
    async fn admit(&self, address: IpAddr, headers: &HeaderMap) -> Result<Client, Problem> {
        if self.is_open {
            return Ok(Client::Address(address));
        }
        let Some(token) = token(headers) else {
            let how = "send the header 'Authorization: Bearer TOKEN' with a token from `sise clients add NAME`";
            return Err(Kind::Unauthorized.because(how));
        };
        match self.user_of(token).await? {
            Some(user) => Ok(Client::User(user)),
            None => {
                let why = "the access token is not known, or has ended: get one with `sise clients add NAME`";
                Err(Kind::Unauthorized.because(why))
            }
        }
    }

    async fn user_of(&self, token: &str) -> Result<Option<String>, CacheError> {
        let now = Instant::now();
        if let Some((user, until)) = self.believed().get(token)
            && *until > now
        {
            return Ok(Some(user.clone()));
        }
        let user = self.clients.user_of(token).await?;
        if let Some(user) = &user {
            let mut believed = self.believed();
            if believed.len() < MOST_TOKENS {
                believed.insert(token.to_owned(), (user.clone(), now + BELIEVED));
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
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        limiter.check_key(client).map_err(|early| {
            counter!("sise_http_throttled_total").increment(1);
            let wait = early.wait_time_from(DefaultClock::default().now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let why = "this client asks more often than api.requests_per_second allows";
            Kind::TooManyRequests
                .because(why)
                .retry_after(seconds.max(1))
        })
    }

    fn believed(&self) -> MutexGuard<'_, HashMap<String, (String, Instant)>> {
        // Every change is one step.
        self.believed.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

/// Lets requests through that may be answered; the client is known behind it.
pub(super) async fn guard(
    State(api): State<Api>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let client = api.access.admit(address.ip(), request.headers()).await?;
    api.access.count(&client)?;
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
