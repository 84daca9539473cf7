//! The access token: one for all processes of an app key (contract 2.1).
//!
//! It is kept in the store that the processes share and on disk, and renewed before it expires.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use chrono::TimeDelta;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::asked::{Asked, SPACING};
use super::issued::{StoredToken, issued};
use super::rest::Rest;
use super::seal::Seal;
use super::token::Token;
use super::token_file::TokenFile;
use super::transport::Reply;
use super::words;
use sise_domain::{Event, KrxTime, TokenChange};
use sise_port::clock::Clock;
use sise_port::{Issue, Recorder, SharedToken, SourceError, TokenStore, Unrecorded, Urgency};

/// Interval of checks for a token from another process while this one may not ask.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Time that another process has to answer after the minute between requests is over.
const GRACE: Duration = Duration::from_secs(10);
/// Pause before an early renewal that failed is tried again.
const RENEW_AGAIN: TimeDelta = TimeDelta::minutes(2);

/// App key and secret that the broker issued to its customer.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The app key, 36 characters.
    pub app_key: SecretString,
    /// The app secret, 180 characters.
    pub app_secret: SecretString,
}

/// Where a token is kept besides the memory of this process.
pub struct Keep {
    /// The store shared by all processes of the app key.
    pub shared: Arc<dyn TokenStore>,
    /// The file on disk, for setups without Redis and for restarts of Redis.
    pub file: Option<TokenFile>,
    /// Name of this process.
    pub process: String,
}

/// Manages one token for all callers.
pub struct Auth {
    rest: Arc<Rest>,
    credentials: Credentials,
    keep: Keep,
    seal: Option<Seal>,
    clock: Clock,
    recorder: Arc<dyn Recorder>,
    current: ArcSwapOption<Token>,
    /// Held while a token is fetched, so that all callers wait for the same one. `current` changes
    /// only under this lock.
    fetching: Mutex<()>,
    asked: Asked,
    /// Time until which a token that is due for renewal stays in use.
    put_off: ArcSwapOption<KrxTime>,
}

