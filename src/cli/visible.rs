//! Makes text from elsewhere harmless for a terminal.
//!
//! Names, bodies and errors come from brokers, files and other processes. They may contain
//! sequences that control a terminal, or characters that hide or reorder the text around them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns the text with all invisible characters escaped, such as `\u{1b}` or `\n`.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_seen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            letter if is_seen(letter) => shown.push(letter),
            letter => shown.extend(letter.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

/// Like [`visible`], for several lines.
///
/// Lines after the first are indented, so that none looks like a separate message.
pub(super) fn visible_lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.trim_end().lines().map(visible).collect();
    lines.join("\n  ")
}

/// Returns the same JSON value with all invisible characters escaped, such as `\u001b`.
pub(super) fn visible_json(json: String) -> String {
    if json.chars().all(is_seen) {
        return json;
    }
    let mut shown = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_seen(letter) {
            shown.push(letter);
            continue;
        }
        // serde escapes what JSON forbids, so this character is inside a string.
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// Returns whether a character is visible: no control character, no change of the text direction,
/// and not of zero width.
pub(super) fn is_seen(letter: char) -> bool {
    match letter {
        ' '..='~' | '\u{a0}' | '\u{3000}' | '가'..='힣' => true,
        // Printable by Unicode's rules but invisible: fillers, joiners and selectors.
        '\u{34f}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' => false,
        // The standard library knows what is printable. A combining mark is, after a letter.
        letter => {
            let text = String::from_iter(['a', letter]);
            text.escape_debug().nth(1) == Some(letter)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_steers_a_terminal_is_shown_and_not_done() {
        for (text, shown) in [
            ("삼성전자", "삼성전자"),
            ("it's \"NAVER\" \\ 한국 (주)", "it's \"NAVER\" \\ 한국 (주)"),
            ("▲ 1,000 · – ’ é 漢字 ㈜", "▲ 1,000 · – ’ é 漢字 ㈜"),
            (
                "\u{1b}[2J\u{1b}]0;title\u{7}",
                "\\u{1b}[2J\\u{1b}]0;title\\u{7}",
            ),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("one\r\ntwo\tthree", "one\\r\\ntwo\\tthree"),
            ("\u{202e}자전성삼", "\\u{202e}자전성삼"),
            ("\u{2066}a\u{2069}\u{200f}", "\\u{2066}a\\u{2069}\\u{200f}"),
            ("a\u{200b}b\u{feff}\u{ad}", "a\\u{200b}b\\u{feff}\\u{ad}"),
            (
                "\u{3164}\u{2028}\u{0}\u{7f}",
                "\\u{3164}\\u{2028}\\u{0}\\u{7f}",
            ),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn further_lines_are_set_in() {
        assert_eq!(
            visible_lines("bad\nsise: fine\u{1b}[m\n"),
            "bad\n  sise: fine\\u{1b}[m"
        );
    }

    proptest! {
        #[test]
        fn nothing_unseen_is_left_and_json_keeps_its_value(text in "\\PC{0,5}[\\x00-\\x1f\\x7f-\\u{a5}\\u{2000}-\\u{2070}\\u{e0001}]{0,8}.{0,5}") {
            prop_assert!(visible(&text).chars().all(is_seen));
            let json = visible_json(serde_json::to_string(&text).unwrap());
            prop_assert!(json.chars().all(is_seen), "{json}");
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
