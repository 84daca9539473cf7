//! Names of the keys in the store: the contract with all readers (docs/prices.md).

use sise_domain::{Index, Symbol};

/// Builds key names below an optional namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Returns keys below `namespace`. A missing colon at its end is added; an empty namespace adds
    /// no prefix.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        let mut prefix = namespace.to_owned();
        if !prefix.is_empty() && !prefix.ends_with(':') {
            prefix.push(':');
        }
        Self { prefix }
    }

    /// `realtime:price:<code>`
    #[must_use]
    pub fn realtime(&self, symbol: Symbol) -> String {
        self.realtime_stem() + symbol.as_str()
    }

    /// `close:price:<code>`
    #[must_use]
    pub fn close(&self, symbol: Symbol) -> String {
        self.close_stem() + symbol.as_str()
    }

    /// `realtime:index:<name>`
    #[must_use]
    pub fn index(&self, index: Index) -> String {
        [self.prefix.as_str(), "realtime:index:", index.as_str()].concat()
    }

    /// `close:index:<name>`
    #[must_use]
    pub fn closing_index(&self, index: Index) -> String {
        [self.prefix.as_str(), "close:index:", index.as_str()].concat()
    }

    /// `sise:<name>`, for keys that only sise uses.
    #[must_use]
    pub fn own(&self, name: &str) -> String {
        [self.prefix.as_str(), "sise:", name].concat()
    }

    /// Puts `name` in the namespace. The sign in front of a key in an access rule (`~` or `&`)
    /// stays in front.
    pub(super) fn within(&self, name: &str) -> String {
        match name.split_at_checked(1) {
            Some((sign @ ("~" | "&"), name)) => [sign, self.prefix.as_str(), name].concat(),
            _ => [self.prefix.as_str(), name].concat(),
        }
    }

    /// `sise:flight:<code>`
    #[must_use]
    pub fn flight(&self, symbol: Symbol) -> String {
        [self.prefix.as_str(), "sise:flight:", symbol.as_str()].concat()
    }

    /// Returns the code whose [`Keys::realtime`] key this is.
    pub(super) fn symbol_of_realtime(&self, key: &[u8]) -> Option<Symbol> {
        let name = key.strip_prefix(self.prefix.as_bytes())?;
        let code = name.strip_prefix(b"realtime:price:")?;
        std::str::from_utf8(code).ok()?.parse().ok()
    }

    /// [`Keys::realtime`] without the code, for callers that need many of them.
    pub(super) fn realtime_stem(&self) -> String {
        [self.prefix.as_str(), "realtime:price:"].concat()
    }

    /// [`Keys::close`] without the code.
    pub(super) fn close_stem(&self) -> String {
        [self.prefix.as_str(), "close:price:"].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_goes_in_front_of_every_key() {
        let symbol = "005930".parse().unwrap();
        assert_eq!(Keys::new("").realtime(symbol), "realtime:price:005930");
        assert_eq!(Keys::new("app").close(symbol), "app:close:price:005930");
        assert_eq!(
            Keys::new("app").index(Index::Kospi200),
            "app:realtime:index:KOSPI200"
        );
        assert_eq!(
            Keys::new("app").closing_index(Index::Kospi),
            "app:close:index:KOSPI"
        );
        assert_eq!(Keys::new("app").flight(symbol), "app:sise:flight:005930");
        assert_eq!(
            Keys::new("app:live:").own("universe"),
            "app:live:sise:universe"
        );
    }

    #[test]
    fn a_key_says_whose_it_is() {
        let symbol = "0126Z0".parse().unwrap();
        for namespace in ["", "app", "app:live:"] {
            let keys = Keys::new(namespace);
            let of = |key: &str| keys.symbol_of_realtime(key.as_bytes());
            assert_eq!(of(&keys.realtime(symbol)), Some(symbol));
            for other in [&keys.close(symbol), "realtime:price:", "other:0126Z0", ""] {
                assert_eq!(of(other), None, "{other}");
            }
        }
        assert_eq!(
            Keys::new("app").symbol_of_realtime(b"realtime:price:0126Z0"),
            None
        );
    }
}
