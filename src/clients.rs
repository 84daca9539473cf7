//! Who may use the API where it is open to others: users with access tokens, each token a session of
//! the cache service.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use sise_cache::{Cache, CacheError, Profiles, Sessions, digest_of, name_of};

/// Letters of a user's name.
const LONGEST_NAME: usize = 64;

/// Under which name the users are kept.
const NAMES: &str = "all";

/// Every token begins so, that it is known for what it is where it turns up by mistake.
const PREFIX: &str = "sise_";

/// A session that was begun by one that was begun by another, and so on, so many times at most.
const DEEPEST: usize = 8;

/// Access tokens of the API.
#[derive(Debug, Clone)]
pub struct Clients {
    cache: Cache,
    names: Profiles,
}

/// What is kept with an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// When it ends.
    pub until: DateTime<Utc>,
    /// The digests of the tokens that it was begun by, the first one first: it ends with each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
}

/// A session of a user, as it is listed: nobody knows the token any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Tells it from the user's other sessions.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// When it began.
    pub since: DateTime<Utc>,
    /// When it ends.
    pub until: DateTime<Utc>,
}

/// Why access could not be given or taken.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// The name or the life is not allowed.
    #[error("{0}")]
    Invalid(String),
    /// No random numbers are to be had.
    #[error("the system gives no random numbers")]
    Random,
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Clients {
    /// Tokens live so long at least.
    pub const SHORTEST: Duration = Duration::from_secs(60);
    /// Tokens live so long at most.
    pub const LONGEST: Duration = Duration::from_secs(400 * 86_400);

    /// The tokens in `cache`.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        Self {
            cache: cache.clone(),
            names: cache.profiles("clients"),
        }
    }

    /// Gives `user` a token that lives for `life`. It is told here and never again.
    ///
    /// # Errors
    ///
    /// Name or life are not allowed, there are no random numbers, or the store failed.
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

    /// Gives the user of a token another one, that lives for `life` but not longer than the first:
    /// with that it ends too. `None` where the first has ended.
    ///
    /// # Errors
    ///
    /// The life is not allowed, the token was itself begun by too many others, there are no random
    /// numbers, or the store failed.
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
                "this token was begun by {DEEPEST} others in a row: begin one with the first of them"
            )));
        }
        parents.push(digest_of(token));
        // What is left of the first, by the store's clock and by its own word.
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

    /// Begins a session of `user`, and says its token.
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
        // The name first: a session that nobody finds could not be ended.
        self.names.set(NAMES, user, &()).await?;
        self.sessions().life(life).set(&token, user, grant).await?;
        Ok(token.into())
    }

    /// Whose token this is; `None` where it is nobody's, or has ended, or one that it was begun by has.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn user_of(&self, token: &str) -> Result<Option<String>, CacheError> {
        let Some(session) = self.sessions().try_get(token).await? else {
            return Ok(None);
        };
        let parents = &session.value.parents;
        let lives = parents.is_empty() || self.sessions().live(parents).await?;
        Ok(lives.then_some(session.user))
    }

    /// The digests of all tokens; some may have ended.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn digests(&self) -> Result<HashSet<String>, CacheError> {
        let mut digests = HashSet::new();
        for user in self.users().await? {
            digests.extend(self.sessions().digests_of(&user).await?);
        }
        Ok(digests)
    }

    /// The sessions of `user`, or of all users, the oldest first.
    ///
    /// # Errors
    ///
    /// The store failed.
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

    /// Ends the session of a token, and those that it began. Says whether there was one.
    ///
    /// # Errors
    ///
    /// The store failed; the session may live.
    pub async fn remove(&self, token: &str) -> Result<bool, CacheError> {
        self.sessions().remove(token).await
    }

    /// Ends all sessions of a user, and says how many there were.
    ///
    /// # Errors
    ///
    /// The store failed; some may live.
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

/// When a token ends that begins `now`.
fn end_of(life: Duration, now: DateTime<Utc>) -> Result<DateTime<Utc>, ClientsError> {
    let is_allowed = (Clients::SHORTEST..=Clients::LONGEST).contains(&life);
    let until = TimeDelta::from_std(life).ok().map(|life| now + life);
    until.filter(|_| is_allowed).ok_or_else(|| {
        ClientsError::Invalid(format!(
            "a token lives between {} s and {} days",
            Clients::SHORTEST.as_secs(),
            Clients::LONGEST.as_secs() / 86_400
        ))
    })
}

fn check_name(name: &str) -> Result<(), ClientsError> {
    let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if (1..=LONGEST_NAME).contains(&name.chars().count()) && name.chars().all(is_letter) {
        return Ok(());
    }
    Err(ClientsError::Invalid(format!(
        "'{}' is no name of a user: allowed are {LONGEST_NAME} letters, digits, '-', '_' and '.'",
        name.escape_debug()
    )))
}
