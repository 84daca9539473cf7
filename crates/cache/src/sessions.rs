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

/// How long a session lives where nobody says otherwise.
const LIFE: Duration = Duration::from_secs(3_600);

/// A shorter token could be guessed from its digest.
const SHORTEST_TOKEN: usize = 16;

/// The list of a user's sessions outlives the last of them by this.
const LIST_OUTLIVES: Duration = Duration::from_secs(60);

/// Sessions of a user are listed so many at a time.
const MOST_SESSIONS: u64 = 10_000;

/// A list with so many sessions is shortened, by so many at once.
const LONG_LIST: u64 = 50;

/// Who begins a session and who ends all of a user get in each other's way so often at most.
const ROUNDS: usize = 5;

/// Sessions by access token, each of a user, with a value of any type.
///
/// The token is kept as its SHA-256 alone: a dump of the store gives no session away. Tokens must be
/// random and have 16 bytes at least.
pub struct Sessions<V> {
    cache: Cache,
    life: Duration,
    is_sliding: bool,
    value: PhantomData<fn() -> V>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session<V> {
    /// Whose it is.
    pub user: String,
    /// When it began.
    pub since: DateTime<Utc>,
    /// What was given with it.
    pub value: V,
}

/// A session as it is listed: without the token, which nobody knows here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSession<V> {
    /// Tells it from the user's other sessions: the beginning of the token's digest.
    pub name: String,
    /// The session.
    pub session: Session<V>,
}

impl Cache {
    /// Sessions that live for an hour.
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
    /// The same with another life.
    #[must_use]
    pub fn life(mut self, life: Duration) -> Self {
        self.life = life;
        self
    }

    /// The same, where a session that is used lives on: when a tenth of its life is over, a read
    /// gives it a whole one.
    #[must_use]
    pub fn sliding(mut self) -> Self {
        self.is_sliding = true;
        self
    }

    /// Begins a session of `user`, or replaces the one of this token.
    ///
    /// # Errors
    ///
    /// The store failed, the value has no JSON, or the token is too short. The session may have
    /// begun where the store did not answer in time.
    pub async fn set(&self, token: &str, user: &str, value: V) -> Result<(), CacheError> {
        if token.len() < SHORTEST_TOKEN {
            return Err(CacheError::Invalid(format!(
                "an access token needs {SHORTEST_TOKEN} bytes at least, and random ones; this one has {}",
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
        // Of another user before, it would stay on his list.
        let before = self.owners(std::slice::from_ref(&entry.key)).await?.pop();
        if let Some(before) = before.flatten().filter(|before| before != user) {
            let list = self.list_key(&before);
            let digests = [digest.clone()];
            let removed = store.remove_members(&list, &digests);
            self.cache.run("remove_members", removed).await?;
        }
        let list = self.list_key(user);
        for _ in 0..ROUNDS {
            // On the list first: one that is on no list could not be ended with the others.
            self.put_on_list(&list, &digest, since).await?;
            let entries = std::slice::from_ref(&entry);
            self.cache.run("set", store.set(entries)).await?;
            // All sessions of the user may have been ended in between: then this one, which began
            // meanwhile, stands on no list.
            let place = store.place(&list, &digest, Order::Ascending);
            if let Some((before, _)) = self.cache.run("place", place).await? {
                return self.shorten_list(user, before).await;
            }
        }
        let keys = [entry.key];
        self.cache.run("delete", store.delete(&keys)).await?;
        Err(CacheError::Invalid(format!(
            "the sessions of {user} are being ended again and again; this one did not begin"
        )))
    }

    /// The session of a token; `None` where there is none, or the store fails.
    pub async fn get(&self, token: &str) -> Option<Session<V>> {
        or_miss(self.try_get(token).await)
    }

    /// As [`Sessions::get`], and says what failed.
    ///
    /// # Errors
    ///
    /// The store failed, or the session's value is of another type.
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
            // One that ends just now is not begun anew.
            let list = self.list_key(&session.user);
            match self.let_live(&key, &list).await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                // It was there, and the next read gives it a new life.
                Err(error) => tracing::debug!(%error, "a session that is used keeps its old life"),
            }
        }
        Ok(session)
    }

    /// Whether a token has a session. Where the store fails it has none.
    pub async fn check(&self, token: &str) -> bool {
        or_miss(self.try_check(token).await)
    }

    /// As [`Sessions::check`], and says what failed.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn try_check(&self, token: &str) -> Result<bool, CacheError> {
        if self.is_sliding {
            return Ok(self.try_get(token).await?.is_some());
        }
        let keys = [self.key(&digest_of(token))];
        let lengths = self.cache.shared.store.lengths(&keys);
        let lengths = self.cache.run("exists", lengths).await?;
        Ok(lengths.first().is_some_and(|length| *length > 0))
    }

