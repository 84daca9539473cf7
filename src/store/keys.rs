//! The names of the keys: the contract with every reader (design chapter 3).

use crate::domain::Symbol;

/// Builds key names below an optional namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys below `namespace`, which ends in a colon or gets one; an empty one puts nothing in
    /// front.
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
        self.join("realtime:price:", symbol.as_str())
    }

    /// `close:price:<code>`
    #[must_use]
    pub fn close(&self, symbol: Symbol) -> String {
        self.join("close:price:", symbol.as_str())
    }

    /// `sise:<name>`, for what is sise's own.
    #[must_use]
    pub fn own(&self, name: &str) -> String {
        self.join("sise:", name)
    }

    fn join(&self, kind: &str, name: &str) -> String {
        [self.prefix.as_str(), kind, name].concat()
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
            Keys::new("app:live:").own("universe"),
            "app:live:sise:universe"
        );
    }
}
