//! App keys, their tokens, and their calls of the last second (contract 2.1, chapter 3).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::TimeDelta;
use fastrand::Rng;
use tokio::time::Instant;

use super::answer::Refusal;
use super::faults::Dice;
use super::options::SimOptions;
use super::stats::{Counters, KeyStats};
use super::window::Window;
use crate::domain::KrxTime;

/// A request within this time of the issue gets the same token.
const SAME_TOKEN: TimeDelta = TimeDelta::hours(6);

/// Least time between two tokens given to one app key, the same one or a new one.
const SPACING: TimeDelta = TimeDelta::seconds(60);

/// App keys remembered at most; another is then refused.
const MOST_KEYS: usize = 1_000;

/// Tokens remembered at most; beyond that the oldest is forgotten.
const MOST_TOKENS: usize = 1_000;

/// Letters of an app key that are shown, its last ones.
const SHOWN: usize = 4;

/// The letters of a token.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Why no token is given: error code and description, HTTP 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenRefusal {
    pub(super) code: &'static str,
    pub(super) text: &'static str,
}

impl TokenRefusal {
    pub(super) const BAD_REQUEST: Self = Self::new("EGW00101", "유효하지 않은 요청입니다.");
    const NO_KEY: Self = Self::new("EGW00102", "AppKey는 필수입니다.");
    const WRONG_KEY: Self = Self::new("EGW00103", "유효하지 않은 AppKey입니다.");
    const NO_SECRET: Self = Self::new("EGW00104", "AppSecret은 필수입니다.");
    const WRONG_SECRET: Self = Self::new("EGW00105", "유효하지 않은 AppSecret입니다.");
    pub(super) const NO_GRANT: Self = Self::new("EGW00115", "grant_type은 필수입니다.");
    pub(super) const WRONG_GRANT: Self = Self::new("EGW00116", "지원하지 않는 grant_type입니다.");
    const UNKNOWN_TOKEN: Self = Self::new("EGW00121", "유효하지 않은 token 입니다.");
    const TOO_SOON: Self = Self::new(
        "EGW00133",
        "접근토큰 발급 잠시 후 다시 시도하세요(1분당 1회)",
    );

    const fn new(code: &'static str, text: &'static str) -> Self {
        Self { code, text }
    }
}

/// A token as it is given.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) token: String,
    pub(super) expires_at: KrxTime,
}

/// The credentials of a quotation call, as its headers have them.
#[derive(Clone, Copy)]
pub(super) struct Credentials<'a> {
    pub(super) authorization: &'a str,
    pub(super) app_key: &'a str,
    pub(super) app_secret: &'a str,
}

struct Holder {
    secret: String,
    /// When a token was last given.
    granted_at: Option<KrxTime>,
    /// The token that is given again.
    current: Option<String>,
    /// Calls that were let through.
    accepted: Window,
    /// All calls.
    arrived: Window,
    stats: KeyStats,
}

struct Token {
    app_key: String,
    issued_at: KrxTime,
    expires_at: KrxTime,
}

/// Who may call, and how often.
pub(super) struct Keys {
    app_key: Option<String>,
    app_secret: Option<String>,
    validity: TimeDelta,
    limit: Option<usize>,
    holders: HashMap<String, Holder>,
    tokens: HashMap<String, Token>,
    rng: Rng,
}

impl Keys {
    pub(super) fn new(options: &SimOptions) -> Self {
        Self {
            app_key: options.app_key.clone(),
            app_secret: options.app_secret.clone(),
            validity: TimeDelta::from_std(options.token_validity).unwrap_or(TimeDelta::MAX),
            limit: options
                .limit()
                .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            holders: HashMap::new(),
            tokens: HashMap::new(),
            // Not by the seed: a broker that was restarted must not know its old tokens again.
            rng: Rng::new(),
        }
    }

    /// What each app key did, by the end of the key.
    pub(super) fn stats(&self) -> BTreeMap<String, KeyStats> {
        let mut stats = BTreeMap::<_, KeyStats>::new();
        for (app_key, holder) in &self.holders {
            let letters = app_key.chars().rev().take(SHOWN).collect::<Vec<_>>();
            let end = letters.into_iter().rev().collect();
            stats.entry(end).or_default().add(holder.stats);
        }
        stats
    }

    /// Life of a new token.
    pub(super) fn validity(&self) -> Duration {
        self.validity.to_std().unwrap_or_default()
    }

