//! Sessions by access token.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::key::{SESSION, SESSIONS, key};
use super::values::{decode, encode};
use super::{Cache, CacheError, or_miss};
use sise_port::{CacheEntry, Order};

/// Life of a session, unless set otherwise.
const LIFE: Duration = Duration::from_secs(3_600);

/// Shortest token; a shorter one could be guessed from its digest.
const SHORTEST_TOKEN: usize = 16;

/// How much longer the list of a user's sessions lives than the last of them.
const LIST_OUTLIVES: Duration = Duration::from_secs(60);

/// Most sessions of a user that are listed at a time.
const MOST_SESSIONS: u64 = 10_000;

/// Length from which a list is pruned, and number of entries that are checked at once.
const LONG_LIST: u64 = 50;

/// Attempts if the start of a session and the end of all sessions of its user interfere.
const ROUNDS: usize = 5;

/// Sessions by access token, each of one user, with a value of any type.
///
/// Only the SHA-256 of a token is stored, so a dump of the store gives no session away. Tokens must
/// be random and at least 16 bytes long.
pub struct Sessions<V> {
    cache: Cache,
    life: Duration,
    is_sliding: bool,
    value: PhantomData<fn() -> V>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session<V> {
    /// The user of the session.
    pub user: String,
    /// When it began.
    pub since: DateTime<Utc>,
    /// The value it was started with.
    pub value: V,
}

/// A listed session, without its token, which is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSession<V> {
    /// Distinguishes it from the user's other sessions: the start of the token's digest.
    pub name: String,
    /// The session.
    pub session: Session<V>,
}

impl Cache {
    /// Returns sessions that live for an hour.
    #[must_use]
    pub fn sessions<V>(&self) -> Sessions<V> {
        Sessions {
            cache: self.clone(),
            life: LIFE,
            is_sliding: false,
            value: PhantomData,
        }
    }
}

impl<V: Serialize + DeserializeOwned> Sessions<V> {
    /// Sets another life.
    #[must_use]
    pub fn life(mut self, life: Duration) -> Self {
        self.life = life;
        self
    }

    /// Makes sessions sliding: a read that comes after a tenth of a session's life is over gives it
    /// a full life again.
    #[must_use]
    pub fn sliding(mut self) -> Self {
        self.is_sliding = true;
        self
    }

    /// Starts a session of `user`, or replaces the session of this token.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed, the value cannot be encoded as JSON, or the token is
    /// too short. If the store did not answer in time, the session may have started.
    pub async fn set(&self, token: &str, user: &str, value: V) -> Result<(), CacheError> {
        if token.len() < SHORTEST_TOKEN {
            return Err(CacheError::Invalid(format!(
                "an access token needs at least {SHORTEST_TOKEN} bytes, all random; this one has {}",
                token.len()
            )));
        }
        let digest = digest_of(token);
        let store = &self.cache.shared.store;
        let since = (self.cache.shared.clock)().with_timezone(&Utc);
        let session = Session {
            user: user.to_owned(),
            since,
            value,
        };
        let entry = CacheEntry {
            key: self.key(&digest),
            value: encode(SESSION, &session)?,
            life: Some(self.life),
        };
        // If the token belonged to another user before, it must come off that user's list.
        let before = self.owners(std::slice::from_ref(&entry.key)).await?.pop();
        if let Some(before) = before.flatten().filter(|before| before != user) {
            let list = self.list_key(&before);
            let digests = [digest.clone()];
            let removed = store.remove_members(&list, &digests);
            self.cache.run("remove_members", removed).await?;
        }
        let list = self.list_key(user);
        for _ in 0..ROUNDS {
            // The list comes first: a session on no list could not be ended with the others.
            self.put_on_list(&list, &digest, since).await?;
            let entries = std::slice::from_ref(&entry);
            self.cache.run("set", store.set(entries)).await?;
            // All sessions of the user may have been ended in between. Then this one is on no list.
            let place = store.place(&list, &digest, Order::Ascending);
            if let Some((before, _)) = self.cache.run("place", place).await? {
                return self.shorten_list(user, before).await;
            }
        }
        let keys = [entry.key];
        self.cache.run("delete", store.delete(&keys)).await?;
        Err(CacheError::Invalid(format!(
            "the sessions of {user} keep being ended; this one did not start"
        )))
    }

