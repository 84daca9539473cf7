//! Which stock a person means: a code as it is written somewhere, or a name.

use strsim::{jaro_winkler, osa_distance};

use super::hangul::{place_of, plain, typed};
use super::{Listing, Market, Shipped, Symbol, Universe};

/// Stocks that a refusal names.
const LIKELY: usize = 5;

/// Names that are this alike are likely meant.
const ALIKE: f64 = 0.75;

/// Why a text is no one stock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// It means several.
    #[error("'{text}' may be {}", told(likely))]
    Ambiguous {
        /// The text.
        text: String,
        /// The likeliest, and how many there are beside them.
        likely: Likely,
    },
    /// It means none.
    #[error(
        "'{text}' is neither a stock code (six characters, such as 005930 or 0126Z0) nor a name on the stock list{}",
        meant(likely)
    )]
    Unknown {
        /// The text.
        text: String,
        /// What it may have been meant to be.
        likely: Likely,
    },
    /// It says another market than that of the code.
    #[error("'{text}': {code} is listed on {market}")]
    OtherMarket {
        /// The text.
        text: String,
        /// The code in it.
        code: Symbol,
        /// Where that is listed.
        market: Market,
    },
}

/// Some stocks of more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Likely {
    /// Code and name of the likeliest, the likeliest first.
    pub first: Vec<(Symbol, String)>,
    /// How many more there are.
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
    /// The stocks that a text means, the likeliest first: by code, name, part of a name, or initial
    /// consonants. Among equals the larger company comes first.
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
        found.sort_by_key(|(fit, listing)| (*fit, std::cmp::Reverse(size(listing.code))));
        found.into_iter().map(|(_, listing)| listing).collect()
    }

    /// The code that a person means: `005930`, `0126z0`, `5930`, `A005930`, `005930.KS`,
    /// `KR7005930003`, `삼성전자`, or a part of a name that only one stock has. A code needs not be on
    /// the list.
    ///
    /// # Errors
    ///
    /// It means several or none; the likely ones are named.
    pub fn lookup(&self, text: &str) -> Result<Symbol, LookupError> {
        let written = Written::new(text);
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
            (Some(listing), None, _) | (None, None, [listing]) => Ok(listing.code),
            (_, _, []) => match written.code {
                // Six capital letters are a code too, if nothing else.
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

    /// Listed codes that differ from a code by one slip of the fingers.
    #[must_use]
    pub fn near(&self, code: Symbol) -> Vec<&Listing> {
        let is_near = |listing: &&Listing| osa_distance(listing.code.as_str(), code.as_str()) == 1;
        let mut near: Vec<&Listing> = self.listings().iter().filter(is_near).collect();
        near.sort_by_key(|listing| std::cmp::Reverse(size(listing.code)));
        near.truncate(LIKELY);
        near
    }

    /// Stocks whose names are like a plain one.
    fn alike(&self, name: &[char]) -> Vec<&Listing> {
        let name: String = name.iter().collect();
        let likeness = |listing: &Listing| {
            let other: String = plain(&listing.name).into_iter().collect();
            jaro_winkler(&name, &other)
        };
        let mut alike: Vec<(f64, &Listing)> = self
            .listings()
            .iter()
            .map(|listing| (likeness(listing), listing))
            .filter(|(likeness, _)| *likeness >= ALIKE)
            .collect();
        alike.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        alike.truncate(LIKELY);
        alike.into_iter().map(|(_, listing)| listing).collect()
    }
}

/// A text without spaces around it, as far as it is worth repeating.
fn short(text: &str) -> String {
    text.trim().chars().take(40).collect()
}

/// What the company was worth when the shipped list was made; 0 for those that are newer.
fn size(code: Symbol) -> i64 {
    let shipped = Shipped::get().listing(code);
    shipped.map_or(0, |listing| listing.close.saturating_mul(listing.shares))
}

/// A text read as a code.
struct Written {
    /// The code in it, and the market that it says.
    code: Option<(Symbol, Option<Market>)>,
    /// A number that lost its zeros.
    padded: Option<Symbol>,
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
            // As brokers' terminals write it, and the standard code (ISIN).
            let short = body.strip_prefix('A').filter(|short| short.len() == 6);
            let isin = body
                .strip_prefix("KR7")
                .filter(|rest| rest.len() == 9)
                .and_then(|rest| rest.get(..6));
            short.or(isin)?.parse().ok()
        });
        Self {
            code: code.map(|code| (code, market)),
            padded: is_number
                .then(|| format!("{body:0>6}").parse().ok())
                .flatten(),
        }
    }
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
            ("００５９３０", "005930"),
            ("q500001", "Q500001"),
            // Not on the list: the broker may know it.
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
