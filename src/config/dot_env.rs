//! The `.env` file: every value is what stands there, or is refused with its line.
//!
//! systemd, compose and the many libraries for such files disagree on `$`, `\`, quotes and comments.
//! A value of sise's own that they would read in different ways is refused; `$` is nothing special.
//! Variables of other programs are stepped over, whatever they hold.

use std::collections::BTreeMap;
use std::path::Path;

use super::ConfigError;
use super::keys::Key;
use super::layers::{CONFIG, Environment, utf8};

/// What Windows editors put in front of a text.
const MARK: &str = "\u{feff}";

/// The variables in the text of the `.env` file at `path`.
pub(super) fn read(text: &[u8], path: &Path) -> Result<Environment, ConfigError> {
    // No message quotes the line: it may be the one with the secret.
    let refuse = |line: usize, trouble: &str| ConfigError::File {
        path: path.display().to_string(),
        trouble: format!("line {line}: {trouble}"),
    };
    let text = utf8(text).map_err(|trouble| ConfigError::File {
        path: path.display().to_string(),
        trouble,
    })?;
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let mut variables = Environment::new();
    let mut lines_of = BTreeMap::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let assigned = line.strip_prefix("export ").unwrap_or(line).split_once('=');
        let assigned = assigned.map(|(name, value)| (name.trim(), value.trim()));
        let Some((name, value)) = assigned.filter(|(name, _)| is_name(name)) else {
            return Err(refuse(number, "not NAME=VALUE"));
        };
        let key = Key::of_variable(name);
        if key.is_none() && name != CONFIG {
            step_over(value, &mut lines);
            // Its name is looked at; its value is its own affair.
            variables.insert(name.to_owned(), String::new());
            continue;
        }
        let value = literal(value, key.is_some_and(|key| key.is_secret))
            .map_err(|trouble| refuse(number, &format!("{name}: {trouble}")))?;
        if let Some(earlier) = lines_of.insert(name, number) {
            let trouble = format!("{name} stands on line {earlier} too: leave one of them");
            return Err(refuse(number, &trouble));
        }
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.chars().all(fits) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// What a value of sise's own stands for, or why that cannot be said.
fn literal(value: &str, is_secret: bool) -> Result<&str, &'static str> {
    if value.contains(|c: char| c.is_control() && c != '\t') {
        return Err("a control character stands in the value: write it anew");
    }
    for quote in ['\'', '"'] {
        let Some(quoted) = value.strip_prefix(quote) else {
            continue;
        };
        let Some((inner, behind)) = quoted.split_once(quote) else {
            return Err("the quote is not closed on its line");
        };
        if inner.contains('\\') && quote == '"' {
            return Err("programs read \\ in double quotes in different ways: write single quotes");
        }
        if !(behind.is_empty() || behind.starts_with([' ', '\t']) && is_comment(behind)) {
            return Err(
                "something stands behind the closing quote: write the value in the other kind of quotes",
            );
        }
        return Ok(inner);
    }
    if value.contains('\\') {
        return Err(
            "programs read \\ without quotes in different ways: write the value in single quotes",
        );
    }
    let Some(at) = value.find([' ', '\t']) else {
        return Ok(value);
    };
    // A comment begins at the first '#' behind a blank.
    let comment = [" #", "\t#"]
        .iter()
        .filter_map(|start| value.find(start))
        .min();
    match comment {
        // A value of a few words is checked by what it is for; a secret by nobody.
        Some(_) if is_secret => {
            Err("' #' may be a comment or part of the value: write the value in single quotes")
        }
        Some(at) => Ok(value.get(..at).unwrap_or_default().trim_end()),
        None if is_secret && at > 0 => {
            Err("a blank stands in the value: write it in single quotes if it belongs there")
        }
        None => Ok(value),
    }
}

fn is_comment(text: &str) -> bool {
    text.trim_start().starts_with('#')
}

