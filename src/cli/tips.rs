//! Tips for unknown words on the command line: names from other programs, and stocks in place of a
//! command.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use strsim::osa_distance;

use sise_domain::{LookupError, Shipped};

/// Words of other programs for commands, and the commands here, of which the first that exists is
/// suggested.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (&["ls", "list", "show"], &["list", "universe"]),
    (&["stocks", "codes", "symbols"], &["universe"]),
    (&["price", "prices", "quote", "quotes", "fetch"], &["get"]),
    (&["find", "lookup"], &["search"]),
    (&["health", "check"], &["doctor", "test"]),
    (&["info", "ps"], &["status"]),
    (&["start", "daemon"], &["run"]),
    (&["settings", "env"], &["config"]),
    (&["log", "logs", "journal", "explain"], &["why"]),
    (
        &["rank", "ranking", "movers", "gainers", "losers"],
        &["top"],
    ),
    (&["holidays", "hours", "market"], &["calendar"]),
    (&["mock", "simulate", "simulator"], &["sim"]),
    (&["token", "tokens", "users"], &["clients"]),
    (&["rules", "alarm", "alarms"], &["alert"]),
    (
        &["delete", "del", "rm", "unset", "revoke", "drop"],
        &["remove"],
    ),
    (
        &["create", "new", "set", "put", "edit", "update", "grant"],
        &["add"],
    ),
    (&["try", "fire"], &["test"]),
    (&["history", "fired"], &["list"]),
];

/// The same for options.
const OPTIONS: &[(&[&str], &str)] = &[
    (&["--limit", "--max", "--number", "--num", "--top"], "-n"),
    (&["--format", "--output", "-o", "-j"], "--json"),
    (
        &["--symbol", "--symbols", "--stock", "--stocks", "--ticker"],
        "--codes",
    ),
];

/// Options of other programs to start as a daemon.
const DAEMON: &[&str] = &["--daemon", "--daemonize", "--background", "--detach", "-d"];

/// Returns the error of the command line `words` with a helpful tip.
pub(super) fn tipped(mut error: clap::Error, root: &Command, words: &[String]) -> clap::Error {
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return error,
    };
    let Some(ContextValue::String(word)) = error.get(kind) else {
        return error;
    };
    let word = word.clone();
    let is_command = kind == ContextKind::InvalidSubcommand;
    let (command, path) = reached(root, words, &word);
    let known = match is_command {
        true => known_command(command, &path, &word),
        false => known_option(command, &path, &word),
    };
    let is_slip = |guess: &String| osa_distance(&word, guess) <= 1;
    let is_near = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(guesses)) => guesses.iter().any(is_slip),
        _ => false,
    };
    let known = known.or_else(|| match is_near {
        true => None,
        false => stock(command, is_command, &word),
    });
    let mut tips = Vec::new();
    if let Some(tip) = known {
        // clap's merely similar words would mislead.
        error.remove(ContextKind::SuggestedSubcommand);
        error.remove(ContextKind::SuggestedArg);
        tips.push(tip.into());
    } else if let Some(ContextValue::StyledStrs(said)) = error.get(ContextKind::Suggested) {
        // No code or name begins with a hyphen, so an option is never meant as a value.
        tips.clone_from(said);
        tips.retain(|tip| !tip.to_string().starts_with("to pass '"));
    }
    error.remove(ContextKind::Suggested);
    if !tips.is_empty() {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// Returns the command that has `unknown` as an argument, and its full name.
fn reached<'a>(root: &'a Command, words: &[String], unknown: &str) -> (&'a Command, String) {
    let mut reached = (root, root.get_name().to_owned());
    for word in words.iter().take_while(|word| *word != unknown) {
        if let Some(command) = reached.0.find_subcommand(word) {
            reached = (command, format!("{} {}", reached.1, command.get_name()));
        }
    }
    reached
}

fn known_command(command: &Command, path: &str, word: &str) -> Option<String> {
    let word = word.to_lowercase();
    let (_, here) = COMMANDS
        .iter()
        .find(|(words, _)| words.contains(&word.as_str()))?;
    let mut here = here.iter();
    let name = here.find(|name| command.find_subcommand(name).is_some())?;
    Some(format!("did you mean '{path} {name}'?"))
}

fn known_option(command: &Command, path: &str, word: &str) -> Option<String> {
    if path == "sise run" && DAEMON.contains(&word) {
        return Some("'sise run' is the daemon already, in the foreground".to_owned());
    }
    let (_, option) = OPTIONS.iter().find(|(words, _)| words.contains(&word))?;
    has(command, option).then(|| format!("did you mean '{option}'?"))
}

