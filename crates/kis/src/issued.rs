//! The answer of the token endpoint (contract 2.1).

use chrono::{NaiveDateTime, TimeDelta};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::codes::error_of;
use super::wire::{Body, row};
use sise_domain::KrxTime;
use sise_port::SourceError;

/// Upper bound of a token's life, whatever the answer says: tokens of companies live three months.
const LONGEST_LIFE: TimeDelta = TimeDelta::days(100);

/// A token as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredToken {
    #[serde(serialize_with = "exposed")]
    pub(super) access_token: SecretString,
    pub(super) expires_at: NaiveDateTime,
}

/// Serializes the token in the clear, because the result is sealed before it is stored.
fn exposed<S: Serializer>(token: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose_secret())
}

row! {
    /// The issued token, or the reason why there is none.
    IssuedToken {
        access_token,
        access_token_token_expired,
        expires_in,
        error_code,
        error_description,
        msg_cd,
        msg1,
    }
}

/// Reads the token from an answer received at `now`.
pub(super) fn issued(status: u16, body: &[u8], now: KrxTime) -> Result<StoredToken, SourceError> {
    let unusable = |what: &str| format!("tokenP: HTTP {status} {what}");
    // The body may hold a token, so no word of it goes into the error.
    let body = Body::new(body);
    let issued: IssuedToken<'_> = body
        .read()
        .map_err(|_| SourceError::Unavailable(unusable("without usable JSON")))?;
    let access_token = issued.access_token.as_str();
    if access_token.is_empty() {
        return Err(match (issued.error_code.as_str(), issued.msg_cd.as_str()) {
            ("", "") => SourceError::Malformed(unusable("without a token")),
            ("", code) => error_of(code, issued.msg1.as_str()),
            (code, _) => error_of(code, issued.error_description.as_str()),
        });
    }
    if HeaderValue::from_str(access_token).is_err() {
        let trouble = unusable("with a token that is not valid in a header");
        return Err(SourceError::Malformed(trouble));
    }
    let now = now.naive_local();
    let said = issued.access_token_token_expired.as_str();
    let said = NaiveDateTime::parse_from_str(said, "%Y-%m-%d %H:%M:%S").ok();
    let life = || TimeDelta::try_seconds(issued.expires_in.as_str().parse().ok()?);
    let expires_at = said.or_else(|| now.checked_add_signed(life()?));
    // A token without a stated end is of no use.
    let expires_at = expires_at.unwrap_or(now).min(now + LONGEST_LIFE);
    Ok(StoredToken {
        access_token: access_token.to_owned().into(),
        expires_at,
    })
}

/// Invariants that hold for every answer, whatever it contains.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod oracle {
    use super::{LONGEST_LIFE, issued};
    use chrono::TimeZone as _;
    use secrecy::ExposeSecret as _;
    use serde_json::Value;
    use sise_domain::Seoul;

    /// Reads `bytes` as an answer of the token endpoint; panics if a token is not the one in it.
    pub fn check(bytes: &[u8]) {
        let Some(now) = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).single() else {
            return;
        };
        // As the transport passes it on.
        let text = String::from_utf8_lossy(bytes);
        let bytes = text.as_bytes();
        for status in [200, 403, 500] {
            match issued(status, bytes, now) {
                Ok(token) => {
                    // An out-of-range number elsewhere in the body does not affect the token.
                    if let Ok(plain) = serde_json::from_slice::<Value>(bytes) {
                        let fields = plain.as_object().into_iter().flatten();
                        let said = token.access_token.expose_secret();
                        let mut tokens = fields.filter(|(name, _)| name.trim() == "access_token");
                        let is_there = tokens.any(|(_, value)| match value {
                            Value::String(text) => text.trim() == said,
                            // 864.0 and 864 are the same number.
                            other => other
                                .as_f64()
                                .is_some_and(|number| said.parse() == Ok(number)),
                        });
                        assert!(is_there, "{plain}");
                    }
                    assert!(token.expires_at <= now.naive_local() + LONGEST_LIFE);
                    crate::token::check_token(&token, now);
                }
                Err(error) => {
                    let said = error.to_string();
                    assert!(said.len() > 10, "{said}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use sise_domain::Seoul;

    fn read(body: &str) -> Result<StoredToken, SourceError> {
        let now = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
        issued(200, body.as_bytes(), now)
    }

    #[test]
    fn recorded_bodies_decode() {
        let token = read(include_str!(
            "../../../tests/fixtures/kis/oauth2-tokenP.json"
        ))
        .unwrap();
        assert!(token.access_token.expose_secret().len() > 100);
        assert_eq!(token.expires_at.to_string(), "2023-12-22 08:16:59");
        let refused = include_str!("../../../tests/fixtures/kis/EGW00133-http403-2026-04-06.json");
        let error = read(refused).unwrap_err();
        assert!(matches!(error, SourceError::Throttled(_)), "{error}");
    }

    #[test]
    fn no_field_spoils_a_token() {
        for (fields, hours) in [
            (r#""expires_in":86400"#, 24),
            (r#""expires_in":"86400""#, 24),
            (
                r#""access_token_token_expired":"2026-11-20 11:00:00","expires_in":[]"#,
                1,
            ),
            (
                r#""access_token_token_expired":null,"expires_in":3600,"token_type":5"#,
                1,
            ),
            (
                r#""access_token_token_expired":"tomorrow","expires_in":3600"#,
                1,
            ),
            (r#""expires_in":9223372036854775807"#, 0),
            (r#""expires_in":9000000000000000"#, 0),
            (r#""expires_in":-5000000000000"#, -1_388_888_888),
            (r#""expires_in":99999999999"#, 2_400),
            (
                r#""access_token_token_expired":"9999-12-31 00:00:00""#,
                2_400,
            ),
            ("\"x\":1", 0),
        ] {
            let token = read(&format!(r#"{{"access_token":"abc",{fields}}}"#)).unwrap();
            assert_eq!(token.access_token.expose_secret(), "abc");
            assert!(!format!("{token:?}").contains("abc"), "{token:?}");
            let now = Seoul.with_ymd_and_hms(2026, 11, 20, 10, 0, 0).unwrap();
            let life = token.expires_at - now.naive_local();
            assert_eq!(life.num_hours(), hours, "{fields}");
        }
    }

    #[test]
    fn what_is_no_token_is_an_error_in_words() {
        for (body, words) in [
            ("", "without usable JSON"),
            ("{}", "without a token"),
            (r#"{"access_token":""}"#, "without a token"),
            (r#"{"access_token":["abc"]}"#, "without a token"),
            (r#"{"access_token":"a\nb"}"#, "not valid in a header"),
            (
                r#"{"error_code":"EGW00133","error_description":"wait"}"#,
                "EGW00133 wait",
            ),
            (
                r#"{"rt_cd":"1","msg_cd":"EGW00002","msg1":"out"}"#,
                "EGW00002 out",
            ),
        ] {
            let said = read(body).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
