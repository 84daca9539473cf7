//! The access token: one for all processes of an app key, kept in the store that they share and on
//! disk, renewed before it dies (contract 2.1).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use chrono::{TimeDelta, TimeZone as _};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::issued::{StoredToken, issued};
use super::rest::Rest;
use super::seal::Seal;
use super::token_file::TokenFile;
use super::transport::Reply;
use super::words;
use crate::clock::Clock;
use crate::domain::{Event, KrxTime, Seoul, TokenChange};
use crate::port::{Issue, Recorder, SharedToken, SourceError, TokenStore, Unrecorded, Urgency};

/// A token is renewed this long before its end, or after nine tenths of a shorter life.
const EARLY: TimeDelta = TimeDelta::minutes(10);

/// One issue a minute (EGW00133). Who comes second waits for what the first one got, at the
/// longest until the minute is over.
const ISSUE_SPACING: Duration = Duration::from_secs(60);
/// How often the waiting ones look for it, and how often one of them asks the broker.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_secs(10);

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
    /// Which of the tokens that are shared it is, where it is shared.
    generation: Option<u64>,
    /// The broker called it dead. It is kept until another takes its place, so that the same one
    /// is not taken for new.
    dead: bool,
}

/// Where a token is kept beside the memory of this process.
pub struct Keep {
    /// What the processes of the app key share.
    pub shared: Arc<dyn TokenStore>,
    /// On disk, for set-ups without Redis and for restarts of it.
    pub file: Option<TokenFile>,
    /// What this process calls itself.
    pub process: String,
}

/// Keeps one token for all callers.
pub struct Auth {
    rest: Arc<Rest>,
    credentials: Credentials,
    keep: Keep,
    seal: Option<Seal>,
    clock: Clock,
    recorder: Arc<dyn Recorder>,
    current: ArcSwapOption<Token>,
    /// Held while a token is fetched, so that all wait for one.
    fetching: Mutex<()>,
}

