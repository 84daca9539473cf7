//! File descriptors: how many this process may open, and how many it reserves for itself.

use std::io;

use rlimit::Resource;

/// Descriptors reserved for store, broker, files and listener, so that clients cannot use them up.
pub const RESERVE: usize = 256;

/// Limit of open files of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// Limit in force.
    pub soft: u64,
    /// Highest limit that the process may ask for.
    pub hard: u64,
}

impl Descriptors {
    /// Returns the current limit.
    ///
    /// # Errors
    ///
    /// Returns an error if the system does not report it.
    pub fn get() -> io::Result<Self> {
        let (soft, hard) = Resource::NOFILE.get()?;
        Ok(Self { soft, hard })
    }

    /// Raises the limit to the highest that is allowed.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses.
    pub fn raise() -> io::Result<Self> {
        let limit = Self::get()?;
        if limit.soft < limit.hard {
            rlimit::increase_nofile_limit(limit.hard)?;
        }
        Self::get()
    }

    /// Returns how many of `wanted` connections there is room for. If the limit is small, half of
    /// it stays reserved.
    #[must_use]
    pub fn room(&self, wanted: usize) -> usize {
        let soft = usize::try_from(self.soft).unwrap_or(usize::MAX);
        wanted.min(soft - RESERVE.min(soft / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_may_take_leaves_a_reserve() {
        let room = |soft| Descriptors { soft, hard: soft }.room(16_000);
        assert_eq!(room(1 << 20), 16_000);
        assert_eq!(room(16_256), 16_000);
        assert_eq!(room(16_255), 15_999);
        assert_eq!(room(1_024), 768);
        assert_eq!(room(100), 50);
        assert_eq!(room(0), 0);
    }
}
