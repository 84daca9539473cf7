//! Numbers that no other process has.

use std::hash::{BuildHasher as _, RandomState};

/// A number of the system's randomness: `fastrand` begins with the clock, and processes that begin
/// at the same moment, as in containers, may draw the same.
pub(crate) fn number() -> u64 {
    RandomState::new().hash_one(0_u64)
}