    /// Gives a token: the same one for six hours while it lives, a new one after that.
    pub(super) fn grant(
        &mut self,
        app_key: &str,
        app_secret: &str,
        now: KrxTime,
        counters: &Counters,
    ) -> Result<Grant, TokenRefusal> {
        let holder = self.known(app_key, app_secret)?;
        if holder.granted_at.is_some_and(|at| now - at < SPACING) {
            return Err(TokenRefusal::TOO_SOON);
        }
        holder.granted_at = Some(now);
        let current = holder.current.clone();
        if let Some(token) = current
            && let Some(known) = self.tokens.get(&token)
            && now - known.issued_at < SAME_TOKEN
            && now < known.expires_at
        {
            let expires_at = known.expires_at;
            return Ok(Grant { token, expires_at });
        }
        counters.token_issued();
        Ok(self.issue(app_key, now))
    }

    /// Ends one token, as its holder asks.
    pub(super) fn revoke(
        &mut self,
        app_key: &str,
        app_secret: &str,
        token: &str,
    ) -> Result<(), TokenRefusal> {
        self.known(app_key, app_secret)?;
        match self.tokens.get(token) {
            Some(known) if known.app_key == app_key => {
                self.tokens.remove(token);
                Ok(())
            }
            _ => Err(TokenRefusal::UNKNOWN_TOKEN),
        }
    }

    /// The tokens that are good at `now`: for tests that look whether one is shown anywhere.
    pub(super) fn living(&self, now: KrxTime) -> Vec<String> {
        let living = self
            .tokens
            .iter()
            .filter(|(_, token)| now < token.expires_at);
        living.map(|(value, _)| value.clone()).collect()
    }

    /// Ends every token. The next request of each app key gets a new one at once.
    pub(super) fn kill_all(&mut self) {
        self.tokens.clear();
        for holder in self.holders.values_mut() {
            holder.granted_at = None;
        }
    }

    /// Lets a call through, or says why not: token, key and limit, in the order of contract
    /// chapter 9. A refused call does not count towards the limit.
    pub(super) fn admit(
        &mut self,
        given: Credentials<'_>,
        now: KrxTime,
        arrived: Instant,
        dice: &Dice,
        counters: &Counters,
    ) -> Result<(), Refusal> {
        if let Some(holder) = self.holders.get_mut(given.app_key) {
            let calls = holder.arrived.add(arrived);
            counters.saw_window(calls);
            holder.stats.saw_call(calls);
        }
        let bearer = given.authorization.strip_prefix("Bearer ");
        let bearer = bearer.ok_or(Refusal::NO_BEARER)?.trim();
        let token = self.tokens.get_mut(bearer).ok_or(Refusal::TOKEN_UNKNOWN)?;
        if now >= token.expires_at {
            return Err(Refusal::TOKEN_EXPIRED);
        }
        let holder = self
            .holders
            .get_mut(given.app_key)
            .filter(|_| token.app_key == given.app_key)
            .ok_or(Refusal::WRONG_KEY)?;
        if holder.secret != given.app_secret {
            return Err(Refusal::WRONG_SECRET);
        }
        if dice.strikes(dice.faults().dead_token) {
            token.expires_at = now;
            holder.granted_at = None;
            return Err(Refusal::TOKEN_KILLED);
        }
        let full = self
            .limit
            .is_some_and(|limit| holder.accepted.count(arrived) >= limit);
        if full {
            holder.stats.over_limit += 1;
            return Err(Refusal::OVER_LIMIT);
        }
        if dice.strikes(dice.faults().refuse) {
            return Err(Refusal::SPREAD);
        }
        if self.limit.is_some() {
            holder.accepted.add(arrived);
        }
        Ok(())
    }

    /// The holder of a key, with its secret right. Where any key is taken, a new one is
    /// remembered with the secret it came with.
    fn known(&mut self, app_key: &str, app_secret: &str) -> Result<&mut Holder, TokenRefusal> {
        if app_key.is_empty() {
            return Err(TokenRefusal::NO_KEY);
        }
        if app_secret.is_empty() {
            return Err(TokenRefusal::NO_SECRET);
        }
        if self.app_key.as_ref().is_some_and(|only| only != app_key) {
            return Err(TokenRefusal::WRONG_KEY);
        }
        let only = self.app_secret.as_ref();
        if only.is_some_and(|only| only != app_secret) {
            return Err(TokenRefusal::WRONG_SECRET);
        }
        if !self.holders.contains_key(app_key) && self.holders.len() >= MOST_KEYS {
            return Err(TokenRefusal::WRONG_KEY);
        }
        let holder = self
            .holders
            .entry(app_key.to_owned())
            .or_insert_with(|| Holder {
                secret: app_secret.to_owned(),
                granted_at: None,
                current: None,
                accepted: Window::default(),
                arrived: Window::default(),
                stats: KeyStats::default(),
            });
        if holder.secret == app_secret {
            Ok(holder)
        } else {
            Err(TokenRefusal::WRONG_SECRET)
        }
    }

