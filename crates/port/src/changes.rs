//! Notifications of changes in the store.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::StoreError;
use sise_domain::{Alert, IndexQuote, Quote, Symbol};

/// A change in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Live prices were written.
    Prices(Vec<Quote>),
    /// Closes were written.
    Closes(Vec<Quote>),
    /// Levels of indices were written.
    Indices(Vec<IndexQuote>),
    /// Trades of these codes may have been missed by the live feed.
    Gap(Vec<Symbol>),
    /// A rule raised an alert.
    Alert(Alert),
}

/// A message to a listener.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Every change from here on is reported, but none before.
    Begin,
    /// A change.
    Change(Change),
    /// Changes may have been missed. Another [`Heard::Begin`] follows once the connection is
    /// restored.
    Lost,
}

/// Sends changes to all processes on the store, and receives them.
///
/// The store itself announces the prices it accepts.
#[async_trait]
pub trait Changes: Send + Sync {
    /// Listens until the receiver is dropped, over a connection that is restored if it breaks.
    ///
    /// A listener that falls behind loses changes, and gets [`Heard::Lost`].
    fn listen(&self) -> mpsc::Receiver<Heard>;

    /// Announces a change other than prices.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or refuses.
    async fn tell(&self, change: &Change) -> Result<(), StoreError>;
}

/// Maximum number of changes waiting for a listener.
pub const WAITING: usize = 1_024;
