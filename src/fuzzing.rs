//! Fuzz targets for the parsers (`fuzz/`): each takes any bytes and panics if the result breaks an
//! invariant. Built only for fuzzing and tests.

use crate::domain::Quote;
use crate::{config, domain, kis, store, universe};

/// A parser with its invariants.
pub type Target = fn(&[u8]);

/// All targets by name. The seeds of each are in the folder of that name in `fuzz/seeds`.
pub const TARGETS: &[(&str, Target)] = &[
    ("answers", store::oracle::answers),
    ("archive", kis::oracle::archive),
    ("ban", domain::oracle::ban),
    ("calendar", domain::oracle::calendar),
    ("holidays", kis::oracle::holidays),
    ("list", universe::oracle::list),
    ("master", kis::oracle::master),
    ("messages", messages),
    ("object", store::oracle::object),
    ("quotes", quotes),
    ("settings", config::oracle::check),
    ("token", kis::oracle::token),
];

/// Parses a message of the live feed, and stores and reads back the result.
fn messages(bytes: &[u8]) {
    for quote in kis::oracle::messages(bytes) {
        kept(&quote);
    }
}

/// Parses an answer of the broker, and stores and reads back the result.
fn quotes(bytes: &[u8]) {
    kis::oracle::drift(bytes);
    for quote in kis::oracle::quotes(bytes) {
        kept(&quote);
    }
}

/// Checks that a quote reads back from the store unchanged.
fn kept(quote: &Quote) {
    let kept = serde_json::to_vec(quote).unwrap_or_default();
    store::oracle::object(&kept);
    let read: Option<Quote> = serde_json::from_slice(&kept).ok();
    assert!(
        read.as_ref() == Some(quote),
        "{quote:?} is kept as {read:?}"
    );
}

#[cfg(test)]
mod tests;