    fn issue(&mut self, app_key: &str, now: KrxTime) -> Grant {
        if self.tokens.len() >= MOST_TOKENS {
            let oldest = self.tokens.iter().min_by_key(|(_, token)| token.issued_at);
            if let Some(oldest) = oldest.map(|(text, _)| text.clone()) {
                self.tokens.remove(&oldest);
            }
        }
        let token = self.write_token();
        let lifetime = now.checked_add_signed(self.validity);
        let expires_at = lifetime.unwrap_or(now + TimeDelta::days(36_500));
        self.tokens.insert(
            token.clone(),
            Token {
                app_key: app_key.to_owned(),
                issued_at: now,
                expires_at,
            },
        );
        if let Some(holder) = self.holders.get_mut(app_key) {
            holder.current = Some(token.clone());
        }
        Grant { token, expires_at }
    }

    /// A text in the form and length of the broker's tokens.
    fn write_token(&mut self) -> String {
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

#[cfg(test)]
mod tests {
    use super::super::options::Faults;
    use super::*;
    use crate::domain::Seoul;
    use chrono::TimeZone;

    fn at(seconds: i64) -> KrxTime {
        let start = Seoul.with_ymd_and_hms(2026, 3, 20, 9, 0, 0).unwrap();
        start + TimeDelta::seconds(seconds)
    }

    struct Desk {
        keys: Keys,
        dice: Dice,
        counters: Counters,
        start: Instant,
    }

    impl Desk {
        fn new(options: &SimOptions) -> Self {
            Self {
                keys: Keys::new(options),
                dice: Dice::new(options.faults, 1),
                counters: Counters::default(),
                start: Instant::now(),
            }
        }

        fn grant(&mut self, key: &str, secret: &str, seconds: i64) -> Result<Grant, TokenRefusal> {
            self.keys.grant(key, secret, at(seconds), &self.counters)
        }

        fn call(&mut self, token: &str, millis: u64) -> Result<(), Refusal> {
            let authorization = format!("Bearer {token}");
            let given = Credentials {
                authorization: &authorization,
                app_key: "key",
                app_secret: "secret",
            };
            let arrived = self.start + Duration::from_millis(millis);
            let now = at(i64::try_from(millis / 1_000).unwrap());
            let Self { dice, counters, .. } = self;
            self.keys.admit(given, now, arrived, dice, counters)
        }
    }

    fn refused(result: Result<Grant, TokenRefusal>) -> &'static str {
        result.err().unwrap().code
    }

    #[test]
    fn the_same_token_is_given_for_six_hours_once_a_minute() {
        let mut desk = Desk::new(&SimOptions::default());
        let first = desk.grant("key", "secret", 0).ok().unwrap();
        assert_eq!(first.token.len(), 296);
        assert_eq!(first.expires_at, at(24 * 3_600));
        assert_eq!(refused(desk.grant("key", "secret", 59)), "EGW00133");
        assert!(desk.grant("other", "secret", 59).is_ok(), "another key");
        let again = desk.grant("key", "secret", 60).ok().unwrap();
        assert!(again == first);
        let late = desk.grant("key", "secret", 6 * 3_600 - 1).ok().unwrap();
        assert!(late == first);
        let new = desk.grant("key", "secret", 6 * 3_600 + 59).ok().unwrap();
        assert!(new.token != first.token);
        assert_eq!(desk.counters.read().tokens_issued, 3);
        // Nothing says that the older one dies: both live.
        assert!(desk.call(&first.token, 0).is_ok());
        assert!(desk.call(&new.token, 0).is_ok());
    }

    #[test]
    fn an_expired_or_killed_token_is_replaced() {
        let mut desk = Desk::new(&SimOptions {
            token_validity: Duration::from_secs(90),
            ..SimOptions::default()
        });
        let first = desk.grant("key", "secret", 0).ok().unwrap();
        assert!(desk.call(&first.token, 89_000).is_ok());
        let expired = desk.call(&first.token, 90_000).unwrap_err();
        assert_eq!(expired, Refusal::TOKEN_EXPIRED);
        let second = desk.grant("key", "secret", 91).ok().unwrap();
        assert!(second.token != first.token);
        desk.keys.kill_all();
        let killed = desk.call(&second.token, 92_000).unwrap_err();
        assert_eq!(killed, Refusal::TOKEN_UNKNOWN);
        let third = desk.grant("key", "secret", 92).ok().unwrap();
        assert!(third.token != second.token);
        assert!(desk.call(&third.token, 93_000).is_ok());
    }

    #[test]
    fn a_token_that_dies_by_fault_stays_dead() {
        let mut desk = Desk::new(&SimOptions {
            faults: Faults {
                dead_token: 0.5,
                ..Faults::default()
            },
            ..SimOptions::default()
        });
        let first = desk.grant("key", "secret", 0).ok().unwrap();
        let died = (0..100).find(|_| desk.call(&first.token, 0).is_err());
        assert!(died.is_some());
        for _ in 0..20 {
            let refusal = desk.call(&first.token, 0).unwrap_err();
            assert!(refusal.body().contains("EGW00123"));
        }
        assert!(desk.grant("key", "secret", 1).is_ok());
    }

    #[test]
    fn wrong_keys_and_secrets_are_refused() {
        let mut desk = Desk::new(&SimOptions::default());
        assert_eq!(refused(desk.grant("", "secret", 0)), "EGW00102");
        assert_eq!(refused(desk.grant("key", "", 0)), "EGW00104");
        let grant = desk.grant("key", "secret", 0).ok().unwrap();
        assert_eq!(refused(desk.grant("key", "other", 100)), "EGW00105");
        desk.grant("second", "secret", 0).ok().unwrap();
        let arrived = desk.start;
        let mut admit = |authorization: &str, app_key, app_secret| {
            let given = Credentials {
                authorization,
                app_key,
                app_secret,
            };
            let Desk {
                keys,
                dice,
                counters,
                ..
            } = &mut desk;
            keys.admit(given, at(1), arrived, dice, counters).err()
        };
        let bearer = format!("Bearer {}", grant.token);
        assert_eq!(admit(&bearer, "key", "secret"), None);
        for (authorization, key, secret, refusal) in [
            ("", "key", "secret", Refusal::NO_BEARER),
            (grant.token.as_str(), "key", "secret", Refusal::NO_BEARER),
            ("Bearer x", "key", "secret", Refusal::TOKEN_UNKNOWN),
            (&bearer, "second", "secret", Refusal::WRONG_KEY),
            (&bearer, "nobody", "secret", Refusal::WRONG_KEY),
            (&bearer, "key", "other", Refusal::WRONG_SECRET),
        ] {
            assert_eq!(admit(authorization, key, secret), Some(refusal));
        }

        let mut closed = Desk::new(&SimOptions {
            app_key: Some("mine".to_owned()),
            app_secret: Some("sesame".to_owned()),
            ..SimOptions::default()
        });
        assert_eq!(refused(closed.grant("key", "sesame", 0)), "EGW00103");
        assert_eq!(refused(closed.grant("mine", "secret", 0)), "EGW00105");
        assert!(closed.grant("mine", "sesame", 0).is_ok());
    }

    #[test]
    fn a_revoked_token_is_unknown_and_the_minute_still_counts() {
        let mut desk = Desk::new(&SimOptions::default());
        let token = desk.grant("key", "secret", 0).ok().unwrap().token;
        desk.grant("other", "secret", 0).ok().unwrap();
        assert!(desk.keys.revoke("other", "secret", &token).is_err());
        assert!(desk.keys.revoke("key", "secret", &token).is_ok());
        assert_eq!(desk.call(&token, 0).unwrap_err(), Refusal::TOKEN_UNKNOWN);
        assert_eq!(refused(desk.grant("key", "secret", 30)), "EGW00133");
        assert!(desk.grant("key", "secret", 60).is_ok());
    }

    #[test]
    fn no_second_lets_more_calls_through_than_the_limit() {
        let mut desk = Desk::new(&SimOptions::default());
        let token = desk.grant("key", "secret", 0).ok().unwrap().token;
        // Five seconds at 100 calls a second.
        let mut passed = Vec::new();
        for call in 0..500 {
            match desk.call(&token, call * 10) {
                Ok(()) => passed.push(call * 10),
                Err(refusal) => assert_eq!(refusal, Refusal::OVER_LIMIT),
            }
        }
        assert_eq!(passed.len(), 18 * 5);
        for (number, start) in passed.iter().enumerate() {
            let second = passed[number..].iter().filter(|at| **at < start + 1_000);
            assert!(second.count() <= 18);
        }
        assert_eq!(desk.counters.read().max_calls_per_second_window, 100);
    }

    #[test]
    fn a_steady_call_at_the_limit_is_never_refused() {
        let mut desk = Desk::new(&SimOptions {
            calls_per_second: Some(20),
            ..SimOptions::default()
        });
        let token = desk.grant("key", "secret", 0).ok().unwrap().token;
        for call in 0..200 {
            assert!(desk.call(&token, call * 50).is_ok(), "call {call}");
        }
        assert_eq!(desk.counters.read().max_calls_per_second_window, 20);
    }
}
