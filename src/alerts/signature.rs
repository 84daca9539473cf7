//! Signatures that prove to a receiver that an alert comes from a sender with the secret.

use std::fmt::Write as _;

use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};

/// Returns the signature of `body` sent at `at` (seconds since 1970).
///
/// The form is `t=<at>,v1=<digest>`, with the HMAC-SHA256 of `<at>.<body>` in hexadecimal. The time
/// is signed too, so that an old post cannot be replayed as a new one.
pub(super) fn signature(secret: &SecretString, at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    let mut text = format!("t={at},v1=");
    for byte in tag.as_ref() {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_openssl_makes() {
        // printf '1763600400.{"id":"1"}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let secret = SecretString::from("0123456789abcdef");
        assert_eq!(
            signature(&secret, 1_763_600_400, r#"{"id":"1"}"#),
            "t=1763600400,v1=d98805ea42fcbdec3dc6fedf63b5fc02f1ff355393f9265e277900f8814fa84b"
        );
    }
}
