//! Who may use the API where it is open to others: users with access tokens, each token a session of
//! the cache service.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::cache::{Cache, CacheError, Profiles, Sessions};

/// Letters of a user's name.
const LONGEST_NAME: usize = 64;

/// Under which name the users are kept.
const NAMES: &str = "all";

/// Every token begins so, that it is known for what it is where it turns up by mistake.
const PREFIX: &str = "sise_";

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
        let is_allowed = (Self::SHORTEST..=Self::LONGEST).contains(&life);
        let until = TimeDelta::from_std(life).ok().map(|life| now + life);
        let Some(until) = until.filter(|_| is_allowed) else {
            return Err(ClientsError::Invalid(format!(
                "a token lives between {} s and {} days",
                Self::SHORTEST.as_secs(),
                Self::LONGEST.as_secs() / 86_400
            )));
        };
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
        let grant = Grant { until };
        self.sessions()
            .life(life)
            .set(&token, user, grant.clone())
            .await?;
        Ok((token.into(), grant))
    }

    /// Whose token this is; `None` where it is nobody's, or has ended.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn user_of(&self, token: &str) -> Result<Option<String>, CacheError> {
        let session = self.sessions().try_get(token).await?;
        Ok(session.map(|session| session.user))
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
            all.extend(sessions.into_iter().map(|listed| Listed {
                id: listed.name,
                user: listed.session.user,
                since: listed.session.since,
                until: listed.session.value.until,
            }));
        }
        Ok(all)
    }

    /// Ends the session of a token. Says whether there was one.
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
