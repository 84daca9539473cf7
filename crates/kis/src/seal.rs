//! Encryption of the access token where it is kept outside the process: on disk and in Redis.
//!
//! The encryption key is derived from the app secret, so that only a program with the secret can
//! use a stored token.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::ExposeSecret as _;

use super::auth::Credentials;

/// Purpose of the derived key; another purpose gets another key.
const PURPOSE: &[u8] = b"sise access token 1";

/// Encrypts and decrypts with a key derived from one app secret.
pub(super) struct Seal {
    key: LessSafeKey,
    /// What a sealed text is bound to: it cannot be opened under another identity.
    identity: String,
}

impl Seal {
    pub(super) fn new(credentials: &Credentials, identity: &str) -> Option<Self> {
        let secret = credentials.app_secret.expose_secret();
        let derived = Salt::new(HKDF_SHA256, PURPOSE).extract(secret.as_bytes());
        let info = [identity.as_bytes()];
        let okm = derived.expand(&info, &AES_256_GCM).ok()?;
        Some(Self {
            key: LessSafeKey::new(UnboundKey::from(okm)),
            identity: identity.to_owned(),
        })
    }

    /// Encrypts `text`. Returns nonce and ciphertext in hexadecimal.
    pub(super) fn seal(&self, text: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut bytes = text.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.identity.as_bytes()),
                &mut bytes,
            )
            .ok()?;
        let all = nonce.iter().chain(&bytes);
        Some(all.map(|byte| format!("{byte:02x}")).collect())
    }

    /// Decrypts `sealed`; `None` if it is damaged or was sealed under another secret.
    pub(super) fn open(&self, sealed: &str) -> Option<Vec<u8>> {
        let mut bytes = sealed
            .trim()
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect::<Option<Vec<u8>>>()?;
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = Aad::from(self.identity.as_bytes());
        let opened = self.key.open_in_place(nonce, aad, text).ok()?;
        Some(opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(secret: &str, identity: &str) -> Seal {
        let credentials = Credentials {
            app_key: "the-key".to_owned().into(),
            app_secret: secret.to_owned().into(),
        };
        Seal::new(&credentials, identity).unwrap()
    }

    #[test]
    fn only_the_same_secret_and_key_open_it() {
        let sealed = seal("secret", "here").seal(b"a token").unwrap();
        assert!(!sealed.contains("token"));
        assert_eq!(seal("secret", "here").open(&sealed).unwrap(), b"a token");
        assert_eq!(seal("other", "here").open(&sealed), None);
        assert_eq!(seal("secret", "paper").open(&sealed), None);
        assert_ne!(seal("secret", "here").seal(b"a token").unwrap(), sealed);
    }

    #[test]
    fn damaged_text_is_nothing() {
        let seal = seal("secret", "here");
        let sealed = seal.seal(b"a token").unwrap();
        let without_first: String = sealed.chars().skip(2).collect();
        let beginning: String = sealed.chars().take(40).collect();
        for text in ["", "0", "zz", "00", "\u{ac00}", &without_first, &beginning] {
            assert_eq!(seal.open(text), None, "{text}");
        }
    }
}