/// Goes on behind a value of another program, which may have several lines in quotes.
fn step_over<'a>(value: &str, lines: &mut impl Iterator<Item = (&'a str, usize)>) {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        return;
    };
    if value.matches(quote).count() == 1 {
        lines.find(|(line, _)| line.contains(quote));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Environment, String> {
        read(text.as_bytes(), Path::new(".env")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_is_what_stands_there() {
        for (line, name, value) in [
            (
                "KIS_APP_SECRET=pa$$w0rd$HOME${KIS_ENV}",
                "KIS_APP_SECRET",
                "pa$$w0rd$HOME${KIS_ENV}",
            ),
            (
                "KIS_APP_SECRET=\"a$b 'c' #d\"",
                "KIS_APP_SECRET",
                "a$b 'c' #d",
            ),
            (
                "KIS_APP_SECRET='a\\n\"b\" $c #d' # a comment",
                "KIS_APP_SECRET",
                "a\\n\"b\" $c #d",
            ),
            ("KIS_APP_SECRET=a#b'c\"d=e", "KIS_APP_SECRET", "a#b'c\"d=e"),
            ("export KIS_ENV = paper", "KIS_ENV", "paper"),
            ("  KIS_ENV=paper   # which account", "KIS_ENV", "paper"),
            ("KIS_ENV=", "KIS_ENV", ""),
            ("KIS_ENV=''", "KIS_ENV", ""),
            (
                "SISE__LOG__LEVEL=info, sise=debug",
                "SISE__LOG__LEVEL",
                "info, sise=debug",
            ),
            (
                "REDIS_URL=redis://:p$1@host/3\r",
                "REDIS_URL",
                "redis://:p$1@host/3",
            ),
            ("\u{feff}KIS_ENV=paper", "KIS_ENV", "paper"),
        ] {
            let variables = one(&format!("{line}\n# the end\n")).unwrap();
            let found = variables.get(name).map(String::as_str);
            assert_eq!(found, Some(value), "{line}");
        }
    }

    #[test]
    fn what_programs_read_differently_is_refused_with_line_and_cause() {
        for (line, cause) in [
            (
                "KIS_APP_SECRET=a\\$b",
                "line 2: KIS_APP_SECRET: programs read \\ without quotes",
            ),
            ("KIS_APP_SECRET=\"a\\$b\"", "write single quotes"),
            ("KIS_APP_SECRET=abc #def", "' #' may be a comment"),
            ("KIS_APP_SECRET=abc def", "a blank stands in the value"),
            ("KIS_APP_SECRET='abc", "the quote is not closed"),
            ("KIS_APP_SECRET=\"abc\"def", "behind the closing quote"),
            ("KIS_APP_SECRET=a\u{7}b", "a control character"),
            ("KIS_APP_SECRET abc", "line 2: not NAME=VALUE"),
            ("=abc", "line 2: not NAME=VALUE"),
            (
                "KIS_ENV=paper\nKIS_ENV=real",
                "line 3: KIS_ENV stands on line 2 too",
            ),
        ] {
            let error = one(&format!("# first\n{line}\n")).unwrap_err();
            assert!(error.contains(cause), "{line}: {error}");
            assert!(error.starts_with("settings file .env: line "), "{error}");
            assert!(!error.contains("abc") && !error.contains("def"), "{error}");
        }
        let error = read(
            b"KIS_ENV=real\nKIS_APP_SECRET=\xb0\xa1\n",
            Path::new(".env"),
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains("line 2: not UTF-8"), "{error}");
        // What Windows calls Unicode.
        let error = read(b"\xff\xfeK\0I\0S\0", Path::new(".env")).unwrap_err();
        assert!(error.to_string().contains("line 1: not UTF-8"), "{error}");
    }

    #[test]
    fn variables_of_other_programs_are_theirs() {
        let text = "PEM=\"-----BEGIN\nKIS_ENV=paper\n-----END\"\nA=b\\c \"d\nKIS_ENV=real\nA=2\n";
        let variables = one(text).unwrap();
        assert_eq!(variables.len(), 3);
        assert_eq!(variables.get("KIS_ENV").map(String::as_str), Some("real"));
    }
}
