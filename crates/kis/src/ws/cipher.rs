//! Encrypted frames: base64 of AES-256-CBC with PKCS#7 (contract 5.2).

use std::fmt;

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};

/// Decrypts the frames of a session. Key and IV come with the reply to a subscription.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cipher {
    iv: [u8; 16],
    key: [u8; 32],
}

impl Cipher {
    /// Creates a cipher from IV and key as sent by the broker, where the characters are the bytes.
    pub(super) fn new(iv: &str, key: &str) -> Option<Self> {
        Some(Self {
            iv: iv.as_bytes().try_into().ok()?,
            key: key.as_bytes().try_into().ok()?,
        })
    }

    /// Decrypts the data of a frame; `None` if it is not valid.
    pub(super) fn decrypt(&self, data: &str) -> Option<String> {
        let bytes = STANDARD.decode(data.trim()).ok()?;
        let cipher = Decryptor::<Aes256>::new(&self.key.into(), &self.iv.into());
        let clear = cipher.decrypt_padded_vec::<Pkcs7>(&bytes).ok()?;
        String::from_utf8(clear).ok()
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cipher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbc::Encryptor;
    use cbc::cipher::BlockModeEncrypt as _;

    const IV: &str = "0123456789abcdef";
    const KEY: &str = "abcdefghijklmnopqrstuvwxyzabcdef";

    #[test]
    fn what_another_implementation_encrypted_is_read() {
        // printf '005930^093354^71900' | openssl enc -aes-256-cbc -K .. -iv .. -base64
        let cipher = Cipher::new(IV, KEY).unwrap();
        let data = "Li3U5uolgfQElDs73aTR2j9FjJ8IJt9kXO2gAA/ywQ4=";
        assert_eq!(cipher.decrypt(data).as_deref(), Some("005930^093354^71900"));
    }

    #[test]
    fn what_is_damaged_is_no_text() {
        let cipher = Cipher::new(IV, KEY).unwrap();
        let encryptor = Encryptor::<Aes256>::new(&cipher.key.into(), &cipher.iv.into());
        let bytes = encryptor.encrypt_padded_vec::<Pkcs7>("삼성".as_bytes());
        let data = STANDARD.encode(&bytes);
        assert_eq!(cipher.decrypt(&data).as_deref(), Some("삼성"));
        let cut = data.get(4..).unwrap();
        for damaged in ["", "?", "AAAA", cut, &data.to_lowercase()] {
            assert_eq!(cipher.decrypt(damaged), None, "{damaged}");
        }
        let other = Cipher::new(IV, &KEY.to_uppercase()).unwrap();
        assert_ne!(other.decrypt(&data).as_deref(), Some("삼성"));
        assert_eq!(Cipher::new("short", KEY), None);
    }
}