fn has(command: &Command, option: &str) -> bool {
    let mut arguments = command.get_arguments();
    arguments.any(|argument| match option.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => argument.get_short() == option.chars().nth(1),
    })
}

/// Returns a tip for a word that names a stock: what the command can do with it.
fn stock(command: &Command, is_command: bool, word: &str) -> Option<String> {
    let universe = Shipped::get().universe();
    let code = match universe.lookup(word) {
        Ok(code) => code,
        Err(LookupError::Ambiguous { .. }) if !word.is_ascii() => {
            return Some(format!("'sise search {word}' finds stocks"));
        }
        Err(_) => return None,
    };
    // Six letters are rarely a code, and a short number may be anything.
    let is_listed = universe.get(code).is_some();
    let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if !is_listed && !is_number(word) || !is_command && word.len() < 6 && is_number(word) {
        return None;
    }
    let word = match word.contains(char::is_whitespace) {
        true => code.as_str(),
        false => word,
    };
    Some(match has(command, "--codes") {
        true => format!("did you mean '--codes {word}'?"),
        false => format!("'sise get {word}' shows its price"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{command, parse_from};

    fn said(line: &str) -> String {
        let words = line.split_whitespace().map(Into::into).collect();
        parse_from(command(), words).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_word_has_a_tip_that_helps() {
        for (line, tip) in [
            ("sise 005930", "'sise get 005930'"),
            ("sise 5930", "'sise get 5930'"),
            ("sise A005930", "'sise get A005930'"),
            ("sise 삼성전자", "'sise get 삼성전자'"),
            ("sise naver", "'sise get naver'"),
            ("sise 삼성", "'sise search 삼성'"),
            ("sise price 005930", "did you mean 'sise get'?"),
            ("sise quote 005930", "did you mean 'sise get'?"),
            ("sise ls", "did you mean 'sise universe'?"),
            ("sise list", "did you mean 'sise universe'?"),
            ("sise health", "did you mean 'sise doctor'?"),
            ("sise --set a.b=c health", "did you mean 'sise doctor'?"),
            ("sise start", "did you mean 'sise run'?"),
            ("sise statsu", "'status'"),
            ("sise alert delete x", "did you mean 'sise alert remove'?"),
            ("sise alert create x", "did you mean 'sise alert add'?"),
            ("sise watch rm mine", "did you mean 'sise watch remove'?"),
            ("sise watch new mine", "did you mean 'sise watch add'?"),
            ("sise clients ls", "did you mean 'sise clients list'?"),
            ("sise watch ad", "'add'"),
            ("sise run --daemon", "'sise run' is the daemon already"),
            ("sise run 005930", "did you mean '--codes 005930'?"),
            ("sise status 삼성전자", "'sise get 삼성전자'"),
            ("sise top gainers --limit 5", "did you mean '-n'?"),
            ("sise search 삼성 --limit 5", "did you mean '-n'?"),
            ("sise alert list --fired --limit=5", "did you mean '-n'?"),
            ("sise get 005930 --format json", "did you mean '--json'?"),
            ("sise plan --symbols 005930", "did you mean '--codes'?"),
            ("sise get --jsn", "'--json'"),
            ("sise top --market KOSDQ", "did you mean KOSDAQ?"),
        ] {
            let said = said(line);
            assert!(said.contains(tip), "'{tip}' for '{line}': {said}");
            assert!(!said.contains("as a value"), "'{line}': {said}");
        }
    }

    #[test]
    fn a_tip_that_misleads_is_left_out() {
        for (line, wrong) in [
            ("sise list", "clients"),
            ("sise health", "watch"),
            ("sise STATUS", "sise get"),
            ("sise statsu", "sise get"),
            ("sise naver", "alert"),
            ("sise gst", "sise get"),
            ("sise plan 100", "--codes 100"),
            ("sise status --limit 5", "'-n'"),
            ("sise get 005930 -x", "as a value"),
            ("sise watch list --zzz", "as a value"),
        ] {
            let said = said(line);
            let tips: String = said.lines().filter(|line| line.contains("tip:")).collect();
            assert!(!tips.contains(wrong), "'{wrong}' for '{line}': {said}");
        }
    }

    #[test]
    fn codes_may_be_named_where_they_have_a_place() {
        for line in [
            "sise get --codes 005930",
            "sise get --codes 005930,000660",
            "sise get 005930 --codes 000660",
            "sise watch add mine --codes 005930",
            "sise watch remove mine --codes 005930",
            "sise why --codes 005930",
        ] {
            let words = line.split_whitespace().map(Into::into).collect();
            assert!(parse_from(command(), words).is_ok(), "{line}");
        }
        for line in ["sise get", "sise watch add mine"] {
            assert!(said(line).contains("<CODE>..."), "{line}");
        }
    }
}
