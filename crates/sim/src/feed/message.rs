//! Messages of the live feed (contract 5.1 to 5.4).

use std::fmt;

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::Encryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use serde::Deserialize;
use serde_json::json;

use sise_domain::KrxTime;

/// All sessions use the same IV and key; the letters are the bytes.
const IV: &[u8; 16] = b"0123456789abcdef";
const KEY: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyzabcdef";

/// A request from a client.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub(super) header: RequestHeader,
    pub(super) body: RequestBody,
}

#[derive(Deserialize)]
pub(super) struct RequestHeader {
    pub(super) approval_key: String,
    pub(super) tr_type: String,
    pub(super) custtype: String,
}

impl fmt::Debug for RequestHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The approval key is a secret.
        f.debug_struct("RequestHeader")
            .field("tr_type", &self.tr_type)
            .field("custtype", &self.custtype)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct RequestBody {
    pub(super) input: Input,
}

#[derive(Debug, Deserialize)]
pub(super) struct Input {
    pub(super) tr_id: String,
    pub(super) tr_key: String,
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Registered,
    Unregistered,
    Already,
    NotFound,
    Full,
    NotApproved,
    WrongTransaction,
    WrongCode,
    InUse,
    WrongType,
    WrongCustomer,
    NoJson,
}

impl Answer {
    /// Returns code, text and `rt_cd`.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Registered => ("OPSP0000", "SUBSCRIBE SUCCESS", "0"),
            Self::Unregistered => ("OPSP0001", "UNSUBSCRIBE SUCCESS", "0"),
            Self::Already => ("OPSP0002", "ALREADY IN SUBSCRIBE", "1"),
            Self::NotFound => ("OPSP0003", "UNSUBSCRIBE ERROR(not found!)", "1"),
            Self::Full => ("OPSP0008", "MAX SUBSCRIBE OVER", "1"),
            Self::NotApproved => ("OPSP0011", "invalid approval : NOT FOUND", "9"),
            Self::WrongTransaction => ("OPSP8991", "invalid tr_id", "9"),
            Self::WrongCode => ("OPSP8992", "invalid tr_key", "9"),
            Self::InUse => ("OPSP8996", "ALREADY IN USE appkey", "9"),
            Self::WrongType => ("OPSP8997", "invalid tr_type", "9"),
            Self::WrongCustomer => ("OPSP8998", "invalid custtype", "9"),
            Self::NoJson => ("OPSP9999", "invalid json format", "9"),
        }
    }

    /// Whether the request is refused.
    pub(super) fn is_refusal(self) -> bool {
        !matches!(self, Self::Registered | Self::Unregistered)
    }

    /// Returns the answer as JSON. An answer that does not concern a code has `(null)` in its
    /// place.
    pub(super) fn text(self, input: Option<&Input>) -> String {
        let (code, words, rt_cd) = self.words();
        let (tr_id, tr_key) = match (self, input) {
            (Self::InUse | Self::NoJson, _) | (_, None) => ("(null)", ""),
            (_, Some(input)) => (input.tr_id.as_str(), input.tr_key.as_str()),
        };
        let mut body = json!({"rt_cd": rt_cd, "msg_cd": code, "msg1": words});
        if let (Self::Registered, Some(body)) = (self, body.as_object_mut()) {
            let text = String::from_utf8_lossy;
            body.insert(
                "output".to_owned(),
                json!({"iv": text(IV), "key": text(KEY)}),
            );
        }
        let header = json!({"tr_id": tr_id, "tr_key": tr_key, "encrypt": "N"});
        json!({"header": header, "body": body}).to_string()
    }
}

/// Returns a PINGPONG, which the client has to echo.
pub(super) fn ping_pong(now: KrxTime) -> String {
    let datetime = now.format("%Y%m%d%H%M%S").to_string();
    json!({"header": {"tr_id": "PINGPONG", "datetime": datetime}}).to_string()
}

/// Returns a frame of trades.
pub(super) fn frame(records: &[String], count: usize, is_encrypted: bool) -> String {
    let data = records.join("^");
    if !is_encrypted {
        return format!("0|H0STCNT0|{count:03}|{data}");
    }
    let encryptor = Encryptor::<Aes256>::new(KEY.into(), IV.into());
    let bytes = encryptor.encrypt_padded_vec::<Pkcs7>(data.as_bytes());
    format!("1|H0STCNT0|{count:03}|{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_approval_key_stands_in_what_is_printed() {
        let text = r#"{"header": {"approval_key": "a-secret", "tr_type": "1", "custtype": "P"},
            "body": {"input": {"tr_id": "H0STCNT0", "tr_key": "005930"}}}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        assert_eq!(request.header.approval_key, "a-secret");
        let printed = format!("{request:?}");
        assert!(!printed.contains("a-secret"), "{printed}");
        assert!(printed.contains("005930"), "{printed}");
    }
}
