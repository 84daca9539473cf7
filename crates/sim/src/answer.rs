//! What goes back: the envelope of contract 1.5, and the refusals.

use std::borrow::Cow;
use std::fmt::Write;

use super::stats::Outcome;

/// `msg1` of success, as the broker spells it.
const DONE: &str = "정상처리 되었습니다.";

/// Width that the broker pads `msg1` to, now and then, characters.
const MSG1_WIDTH: usize = 80;

/// An answer with `rt_cd` "0".
#[derive(Debug)]
pub(super) struct Answer {
    /// The members before the envelope's own, without braces: `"output":{..}`.
    pub(super) payload: String,
    /// `msg_cd` and `msg1`.
    pub(super) message: (&'static str, &'static str),
    /// The `tr_cont` header; empty for calls that do not page.
    pub(super) pages: &'static str,
    /// Whether a fault was put in.
    pub(super) faulty: bool,
}

impl Answer {
    pub(super) fn new(payload: String) -> Self {
        Self {
            payload,
            message: ("MCA00000", DONE),
            pages: "",
            faulty: false,
        }
    }

    /// The body as JSON. Now and then the broker pads `msg1` with spaces.
    pub(super) fn body(self, padded: bool) -> String {
        let (code, text) = self.message;
        let width = if padded { MSG1_WIDTH } else { 0 };
        let mut body = String::with_capacity(self.payload.len() + 160);
        body.push('{');
        body.push_str(&self.payload);
        // Writing to a string cannot fail.
        let _ = write!(
            body,
            r#","rt_cd":"0","msg_cd":"{code}","msg1":"{text:<width$}"}}"#
        );
        body
    }
}

/// A refusal of a quotation call (contract 1.6, 2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// HTTP status.
    pub(super) status: u16,
    /// What the statistics call it.
    pub(super) outcome: Outcome,
    rt_cd: &'static str,
    code: &'static str,
    text: Cow<'static, str>,
}

impl Refusal {
    /// The gateway's refusals come as HTTP 500.
    const fn gateway(outcome: Outcome, code: &'static str, text: &'static str) -> Self {
        Self {
            status: 500,
            outcome,
            rt_cd: "1",
            code,
            text: Cow::Borrowed(text),
        }
    }

    const fn expired(outcome: Outcome) -> Self {
        Self::gateway(outcome, "EGW00123", "기간이 만료된 token 입니다.")
    }

    const fn too_many(outcome: Outcome) -> Self {
        Self::gateway(outcome, "EGW00201", "초당 거래건수를 초과하였습니다.")
    }

    /// The query server's come as HTTP 200.
    const fn query(rt_cd: &'static str, code: &'static str, text: &'static str) -> Self {
        Self {
            status: 200,
            outcome: Outcome::Rejected,
            rt_cd,
            code,
            text: Cow::Borrowed(text),
        }
    }

    pub(super) const NO_BEARER: Self = Self::gateway(
        Outcome::Unauthorized,
        "EGW00205",
        "credentials_type이 유효하지 않습니다.(Bearer)",
    );
    pub(super) const TOKEN_UNKNOWN: Self = Self::gateway(
        Outcome::Unauthorized,
        "EGW00121",
        "유효하지 않은 token 입니다.",
    );
    pub(super) const TOKEN_EXPIRED: Self = Self::expired(Outcome::Unauthorized);
    /// A good token that a fault ended.
    pub(super) const TOKEN_KILLED: Self = Self::expired(Outcome::Fault);
    pub(super) const WRONG_KEY: Self = Self::gateway(
        Outcome::Unauthorized,
        "EGW00103",
        "유효하지 않은 AppKey입니다.",
    );
    pub(super) const WRONG_SECRET: Self = Self::gateway(
        Outcome::Unauthorized,
        "EGW00105",
        "유효하지 않은 AppSecret입니다.",
    );
    pub(super) const BANNED: Self =
        Self::gateway(Outcome::Unauthorized, "EGW00003", "접근이 거부되었습니다.");
    pub(super) const OVER_LIMIT: Self = Self::too_many(Outcome::OverLimit);
    /// Refused below the limit: calls are spread over servers that count apart.
    pub(super) const SPREAD: Self = Self::too_many(Outcome::Refused);
    pub(super) const NOT_ON_PAPER: Self =
        Self::gateway(Outcome::Rejected, "EGW02006", "모의투자 TR 이 아닙니다.");
    pub(super) const NO_ROUTE: Self = Self::gateway(
        Outcome::Rejected,
        "EGW00202",
        "GW라우팅 중 오류가 발생했습니다.",
    );
    pub(super) const WRONG_TRANSACTION: Self =
        Self::query("1", "OPSQ0002", "없는 서비스 코드 입니다.");
    pub(super) const WRONG_DIVISION: Self =
        Self::query("2", "OPSQ2001", "ERROR INVALID FID_COND_MRKT_DIV_CODE");
    pub(super) const WRONG_FIELD: Self = Self::query("2", "OPSQ2003", "ERROR INPUT FIELD CHECK");
    pub(super) const NOTHING_FOUND: Self = Self::query("7", "KIOK0560", "조회할 내용이 없습니다.");

    /// A query parameter is missing (contract 4.0.10).
    pub(super) fn missing(name: &'static str) -> Self {
        Self {
            text: format!("ERROR INPUT FIELD NOT FOUND [{name}]").into(),
            ..Self::query("2", "OPSQ2001", "")
        }
    }

    /// The body as JSON.
    pub(super) fn body(&self) -> String {
        let Self {
            rt_cd, code, text, ..
        } = self;
        format!(r#"{{"rt_cd":"{rt_cd}","msg_cd":"{code}","msg1":"{text}"}}"#)
    }
}
