//! Names and numbers that no other process has.

use std::hash::{BuildHasher as _, RandomState};

/// A number of the system's randomness: `fastrand` begins with the clock, and processes that begin
/// at the same moment, as in containers, may draw the same.
pub fn number() -> u64 {
    RandomState::new().hash_one(0_u64)
}

/// The name of this machine, or `host` if the system does not say it.
#[must_use]
pub fn host_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => "host".to_owned(),
        host => host.to_owned(),
    }
}

/// A name that no other process has: machine, process number, and a random number, since processes in
/// containers share the first two.
#[must_use]
pub fn process_name() -> String {
    let number = number();
    format!("{}-{}-{number:016x}", host_name(), std::process::id())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::process_name;

    #[test]
    fn processes_of_one_host_and_number_have_names_of_their_own() {
        // As in containers, where all have the number 1. With 16 bits some dozens would be the same.
        let names: HashSet<String> = (0..3_000).map(|_| process_name()).collect();
        assert_eq!(names.len(), 3_000);
    }
}
