//! Names and numbers that no other process has.

use std::hash::{BuildHasher as _, RandomState};

/// Returns a number from the randomness of the system. `fastrand` is seeded by the clock, and
/// processes that start at the same moment, as in containers, may draw the same number.
pub fn number() -> u64 {
    RandomState::new().hash_one(0_u64)
}

/// Returns the name of this machine, or `host` if the system does not report one.
#[must_use]
pub fn host_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => "host".to_owned(),
        host => host.to_owned(),
    }
}

/// Returns a name that no other process has: machine, process id and a random number.
///
/// The random number is needed because processes in containers may share the first two.
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
        // As in containers, where every process id is 1. Random numbers of 16 bits would collide.
        let names: HashSet<String> = (0..3_000).map(|_| process_name()).collect();
        assert_eq!(names.len(), 3_000);
    }
}
