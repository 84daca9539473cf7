//! Responses to quotation calls: the envelope of contract 1.5, and the refusals.

use std::borrow::Cow;
use std::fmt::Write;

use super::stats::Outcome;

/// `msg1` of a success, spelled as the broker spells it.
const DONE: &str = "정상처리 되었습니다.";

/// Width to which the broker occasionally pads `msg1`, in characters.
const MSG1_WIDTH: usize = 80;

/// A successful answer, with `rt_cd` "0".
#[derive(Debug)]
pub(super) struct Answer {
    /// Members that precede those of the envelope, without braces: `"output":{..}`.
    pub(super) payload: String,
    /// `msg_cd` and `msg1`.
    pub(super) message: (&'static str, &'static str),
    /// The `tr_cont` header; empty for calls that do not page.
    pub(super) pages: &'static str,
    /// Whether the answer contains an injected fault.
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

    /// Returns the body as JSON, with `msg1` padded if `padded` is set.
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
    /// How the refusal is counted in the statistics.
    pub(super) outcome: Outcome,
    rt_cd: &'static str,
    code: &'static str,
    text: Cow<'static, str>,
}

impl Refusal {
    /// A refusal of the gateway, which answers HTTP 500.
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

    /// A refusal of the query server, which answers HTTP 200.
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
    /// A valid token that a fault has ended.
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
    /// A refusal below the limit: the broker spreads calls over servers that count separately.
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

    /// Returns the body as JSON.
    pub(super) fn body(&self) -> String {
        let Self {
            rt_cd, code, text, ..
        } = self;
        format!(r#"{{"rt_cd":"{rt_cd}","msg_cd":"{code}","msg1":"{text}"}}"#)
    }
}
