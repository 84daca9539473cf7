//! Lookup of the stock that a user means by a code or a name.

use std::cmp::Reverse;

use strsim::{jaro_winkler, osa_distance};

use super::hangul::{place_of, plain, typed};
use super::{Listing, Market, Shipped, Symbol, Universe};

/// Maximum number of stocks that an error names.
const LIKELY: usize = 5;

/// Similarity from which a name is suggested.
const ALIKE: f64 = 0.75;

/// A text that does not identify a single stock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// It matches several stocks.
    #[error("'{text}' may be {}", told(likely))]
    Ambiguous {
        /// The text.
        text: String,
        /// The best matches, and the number of others.
        likely: Likely,
    },
    /// It matches no stock.
    #[error(
        "'{text}' is neither a stock code (six characters, such as 005930 or 0126Z0) nor a name on the stock list{}",
        meant(likely)
    )]
    Unknown {
        /// The text.
        text: String,
        /// Stocks that may have been meant.
        likely: Likely,
    },
    /// It names another market than that of the code.
    #[error("'{text}': {code} is listed on {market}")]
    OtherMarket {
        /// The text.
        text: String,
        /// The code in it.
        code: Symbol,
        /// The market the code is listed on.
        market: Market,
    },
    /// It is a standard code with a wrong check digit.
    #[error("'{text}' is not a valid standard code (ISIN): its last digit should be {wanted}")]
    CheckDigit {
        /// The text.
        text: String,
        /// The correct check digit.
        wanted: u32,
    },
}

/// The best matches, and the number of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Likely {
    /// Code and name of the best matches, best first.
    pub first: Vec<(Symbol, String)>,
    /// Number of further matches.
    pub more: usize,
}

impl Likely {
    fn of(listings: &[&Listing]) -> Self {
        let named = |listing: &&Listing| (listing.code, listing.name.clone());
        Self {
            first: listings.iter().take(LIKELY).map(named).collect(),
            more: listings.len().saturating_sub(LIKELY),
        }
    }
}

fn told(likely: &Likely) -> String {
    let named: Vec<String> = likely
        .first
        .iter()
        .map(|(code, name)| format!("{code} {name}"))
        .collect();
    match likely.more {
        0 => named.join(", "),
        more => format!(
            "{} and {more} more (`sise search` shows all)",
            named.join(", ")
        ),
    }
}

fn meant(likely: &Likely) -> String {
    match likely.first.is_empty() {
        true => String::new(),
        false => format!("; did you mean {}?", told(likely)),
    }
}

impl Universe {
    /// Returns the stocks that match a text, best first.
    ///
    /// Matches are by code, name, part of a name, or initial consonants. Among equal matches the
    /// larger company comes first.
    #[must_use]
    pub fn search(&self, text: &str) -> Vec<&Listing> {
        let needle = typed(text);
        if needle.is_empty() {
            return Vec::new();
        }
        let code: String = needle.iter().collect::<String>().to_uppercase();
        let fit = |listing: &Listing| {
            let name = plain(&listing.name);
            let written = listing.code.as_str();
            match place_of(&needle, &name) {
                _ if written == code => Some(0),
                Some(0) if needle == name => Some(1),
                Some(0) => Some(2),
                _ if written.starts_with(&code) => Some(3),
                Some(_) => Some(4),
                None => None,
            }
        };
        let mut found: Vec<_> = self
            .listings()
            .iter()
            .filter_map(|listing| Some((fit(listing)?, listing)))
            .collect();
        found.sort_by_key(|(fit, listing)| (*fit, Reverse(size(listing.code))));
        found.into_iter().map(|(_, listing)| listing).collect()
    }

    /// Returns the listed code that a text names in full: by its code in any form, or by its whole
    /// name.
    #[must_use]
    pub fn named(&self, text: &str) -> Option<Symbol> {
        let written = Written::new(text);
        if written.check_digit.is_some() {
            return None;
        }
        let is_listed = |code: &Symbol| self.get(*code).is_some();
        if let Some((code, market)) = written.code.filter(|(code, _)| is_listed(code)) {
            let listed = self.get(code).map(|listing| listing.market);
            return (market.is_none() || listed == market).then_some(code);
        }
        if let Some(code) = written.padded.filter(is_listed) {
            return Some(code);
        }
        let name = plain(text);
        let mut named = self
            .listings()
            .iter()
            .filter(|listing| plain(&listing.name) == name);
        match (named.next(), named.next()) {
            (Some(listing), None) => Some(listing.code),
            _ => None,
        }
    }

