//! An app key that has presented its secret.

use super::super::stats::KeyStats;
use super::super::window::Window;
use sise_domain::KrxTime;

/// An app key and its recent calls.
pub(super) struct Holder {
    pub(super) secret: String,
    /// When a token was last granted.
    pub(super) granted_at: Option<KrxTime>,
    /// The token that is granted again while it is young enough.
    pub(super) current: Option<String>,
    /// Calls that were admitted.
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
