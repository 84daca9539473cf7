//! The parsers as the fuzzer sees them (`fuzz/`): each takes any bytes, and panics where what it
//! read breaks a rule. Built for that and for tests alone.

use crate::{config, domain, kis, store, universe};

/// A parser with its rules.
pub type Target = fn(&[u8]);

/// All of them by name. The seeds of each are in the folder of that name in `fuzz/seeds`.
pub const TARGETS: &[(&str, Target)] = &[
    ("archive", kis::oracle::archive),
    ("calendar", domain::oracle::calendar),
    ("list", universe::oracle::list),
    ("master", kis::oracle::master),
    ("object", store::oracle::object),
    ("settings", config::oracle::check),
];

#[cfg(test)]
mod tests;
