//! Messages of the broker on the stream besides data (contract 5.2, 5.3, 5.7).

use serde_json::Value;

use super::cipher::Cipher;
use crate::wire::Body;

/// A JSON message of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A heartbeat that must be echoed.
    PingPong,
    /// The answer to a request.
    Reply(Reply),
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// The code that the request named; blank in refusals that are not about one code.
    pub(super) tr_key: String,
    /// Meaning of the answer.
    pub(super) verdict: Verdict,
    /// The broker's code, such as `OPSP0000`.
    pub(super) code: String,
    /// The broker's message.
    pub(super) words: String,
    /// Decrypts the frames to come, if the answer has IV and key.
    pub(super) cipher: Option<Cipher>,
}

/// What to do after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The code is registered.
    Registered,
    /// The code is not registered any more, or never was.
    Unregistered,
    /// The broker is in trouble: try again later, on a new session.
    TryLater,
    /// The app key has all the registrations that it may have.
    Full,
    /// The approval key is dead: try again with a new one.
    Unapproved,
    /// Another session has the app key: try again much later.
    InUse,
    /// The app key itself is not accepted: a person must act.
    KeyRefused,
    /// This request is refused, and would be again.
    Refused,
}

impl Verdict {
    /// Classifies an answer by its code alone, because the messages vary.
    ///
    /// An unknown code counts as good or bad by `rt_cd`.
    fn of(code: &str, rt_cd: &str) -> Self {
        match code {
            "OPSP0000" | "OPSP0002" => Self::Registered,
            "OPSP0001" | "OPSP0003" => Self::Unregistered,
            "OPSP0007" | "OPSP0009" | "OPSP8999" | "OPSP9993" | "OPSP9995" => Self::TryLater,
            "OPSP0008" => Self::Full,
            "OPSP0011" => Self::Unapproved,
            "OPSP8996" => Self::InUse,
            "OPSP0010" | "OPSP8994" | "OPSP8995" | "OPSP9994" | "OPSP9996" => Self::KeyRefused,
            _ if rt_cd == "0" => Self::Registered,
            _ => Self::Refused,
        }
    }
}

/// Codes of refusals with a metric label; others count as `other`.
pub const REFUSALS: [&str; 24] = [
    "OPSP0007", "OPSP0008", "OPSP0009", "OPSP0010", "OPSP0011", "OPSP8991", "OPSP8992", "OPSP8993",
    "OPSP8994", "OPSP8995", "OPSP8996", "OPSP8997", "OPSP8998", "OPSP8999", "OPSP9990", "OPSP9991",
    "OPSP9992", "OPSP9993", "OPSP9994", "OPSP9995", "OPSP9996", "OPSP9997", "OPSP9998", "OPSP9999",
];

impl Reply {
    /// Returns the code as a metric label from a fixed set.
    pub(super) fn label(&self) -> &'static str {
        let known = REFUSALS.into_iter().find(|code| *code == self.code);
        known.unwrap_or("other")
    }
}

/// Reads a JSON message; `None` if it is not one of the broker's.
pub(super) fn read(text: &str) -> Option<Said> {
    let body = Body::new(text.as_bytes());
    let message: Value = body.read().ok()?;
    let text = |path| match message.pointer(path) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    if text("/header/tr_id") == "PINGPONG" {
        return Some(Said::PingPong);
    }
    let (code, rt_cd) = (text("/body/msg_cd"), text("/body/rt_cd"));
    if code.is_empty() && rt_cd.is_empty() {
        return None;
    }
    let (iv, key) = (text("/body/output/iv"), text("/body/output/key"));
    Some(Said::Reply(Reply {
        tr_key: text("/header/tr_key"),
        verdict: Verdict::of(&code, &rt_cd),
        code,
        words: text("/body/msg1"),
        cipher: Cipher::new(&iv, &key),
    }))
}

