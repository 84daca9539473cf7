//! The access token: one for all calls, kept on disk, renewed before it dies (contract 2.1).

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use chrono::{NaiveDateTime, TimeDelta, TimeZone as _};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::codes::error_of;
use super::rest::Rest;
use crate::clock::Clock;
use crate::domain::{KrxTime, Seoul};
use crate::port::{SourceError, Urgency};

/// A token is renewed this long before its end, or after nine tenths of a shorter life.
const EARLY: TimeDelta = TimeDelta::minutes(10);

/// One issue a minute (EGW00133). Who comes second waits for what the first one got, at the
/// longest until the minute is over.
const ISSUE_SPACING: Duration = Duration::from_secs(60);
/// How often the waiting one looks on the disk, and every how many looks it asks the broker.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const ASK_EVERY: usize = 10;

/// What the broker gave its customer.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The app key, 36 characters.
    pub app_key: SecretString,
    /// The app secret, 180 characters.
    pub app_secret: SecretString,
}

/// An access token in use.
pub struct Token {
    bearer: HeaderValue,
    value: SecretString,
    refresh_at: KrxTime,
    expires_at: KrxTime,
    /// The broker called it dead. It is kept until another takes its place, so that the same one
    /// is not taken for new.
    dead: bool,
}

/// Where a token outlives the process: a file that only its owner reads.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct StoredToken {
    access_token: String,
    expires_at: NaiveDateTime,
}

/// Keeps one token for all callers.
pub struct Auth {
    rest: Arc<Rest>,
    credentials: Credentials,
    file: Option<TokenFile>,
    clock: Clock,
    current: ArcSwapOption<Token>,
    /// Held while a token is fetched, so that all wait for one.
    fetching: Mutex<()>,
}