    /// Returns the code that a user means.
    ///
    /// Accepts `005930`, `0126z0`, `5930`, `A005930`, `005930.KS`, `KR7005930003`, `삼성전자`, or a
    /// part of a name that only one stock has. A code need not be on the list.
    ///
    /// # Errors
    ///
    /// Returns [`LookupError::Ambiguous`] or [`LookupError::Unknown`] with suggestions if the text
    /// does not identify one stock, [`LookupError::OtherMarket`] if it names the wrong market, and
    /// [`LookupError::CheckDigit`] if a standard code has a wrong check digit.
    pub fn lookup(&self, text: &str) -> Result<Symbol, LookupError> {
        let written = Written::new(text);
        if let Some(wanted) = written.check_digit {
            return Err(LookupError::CheckDigit {
                text: short(text),
                wanted,
            });
        }
        if let Some((code, market)) = written.code
            && (self.get(code).is_some() || code.as_str().contains(|c: char| c.is_ascii_digit()))
        {
            let listed = self.get(code).map(|listing| listing.market);
            return match (listed, market) {
                (Some(listed), Some(market)) if listed != market => Err(LookupError::OtherMarket {
                    text: short(text),
                    code,
                    market: listed,
                }),
                _ => Ok(code),
            };
        }
        if let Some(code) = written.padded.filter(|code| self.get(*code).is_some()) {
            return Ok(code);
        }
        let found = self.search(text);
        let name = plain(text);
        let mut exact = found.iter().filter(|listing| plain(&listing.name) == name);
        match (exact.next(), exact.next(), found.as_slice()) {
            (Some(listing), None, _) => Ok(listing.code),
            // The beginning of a code is not a name: a digit of another code may be missing.
            (None, None, [listing]) if place_of(&typed(text), &plain(&listing.name)).is_some() => {
                Ok(listing.code)
            }
            (_, _, []) => match written.code {
                // Six capital letters are a code too, if nothing else matches.
                Some((code, _)) if text.trim() == code.as_str() => Ok(code),
                _ => Err(LookupError::Unknown {
                    text: short(text),
                    likely: Likely::of(&self.alike(&name)),
                }),
            },
            (_, _, several) => Err(LookupError::Ambiguous {
                text: short(text),
                likely: Likely::of(several),
            }),
        }
    }

    /// Returns listed codes that differ from a code by a single typing error.
    #[must_use]
    pub fn near(&self, code: Symbol) -> Vec<&Listing> {
        let is_near = |listing: &&Listing| osa_distance(listing.code.as_str(), code.as_str()) == 1;
        let mut near: Vec<&Listing> = self.listings().iter().filter(is_near).collect();
        near.sort_by_key(|listing| Reverse(size(listing.code)));
        near.truncate(LIKELY);
        near
    }

    /// Returns stocks with names similar to a normalized one.
    ///
    /// Names with one typing error come first, then short forms, with the larger company first in
    /// both groups; then the others by similarity.
    fn alike(&self, name: &[char]) -> Vec<&Listing> {
        let text: String = name.iter().collect();
        let likeness = |listing: &Listing| {
            let other = plain(&listing.name);
            let is_short_form = is_short_form(&other, name);
            let other: String = other.into_iter().collect();
            let likeness = jaro_winkler(&text, &other);
            let rank = match likeness >= ALIKE {
                true if osa_distance(&text, &other) <= 1 => 0,
                _ if is_short_form => 1,
                true => 2,
                false => return None,
            };
            let size = if rank == 2 { 0 } else { size(listing.code) };
            Some((rank, Reverse(size), likeness))
        };
        let mut alike: Vec<_> = self
            .listings()
            .iter()
            .filter_map(|listing| Some((likeness(listing)?, listing)))
            .collect();
        alike.sort_by(|((rank, size, likeness), _), (other, _)| {
            let by_rank = (rank, size).cmp(&(&other.0, &other.1));
            by_rank.then_with(|| other.2.total_cmp(likeness))
        });
        alike.truncate(LIKELY);
        alike.into_iter().map(|(_, listing)| listing).collect()
    }
}

/// Trims a text and limits its length for messages.
fn short(text: &str) -> String {
    text.trim().chars().take(40).collect()
}

