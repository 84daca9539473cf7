//! Sanitizing of the broker's messages before they are shown or stored.
//!
//! An answer may come from anything between here and the broker, so its text is not trusted.

/// Number of characters shown of a message.
const LONGEST: usize = 200;

/// Longest run of base64 characters that is shown.
///
/// A longer run is not a word or code of the broker but a key, secret or token, possibly one that
/// this process has never seen.
const LIKE_A_SECRET: usize = 24;

/// Returns `text` as one line of limited length, with `secrets` and anything like one masked.
pub(super) fn shown(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    let text = without_unknown_secrets(&text);
    let is_long = text.chars().nth(LONGEST).is_some();
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = line.take(LONGEST).collect();
    if is_long {
        line.push('…');
    }
    line.trim().to_owned()
}

fn without_unknown_secrets(text: &str) -> String {
    let is_of_secrets = |c: char| c.is_ascii_alphanumeric() || "+/=-_.~".contains(c);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(rest.find(|c| !is_of_secrets(c)).unwrap_or(rest.len()));
        shown.push_str(if run.len() < LIKE_A_SECRET {
            run
        } else {
            "***"
        });
        let (between, next) = after.split_at(after.find(is_of_secrets).unwrap_or(after.len()));
        shown.push_str(between);
        rest = next;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_control_characters_and_length_go() {
        assert_eq!(
            shown("EGW00103 유효하지 않은 AppKey", &["", "x"]),
            "EGW00103 유효하지 않은 AppKey"
        );
        assert_eq!(
            shown("a key, the key\u{1b}[2J\r\nb ", &["key"]),
            "a ***, the *** [2J  b"
        );
        assert_eq!(
            shown("EGW00123 (eyJ0eXAiOiJKV1Qi.LCJhbGciOiJIUzUxMi) 만료", &[]),
            "EGW00123 (***) 만료"
        );
        let long = "가".repeat(1_000);
        assert_eq!(shown(&long, &[]).chars().count(), LONGEST + 1);
        // Secrets are masked before the text is cut: otherwise part of one could remain.
        let behind = format!("{}secret", "x ".repeat(LONGEST / 2 - 1));
        assert!(!shown(&behind, &["secret"]).contains("se"));
    }
}