fn digest_of(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter().take(8);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

impl Credentials {
    /// What an app key on a host is called where its token, budget and bans are kept: a digest, so
    /// that real, paper and simulated never mix and the key is not shown.
    #[must_use]
    pub fn identity(&self, base: &str) -> String {
        digest_of(&format!("{base}\n{}", self.app_key.expose_secret()))
    }

    /// The same, for what belongs to the secret too: a wrong one must not wait for, or be taken
    /// for, the right one.
    #[must_use]
    pub fn secret_identity(&self, base: &str) -> String {
        let (key, secret) = (&self.app_key, &self.app_secret);
        digest_of(&format!(
            "{base}\n{}\n{}",
            key.expose_secret(),
            secret.expose_secret()
        ))
    }
}

impl Token {
    fn new(stored: &StoredToken, generation: Option<u64>, now: KrxTime) -> Option<Self> {
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
            generation,
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
    /// Tokens for `credentials` on `rest`, kept in `keep`.
    #[must_use]
    pub fn new(rest: Arc<Rest>, credentials: Credentials, keep: Keep, clock: Clock) -> Self {
        Self {
            seal: Seal::new(&credentials, &credentials.identity(rest.base())),
            rest,
            credentials,
            keep,
            clock,
            recorder: Arc::new(Unrecorded),
            current: ArcSwapOption::empty(),
            fetching: Mutex::new(()),
        }
    }

    /// Tells `recorder` of every token that is issued, refused or called dead.
    #[must_use]
    pub fn recorded_by(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = recorder;
        self
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

    /// Takes the token that other processes or an earlier one left, if there is one, and asks for
    /// none. Whoever has it may ask the broker even when the store is gone by then.
    pub async fn take_kept(&self) {
        let _turn = self.fetching.lock().await;
        if self.fresh().is_none()
            && let Some(token) = self.kept(None).await
        {
            self.current.store(Some(Arc::new(token)));
        }
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
            self.recorder.note(Event::Token(TokenChange::Dead));
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

    /// A token that another process got, if it is another than `old`, else a new one.
    /// With a token that still lives nobody waits for the minute to be over.
    async fn fetch(&self, old: Option<&Token>, may_wait: bool) -> Result<Token, SourceError> {
        let deadline = Instant::now() + ISSUE_SPACING + ASK_AGAIN;
        // While the shared store is away each process paces itself.
        let mut alone_until = Instant::now();
        loop {
            if let Some(token) = self.kept(old).await {
                return Ok(token);
            }
            // Who may not ask must not hold the turn of those who will.
            self.rest.bans().refusal().await?;
            let (shared, process) = (&self.keep.shared, &self.keep.process);
            let replacing = old.and_then(|old| old.generation).unwrap_or(0);
            let turn = shared.claim(process, replacing, ISSUE_SPACING).await;
            let asks = match turn {
                Ok(Issue::Ask) => true,
                Ok(Issue::Wait(_)) => false,
                Err(_) => Instant::now() >= alone_until,
            };
            if asks {
                alone_until = Instant::now() + ASK_AGAIN;
                let issued = self.issue().await;
                self.recorder.note(Event::Token(match &issued {
                    Ok(StoredToken { expires_at, .. }) => TokenChange::Issued {
                        expires_at: *expires_at,
                    },
                    Err(error) => TokenChange::Refused {
                        said: error.to_string(),
                    },
                }));
                match issued {
                    Ok(stored) => return self.adopt(&stored).await,
                    Err(SourceError::Throttled(said)) => {
                        // Somebody who does not share was faster. One asks again in a while.
                        let _ = shared.unclaim(process, replacing).await;
                        let _ = shared.claim(process, replacing, ASK_AGAIN).await;
                        if !may_wait || Instant::now() >= deadline {
                            return Err(SourceError::Rejected(said));
                        }
                        tracing::info!(%said, "a token was issued within the minute; waiting");
                    }
                    Err(error) => {
                        // No token was issued, so another may try.
                        let _ = shared.unclaim(process, replacing).await;
                        return Err(error);
                    }
                }
            } else if !may_wait || Instant::now() >= deadline {
                return Err(SourceError::Rejected(
                    "another process asked for a token and has not shared it yet".to_owned(),
                ));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The token that is shared, or the one on disk, if it is of use and another than `old`.
    async fn kept(&self, old: Option<&Token>) -> Option<Token> {
        let now = (self.clock)();
        let shared = self.keep.shared.load().await;
        if let Ok(Some(SharedToken { generation, sealed })) = &shared
            && let Some(token) = self.open(sealed, Some(*generation), now)
            && now < token.refresh_at
        {
            // The broker may give the same token again: it is its word against its own, and the
            // generation tells it from the one that died.
            let is_old = old.is_some_and(|old| match old.generation {
                Some(old) => old == *generation,
                None => old.is(&token),
            });
            if !is_old {
                return Some(token);
            }
        }
        let text = self.keep.file.as_ref()?.load()?;
        let token = self.open(&text, None, now)?;
        if now >= token.refresh_at || old.is_some_and(|old| old.is(&token)) {
            return None;
        }
        if matches!(shared, Ok(None)) {
            return Some(self.share(&text, token, now).await);
        }
        Some(token)
    }

    fn open(&self, sealed: &str, generation: Option<u64>, now: KrxTime) -> Option<Token> {
        let text = self.seal.as_ref()?.open(sealed)?;
        let stored: StoredToken = serde_json::from_slice(&text).ok()?;
        Token::new(&stored, generation, now)
    }

    /// Lets the other processes have a token.
    async fn share(&self, sealed: &str, mut token: Token, now: KrxTime) -> Token {
        let life = (token.expires_at - now).to_std().unwrap_or_default();
        match self.keep.shared.save(sealed, life).await {
            Ok(generation) => token.generation = Some(generation),
            Err(error) => tracing::debug!(%error, "the access token is not shared"),
        }
        token
    }

    /// Takes an issued token into use, even one that was called dead: the broker gives the same
    /// one for 6 hours, and it is its word against its own.
    async fn adopt(&self, stored: &StoredToken) -> Result<Token, SourceError> {
        let now = (self.clock)();
        let token = Token::new(stored, None, now).ok_or_else(|| {
            SourceError::Malformed(format!(
                "the token is said to end at {}, which is past: check this machine's clock",
                stored.expires_at
            ))
        })?;
        let text = serde_json::to_vec(stored).ok();
        let sealed = text.and_then(|text| self.seal.as_ref()?.seal(&text));
        let Some(sealed) = sealed else {
            return Ok(token);
        };
        if let Some(file) = &self.keep.file
            && let Err(error) = file.save(&sealed)
        {
            tracing::warn!(path = %file.path().display(), %error,
                "the access token cannot be kept on disk; without Redis every start will ask for one");
        }
        Ok(self.share(&sealed, token, now).await)
    }

    async fn issue(&self) -> Result<StoredToken, SourceError> {
        let body = json!({
            "grant_type": "client_credentials",
            "appkey": self.credentials.app_key.expose_secret(),
            "appsecret": self.credentials.app_secret.expose_secret(),
        });
        let mut request = self.rest.request(Method::POST, "/oauth2/tokenP");
        let json = HeaderValue::from_static("application/json; charset=UTF-8");
        request.headers_mut().insert(CONTENT_TYPE, json);
        *request.body_mut() = Some(body.to_string().into());
        let turn = self.rest.turn(Urgency::Reader).await?;
        let read = |_, reply: &Reply| {
            let issued = issued(reply.status, &reply.body, (self.clock)());
            issued.map_err(|error| self.without_secrets(error, None))
        };
        let stored = self.rest.ask(turn, request, read).await?;
        tracing::info!(expires_at = %stored.expires_at, "the broker issued an access token");
        Ok(stored)
    }

    /// The same error with the broker's words, about a call with `token`, as they may be shown and
    /// kept.
    pub(super) fn without_secrets(&self, error: SourceError, token: Option<&Token>) -> SourceError {
        let Credentials {
            app_key,
            app_secret,
        } = &self.credentials;
        let token = token.map_or("", |token| token.value.expose_secret());
        let secrets = [app_key.expose_secret(), app_secret.expose_secret(), token];
        error.map_words(|words| words::shown(&words, &secrets))
    }
}

/// For the rules of `issued`: whatever is issued is a token, or refused, and never a panic.
#[cfg(any(test, fuzzing))]
pub(super) fn check_token(stored: &StoredToken, now: KrxTime) {
    if let Some(token) = Token::new(stored, None, now) {
        assert!(now < token.refresh_at && token.refresh_at <= token.expires_at);
        assert!(token.lives(now) && !token.lives(token.expires_at));
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keep")
            .field("file", &self.file)
            .field("process", &self.process)
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
