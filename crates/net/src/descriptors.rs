//! File descriptors: how many the system lets this process hold, and how many it keeps for itself.

use std::io;

use rlimit::Resource;

/// Kept for store, broker, files and listener: what clients take must not end those.
pub const RESERVE: usize = 256;

/// The limit of open files of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// So many are given now.
    pub soft: u64,
    /// So many it may ask for.
    pub hard: u64,
}

impl Descriptors {
    /// The limit as it is.
    ///
    /// # Errors
    ///
    /// The system does not tell it.
    pub fn get() -> io::Result<Self> {
        let (soft, hard) = Resource::NOFILE.get()?;
        Ok(Self { soft, hard })
    }

    /// Asks for as many as this process may have.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn raise() -> io::Result<Self> {
        let limit = Self::get()?;
        if limit.soft < limit.hard {
            rlimit::increase_nofile_limit(limit.hard)?;
        }
        Self::get()
    }

    /// Connections that there is room for, of so many that are wanted. Where the limit is small, half
    /// of it is kept.
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
