//! Reasons why a code has no new price after a sweep.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a code has no new price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The broker does not know the code.
    Unknown,
    /// The broker's answer is not a valid price.
    Refused,
    /// No answer arrived in time.
    NotReached,
    /// There was a price, but the store did not accept it.
    NotStored,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 4] = [
        Self::Unknown,
        Self::Refused,
        Self::NotReached,
        Self::NotStored,
    ];

    /// Returns the label for metrics, in one word.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::NotReached => "not_reached",
            Self::NotStored => "not_stored",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown to the broker",
            Self::Refused => "refused",
            Self::NotReached => "not reached",
            Self::NotStored => "not stored",
        })
    }
}