/// Returns whether a name is an abbreviation of a text (현대차 of 현대자동차).
fn is_short_form(name: &[char], text: &[char]) -> bool {
    let mut letters = text.iter();
    name.len() >= 2
        && name.first() == text.first()
        && name
            .iter()
            .all(|letter| letters.any(|other| other == letter))
}

/// Returns the market value at the time of the shipped list; 0 for newer stocks.
fn size(code: Symbol) -> i64 {
    let shipped = Shipped::get().listing(code);
    shipped.map_or(0, |listing| listing.close.saturating_mul(listing.shares))
}

/// A text parsed as a code.
struct Written {
    /// The code, and the market it names.
    code: Option<(Symbol, Option<Market>)>,
    /// A number whose leading zeros were lost.
    padded: Option<Symbol>,
    /// The correct last digit of a standard code, if the text has another.
    check_digit: Option<u32>,
}

impl Written {
    fn new(text: &str) -> Self {
        let text: String = plain(text).into_iter().collect::<String>().to_uppercase();
        let endings = [
            (".KS", Some(Market::Kospi)),
            (".KQ", Some(Market::Kosdaq)),
            (".KRX", None),
        ];
        let (body, market) = endings
            .iter()
            .find_map(|(ending, market)| Some((text.strip_suffix(ending)?, *market)))
            .unwrap_or((&text, None));
        let body = body.strip_prefix("KRX:").unwrap_or(body);
        let is_number = (1..6).contains(&body.len()) && body.bytes().all(|c| c.is_ascii_digit());
        let code = body.parse().ok().or_else(|| {
            // The notation of brokers' terminals, and the standard code (ISIN).
            let short = body.strip_prefix('A').filter(|short| short.len() == 6);
            let code = short.and_then(|short| short.parse().ok());
            code.or_else(|| of_isin(body))
        });
        let check_digit = body.strip_prefix("KR7").and_then(|_| check_digit(body));
        Self {
            code: code.map(|code| (code, market)),
            padded: is_number
                .then(|| format!("{body:0>6}").parse().ok())
                .flatten(),
            check_digit: check_digit.filter(|wanted| !body.ends_with(&wanted.to_string())),
        }
    }
}

/// Returns the stock of a standard code.
///
/// The standard code of a common share contains the short code; for others (005385 is KR7005381009)
/// a list is needed.
fn of_isin(isin: &str) -> Option<Symbol> {
    let mut shipped = Shipped::get().listings.iter();
    if let Some(listing) = shipped.find(|listing| listing.isin == isin) {
        return Some(listing.code);
    }
    let rest = isin.strip_prefix("KR7").filter(|rest| rest.len() == 9)?;
    rest.get(..6)?.parse().ok()
}