/// Returns the request to register a code, or to end its registration (contract 5.1).
pub(super) fn request(approval_key: &str, tr: &str, code: &str, registers: bool) -> String {
    serde_json::json!({
        "header": {
            "approval_key": approval_key,
            "custtype": "P",
            "tr_type": if registers { "1" } else { "2" },
            "content-type": "utf-8",
        },
        "body": {"input": {"tr_id": tr, "tr_key": code}},
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! recorded {
        ($name:literal) => {
            include_str!(concat!("../../../../tests/fixtures/kis/", $name))
        };
    }

    fn reply(text: &str) -> Reply {
        match read(text) {
            Some(Said::Reply(reply)) => reply,
            other => panic!("{other:?} of {text}"),
        }
    }

    #[test]
    fn recorded_messages_are_understood() {
        assert_eq!(read(recorded!("pingpong.json")), Some(Said::PingPong));
        for (text, key) in [
            (recorded!("ack-H0STCNT0-000660.json"), "000660"),
            (recorded!("official-ack-H0STCNT0.json"), "005930"),
            (recorded!("official-ack-H0UPCNT0.json"), "0001"),
        ] {
            let reply = reply(text);
            assert_eq!(
                (reply.verdict, reply.tr_key.as_str()),
                (Verdict::Registered, key)
            );
            assert!(reply.cipher.is_some());
        }
        for (text, verdict, label) in [
            (
                recorded!("ws-OPSP0008-max-subscribe.json"),
                Verdict::Full,
                "OPSP0008",
            ),
            (
                recorded!("ws-OPSP8996-already-in-use.json"),
                Verdict::InUse,
                "OPSP8996",
            ),
            (
                recorded!("ws-invalid-tr_key.json"),
                Verdict::Refused,
                "other",
            ),
        ] {
            let reply = reply(text);
            assert_eq!((reply.verdict, reply.label()), (verdict, label));
            assert!(reply.cipher.is_none());
        }
    }

    #[test]
    fn every_code_has_its_verdict() {
        for (codes, verdict) in [
            (&["OPSP0000", "OPSP0002"][..], Verdict::Registered),
            (&["OPSP0001", "OPSP0003"], Verdict::Unregistered),
            (
                &["OPSP0007", "OPSP0009", "OPSP8999", "OPSP9995", "OPSP9993"],
                Verdict::TryLater,
            ),
            (&["OPSP0008"], Verdict::Full),
            (&["OPSP0011"], Verdict::Unapproved),
            (&["OPSP8996"], Verdict::InUse),
            (
                &["OPSP0010", "OPSP8994", "OPSP8995", "OPSP9994", "OPSP9996"],
                Verdict::KeyRefused,
            ),
            (
                &["OPSP8991", "OPSP8992", "OPSP8993", "OPSP8997", "OPSP8998"],
                Verdict::Refused,
            ),
            (
                &[
                    "OPSP9990", "OPSP9991", "OPSP9992", "OPSP9997", "OPSP9998", "OPSP9999",
                ],
                Verdict::Refused,
            ),
        ] {
            for code in codes {
                assert_eq!(Verdict::of(code, "1"), verdict, "{code}");
            }
        }
        assert_eq!(Verdict::of("OPSP7777", "0"), Verdict::Registered);
        assert_eq!(Verdict::of("OPSP7777", "9"), Verdict::Refused);
    }

    #[test]
    fn what_is_no_message_is_none() {
        for text in ["", "{}", "[]", "null", "{\"header\":{}}", "PINGPONG"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_request_is_that_of_the_contract() {
        let request = request("key", "H0STCNT0", "005930", true);
        let request: serde_json::Value = serde_json::from_str(&request).unwrap();
        assert_eq!(
            request,
            serde_json::json!({
                "header": {"approval_key": "key", "custtype": "P", "tr_type": "1", "content-type": "utf-8"},
                "body": {"input": {"tr_id": "H0STCNT0", "tr_key": "005930"}},
            })
        );
    }
}
