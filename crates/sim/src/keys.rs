//! App keys, their tokens, and their calls of the last second (contract 2.1, chapter 3).

mod banned;
mod holder;
mod token;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;

use super::answer::Refusal;
use super::faults::Dice;
use super::options::SimOptions;
use super::stats::{Counters, KeyStats};
use banned::{Banned, STORM};
use holder::Holder;
use sise_domain::KrxTime;
use token::Tokens;
pub(super) use token::{Grant, TokenRefusal};

/// Shortest time between two grants of a token to one app key, whether the same token or a new one.
const SPACING: TimeDelta = TimeDelta::seconds(60);

/// Most app keys that are remembered; any further one is refused.
const MOST_KEYS: usize = 1_000;

/// How many letters at the end of an app key are shown.
const SHOWN: usize = 4;

/// The credentials of a quotation call, taken from its headers.
#[derive(Clone, Copy)]
pub(super) struct Credentials<'a> {
    pub(super) authorization: &'a str,
    pub(super) app_key: &'a str,
    pub(super) app_secret: &'a str,
}

/// The app keys that may call, and how often.
pub(super) struct Keys {
    app_key: Option<String>,
    app_secret: Option<String>,
    limit: Option<usize>,
    single_token: bool,
    holders: HashMap<String, Holder>,
    tokens: Tokens,
    banned: Banned,
}

impl Keys {
    pub(super) fn new(options: &SimOptions) -> Self {
        Self {
            app_key: options.app_key.clone(),
            app_secret: options.app_secret.clone(),
            limit: options
                .limit()
                .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            single_token: options.single_token,
            holders: HashMap::new(),
            tokens: Tokens::new(options.token_validity),
            banned: Banned::new(options.ban),
        }
    }

    /// Returns the counts of each app key, by the last letters of the key.
    pub(super) fn stats(&self) -> BTreeMap<String, KeyStats> {
        let mut stats = BTreeMap::<_, KeyStats>::new();
        for (app_key, holder) in &self.holders {
            let letters = app_key.chars().rev().take(SHOWN).collect::<Vec<_>>();
            let end = letters.into_iter().rev().collect();
            stats.entry(end).or_default().add(holder.stats);
        }
        stats
    }

    /// Returns the lifetime of a new token.
    pub(super) fn validity(&self) -> Duration {
        self.tokens.validity()
    }

    /// Grants a token: for six hours the same one, if it is still valid; after that a new one.
    pub(super) fn grant(
        &mut self,
        app_key: &str,
        app_secret: &str,
        now: KrxTime,
        counters: &Counters,
    ) -> Result<Grant, TokenRefusal> {
        if self.banned.meets(app_key, now) {
            counters.called_while_banned();
            return Err(TokenRefusal::BANNED);
        }
        if let Err(refusal) = self.known(app_key, app_secret) {
            if [TokenRefusal::WRONG_KEY, TokenRefusal::WRONG_SECRET].contains(&refusal) {
                self.banned.ban(app_key, now);
            }
            return Err(refusal);
        }
        let holder = self.known(app_key, app_secret)?;
        if holder.granted_at.is_some_and(|at| now - at < SPACING) {
            return Err(TokenRefusal::TOO_SOON);
        }
        holder.granted_at = Some(now);
        let current = holder.current.clone();
        if let Some(grant) = current.and_then(|token| self.tokens.again(token, now)) {
            return Ok(grant);
        }
        if self.single_token {
            self.tokens.end_of(app_key);
        }
        counters.token_issued();
        let grant = self.tokens.issue(app_key, now);
        self.known(app_key, app_secret)?.current = Some(grant.token.clone());
        Ok(grant)
    }

    /// Checks whether an app key may have an approval key (contract 2.3).
    pub(super) fn approve(
        &mut self,
        app_key: &str,
        app_secret: &str,
        now: KrxTime,
        counters: &Counters,
    ) -> Result<(), TokenRefusal> {
        if self.banned.meets(app_key, now) {
            counters.called_while_banned();
            return Err(TokenRefusal::BANNED);
        }
        let refusal = self.known(app_key, app_secret).err();
        if let Some(TokenRefusal::WRONG_KEY | TokenRefusal::WRONG_SECRET) = refusal {
            self.banned.ban(app_key, now);
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Ends one token at the request of its app key.
    pub(super) fn revoke(
        &mut self,
        app_key: &str,
        app_secret: &str,
        token: &str,
    ) -> Result<(), TokenRefusal> {
        self.known(app_key, app_secret)?;
        if self.tokens.end(app_key, token) {
            Ok(())
        } else {
            Err(TokenRefusal::UNKNOWN_TOKEN)
        }
    }

    /// Returns the tokens valid at `now`, for tests that check that none is printed anywhere.
    pub(super) fn living(&self, now: KrxTime) -> Vec<String> {
        self.tokens.living(now)
    }

    /// Ends every token. The next request of each app key gets a new one at once.
    pub(super) fn kill_all(&mut self) {
        self.tokens.end_all();
        for holder in self.holders.values_mut() {
            holder.granted_at = None;
        }
    }

    /// Admits a call or returns the refusal.
    ///
    /// Checks ban, token, key and limit in the order of contract chapter 9. A refused call does not
    /// count towards the limit.
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
        if self.banned.meets(given.app_key, now) {
            counters.called_while_banned();
            return Err(Refusal::BANNED);
        }
        let admitted = self.judge(given, now, arrived, dice);
        let mut is_storm = || {
            let holder = self.holders.get_mut(given.app_key);
            holder.is_some_and(|holder| holder.over_limit.add(arrived) >= STORM)
        };
        let bans = match &admitted {
            Err(refusal) if *refusal == Refusal::OVER_LIMIT => is_storm(),
            Err(refusal) => [Refusal::WRONG_KEY, Refusal::WRONG_SECRET].contains(refusal),
            Ok(()) => false,
        };
        if bans {
            self.banned.ban(given.app_key, now);
        }
        admitted
    }

    fn judge(
        &mut self,
        given: Credentials<'_>,
        now: KrxTime,
        arrived: Instant,
        dice: &Dice,
    ) -> Result<(), Refusal> {
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

    /// Returns the holder of an app key, if the secret is right.
    ///
    /// If the broker accepts any key, it remembers a new one with the secret it first came with.
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
            .or_insert_with(|| Holder::new(app_secret));
        if holder.secret == app_secret {
            Ok(holder)
        } else {
            Err(TokenRefusal::WRONG_SECRET)
        }
    }
}

#[cfg(test)]
mod tests;
