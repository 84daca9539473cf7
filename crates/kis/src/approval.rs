//! The key that opens a session of the live feed (contract 2.3).

use std::fmt;
use std::sync::Arc;

use chrono::TimeDelta;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::sync::Mutex;

use super::asked::Asked;
use super::auth::Credentials;
use super::codes::error_of;
use super::rest::Rest;
use super::transport::Reply;
use super::wire::{Body, row};
use super::words;
use sise_domain::KrxTime;
use sise_port::clock::Clock;
use sise_port::{SourceError, Urgency};

/// Age up to which a key is used for a new session.
///
/// The broker checks a key when a session subscribes, and accepts it for a day. An older key is not
/// risked on a new session.
const YOUNG: TimeDelta = TimeDelta::hours(3);

/// Length limit of a key; real ones have about thirty characters.
const LONGEST: usize = 300;

row! {
    /// The issued key, or the reason why there is none.
    Issued {
        approval_key,
        error_code,
        error_description,
        msg_cd,
        msg1,
    }
}

/// Gets approval keys and caches the current one.
///
/// Keys are not shared with other processes: another session of the same app key would be refused
/// anyway.
pub struct Approvals {
    rest: Arc<Rest>,
    credentials: Credentials,
    clock: Clock,
    current: Mutex<Option<(SecretString, KrxTime)>>,
    asked: Asked,
}

impl Approvals {
    /// Creates a source of keys for `credentials`, requested over `rest`.
    #[must_use]
    pub fn new(rest: Arc<Rest>, credentials: Credentials, clock: Clock) -> Self {
        Self {
            rest,
            credentials,
            clock,
            current: Mutex::new(None),
            asked: Asked::default(),
        }
    }

    /// Returns a key to open a session with: the current one, or a new one if it is hours old.
    ///
    /// Keys are requested at most once a minute, because the broker refuses or locks out clients
    /// that ask more often.
    ///
    /// # Errors
    ///
    /// Returns an error if the broker issues none.
    pub(super) async fn key(&self) -> Result<SecretString, SourceError> {
        let mut current = self.current.lock().await;
        let now = (self.clock)();
        if let Some((key, issued_at)) = &*current
            && *issued_at <= now
            && now - *issued_at < YOUNG
        {
            return Ok(key.clone());
        }
        if let Some(refused) = self.asked.refusal(now) {
            return Err(refused);
        }
        if let Some(left) = self.asked.wait(now) {
            let seconds = left.as_secs_f64().ceil();
            return Err(SourceError::Rejected(format!(
                "the broker rejected the latest approval key; the next is requested in \
                 {seconds:.0} s"
            )));
        }
        let key = self.issue().await?;
        *current = Some((key.clone(), now));
        Ok(key)
    }

    /// Drops the key after the broker rejected it, so that the next one is new.
    pub(super) async fn forget(&self) {
        *self.current.lock().await = None;
    }

    async fn issue(&self) -> Result<SecretString, SourceError> {
        let mut request = self.rest.request(Method::POST, "/oauth2/Approval");
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        // This endpoint has another name for the secret.
        let body = json!({
            "grant_type": "client_credentials",
            "appkey": self.credentials.app_key.expose_secret(),
            "secretkey": self.credentials.app_secret.expose_secret(),
        });
        *request.body_mut() = Some(body.to_string().into());
        let turn = self.rest.turn(Urgency::Watched).await?;
        self.asked.begin((self.clock)());
        let read = |_, reply: &Reply| {
            issued(reply.status, &reply.body).map_err(|error| self.without_secrets(error))
        };
        let outcome = self.rest.ask(turn, request, read).await;
        self.asked.end(&outcome);
        outcome
    }

    /// Returns the error with all secrets masked.
    pub(super) fn without_secrets(&self, error: SourceError) -> SourceError {
        error.map_words(|said| self.shown(&said))
    }

    /// Returns the text with all secrets masked.
    pub(super) fn shown(&self, said: &str) -> String {
        let Credentials {
            app_key,
            app_secret,
        } = &self.credentials;
        words::shown(said, &[app_key.expose_secret(), app_secret.expose_secret()])
    }
}

/// Reads the key from an answer.
fn issued(status: u16, body: &[u8]) -> Result<SecretString, SourceError> {
    let unusable = |what: &str| format!("Approval: HTTP {status} {what}");
    // The body may hold a key, so no word of it goes into the error.
    let body = Body::new(body);
    let issued: Issued<'_> = body
        .read()
        .map_err(|_| SourceError::Unavailable(unusable("without usable JSON")))?;
    let key = issued.approval_key.as_str();
    if key.is_empty() {
        return Err(match (issued.error_code.as_str(), issued.msg_cd.as_str()) {
            ("", "") => SourceError::Malformed(unusable("without an approval key")),
            ("", code) => error_of(code, issued.msg1.as_str()),
            (code, _) => error_of(code, issued.error_description.as_str()),
        });
    }
    if key.len() > LONGEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let trouble = unusable("with an invalid approval key");
        return Err(SourceError::Malformed(trouble));
    }
    Ok(key.to_owned().into())
}

impl fmt::Debug for Approvals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Approvals")
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_answer_has_a_key_and_others_say_why_not() {
        let body = br#"{"approval_key": "00000000-0000-0000-0000-00000000000"}"#;
        let key = issued(200, body).unwrap();
        assert_eq!(key.expose_secret(), "00000000-0000-0000-0000-00000000000");
        for (body, words) in [
            ("", "without usable JSON"),
            ("{}", "without an approval key"),
            (r#"{"approval_key":"a b"}"#, "an invalid approval key"),
            (
                r#"{"error_code":"EGW00103","error_description":"wrong"}"#,
                "EGW00103 wrong",
            ),
            (r#"{"msg_cd":"EGW00002","msg1":"out"}"#, "EGW00002 out"),
        ] {
            let said = issued(403, body.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
