//! Short codes of stocks: text, never a number.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The short code of a KOSPI or KOSDAQ instrument, as the broker accepts it.
///
/// Six characters, digits or capital letters (`005930`, `00104K`, `0126Z0`). Exchange-traded notes
/// have the broker's `Q` in front of the six (`Q500001`; contract 4.0.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol {
    bytes: [u8; 7],
    length: u8,
}

/// A text that is not a stock code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a stock code: a code is six characters, digits or capital letters, \
     such as 005930 or 0126Z0 (exchange-traded notes: Q and six)"
)]
pub struct SymbolError {
    text: String,
}

impl Symbol {
    /// Returns the code as ASCII text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        // The length is 6 or 7.
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }

    /// Returns the code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is accepted, so this always succeeds.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl FromStr for Symbol {
    type Err = SymbolError;

    fn from_str(text: &str) -> Result<Self, SymbolError> {
        let code = match *text.as_bytes() {
            [a, b, c, d, e, f] => Some(([a, b, c, d, e, f], [a, b, c, d, e, f, 0], 6)),
            [b'Q', a, b, c, d, e, f] => Some(([a, b, c, d, e, f], [b'Q', a, b, c, d, e, f], 7)),
            _ => None,
        };
        let is_good = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
        match code {
            Some((six, bytes, length)) if six.into_iter().all(is_good) => {
                Ok(Self { bytes, length })
            }
            _ => Err(SymbolError {
                // A code is short; a long text would only flood the message.
                text: text.chars().take(40).collect(),
            }),
        }
    }
}

impl TryFrom<String> for Symbol {
    type Error = SymbolError;

    fn try_from(text: String) -> Result<Self, SymbolError> {
        text.parse()
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> Self {
        symbol.as_str().to_owned()
    }
}

/// Hashes one number, because maps by code are looked up for every incoming price.
impl Hash for Symbol {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [b1, b2, b3, b4, b5, b6, b7] = self.bytes;
        state.write_u64(u64::from_le_bytes([
            b1,
            b2,
            b3,
            b4,
            b5,
            b6,
            b7,
            self.length,
        ]));
    }
}

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Symbol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Code;

        impl Visitor<'_> for Code {
            type Value = Symbol;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a stock code")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Symbol, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Code)
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_with_letters_are_codes() {
        for text in ["005930", "00104K", "0126Z0", "0001A0", "Q500001"] {
            assert_eq!(text.parse::<Symbol>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_text_in_the_message() {
        for text in [
            "", "5930", "00593O ", "0059300", "0126z0", "삼성", "A005930", "QQ",
        ] {
            let error = text.parse::<Symbol>().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in "\\PC{0,9}") {
            if let Ok(symbol) = text.parse::<Symbol>() {
                prop_assert_eq!(symbol.as_str(), text);
            }
        }
    }
}
