//! Repair of damaged answers: damage to one field or row leaves the others readable.
//!
//! Only answers that are not valid JSON come here. Everything that can be recognized is kept as it
//! is. A text that cannot be read gets a replacement character at the damaged place, so that the
//! rest is not taken for a number or code. An answer that was cut off is not repaired, because
//! nothing shows what is missing.

use crate::fields::ENVELOPE;

/// Nesting depth up to which objects and arrays are read; no known answer is deeper.
const DEEPEST: usize = 8;

/// Longest name of a field, to distinguish names from texts.
const LONGEST_NAME: usize = 40;

/// Returns `body` as valid JSON; `None` if it is cut off or holds no object.
pub(super) fn mend(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let start = text.find('{')?;
    let mut mender = Mender {
        rest: text.get(start..)?,
        out: String::with_capacity(text.len()),
    };
    mender.value(0, false)?;
    Some(mender.out)
}

struct Mender<'a> {
    rest: &'a str,
    out: String,
}

impl Mender<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let taken = chars.next();
        self.rest = chars.as_str();
        taken
    }

    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(is_skipped);
    }

    fn skip_space(&mut self) {
        self.skip(char::is_whitespace);
    }

    /// Copies one value.
    ///
    /// With `is_element`, the value is an element of an array: it also ends at the start of the
    /// next element, or at the end of the array.
    fn value(&mut self, depth: usize, is_element: bool) -> Option<()> {
        self.skip_space();
        match self.peek()? {
            '{' | '[' if depth >= DEEPEST => {
                self.out.push_str("null");
                self.skip_deep()
            }
            '{' => {
                self.take();
                self.object(depth, is_element)
            }
            '[' => {
                self.take();
                self.array(depth)
            }
            '"' => {
                self.take();
                let text = self.text()?;
                self.write(&text);
                Some(())
            }
            ',' | '}' | ']' => {
                self.out.push_str("null");
                Some(())
            }
            _ => self.bare(),
        }
    }

    /// Copies the members of an object. Its opening brace has been consumed.
    fn object(&mut self, depth: usize, is_element: bool) -> Option<()> {
        self.out.push('{');
        let mut is_first = true;
        loop {
            self.skip(|c| c == ',' || c.is_whitespace());
            match self.peek()? {
                '}' => {
                    self.take();
                    break;
                }
                '{' if is_element => break,
                ']' if is_element && self.closes_rows() => break,
                '"' if is_element && name_at(self.rest).is_some_and(is_of_envelope) => break,
                '"' | 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => {
                    if let Some(name) = self.name()? {
                        if !is_first {
                            self.out.push(',');
                        }
                        is_first = false;
                        self.write(&name);
                        self.out.push(':');
                        self.value(depth + 1, false)?;
                    }
                }
                _ => {
                    self.take();
                }
            }
        }
        self.out.push('}');
        Some(())
    }

    /// Copies the elements of an array. Its opening bracket has been consumed.
    fn array(&mut self, depth: usize) -> Option<()> {
        self.out.push('[');
        let mut is_first = true;
        loop {
            self.skip(|c| c == ',' || c.is_whitespace());
            let next = self.peek()?;
            let name = name_at(self.rest);
            if next == ']' {
                let is_end = depth > 1 || self.closes_rows();
                self.take();
                match is_end {
                    true => break,
                    false => continue,
                }
            }
            // The closing bracket is lost, and the enclosing envelope or row continues.
            if name.is_some_and(|name| depth > 1 || is_of_envelope(name)) {
                break;
            }
            if ['}', ':'].contains(&next) {
                self.take();
                continue;
            }
            if !is_first {
                self.out.push(',');
            }
            is_first = false;
            if name.is_some() {
                // The opening brace is lost.
                self.object(depth + 1, true)?;
            } else {
                self.value(depth + 1, true)?;
            }
        }
        self.out.push(']');
        Some(())
    }

    /// Returns whether the next bracket can close the rows of an answer: after it, the envelope
    /// continues or ends.
    fn closes_rows(&self) -> bool {
        let after = self
            .rest
            .trim_start_matches(|c: char| c == ']' || c == '}' || c.is_whitespace());
        match after.strip_prefix(',') {
            Some(after) => name_at(after.trim_start()).is_some_and(is_of_envelope),
            None => !after.starts_with(['{', '[', '"']),
        }
    }

    /// Reads the name of a member and the colon after it; `Some(None)` if there is no colon.
    fn name(&mut self) -> Option<Option<String>> {
        if self.peek() == Some('"') {
            self.take();
        }
        let end = self.rest.find(['"', ':', ',', '{', '}', '[', ']'])?;
        let (name, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        if self.peek() == Some('"') {
            self.take();
        }
        self.skip_space();
        if self.peek()? != ':' {
            return Some(None);
        }
        self.take();
        Some(Some(name.to_owned()))
    }

    /// Reads a text. Its opening quote has been consumed.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            let next = self.peek()?;
            if next == '"' {
                let after = self.rest.get(1..)?;
                // A quote without a delimiter after it belongs to the text.
                if after.trim_start().starts_with([',', '}', ']']) || after.trim().is_empty() {
                    self.take();
                    return Some(text);
                }
                // The closing quote is lost, and the next field begins.
                if let Some(whole) = text.trim_end().strip_suffix(',')
                    && name_at(self.rest).is_some()
                {
                    return Some(format!("{whole}\u{fffd}"));
                }
            }
            self.take();
            text.push(match next {
                '\\' => self.escaped(),
                c if c.is_control() => '\u{fffd}',
                c => c,
            });
        }
    }

    /// Reads an escape sequence. Its backslash has been consumed.
    fn escaped(&mut self) -> char {
        let plain = match self.peek() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.escaped_unit(),
            _ => return '\u{fffd}',
        };
        self.take();
        plain
    }

    /// Reads the character of `\uXXXX`, or of a surrogate pair. The `u` comes next.
    fn escaped_unit(&mut self) -> char {
        let unit = |text: &str| u16::from_str_radix(text.get(1..5)?, 16).ok();
        let Some(first) = unit(self.rest) else {
            return '\u{fffd}';
        };
        self.rest = self.rest.get(5..).unwrap_or_default();
        let second = self.rest.strip_prefix('\\').filter(|r| r.starts_with('u'));
        let second = second.and_then(|rest| Some((unit(rest)?, rest.get(5..)?)));
        let mut pair = char::decode_utf16([first].into_iter().chain(second.map(|(unit, _)| unit)));
        let Some(Ok(read)) = pair.next() else {
            return '\u{fffd}';
        };
        if let (Some((_, rest)), true) = (second, read.len_utf16() == 2) {
            self.rest = rest;
        }
        read
    }

    /// Copies a value without quotes. Numbers and JSON keywords are kept, all else becomes a text.
    fn bare(&mut self) -> Option<()> {
        let end = self.rest.find([',', '{', '}', '[', ']', '"', '\n'])?;
        let (bare, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        let had_quote = self.peek() == Some('"');
        if had_quote {
            self.take();
        }
        let bare = bare.trim();
        if !had_quote && serde_json::from_str::<serde_json::Value>(bare).is_ok() {
            self.out.push_str(bare);
        } else {
            self.write(bare);
        }
        Some(())
    }

    /// Skips an object or array with its content, or up to the next member if it has no end.
    fn skip_deep(&mut self) -> Option<()> {
        let mut open = 0_usize;
        let ends = |(place, next): (usize, char)| {
            match next {
                '{' | '[' => open += 1,
                '}' | ']' => open -= 1,
                _ => {}
            }
            (open == 0).then_some(place + next.len_utf8())
        };
        let starts_member = |(place, _): (usize, &str)| {
            let rest = self.rest.get(place + 1..)?;
            name_at(rest.trim_start()).map(|_| place)
        };
        let member = self.rest.match_indices(',').find_map(starts_member);
        let end = self.rest.char_indices().find_map(ends);
        let end = end.into_iter().chain(member).min()?;
        self.rest = self.rest.get(end..)?;
        Some(())
    }

    fn write(&mut self, text: &str) {
        // Serializing a text cannot produce invalid JSON.
        self.out
            .push_str(&serde_json::Value::from(text).to_string());
    }
}

/// Returns whether a member of this name belongs beside the rows of an answer.
fn is_of_envelope(name: &str) -> bool {
    name.starts_with("output") || ENVELOPE.all().any(|(known, _)| known == name)
}

/// Returns the name of a field, if the text starts with one and its colon.
fn name_at(text: &str) -> Option<&str> {
    let (name, rest) = text.strip_prefix('"')?.split_once('"')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ' ';
    let is_one = (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_name);
    (is_one && rest.trim_start().starts_with(':')).then_some(name)
}

#[cfg(test)]
mod tests;
