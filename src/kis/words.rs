//! The broker's words as they may be shown and kept: whatever answers in its place may say anything.

/// More than this of an answer helps nobody.
const LONGEST: usize = 200;

/// `text` without any of `secrets`, in one line, and not endless.
pub(super) fn shown(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    let is_long = text.chars().nth(LONGEST).is_some();
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = line.take(LONGEST).collect();
    if is_long {
        line.push('…');
    }
    line.trim().to_owned()
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
        let long = "가".repeat(1_000);
        assert_eq!(shown(&long, &[]).chars().count(), LONGEST + 1);
        // Taken out before it is cut: the part that is left would be shown.
        let behind = format!("{}secret", "x".repeat(LONGEST - 3));
        assert!(!shown(&behind, &["secret"]).contains("se"));
    }
}
