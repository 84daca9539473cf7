//! An access token in use.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{TimeDelta, TimeZone as _};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::issued::StoredToken;
use sise_domain::{KrxTime, Seoul};

/// Time before its end at which a token is renewed, unless a tenth of its life is shorter.
const EARLY: TimeDelta = TimeDelta::minutes(10);

/// An access token in use.
pub struct Token {
    pub(super) bearer: HeaderValue,
    pub(super) value: SecretString,
    pub(super) refresh_at: KrxTime,
    pub(super) expires_at: KrxTime,
    /// Generation of the token in the shared store, if it is shared.
    pub(super) generation: Option<u64>,
    /// The broker rejected this token.
    ///
    /// The flag belongs to this instance: a call that returns late says nothing about a token
    /// issued meanwhile, which may have the same text.
    is_dead: AtomicBool,
}

impl Token {
    pub(super) fn new(stored: &StoredToken, generation: Option<u64>, now: KrxTime) -> Option<Self> {
        let expires_at = Seoul.from_local_datetime(&stored.expires_at).earliest()?;
        let life = expires_at - now;
        if life <= TimeDelta::zero() {
            return None;
        }
        let value = stored.access_token.expose_secret();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {value}")).ok()?;
        bearer.set_sensitive(true);
        Some(Self {
            bearer,
            value: stored.access_token.clone(),
            refresh_at: expires_at - EARLY.min(life / 10),
            expires_at,
            generation,
            is_dead: AtomicBool::new(false),
        })
    }

    /// Returns whether calls may be made with the token.
    pub(super) fn lives(&self, now: KrxTime) -> bool {
        !self.is_dead.load(Ordering::Acquire) && now < self.expires_at
    }

    /// Returns whether the token need not be renewed yet.
    pub(super) fn is_fresh(&self, now: KrxTime) -> bool {
        self.lives(now) && now < self.refresh_at
    }

    /// Marks the token as rejected by the broker. Returns false if it was marked before.
    pub(super) fn dies(&self) -> bool {
        !self.is_dead.swap(true, Ordering::AcqRel)
    }

    /// Returns whether both tokens have the same text.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.value.expose_secret() == other.value.expose_secret()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Invariants of tokens, for the oracle of `issued`: a token is valid or refused, and nothing
/// panics.
#[cfg(any(test, feature = "testing"))]
pub(super) fn check_token(stored: &StoredToken, now: KrxTime) {
    if let Some(token) = Token::new(stored, None, now) {
        assert!(now < token.refresh_at && token.refresh_at <= token.expires_at);
        assert!(token.lives(now) && !token.lives(token.expires_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sise_port::clock;

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let now = (clock::system())();
        let token = |life: TimeDelta| {
            let stored = StoredToken {
                access_token: "x".to_owned().into(),
                expires_at: (now + life).naive_local(),
            };
            Token::new(&stored, None, now)
        };
        let day = token(TimeDelta::hours(24)).unwrap();
        assert_eq!(day.expires_at - day.refresh_at, TimeDelta::minutes(10));
        let short = token(TimeDelta::seconds(30)).unwrap();
        assert_eq!(short.expires_at - short.refresh_at, TimeDelta::seconds(3));
        assert!(token(TimeDelta::seconds(-1)).is_none());
    }
}
