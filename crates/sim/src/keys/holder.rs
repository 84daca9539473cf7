//! One app key that has come with its right secret.

use super::super::stats::KeyStats;
use super::super::window::Window;
use sise_domain::KrxTime;

/// An app key and what it did last.
pub(super) struct Holder {
    pub(super) secret: String,
    /// When a token was last given.
    pub(super) granted_at: Option<KrxTime>,
    /// The token that is given again.
    pub(super) current: Option<String>,
    /// Calls that were let through.
    pub(super) accepted: Window,
    /// All calls.
    pub(super) arrived: Window,
    /// Calls over the limit.
    pub(super) over_limit: Window,
    pub(super) stats: KeyStats,
}

impl Holder {
    pub(super) fn new(secret: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            granted_at: None,
            current: None,
            accepted: Window::default(),
            arrived: Window::default(),
            over_limit: Window::default(),
            stats: KeyStats::default(),
        }
    }
}