/// Computes the check digit of a standard code (ISO 6166).
///
/// Letters count as numbers from 10, and every second digit from the right counts double.
fn check_digit(isin: &str) -> Option<u32> {
    let (body, last) = isin.split_at_checked(11)?;
    if last.len() != 1 || !last.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let numbers: Option<Vec<u32>> = body.chars().map(|letter| letter.to_digit(36)).collect();
    let digits: String = numbers?.iter().map(u32::to_string).collect();
    let digits = digits.chars().rev().filter_map(|digit| digit.to_digit(10));
    let counted = digits.enumerate().map(|(place, digit)| {
        let digit = if place % 2 == 0 { digit * 2 } else { digit };
        digit / 10 + digit % 10
    });
    Some((10 - counted.sum::<u32>() % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Result<Symbol, LookupError> {
        Shipped::get().universe().lookup(text)
    }

    #[test]
    fn a_code_is_understood_however_it_is_written() {
        for (text, wanted) in [
            ("005930", "005930"),
            (" 005930 ", "005930"),
            ("5930", "005930"),
            ("20", "000020"),
            ("0126z0", "0126Z0"),
            ("00104k", "00104K"),
            ("A005930", "005930"),
            ("a005930", "005930"),
            ("A0126Z0", "0126Z0"),
            ("005930.KS", "005930"),
            ("005930.ks", "005930"),
            ("247540.KQ", "247540"),
            ("KRX:005930", "005930"),
            ("KR7005930003", "005930"),
            ("kr7005930003", "005930"),
            // A preferred share, whose standard code has other digits, and a foreign share.
            ("KR7005381009", "005385"),
            ("KR700104K010", "00104K"),
            ("HK0000057197", "900110"),
            ("００５９３０", "005930"),
            ("q500001", "Q500001"),
            // Not on the list, but the broker may know it.
            ("999999", "999999"),
            ("ABCDEF", "ABCDEF"),
        ] {
            assert_eq!(
                code(text).map(String::from),
                Ok(wanted.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn the_beginning_of_a_code_means_nothing() {
        for text in ["3542", "00066", "0124"] {
            assert!(
                matches!(code(text), Err(LookupError::Ambiguous { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn only_a_whole_name_or_code_names_a_stock() {
        let shipped = Shipped::get().universe();
        let named = |text| shipped.named(text).map(String::from);
        for text in [
            "005930",
            "5930",
            "A005930",
            "005930.KS",
            "삼성전자",
            "삼성 전자",
        ] {
            assert_eq!(named(text), Some("005930".to_owned()), "{text}");
        }
        for text in ["삼성전", "005930.KQ", "999999", "3542", ""] {
            assert_eq!(named(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_is_understood_where_it_means_one_stock() {
        for (text, wanted) in [
            ("삼성전자", "005930"),
            ("삼성 전자", "005930"),
            ("삼성전자우", "005935"),
            ("naver", "035420"),
            ("sk하이닉스", "000660"),
            ("하이닉스", "000660"),
        ] {
            assert_eq!(
                code(text).map(String::from),
                Ok(wanted.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_means_several_or_none_names_the_likely_ones() {
        for (text, parts) in [
            (
                "삼성전",
                vec!["may be 005930 삼성전자, ", "009150 삼성전기"],
            ),
            ("ㅅㅅㅈㅈ", vec!["005930 삼성전자"]),
            (
                "삼성전가",
                vec!["neither", "did you mean", "005930 삼성전자"],
            ),
            ("nevar", vec!["did you mean", "NAVER"]),
            ("005930.KQ", vec!["005930 is listed on KOSPI"]),
            (
                "KR7005930004",
                vec!["'KR7005930004'", "last digit should be 3"],
            ),
            ("KR7005390003", vec!["last digit should be 0"]),
            ("현대자동차", vec!["did you mean 005380 현대차, "]),
            ("기아자동차", vec!["did you mean 000270 기아"]),
            ("SK하이닉수", vec!["did you mean 000660 SK하이닉스, "]),
            ("삼성제약x", vec!["did you mean 001360 삼성제약"]),
            ("00593O1", vec!["neither a stock code"]),
            ("99999", vec!["neither"]),
            ("", vec!["neither"]),
        ] {
            let error = code(text).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "'{part}' in: {error}");
            }
        }
    }

    #[test]
    fn every_standard_code_on_the_list_is_right_and_means_its_stock() {
        let universe = Shipped::get().universe();
        for listing in &Shipped::get().listings {
            let (isin, last) = listing.isin.split_at(11);
            let digit = check_digit(&listing.isin);
            assert_eq!(digit, last.parse().ok(), "{}", listing.isin);
            // Any other last digit is refused.
            let wrong = format!("{isin}{}", (digit.unwrap() + 1) % 10);
            if wrong.starts_with("KR7") {
                let error = universe.lookup(&wrong).unwrap_err();
                assert!(matches!(error, LookupError::CheckDigit { .. }), "{wrong}");
            }
        }
        for listing in Shipped::get().listings.iter().step_by(7) {
            assert_eq!(universe.lookup(&listing.isin), Ok(listing.code));
        }
    }

    #[test]
    fn the_largest_company_comes_first() {
        let universe = Shipped::get().universe();
        let first = |text: &str| {
            universe
                .search(text)
                .first()
                .map(|found| found.code.to_string())
        };
        for (text, wanted) in [
            ("삼성", "005930"),
            ("ㅅㅅㅈㅈ", "005930"),
            ("0059", "005930"),
            ("전자우", "005935"),
            ("Naver", "035420"),
        ] {
            assert_eq!(first(text).as_deref(), Some(wanted), "{text}");
        }
        assert!(universe.search("").is_empty());
        assert!(universe.search("ㅋㅌㅍㅋㅌㅍ").is_empty());
    }

    #[test]
    fn a_slip_of_the_fingers_is_near() {
        let universe = Shipped::get().universe();
        let near = universe.near("005931".parse().unwrap());
        assert!(near.iter().any(|listing| listing.name == "삼성전자"));
    }
}
