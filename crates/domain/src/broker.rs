//! Identity of the broker that the prices in a store come from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Header that a simulated broker adds to every answer. The real broker has no such header.
pub const SIMULATOR_HEADER: &str = "sise-simulator";

/// What tells one broker from another for processes that share a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerIdentity {
    /// Its address.
    pub address: String,
    /// Kind of account there: `real` or `paper`.
    pub account: String,
    /// Whether it is a simulator; `None` before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<bool>,
}

impl BrokerIdentity {
    /// Returns whether this is known to be a different broker than `held`.
    #[must_use]
    pub fn differs_from(&self, held: &Self) -> bool {
        let is_other_kind = match (self.simulated, held.simulated) {
            (Some(ours), Some(theirs)) => ours != theirs,
            _ => false,
        };
        self.address != held.address || self.account != held.account || is_other_kind
    }
}

impl fmt::Display for BrokerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.simulated {
            Some(true) => "the simulated broker",
            _ => "the broker",
        };
        write!(f, "{kind} at {} ({} account)", self.address, self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(address: &str, account: &str, simulated: Option<bool>) -> BrokerIdentity {
        BrokerIdentity {
            address: address.to_owned(),
            account: account.to_owned(),
            simulated,
        }
    }

    #[test]
    fn brokers_differ_by_address_account_and_kind() {
        let held = broker("http://a", "real", Some(false));
        for (other, differs) in [
            (held.clone(), false),
            (broker("http://a", "real", None), false),
            (broker("http://b", "real", Some(false)), true),
            (broker("http://a", "paper", Some(false)), true),
            (broker("http://a", "real", Some(true)), true),
        ] {
            assert_eq!(other.differs_from(&held), differs, "{other}");
            assert_eq!(held.differs_from(&other), differs, "{other}");
        }
        let simulated = broker("http://a", "real", Some(true));
        let said = simulated.to_string();
        assert_eq!(said, "the simulated broker at http://a (real account)");
    }
}