impl TokenFile {
    /// The file for a key on a host, below `directory`. Real, paper and simulated never mix: the
    /// name is a digest of both.
    #[must_use]
    pub fn new(directory: &Path, base: &str, credentials: &Credentials) -> Self {
        let identity = format!("{base}\n{}", credentials.app_key.expose_secret());
        let digest = digest(&SHA256, identity.as_bytes());
        let name: String = digest
            .as_ref()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            path: directory.join(format!("token-{name}.json")),
        }
    }

    fn load(&self) -> Option<StoredToken> {
        let text = std::fs::read(&self.path).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Written beside and renamed, so that a reader never sees half a token.
    fn save(&self, token: &StoredToken) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        let beside = self
            .path
            .with_extension(format!("{}.tmp", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options
            .open(&beside)
            .and_then(|mut file| {
                file.write_all(&serde_json::to_vec(token)?)?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&beside, &self.path));
        if written.is_err() {
            // Nothing of a token stays behind; the error that matters is the first.
            let _ = std::fs::remove_file(&beside);
        }
        written
    }
}

impl Token {
    fn new(stored: &StoredToken, now: KrxTime) -> Option<Self> {
        let expires_at = Seoul.from_local_datetime(&stored.expires_at).earliest()?;
        let life = expires_at - now;
        if life <= TimeDelta::zero() {
            return None;
        }
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", stored.access_token)).ok()?;
        bearer.set_sensitive(true);
        Some(Self {
            bearer,
            value: stored.access_token.clone().into(),
            refresh_at: expires_at - EARLY.min(life / 10),
            expires_at,
            dead: false,
        })
    }

    fn lives(&self, now: KrxTime) -> bool {
        !self.dead && now < self.expires_at
    }

    fn is(&self, other: &Self) -> bool {
        self.value.expose_secret() == other.value.expose_secret()
    }
}

impl Auth {
    /// Tokens for `credentials` on `rest`, kept in `file` between processes where given.
    #[must_use]
    pub fn new(
        rest: Arc<Rest>,
        credentials: Credentials,
        file: Option<TokenFile>,
        clock: Clock,
    ) -> Self {
        Self {
            rest,
            credentials,
            file,
            clock,
            current: ArcSwapOption::empty(),
            fetching: Mutex::new(()),
        }
    }

    /// Whether a token is at hand that is good by its own date.
    #[must_use]
    pub fn has_valid_token(&self) -> bool {
        let now = (self.clock)();
        self.current
            .load()
            .as_ref()
            .is_some_and(|token| token.lives(now))
    }

    /// A token to call with: the one in use, the one on disk, or a new one.
    ///
    /// # Errors
    ///
    /// The broker gives none.
    pub async fn token(&self) -> Result<Arc<Token>, SourceError> {
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let _turn = self.fetching.lock().await;
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let old = self.current.load_full();
        let may_wait = !old
            .as_ref()
            .is_some_and(|token| token.lives((self.clock)()));
        let token = match self.fetch(old.as_deref(), may_wait).await {
            Ok(token) => Arc::new(token),
            Err(error) => {
                // Early renewal failed, but the old one still lives.
                let usable = old.filter(|token| token.lives((self.clock)()));
                let Some(token) = usable else {
                    return Err(error);
                };
                tracing::warn!(%error, "the access token could not be renewed early; using the old one");
                let again = (self.clock)() + TimeDelta::minutes(2);
                Arc::new(Token {
                    bearer: token.bearer.clone(),
                    value: token.value.clone(),
                    refresh_at: again.min(token.expires_at),
                    ..*token
                })
            }
        };
        self.current.store(Some(Arc::clone(&token)));
        Ok(token)
    }

    /// Drops a token that the broker called dead, unless it was replaced already.
    pub(super) fn forget(&self, dead: &Arc<Token>) {
        let current = self.current.load();
        // The very one that the call was made with: a call that comes home late must not take the
        // one that was issued meanwhile along, which may read the same.
        if current
            .as_ref()
            .is_some_and(|token| Arc::ptr_eq(token, dead))
        {
            self.current.store(Some(Arc::new(Token {
                bearer: dead.bearer.clone(),
                value: dead.value.clone(),
                dead: true,
                ..**dead
            })));
            tracing::warn!("the broker calls the access token dead; getting another");
        }
    }

    /// The headers of a call (contract 1.3).
    pub(super) fn headers(&self, token: &Token, tr_id: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        headers.insert(AUTHORIZATION, token.bearer.clone());
        let secrets = [
            ("appkey", &self.credentials.app_key),
            ("appsecret", &self.credentials.app_secret),
        ];
        for (name, secret) in secrets {
            // Settings refuse a key that is no header text.
            if let Ok(mut value) = HeaderValue::from_str(secret.expose_secret()) {
                value.set_sensitive(true);
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers.insert(
            HeaderName::from_static("tr_id"),
            HeaderValue::from_static(tr_id),
        );
        headers.insert(
            HeaderName::from_static("custtype"),
            HeaderValue::from_static("P"),
        );
        headers
    }

    fn fresh(&self) -> Option<Arc<Token>> {
        let token = self.current.load_full()?;
        (!token.dead && (self.clock)() < token.refresh_at).then_some(token)
    }

    /// The token on disk if it is another than `old`, else a new one.
    /// With a token that still lives nobody waits for the minute to be over.
    async fn fetch(&self, old: Option<&Token>, may_wait: bool) -> Result<Token, SourceError> {
        let deadline = Instant::now() + ISSUE_SPACING + LOOK_AGAIN * 5;
        for look in 0.. {
            if let Some(token) = self.on_disk(old) {
                return Ok(token);
            }
            if look % ASK_EVERY == 0 {
                match self.issue().await {
                    Ok(stored) => return self.adopt(&stored),
                    Err(SourceError::Throttled(said)) if may_wait && Instant::now() < deadline => {
                        tracing::info!(%said, "a token was issued within the minute; waiting");
                    }
                    // The minute was waited for; more of it is of no use.
                    Err(SourceError::Throttled(said)) => return Err(SourceError::Rejected(said)),
                    Err(error) => return Err(error),
                }
            }
            sleep(LOOK_AGAIN).await;
        }
        Err(SourceError::Stopped)
    }

    fn on_disk(&self, old: Option<&Token>) -> Option<Token> {
        let now = (self.clock)();
        let token = Token::new(&self.file.as_ref()?.load()?, now)?;
        let usable = now < token.refresh_at && !old.is_some_and(|old| old.is(&token));
        usable.then_some(token)
    }

    /// Takes an issued token into use, even one that was called dead: the broker gives the same
    /// one for 6 hours, and it is its word against its own.
    fn adopt(&self, stored: &StoredToken) -> Result<Token, SourceError> {
        if let Some(file) = &self.file
            && let Err(error) = file.save(stored)
        {
            tracing::warn!(path = %file.path.display(), %error,
                "the access token cannot be kept on disk; every start will ask for one");
        }
        Token::new(stored, (self.clock)()).ok_or_else(|| {
            SourceError::Malformed(format!(
                "the token is said to end at {}, which is past: check this machine's clock",
                stored.expires_at
            ))
        })
    }

    async fn issue(&self) -> Result<StoredToken, SourceError> {
        let body = json!({
            "grant_type": "client_credentials",
            "appkey": self.credentials.app_key.expose_secret(),
            "appsecret": self.credentials.app_secret.expose_secret(),
        });
        let request = self
            .rest
            .post("/oauth2/tokenP")
            .header(CONTENT_TYPE, "application/json; charset=UTF-8")
            .body(body.to_string());
        let reply = self.rest.send(request, Urgency::Reader).await?;
        let issued: IssuedToken = serde_json::from_slice(&reply.body).map_err(|_| {
            // The body may hold a token, so no word of it goes into the error.
            SourceError::Unavailable(format!("tokenP: HTTP {} without usable JSON", reply.status))
        })?;
        match issued {
            IssuedToken {
                access_token: Some(access_token),
                ..
            } if !access_token.is_empty() => {
                let expires_at = issued
                    .access_token_token_expired
                    .and_then(|text| NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S").ok())
                    .unwrap_or_else(|| {
                        let life = TimeDelta::seconds(issued.expires_in.unwrap_or(0));
                        (self.clock)().naive_local() + life
                    });
                tracing::info!(%expires_at, "the broker issued an access token");
                Ok(StoredToken {
                    access_token,
                    expires_at,
                })
            }
            IssuedToken {
                error_code: Some(code),
                error_description,
                ..
            } => Err(error_of(&code, &error_description.unwrap_or_default())),
            IssuedToken {
                msg_cd: Some(code),
                msg1,
                ..
            } => Err(error_of(&code, &msg1.unwrap_or_default())),
            _ => Err(SourceError::Malformed(format!(
                "tokenP: HTTP {} without a token",
                reply.status
            ))),
        }
    }
}

#[derive(Deserialize)]
struct IssuedToken {
    access_token: Option<String>,
    access_token_token_expired: Option<String>,
    expires_in: Option<i64>,
    error_code: Option<String>,
    error_description: Option<String>,
    msg_cd: Option<String>,
    msg1: Option<String>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("rest", &self.rest)
            .field("has_valid_token", &self.has_valid_token())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