    /// Ends the session of a token. Says whether there was one.
    ///
    /// # Errors
    ///
    /// The store failed; the session may live.
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
        // One that was written in between is on no list any more.
        self.cache.run("delete", store.delete(&keys)).await?;
        Ok(deleted > 0)
    }

    /// The sessions of a user, the oldest first, 10,000 at most; none where the store fails
    /// or a session's value is of another type.
    pub async fn of_user(&self, user: &str) -> Vec<ListedSession<V>> {
        or_miss(self.try_of_user(user).await)
    }

    /// As [`Sessions::of_user`], and says what failed.
    ///
    /// # Errors
    ///
    /// The store failed, or a session's value is of another type.
    pub async fn try_of_user(&self, user: &str) -> Result<Vec<ListedSession<V>>, CacheError> {
        loop {
            let digests = self.digests_of(user).await?;
            let is_full = count(&digests) >= MOST_SESSIONS;
            let (sessions, ended) = self.find_all(user, digests).await?;
            if ended.is_empty() {
                return Ok(sessions);
            }
            self.take_off_list(user, &ended).await?;
            // Those that have ended hid what comes after them.
            if !is_full {
                return Ok(sessions);
            }
        }
    }

    /// Those of the sessions that live and are a user's, and the digests of the others.
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

    /// Takes some of those that have ended off a list with so many sessions, where these are many: a
    /// list that nobody asks for would only grow.
    async fn shorten_list(&self, user: &str, sessions: u64) -> Result<(), CacheError> {
        let Some(places) = sessions.checked_sub(LONG_LIST) else {
            return Ok(());
        };
        let store = &self.cache.shared.store;
        let list = self.list_key(user);
        // Anywhere: those that began first may be the ones that are used and live on.
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

    /// Takes sessions off a user's list that have ended. One that is beginning just now is on the
    /// list before it is there, and stays on it.
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

    /// Ends all sessions of a user, and says how many there were. One that begins at the same time
    /// either ends too, or is on his list afterwards.
    ///
    /// # Errors
    ///
    /// The store failed; some may live, and are ended by the next call.
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
            // A full page says nothing of others who begin sessions: there is more behind it.
            rounds += usize::from(count(&digests) < MOST_SESSIONS);
            ended += self.end_of(user, &digests).await?;
            let removed = store.remove_members(&list, &digests);
            self.cache.run("remove_members", removed).await?;
            // One that was written in between is on no list any more.
            ended += self.end_of(user, &digests).await?;
        }
        Ok(ended)
    }

    /// Ends those sessions that are a user's.
    async fn end_of(&self, user: &str, digests: &[String]) -> Result<u64, CacheError> {
        let digests = self.of_owner(user, digests).await?;
        let keys: Vec<String> = digests.iter().map(|digest| self.key(digest)).collect();
        let deleted = self.cache.shared.store.delete(&keys);
        self.cache.run("delete", deleted).await
    }

    /// Those sessions that are a user's: a token may have ended on one list and begun on another.
    async fn of_owner(&self, user: &str, digests: &[String]) -> Result<Vec<String>, CacheError> {
        let keys: Vec<String> = digests.iter().map(|digest| self.key(digest)).collect();
        let owners = self.owners(&keys).await?;
        let is_his = |(_, owner): &(&String, Option<String>)| owner.as_deref() == Some(user);
        let his = digests.iter().zip(owners).filter(is_his);
        Ok(his.map(|(digest, _)| digest.clone()).collect())
    }

    /// Whose sessions lie under keys, whatever their values are.
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

    /// The session of a token, and how long it lives on.
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

    /// Whether all of these sessions live, each named by the digest of its token.
    pub async fn live(&self, digests: &[String]) -> Result<bool, CacheError> {
        let keys: Vec<String> = digests.iter().map(|digest| self.key(digest)).collect();
        let lengths = self.cache.shared.store.lengths(&keys);
        let lengths = self.cache.run("exists", lengths).await?;
        Ok(lengths.iter().all(|length| *length > 0))
    }

    /// The digests of a user's tokens; some may have ended.
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

    /// Gives a session a whole life. Says whether it lives.
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
        // Others of the user may live longer than those of this handle.
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

/// What tells a session from the user's others, of its digest.
pub fn name_of(digest: &str) -> String {
    digest.chars().take(16).collect()
}

/// Under what a token is kept.
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
