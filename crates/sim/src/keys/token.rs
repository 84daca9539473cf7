//! Issued tokens, and the refusals of token requests (contract 2.1).

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use fastrand::Rng;

use sise_domain::KrxTime;

/// A request within this time of the issue gets the same token.
const SAME_TOKEN: TimeDelta = TimeDelta::hours(6);

/// Most tokens that are remembered; beyond that, the oldest is forgotten.
const MOST_TOKENS: usize = 1_000;

/// The characters of a token.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Why a token is refused: error code and description, sent as HTTP 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenRefusal {
    pub(crate) code: &'static str,
    pub(crate) text: &'static str,
}

impl TokenRefusal {
    pub(crate) const BAD_REQUEST: Self = Self::new("EGW00101", "유효하지 않은 요청입니다.");
    pub(crate) const NO_GRANT: Self = Self::new("EGW00115", "grant_type은 필수입니다.");
    pub(crate) const WRONG_GRANT: Self = Self::new("EGW00116", "지원하지 않는 grant_type입니다.");
    pub(super) const BANNED: Self = Self::new("EGW00003", "접근이 거부되었습니다.");
    pub(super) const NO_KEY: Self = Self::new("EGW00102", "AppKey는 필수입니다.");
    pub(super) const WRONG_KEY: Self = Self::new("EGW00103", "유효하지 않은 AppKey입니다.");
    pub(super) const NO_SECRET: Self = Self::new("EGW00104", "AppSecret은 필수입니다.");
    pub(super) const WRONG_SECRET: Self = Self::new("EGW00105", "유효하지 않은 AppSecret입니다.");
    pub(super) const UNKNOWN_TOKEN: Self = Self::new("EGW00121", "유효하지 않은 token 입니다.");
    pub(super) const TOO_SOON: Self = Self::new(
        "EGW00133",
        "접근토큰 발급 잠시 후 다시 시도하세요(1분당 1회)",
    );

    const fn new(code: &'static str, text: &'static str) -> Self {
        Self { code, text }
    }
}

/// A token as it is handed out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) token: String,
    pub(crate) expires_at: KrxTime,
}

/// The state of a token.
pub(super) struct Token {
    pub(super) app_key: String,
    pub(super) expires_at: KrxTime,
    issued_at: KrxTime,
}

/// All tokens, by their text.
pub(super) struct Tokens {
    known: HashMap<String, Token>,
    validity: TimeDelta,
    rng: Rng,
}

impl Tokens {
    /// Creates an empty set of tokens. Each token will be valid for `validity`.
    pub(super) fn new(validity: Duration) -> Self {
        Self {
            known: HashMap::new(),
            validity: TimeDelta::from_std(validity).unwrap_or(TimeDelta::MAX),
            // Not seeded: after a restart, tokens from before must be unknown.
            rng: Rng::new(),
        }
    }

    /// Returns the lifetime of a new token.
    pub(super) fn validity(&self) -> Duration {
        self.validity.to_std().unwrap_or_default()
    }

    pub(super) fn get_mut(&mut self, text: &str) -> Option<&mut Token> {
        self.known.get_mut(text)
    }

    /// Returns the tokens valid at `now`.
    pub(super) fn living(&self, now: KrxTime) -> Vec<String> {
        let living = self.known.iter().filter(|(_, t)| now < t.expires_at);
        living.map(|(text, _)| text.clone()).collect()
    }

    /// Returns the token again, if it is young enough and still valid.
    pub(super) fn again(&self, text: String, now: KrxTime) -> Option<Grant> {
        let token = self.known.get(&text)?;
        let is_given_again = now - token.issued_at < SAME_TOKEN && now < token.expires_at;
        is_given_again.then_some(Grant {
            token: text,
            expires_at: token.expires_at,
        })
    }

    /// Issues a new token.
    pub(super) fn issue(&mut self, app_key: &str, now: KrxTime) -> Grant {
        if self.known.len() >= MOST_TOKENS {
            let oldest = self.known.iter().min_by_key(|(_, token)| token.issued_at);
            if let Some(oldest) = oldest.map(|(text, _)| text.clone()) {
                self.known.remove(&oldest);
            }
        }
        let token = self.write();
        let lifetime = now.checked_add_signed(self.validity);
        let expires_at = lifetime.unwrap_or(now + TimeDelta::days(36_500));
        self.known.insert(
            token.clone(),
            Token {
                app_key: app_key.to_owned(),
                issued_at: now,
                expires_at,
            },
        );
        Grant { token, expires_at }
    }

    /// Ends one token of an app key. Returns false if the key has no such token.
    pub(super) fn end(&mut self, app_key: &str, text: &str) -> bool {
        let is_own = |token: &Token| token.app_key == app_key;
        self.known.get(text).is_some_and(is_own) && self.known.remove(text).is_some()
    }

    /// Ends every token of an app key.
    pub(super) fn end_of(&mut self, app_key: &str) {
        self.known.retain(|_, token| token.app_key != app_key);
    }

    /// Ends every token.
    pub(super) fn end_all(&mut self) {
        self.known.clear();
    }

    /// Returns a text with the form and length of the broker's tokens.
    fn write(&mut self) -> String {
        let mut token = String::from("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9.");
        for (part, length) in [172, 86].into_iter().enumerate() {
            if part > 0 {
                token.push('.');
            }
            for _ in 0..length {
                let letter = self.rng.choice(LETTERS).copied().unwrap_or(b'A');
                token.push(char::from(letter));
            }
        }
        token
    }
}
