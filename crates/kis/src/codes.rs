//! Meaning of the broker's error codes (contract 1.6 and 2.5).

use sise_domain::{BanKind, Denial};
use sise_port::SourceError;

/// Classifies an answer that is not a success.
///
/// `code` is `msg_cd` or `error_code`, `text` is the broker's message. Only the code decides,
/// because the messages vary.
pub(super) fn error_of(code: &str, text: &str) -> SourceError {
    let said = format!("{code} {}", text.trim());
    match code {
        "EGW00201" | "EGW00133" => SourceError::Throttled(said),
        "EGW00121" | "EGW00122" | "EGW00123" => SourceError::Unauthorized(said),
        // The broker has a separate code for a key of the other environment.
        "EGW02004" => denied(
            BanKind::Credentials,
            format!("{said}; the key belongs to the other environment: set KIS_ENV"),
        ),
        "EGW00102" | "EGW00103" | "EGW00104" | "EGW00105" | "EGW00130" | "EGW00304" => {
            denied(BanKind::Credentials, said)
        }
        "EGW00003" | "EGW00004" | "EGW00207" | "EGW00303" => denied(BanKind::Access, said),
        "EGW00206" | "EGW02006" | "OPSQ0002" => SourceError::Unsupported(said),
        "EGW00001" | "EGW00002" | "EGW00202" | "EGW00203" | "EGW00204" | "EGW00300"
        | "EGW00301" | "EGW00302" | "IGW00007" | "OPSQ0001" | "OPSQ0003" | "OPSQ0004"
        | "OPSQ0005" | "OPSQ0006" | "OPSQ0007" | "OPSQ0008" | "OPSQ0009" | "OPSQ0010"
        | "OPSQ0011" | "OPSQ1002" | "OPSQ3001" | "OPSQ3002" | "OPSQ3004" => {
            SourceError::Unavailable(said)
        }
        _ => SourceError::Rejected(said),
    }
}

fn denied(kind: BanKind, said: String) -> SourceError {
    SourceError::Denied(Denial { kind, said })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sise_port::Remedy;

    #[test]
    fn every_code_has_its_remedy() {
        let table = [
            (Remedy::AskAgainSoon, &["EGW00201", "EGW00133"][..]),
            (Remedy::RenewToken, &["EGW00121", "EGW00122", "EGW00123"]),
            (
                Remedy::AskAgainLater,
                &[
                    "EGW00001", "EGW00002", "EGW00202", "EGW00301", "EGW00302", "IGW00007",
                    "OPSQ0008",
                ],
            ),
            (
                Remedy::GiveUp,
                &[
                    "EGW00003", "EGW00103", "EGW00105", "EGW02004", "EGW02006", "OPSQ0002",
                    "OPSQ2001", "MCA05918", "",
                ],
            ),
        ];
        for (remedy, codes) in table {
            for code in codes {
                assert_eq!(error_of(code, "").remedy(), remedy, "{code}");
            }
        }
    }
}