    /// Returns the session of a token; `None` if there is none or the store fails.
    pub async fn get(&self, token: &str) -> Option<Session<V>> {
        or_miss(self.try_get(token).await)
    }

    /// Like [`Sessions::get`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or the session's value is of another type.
    pub async fn try_get(&self, token: &str) -> Result<Option<Session<V>>, CacheError> {
        let digest = digest_of(token);
        let key = self.key(&digest);
        if !self.is_sliding {
            return self.find(&key).await;
        }
        let store = &self.cache.shared.store;
        let found = self.cache.run("get", store.get_living(&key)).await?;
        self.cache
            .shared
            .counts
            .note_values(found.is_some().into(), found.is_none().into());
        let Some((bytes, left)) = found else {
            return Ok(None);
        };
        let session: Option<Session<V>> = decode(SESSION, Some(&bytes))?;
        let is_used = left.is_some_and(|left| left < self.life.mul_f64(0.9));
        if let Some(session) = &session
            && is_used
        {
            // A session that expires right now is not started again.
            let list = self.list_key(&session.user);
            match self.let_live(&key, &list).await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                // The session was there, and the next read will renew it.
                Err(error) => tracing::debug!(%error, "a used session was not renewed"),
            }
        }
        Ok(session)
    }

    /// Returns whether a token has a session. If the store fails, the answer is no.
    pub async fn check(&self, token: &str) -> bool {
        or_miss(self.try_check(token).await)
    }

    /// Like [`Sessions::check`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn try_check(&self, token: &str) -> Result<bool, CacheError> {
        if self.is_sliding {
            return Ok(self.try_get(token).await?.is_some());
        }
        let keys = [self.key(&digest_of(token))];
        let lengths = self.cache.shared.store.lengths(&keys);
        let lengths = self.cache.run("exists", lengths).await?;
        Ok(lengths.first().is_some_and(|length| *length > 0))
    }

    /// Ends the session of a token. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed; the session may still be alive.
    pub async fn remove(&self, token: &str) -> Result<bool, CacheError> {
        let digest = digest_of(token);
        let key = self.key(&digest);
        let store = &self.cache.shared.store;
        let keys = [key];
        let owner = self.owners(&keys).await?.pop().flatten();
        let deleted = self.cache.run("delete", store.delete(&keys)).await?;
        let Some(owner) = owner else {
            return Ok(deleted > 0);
        };
        let list = self.list_key(&owner);
        let digests = [digest];
        let removed = store.remove_members(&list, &digests);
        self.cache.run("remove_members", removed).await?;
        // A session written in between is no longer on any list.
        self.cache.run("delete", store.delete(&keys)).await?;
        Ok(deleted > 0)
    }

    /// Returns up to 10,000 sessions of a user, oldest first. The list is empty if the store fails
    /// or a session's value is of another type.
    pub async fn of_user(&self, user: &str) -> Vec<ListedSession<V>> {
        or_miss(self.try_of_user(user).await)
    }

    /// Like [`Sessions::of_user`], but returns the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed or a session's value is of another type.
    pub async fn try_of_user(&self, user: &str) -> Result<Vec<ListedSession<V>>, CacheError> {
        loop {
            let digests = self.digests_of(user).await?;
            let is_full = count(&digests) >= MOST_SESSIONS;
            let (sessions, ended) = self.find_all(user, digests).await?;
            if ended.is_empty() {
                return Ok(sessions);
            }
            self.take_off_list(user, &ended).await?;
            // The ended ones took the places of later sessions.
            if !is_full {
                return Ok(sessions);
            }
        }
    }

    /// Returns the live sessions of a user, and the digests of the others.
    async fn find_all(
        &self,
        user: &str,
        digests: Vec<String>,
    ) -> Result<(Vec<ListedSession<V>>, Vec<String>), CacheError> {
        let keys: Vec<String> = digests.iter().map(|digest| self.key(digest)).collect();
        let found = self.cache.shared.store.get(&keys);
        let found = self.cache.run("get_many", found).await?;
        let mut sessions = Vec::with_capacity(digests.len());
        let mut ended = Vec::new();
        for (digest, bytes) in digests.into_iter().zip(found) {
            let session: Option<Session<V>> = decode(SESSION, bytes.as_deref())?;
            match session.filter(|session| session.user == user) {
                Some(session) => sessions.push(ListedSession {
                    name: name_of(&digest),
                    session,
                }),
                None => ended.push(digest),
            }
        }
        Ok((sessions, ended))
    }

    /// Removes some ended sessions from a list that has `sessions` entries, if that is many. A list
    /// that is never read would otherwise only grow.
    async fn shorten_list(&self, user: &str, sessions: u64) -> Result<(), CacheError> {
        let Some(places) = sessions.checked_sub(LONG_LIST) else {
            return Ok(());
        };
        let store = &self.cache.shared.store;
        let list = self.list_key(user);
        // At a random place: the oldest sessions may be the ones that are used and live on.
        let skip = fastrand::u64(..=places);
        let some = store.range(&list, Order::Ascending, skip, LONG_LIST);
        let some = self.cache.run("range", some).await?;
        let digests: Vec<String> = some.into_iter().map(|(digest, _)| digest).collect();
        let keys: Vec<String> = digests.iter().map(|digest| self.key(digest)).collect();
        let lengths = self.cache.run("exists", store.lengths(&keys)).await?;
        let ended = digests.into_iter().zip(lengths);
        let ended = ended.filter(|(_, length)| *length == 0);
        let ended: Vec<String> = ended.map(|(digest, _)| digest).collect();
        if ended.is_empty() {
            return Ok(());
        }
        self.take_off_list(user, &ended).await
    }

    /// Removes ended sessions from a user's list. A session that is just starting is listed before
    /// it is written, and stays on the list.
    async fn take_off_list(&self, user: &str, ended: &[String]) -> Result<(), CacheError> {
        let store = &self.cache.shared.store;
        let list = self.list_key(user);
        let removed = store.remove_members(&list, ended);
        self.cache.run("remove_members", removed).await?;
        let now = (self.cache.shared.clock)().with_timezone(&Utc);
        for digest in self.of_owner(user, ended).await? {
            self.put_on_list(&list, &digest, now).await?;
        }
        Ok(())
    }

    /// Ends all sessions of a user and returns how many there were. A session that starts at the
    /// same time either ends too or is on the user's list afterwards.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed; some sessions may be alive until the next call.
    pub async fn end_all(&self, user: &str) -> Result<u64, CacheError> {
        let store = &self.cache.shared.store;
        let list = self.list_key(user);
        let mut ended = 0;
        let mut rounds = 0;
        while rounds < ROUNDS {
            let digests = self.digests_of(user).await?;
            if digests.is_empty() {
                break;
            }
            // A full page does not mean that new sessions are starting: there are more behind it.
            rounds += usize::from(count(&digests) < MOST_SESSIONS);
            ended += self.end_of(user, &digests).await?;
            let removed = store.remove_members(&list, &digests);
            self.cache.run("remove_members", removed).await?;
            // A session written in between is no longer on any list.
            ended += self.end_of(user, &digests).await?;
        }
        Ok(ended)
    }

    /// Ends those of the sessions that belong to a user.
    async fn end_of(&self, user: &str, digests: &[String]) -> Result<u64, CacheError> {
        let digests = self.of_owner(user, digests).await?;
        let keys: Vec<String> = digests.iter().map(|digest| self.key(digest)).collect();
        let deleted = self.cache.shared.store.delete(&keys);
        self.cache.run("delete", deleted).await
    }

    /// Returns those sessions that belong to a user. The same token may have ended for one user and
    /// started for another.
    async fn of_owner(&self, user: &str, digests: &[String]) -> Result<Vec<String>, CacheError> {
        let keys: Vec<String> = digests.iter().map(|digest| self.key(digest)).collect();
        let owners = self.owners(&keys).await?;
        let is_his = |(_, owner): &(&String, Option<String>)| owner.as_deref() == Some(user);
        let his = digests.iter().zip(owners).filter(is_his);
        Ok(his.map(|(digest, _)| digest.clone()).collect())
    }

    /// Returns the users of the sessions under `keys`, whatever the type of their values.
    async fn owners(&self, keys: &[String]) -> Result<Vec<Option<String>>, CacheError> {
        #[derive(Deserialize)]
        struct Owned {
            user: String,
        }
        let found = self
            .cache
            .run("get", self.cache.shared.store.get(keys))
            .await?;
        let owner = |found: Option<Vec<u8>>| {
            let owned = serde_json::from_slice::<Owned>(&found?).ok();
            owned.map(|owned| owned.user)
        };
        Ok(found.into_iter().map(owner).collect())
    }

    async fn find(&self, key: &str) -> Result<Option<Session<V>>, CacheError> {
        let keys = [key.to_owned()];
        let found = self
            .cache
            .run("get", self.cache.shared.store.get(&keys))
            .await;
        let mut found = self.cache.counted(1, found)?;
        decode(SESSION, found.pop().flatten().as_deref())
    }

    /// Returns the session of a token, and its remaining life.
    pub async fn find_living(
        &self,
        token: &str,
    ) -> Result<Option<(Session<V>, Option<Duration>)>, CacheError> {
        let key = self.key(&digest_of(token));
        let found = self.cache.shared.store.get_living(&key);
        let Some((bytes, left)) = self.cache.run("get", found).await? else {
            return Ok(None);
        };
        let session = decode(SESSION, Some(&bytes))?;
        Ok(session.map(|session| (session, left)))
    }

    /// Returns whether all of these sessions are alive, each given by the digest of its token.
    pub async fn live(&self, digests: &[String]) -> Result<bool, CacheError> {
        let keys: Vec<String> = digests.iter().map(|digest| self.key(digest)).collect();
        let lengths = self.cache.shared.store.lengths(&keys);
        let lengths = self.cache.run("exists", lengths).await?;
        Ok(lengths.iter().all(|length| *length > 0))
    }

    /// Returns the digests of a user's tokens; some of the sessions may have ended.
    pub async fn digests_of(&self, user: &str) -> Result<Vec<String>, CacheError> {
        let list = self.list_key(user);
        let store = &self.cache.shared.store;
        let listed = store.range(&list, Order::Ascending, 0, MOST_SESSIONS);
        let listed = self.cache.run("range", listed).await?;
        Ok(listed.into_iter().map(|(digest, _)| digest).collect())
    }

    async fn put_on_list(
        &self,
        list: &str,
        digest: &str,
        since: DateTime<Utc>,
    ) -> Result<(), CacheError> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds are far below 2^52"
        )]
        let members = [(digest.to_owned(), since.timestamp_millis() as f64)];
        let store = &self.cache.shared.store;
        self.cache
            .run("set_scores", store.set_scores(list, &members))
            .await?;
        self.let_list_live(list).await
    }

    /// Gives a session a full life. Returns whether it is alive.
    async fn let_live(&self, key: &str, list: &str) -> Result<bool, CacheError> {
        let expire = self.cache.shared.store.expire(key, self.life);
        let lives = self.cache.run("expire", expire).await?;
        if lives {
            self.let_list_live(list).await?;
        }
        Ok(lives)
    }

    async fn let_list_live(&self, list: &str) -> Result<(), CacheError> {
        let life = self.life.saturating_add(LIST_OUTLIVES);
        // Sessions of the user from other handles may live longer.
        let expire = self.cache.shared.store.live_at_least(list, life);
        self.cache.run("expire", expire).await?;
        Ok(())
    }

    fn key(&self, digest: &str) -> String {
        key(&self.cache.prefix, SESSION, digest)
    }

    fn list_key(&self, user: &str) -> String {
        key(&self.cache.prefix, SESSIONS, user)
    }
}

fn count(digests: &[String]) -> u64 {
    u64::try_from(digests.len()).unwrap_or(u64::MAX)
}

/// Returns the name of a session in its user's list, derived from the digest.
pub fn name_of(digest: &str) -> String {
    digest.chars().take(16).collect()
}

/// Returns the digest under which a token is stored.
pub fn digest_of(token: &str) -> String {
    let digest = digest(&SHA256, token.as_bytes());
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

impl<V> Clone for Sessions<V> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            life: self.life,
            is_sliding: self.is_sliding,
            value: PhantomData,
        }
    }
}

impl<V> fmt::Debug for Sessions<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("life", &self.life)
            .field("is_sliding", &self.is_sliding)
            .finish_non_exhaustive()
    }
}
