//! The access token: one for all processes of an app key, kept in the store that they share and on
//! disk, renewed before it dies (contract 2.1).

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

/// Who may not ask waits for what another gets, and looks for it this often,
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// until the minute is over and another has had this time to answer.
const GRACE: Duration = Duration::from_secs(10);
/// An early renewal that failed is tried again after this time.
const RENEW_AGAIN: TimeDelta = TimeDelta::minutes(2);

/// What the broker gave its customer.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The app key, 36 characters.
    pub app_key: SecretString,
    /// The app secret, 180 characters.
    pub app_secret: SecretString,
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
    /// Held while a token is fetched, so that all wait for one. Nothing else changes the current one.
    fetching: Mutex<()>,
    asked: Asked,
    /// Until when a token that lives is used although it should be renewed by now.
    put_off: ArcSwapOption<KrxTime>,
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
            asked: Asked::default(),
            put_off: ArcSwapOption::empty(),
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
        let living = old.clone().filter(|token| token.lives((self.clock)()));
        let token = match self.fetch(old.as_deref(), living.is_none()).await {
            Ok(token) => Arc::new(token),
            Err(error) => {
                // It may have been called dead meanwhile.
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

    /// Whether a call may still be made with `token`: it may have died while the call waited.
    pub(super) fn holds(&self, token: &Token) -> bool {
        token.lives((self.clock)())
    }

    /// The broker called a token dead: no other call is made with it.
    pub(super) fn forget(&self, dead: &Arc<Token>) {
        let is_news = dead.dies();
        let current = self.current.load();
        let is_current = current
            .as_ref()
            .is_some_and(|token| Arc::ptr_eq(token, dead));
        if is_news && is_current {
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

    /// A token that another process got, if it is another than `old`, else a new one.
    /// With a token that still lives nobody waits for the minute to be over.
    async fn fetch(&self, old: Option<&Token>, may_wait: bool) -> Result<Token, SourceError> {
        let deadline = Instant::now() + SPACING + GRACE;
        loop {
            if let Some(token) = self.kept(old).await {
                return Ok(token);
            }
            // Who may not ask must not hold the turn of those who will.
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
                // Somebody who does not share was faster, and the minute is not over.
                Some(SourceError::Throttled(said)) => said,
                Some(error) => return Err(error),
                None => {
                    "a token was asked for within the minute, and none is at hand yet".to_owned()
                }
            };
            if !may_wait || Instant::now() >= deadline {
                return Err(SourceError::Rejected(waited));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether this process asks the broker now. It knows by itself when it asked last, whatever the
    /// shared store keeps.
    async fn may_ask(&self, old: Option<&Token>) -> bool {
        if self.asked.wait((self.clock)()).is_some() {
            return false;
        }
        let (shared, process) = (&self.keep.shared, &self.keep.process);
        let turn = shared.claim(process, replaced(old), SPACING).await;
        // While the store is away each process asks by itself.
        !matches!(turn, Ok(Issue::Wait(_)))
    }

    /// Asks the broker, and keeps the turn for a minute where anything arrived there.
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
            // From here on the ban says who asks: a person does, at once.
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

    /// The token that is shared, or the one on disk, if it is of use and another than `old`.
    async fn kept(&self, old: Option<&Token>) -> Option<Token> {
        let now = (self.clock)();
        let shared = self.keep.shared.load().await;
        if let Ok(Some(SharedToken { generation, sealed })) = &shared
            && let Some(token) = self.open(sealed, Some(*generation), now)
            && token.is_fresh(now)
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
            && let Err(error) = file.save(&sealed).await
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
        self.asked.begin((self.clock)());
        let stored = self.rest.ask(turn, request, read).await;
        self.asked.end(&stored);
        let stored = stored?;
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

/// Which of the shared tokens is replaced; 0 for none.
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
