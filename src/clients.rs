//! Users of an API that is open to other hosts. Each has access tokens, and each token is a session
//! of the cache service.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use sise_cache::{Cache, CacheError, Profiles, Sessions, digest_of, name_of};
use sise_domain::{NameError, check_name};

/// Name of the profile that lists the users.
const NAMES: &str = "all";

/// Prefix of every token, so that a leaked one can be recognised.
const PREFIX: &str = "sise_";

/// Longest chain of sessions that began one another.
const DEEPEST: usize = 8;

/// Access tokens of the API.
#[derive(Debug, Clone)]
pub struct Clients {
    cache: Cache,
    names: Profiles,
}

/// The data stored with an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// When it ends.
    pub until: DateTime<Utc>,
    /// The digests of the tokens it descends from, the first one first. It ends when any of them
    /// ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
}

/// A listed session of a user. The token itself is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Id that is unique among the user's sessions.
    pub id: String,
    /// The user.
    pub user: String,
    /// When it began.
    pub since: DateTime<Utc>,
    /// When it ends.
    pub until: DateTime<Utc>,
}

/// Errors of giving or removing access.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// The name or the life is not allowed.
    #[error("{0}")]
    Invalid(String),
    /// The system provides no random numbers.
    #[error("the system provides no random numbers")]
    Random,
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl From<NameError> for ClientsError {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl Clients {
    /// Shortest life of a token.
    pub const SHORTEST: Duration = Duration::from_secs(60);
    /// Longest life of a token.
    pub const LONGEST: Duration = Duration::from_secs(400 * 86_400);

    /// Opens the tokens in `cache`.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        Self {
            cache: cache.clone(),
            names: cache.profiles("clients"),
        }
    }

    /// Gives `user` a token that lives for `life`. The token is only returned here.
    ///
    /// # Errors
    ///
    /// Returns an error if name or life are not allowed, there are no random numbers, or the store
    /// failed.
    pub async fn add(
        &self,
        user: &str,
        life: Duration,
        now: DateTime<Utc>,
    ) -> Result<(SecretString, Grant), ClientsError> {
        check_name(user)?;
        let grant = Grant {
            until: end_of(life, now)?,
            parents: Vec::new(),
        };
        let token = self.begin(user, life, grant.clone()).await?;
        Ok((token, grant))
    }

    /// Gives the user of a token another token that lives for `life`, but ends no later than the
    /// first. Returns `None` if the first has ended.
    ///
    /// # Errors
    ///
    /// Returns an error if the life is not allowed, the chain of tokens is too long, there are no
    /// random numbers, or the store failed.
    pub async fn add_under(
        &self,
        token: &str,
        life: Duration,
        now: DateTime<Utc>,
    ) -> Result<Option<(SecretString, String, Grant)>, ClientsError> {
        let until = end_of(life, now)?;
        let found = self.sessions().find_living(token).await?;
        let Some((session, left)) = found else {
            return Ok(None);
        };
        let mut parents = session.value.parents;
        if !(parents.is_empty() || self.sessions().live(&parents).await?) {
            return Ok(None);
        }
        if parents.len() >= DEEPEST {
            return Err(ClientsError::Invalid(format!(
                "this token is the end of a chain of {DEEPEST} others: use the first of them instead"
            )));
        }
        parents.push(digest_of(token));
        // The remaining life of the first token, by the store's clock and by its own record.
        let lasts = left.and_then(|left| TimeDelta::from_std(left).ok());
        let until = until.min(session.value.until);
        let until = lasts.map_or(until, |left| until.min(now + left));
        let Ok(life) = (until - now).to_std() else {
            return Ok(None);
        };
        let grant = Grant { until, parents };
        let begun = self.begin(&session.user, life, grant.clone()).await?;
        Ok(Some((begun, session.user, grant)))
    }

    /// Begins a session of `user`, and returns its token.
    async fn begin(
        &self,
        user: &str,
        life: Duration,
        grant: Grant,
    ) -> Result<SecretString, ClientsError> {
        let mut bytes = [0_u8; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| ClientsError::Random)?;
        let digits = bytes.iter().flat_map(|byte| {
            let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
            [digit(byte >> 4), digit(byte & 15)]
        });
        let token: String = PREFIX.chars().chain(digits).collect();
        // The name is written first: a session of an unlisted user could not be ended.
        self.names.set(NAMES, user, &()).await?;
        self.sessions().life(life).set(&token, user, grant).await?;
        Ok(token.into())
    }

    /// Returns the user of a token; `None` if the token is unknown, or it or a token it descends
    /// from has ended.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn user_of(&self, token: &str) -> Result<Option<String>, CacheError> {
        let Some(session) = self.sessions().try_get(token).await? else {
            return Ok(None);
        };
        let parents = &session.value.parents;
        let lives = parents.is_empty() || self.sessions().live(parents).await?;
        Ok(lives.then_some(session.user))
    }

    /// Returns the digests of all tokens; some may have ended.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn digests(&self) -> Result<HashSet<String>, CacheError> {
        let mut digests = HashSet::new();
        for user in self.users().await? {
            digests.extend(self.sessions().digests_of(&user).await?);
        }
        Ok(digests)
    }

    /// Returns the sessions of `user`, or of all users, oldest first.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed.
    pub async fn list(&self, user: Option<&str>) -> Result<Vec<Listed>, CacheError> {
        let users = match user {
            Some(user) => vec![user.to_owned()],
            None => self.users().await?,
        };
        let mut all = Vec::new();
        for user in users {
            let sessions = self.sessions().try_of_user(&user).await?;
            let names: HashSet<String> =
                sessions.iter().map(|listed| listed.name.clone()).collect();
            let lives = |grant: &Grant| {
                let mut parents = grant.parents.iter();
                parents.all(|digest| names.contains(&name_of(digest)))
            };
            let living = sessions.into_iter();
            let living = living.filter(|listed| lives(&listed.session.value));
            all.extend(living.map(|listed| Listed {
                id: listed.name,
                user: listed.session.user,
                since: listed.session.since,
                until: listed.session.value.until,
            }));
        }
        Ok(all)
    }

    /// Ends the session of a token, and those that it began. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed; the session may still be valid.
    pub async fn remove(&self, token: &str) -> Result<bool, CacheError> {
        self.sessions().remove(token).await
    }

    /// Ends all sessions of a user, and returns how many there were.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed; some sessions may still be valid.
    pub async fn remove_all(&self, user: &str) -> Result<u64, CacheError> {
        let ended = self.sessions().end_all(user).await?;
        self.names.remove(NAMES, &[user]).await?;
        Ok(ended)
    }

    async fn users(&self) -> Result<Vec<String>, CacheError> {
        let names = self.names.try_get_all::<()>(NAMES).await?;
        Ok(names.into_keys().collect())
    }

    fn sessions(&self) -> Sessions<Grant> {
        self.cache.sessions()
    }
}

/// Returns when a token ends that begins at `now`.
fn end_of(life: Duration, now: DateTime<Utc>) -> Result<DateTime<Utc>, ClientsError> {
    let is_allowed = (Clients::SHORTEST..=Clients::LONGEST).contains(&life);
    let until = TimeDelta::from_std(life).ok().map(|life| now + life);
    until.filter(|_| is_allowed).ok_or_else(|| {
        ClientsError::Invalid(format!(
            "the life of a token must be between {} s and {} days",
            Clients::SHORTEST.as_secs(),
            Clients::LONGEST.as_secs() / 86_400
        ))
    })
}