fn digest_of(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter().take(8);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

impl Credentials {
    /// Returns the name of the app key on a host, under which token, budget and bans are kept.
    ///
    /// It is a digest, so that real, paper and simulated accounts never mix and the key stays
    /// hidden.
    #[must_use]
    pub fn identity(&self, base: &str) -> String {
        digest_of(&format!("{base}\n{}", self.app_key.expose_secret()))
    }

    /// Returns the same for key and secret together.
    ///
    /// A wrong secret must not wait for the right one, or be mistaken for it.
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

impl Auth {
    /// Creates a source of tokens for `credentials` on `rest`, kept in `keep`.
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
            asked: Asked::default(),
            put_off: ArcSwapOption::empty(),
        }
    }

    /// Reports issued tokens, refused requests and rejected tokens to `recorder`.
    #[must_use]
    pub fn recorded_by(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = recorder;
        self
    }

    /// Returns whether a token is at hand that has not expired.
    #[must_use]
    pub fn has_valid_token(&self) -> bool {
        let now = (self.clock)();
        self.current
            .load()
            .as_ref()
            .is_some_and(|token| token.lives(now))
    }

    /// Takes a token left by another process or an earlier one, without asking the broker.
    ///
    /// With such a token, calls are possible even if the store is unreachable later.
    pub async fn take_kept(&self) {
        let _turn = self.fetching.lock().await;
        if self.fresh().is_none()
            && let Some(token) = self.kept(None).await
        {
            self.current.store(Some(Arc::new(token)));
        }
    }

    /// Returns a token to call with: the current one, one that is kept, or a new one.
    ///
    /// # Errors
    ///
    /// Returns an error if none of these is at hand and the broker issues none.
    pub async fn token(&self) -> Result<Arc<Token>, SourceError> {
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let _turn = self.fetching.lock().await;
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let old = self.current.load_full();
        let living = old.clone().filter(|token| token.lives((self.clock)()));
        let token = match self.fetch(old.as_deref(), living.is_none()).await {
            Ok(token) => Arc::new(token),
            Err(error) => {
                // The token may have been rejected meanwhile.
                let Some(token) = living.filter(|token| token.lives((self.clock)())) else {
                    return Err(error);
                };
                tracing::warn!(%error, "the access token could not be renewed early; using the old one");
                let until = (self.clock)() + RENEW_AGAIN;
                self.put_off.store(Some(Arc::new(until)));
                return Ok(token);
            }
        };
        self.current.store(Some(Arc::clone(&token)));
        Ok(token)
    }

    /// Returns whether calls may still use `token`, which may have died while the call waited.
    pub(super) fn holds(&self, token: &Token) -> bool {
        token.lives((self.clock)())
    }

    /// Records that the broker rejected a token, so that no further call uses it.
    pub(super) fn forget(&self, dead: &Arc<Token>) {
        let is_news = dead.dies();
        let current = self.current.load();
        let is_current = current
            .as_ref()
            .is_some_and(|token| Arc::ptr_eq(token, dead));
        if is_news && is_current {
            tracing::warn!("the broker rejects the access token; getting a new one");
            self.recorder.note(Event::Token(TokenChange::Dead));
        }
    }

    /// Returns the headers of a call (contract 1.3).
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
            // The settings refuse a key that is not valid in a header.
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
        let now = (self.clock)();
        let token = self.current.load_full()?;
        let is_put_off = || {
            self.put_off
                .load()
                .as_ref()
                .is_some_and(|until| now < **until)
        };
        (token.is_fresh(now) || token.lives(now) && is_put_off()).then_some(token)
    }

    /// Takes a token of another process if it differs from `old`, else requests a new one.
    ///
    /// While the old token lives, `may_wait` is false and nothing waits for the minute to be over.
    async fn fetch(&self, old: Option<&Token>, may_wait: bool) -> Result<Token, SourceError> {
        let deadline = Instant::now() + SPACING + GRACE;
        loop {
            if let Some(token) = self.kept(old).await {
                return Ok(token);
            }
            // A caller that may not ask must not hold the turn of those that may.
            self.rest.bans().refusal().await?;
            let refused = if self.may_ask(old).await {
                match self.ask(old).await {
                    Ok(stored) => return self.adopt(&stored).await,
                    Err(error) => Some(error),
                }
            } else {
                self.asked.refusal((self.clock)())
            };
            let waited = match refused {
                // A process that does not share its token was faster, and the minute is not over.
                Some(SourceError::Throttled(said)) => said,
                Some(error) => return Err(error),
                None => {
                    "a token was requested within the minute, and is not available yet".to_owned()
                }
            };
            if !may_wait || Instant::now() >= deadline {
                return Err(SourceError::Rejected(waited));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Returns whether this process may ask the broker now.
    ///
    /// It remembers its own last request, whatever the shared store keeps.
    async fn may_ask(&self, old: Option<&Token>) -> bool {
        if self.asked.wait((self.clock)()).is_some() {
            return false;
        }
        let (shared, process) = (&self.keep.shared, &self.keep.process);
        let turn = shared.claim(process, replaced(old), SPACING).await;
        // While the store is unreachable, each process asks by itself.
        !matches!(turn, Ok(Issue::Wait(_)))
    }

    /// Asks the broker. The turn is given back if the request did not arrive, or if a ban takes
    /// over.
    async fn ask(&self, old: Option<&Token>) -> Result<StoredToken, SourceError> {
        let issued = self.issue().await;
        self.recorder.note(Event::Token(match &issued {
            Ok(StoredToken { expires_at, .. }) => TokenChange::Issued {
                expires_at: *expires_at,
            },
            Err(error) => TokenChange::Refused {
                said: error.to_string(),
            },
        }));
        let gives_back = match &issued {
            Err(SourceError::Throttled(said)) => {
                tracing::info!(%said, "a token was issued within the minute; waiting");
                false
            }
            // From here on the ban decides who may ask; a person may at once.
            Err(SourceError::Denied(_)) => true,
            Err(_) => self.asked.wait((self.clock)()).is_none(),
            Ok(_) => false,
        };
        if gives_back {
            let (shared, process) = (&self.keep.shared, &self.keep.process);
            let _ = shared.unclaim(process, replaced(old)).await;
        }
        issued
    }

    /// Returns the shared token, or the one on disk, if it is usable and not `old`.
    async fn kept(&self, old: Option<&Token>) -> Option<Token> {
        let now = (self.clock)();
        let shared = self.keep.shared.load().await;
        if let Ok(Some(SharedToken { generation, sealed })) = &shared
            && let Some(token) = self.open(sealed, Some(*generation), now)
            && token.is_fresh(now)
        {
            // The broker may issue a token again that it rejected before. The generation
            // distinguishes it from the rejected one.
            let is_old = old.is_some_and(|old| match old.generation {
                Some(old) => old == *generation,
                None => old.is(&token),
            });
            if !is_old {
                return Some(token);
            }
        }
        let text = self.keep.file.as_ref()?.load().await?;
        let token = self.open(&text, None, now)?;
        if !token.is_fresh(now) || old.is_some_and(|old| old.is(&token)) {
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

    /// Saves a token in the shared store, for the other processes.
    async fn share(&self, sealed: &str, mut token: Token, now: KrxTime) -> Token {
        let life = (token.expires_at - now).to_std().unwrap_or_default();
        match self.keep.shared.save(sealed, life).await {
            Ok(generation) => token.generation = Some(generation),
            Err(error) => tracing::debug!(%error, "the access token is not shared"),
        }
        token
    }

    /// Takes an issued token into use, even one that was rejected before.
    ///
    /// The broker issues the same token for 6 hours, so its latest word counts.
    async fn adopt(&self, stored: &StoredToken) -> Result<Token, SourceError> {
        let now = (self.clock)();
        let token = Token::new(stored, None, now).ok_or_else(|| {
            SourceError::Malformed(format!(
                "the new token ends at {}, which is past: check this machine's clock",
                stored.expires_at
            ))
        })?;
        let text = serde_json::to_vec(stored).ok();
        let sealed = text.and_then(|text| self.seal.as_ref()?.seal(&text));
        let Some(sealed) = sealed else {
            return Ok(token);
        };
        if let Some(file) = &self.keep.file
            && let Err(error) = file.save(&sealed).await
        {
            tracing::warn!(path = %file.path().display(), %error,
                "the access token cannot be saved to disk; without Redis every start needs a new one");
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
        self.asked.begin((self.clock)());
        let stored = self.rest.ask(turn, request, read).await;
        self.asked.end(&stored);
        let stored = stored?;
        tracing::info!(expires_at = %stored.expires_at, "the broker issued an access token");
        Ok(stored)
    }

    /// Returns the error with all secrets masked, including `token`, with which the call was made.
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

/// Returns the generation of the shared token that is replaced; 0 if there is none.
fn replaced(old: Option<&Token>) -> u64 {
    old.and_then(|old| old.generation).unwrap_or(0)
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
mod tests;
