//! Codes as people type them, for every command: code or name, one by one or in lists.

use std::path::Path;

use clap::Args;

use super::failure::Failure;
use crate::setup::Wiring;
use sise_domain::{LookupError, Shipped, Symbol, Universe};

/// `--codes` for commands that take codes as positional arguments, for consistency with others.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// Stocks by code or name, separated by commas
    #[arg(long = "codes", hide = true, value_name = "A,B")]
    named: Vec<String>,
}

impl Named {
    /// Returns these codes and the positional ones.
    pub(super) fn and(self, placed: Vec<String>) -> Vec<String> {
        [self.named, placed].concat()
    }
}

/// Returns the codes that `texts` name, each once.
///
/// A text may hold several codes, separated by commas.
pub(super) async fn symbols(wiring: &Wiring, texts: &[String]) -> Result<Vec<Symbol>, Failure> {
    wiring.know_names().await;
    in_list(&wiring.universe.load(), texts)
}

/// Returns the codes in a file, separated by commas or white space.
///
/// Lines that begin with `#` are comments.
pub(super) async fn in_file(wiring: &Wiring, path: &Path) -> Result<Vec<Symbol>, Failure> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    // Spreadsheets write a byte order mark.
    let lines = text.trim_start_matches('\u{feff}').lines();
    let texts: Vec<String> = lines
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect();
    symbols(wiring, &texts).await
}

fn in_list(universe: &Universe, texts: &[String]) -> Result<Vec<Symbol>, Failure> {
    let mut symbols: Vec<Symbol> = Vec::new();
    let mut troubles: Vec<String> = Vec::new();
    for text in texts.iter().flat_map(|text| text.split([',', ';'])) {
        if text.trim().is_empty() {
            continue;
        }
        match several(universe, text) {
            Ok(found) => {
                for symbol in found {
                    if !symbols.contains(&symbol) {
                        symbols.push(symbol);
                    }
                }
            }
            Err(error) => troubles.push(error.to_string()),
        }
    }
    match (troubles.is_empty(), symbols.is_empty()) {
        (true, false) => Ok(symbols),
        (true, true) => Err(Failure::usage("no codes are given")),
        (false, _) => Err(Failure::usage(troubles.join("\n"))),
    }
}

/// Returns the code of a text, or several if spaces separate them.
///
/// A name may contain spaces, so the whole text is tried first.
fn several(universe: &Universe, text: &str) -> Result<Vec<Symbol>, LookupError> {
    let whole = one(universe, text);
    let wiring: Vec<&str> = text.split_whitespace().collect();
    match whole {
        Err(error) if wiring.len() > 1 => {
            let each: Result<_, _> = wiring.iter().map(|part| one(universe, part)).collect();
            each.map_err(|_| error)
        }
        whole => whole.map(|symbol| vec![symbol]),
    }
}

/// Returns the code of one text, by the list in use or else by the shipped list.
///
/// A full name or code of either list comes before a part of a name: the list in use may lack a stock
/// whose name is a part of another's.
pub(super) fn one(universe: &Universe, text: &str) -> Result<Symbol, LookupError> {
    let shipped = Shipped::get().universe();
    let named = universe.named(text).or_else(|| shipped.named(text));
    match named.map_or_else(|| universe.lookup(text), Ok) {
        Err(LookupError::Unknown { .. }) => shipped.lookup(text),
        found => found,
    }
}

/// Returns a tip for a code that is not in the list: what may have been meant.
pub(super) fn tip(universe: &Universe, code: Symbol) -> Option<String> {
    if universe.get(code).is_some() {
        return None;
    }
    let near: Vec<String> = universe
        .near(code)
        .iter()
        .map(|listing| format!("{} {}", listing.code, listing.name))
        .collect();
    Some(match near.is_empty() {
        true => "`sise search NAME` finds codes".to_owned(),
        false => format!("did you mean {}?", near.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(texts: &[&str]) -> Result<Vec<String>, String> {
        let universe = Shipped::get().universe();
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let symbols = in_list(&universe, &texts).map_err(|failure| failure.to_string())?;
        Ok(symbols.into_iter().map(String::from).collect())
    }

    #[test]
    fn lists_of_codes_and_names_are_understood() {
        for texts in [
            vec!["005930,000660"],
            vec!["005930", "000660"],
            vec!["삼성전자, SK하이닉스"],
            vec!["5930 000660"],
            vec!["A005930;000660.KS,", "005930"],
            vec!["삼성 전자", "sk 하이닉스"],
        ] {
            let wanted = vec!["005930".to_owned(), "000660".to_owned()];
            assert_eq!(given(&texts), Ok(wanted), "{texts:?}");
        }
    }

    #[test]
    fn a_stock_that_the_list_in_use_lacks_is_not_taken_for_another() {
        let shipped = Shipped::get().universe();
        let of = |codes: &[&str]| {
            let is_in = |listing: &&sise_domain::Listing| codes.contains(&listing.code.as_str());
            let listings = shipped.listings().iter().filter(is_in).cloned();
            Universe::new(shipped.date, listings)
        };
        for (codes, text, wanted) in [
            (&["001500"][..], "현대차", "005380"),
            (&["005935"], "삼성전자", "005930"),
            (&["354200"], "35420", "035420"),
            (&["005930"], "5930", "005930"),
        ] {
            let found = one(&of(codes), text).map(String::from);
            assert_eq!(found, Ok(wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn all_that_is_not_understood_is_said_at_once() {
        let error = given(&["005930", "삼성전", "nevar"]).unwrap_err();
        assert!(
            error.contains("삼성전기") && error.contains("NAVER"),
            "{error}"
        );
        assert!(given(&[",", " "]).unwrap_err().contains("no codes"));
        assert!(given(&[]).unwrap_err().contains("no codes"));
    }

    #[test]
    fn a_code_that_nobody_knows_has_a_tip() {
        let universe = Shipped::get().universe();
        let tip = |code: &str| tip(&universe, code.parse().unwrap());
        assert_eq!(tip("005930"), None);
        assert!(tip("005931").unwrap().contains("005930 삼성전자"));
        assert!(tip("QQQQQQ").unwrap().contains("sise search"));
    }
}
