//! The `.env` file. Every value is taken literally, or refused with its line.
//!
//! systemd, compose and the libraries for these files disagree on `$`, `\`, quotes and comments. A
//! setting of sise that they would read in different ways is refused. `$` has no special meaning.
//! Variables of other programs are skipped, whatever they contain.

use std::collections::BTreeMap;
use std::path::Path;

use super::ConfigError;
use super::keys::Key;
use super::raw::{CONFIG, Environment, utf8};

/// The byte order mark, which Windows editors put in front of a text.
const MARK: &str = "\u{feff}";

/// Returns the variables in the text of the `.env` file at `path`.
pub(super) fn read(text: &[u8], path: &Path) -> Result<Environment, ConfigError> {
    // No message quotes the line, which may contain a secret.
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
        let assigned = assigned.map(|(name, value)| (name.trim(), value));
        let Some((name, written)) = assigned.filter(|(name, _)| is_name(name)) else {
            return Err(refuse(number, "not NAME=VALUE"));
        };
        let value = written.trim();
        let key = Key::of_variable(name);
        if key.is_none() && name != CONFIG {
            step_over(value, &mut lines);
            // The name is kept to detect typos of settings; the value is not needed.
            variables.insert(name.to_owned(), String::new());
            continue;
        }
        if value.starts_with('#') && written.starts_with([' ', '\t']) {
            let trouble = format!(
                "{name}: '#' may begin a comment or the value: write '' for no value, or the value \
                 in single quotes"
            );
            return Err(refuse(number, &trouble));
        }
        let value = literal(value, key.is_some_and(|key| key.is_secret))
            .map_err(|trouble| refuse(number, &format!("{name}: {trouble}")))?;
        if let Some(earlier) = lines_of.insert(name, number) {
            let trouble = format!("{name} is on line {earlier}, too: keep only one of them");
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

/// Returns the literal value of a setting, or why it is ambiguous.
fn literal(value: &str, is_secret: bool) -> Result<&str, &'static str> {
    if value.contains(|c: char| c.is_control() && c != '\t') {
        return Err("the value has a control character in it: write it again");
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
                "there is text behind the closing quote: write the value in the other quotes",
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
    // A comment begins at the first '#' after a blank.
    let comment = [" #", "\t#"]
        .iter()
        .filter_map(|start| value.find(start))
        .min();
    match comment {
        // Other values are checked later, but a secret may be any text.
        Some(_) if is_secret => {
            Err("' #' may be a comment or part of the value: write the value in single quotes")
        }
        Some(at) => Ok(value.get(..at).unwrap_or_default().trim_end()),
        None if is_secret && at > 0 => {
            Err("the value has a blank in it: use single quotes if the blank belongs there")
        }
        None => Ok(value),
    }
}

fn is_comment(text: &str) -> bool {
    text.trim_start().starts_with('#')
}

/// Skips the rest of another program's value, which may span several lines in quotes.
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
            ("KIS_APP_KEY= #abc", "'#' may begin a comment"),
            ("SISE__STATE__DIRECTORY=   # abc", "'#' may begin a comment"),
            ("KIS_APP_SECRET=abc def", "the value has a blank in it"),
            ("KIS_APP_SECRET='abc", "the quote is not closed"),
            ("KIS_APP_SECRET=\"abc\"def", "behind the closing quote"),
            ("KIS_APP_SECRET=a\u{7}b", "a control character"),
            ("KIS_APP_SECRET abc", "line 2: not NAME=VALUE"),
            ("=abc", "line 2: not NAME=VALUE"),
            (
                "KIS_ENV=paper\nKIS_ENV=real",
                "line 3: KIS_ENV is on line 2, too",
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
        // UTF-16 with a byte order mark, which Windows calls Unicode.
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
